//! `/api/v1/rules` and `/api/v1/alerts` in Prometheus' own shape.

use std::time::Duration;

use axum::extract::State;
use plimsoll_rules::{Action, AlertStanding, AlertState, GroupStanding, LastRun, RuleStanding, Timestamp};
use serde_json::{Value, json};

use super::desk::QueryDesk;
use super::encode::exponent;
use super::envelope::{Failure, Kind, Success};
use super::params::Params;

/// What Go prints for a time that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Which rules are wanted; nothing said means all.
#[derive(Clone, Debug, Default)]
struct Wanted {
    kind: Option<RuleKind>,
    rules: Vec<String>,
    groups: Vec<String>,
    files: Vec<String>,
    without_alerts: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RuleKind {
    Alerting,
    Recording,
}

impl Wanted {
    fn read(params: &Params) -> Result<Self, Failure> {
        let kind = match params.get("type") {
            "" => None,
            text if text.eq_ignore_ascii_case("alert") => Some(RuleKind::Alerting),
            text if text.eq_ignore_ascii_case("record") => Some(RuleKind::Recording),
            other => return Err(Failure::parameter("type", format!("not supported value {other:?}"))),
        };
        let without_alerts = match params.get("exclude_alerts") {
            "" => false,
            text => text
                .parse()
                .map_err(|_| Failure::parameter("exclude_alerts", format!("error converting to boolean: {text:?}")))?,
        };
        let all = |name| params.all(name).map(str::to_owned).collect();
        let (rules, groups, files) = (all("rule_name[]"), all("rule_group[]"), all("file[]"));
        Ok(Self { kind, rules, groups, files, without_alerts })
    }

    fn wants(&self, rule: &RuleStanding<'_>) -> bool {
        let kind = match rule.rule.action {
            Action::Record => RuleKind::Recording,
            Action::Alert { .. } => RuleKind::Alerting,
        };
        self.kind.is_none_or(|wanted| wanted == kind) && named(&self.rules, &rule.rule.name)
    }

    fn wants_group(&self, group: &GroupStanding<'_>) -> bool {
        named(&self.groups, &group.group.name) && named(&self.files, &group.group.file)
    }
}

fn named(wanted: &[String], name: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|other| other == name)
}

/// Groups with their rules and these with their alerts.
pub(super) async fn rules(State(desk): State<QueryDesk>, params: Params) -> Result<Success, Failure> {
    if params.all("match[]").next().is_some() {
        return Err(Failure::new(
            Kind::BadData,
            "match[] is not supported here; use rule_name[], rule_group[], file[]",
        ));
    }
    let wanted = Wanted::read(&params)?;
    desk.look(move |_, engine| {
        let groups: Vec<Value> = engine.standing().iter().filter_map(|standing| group(standing, &wanted)).collect();
        Success::of(&json!({"groups": groups}))
    })
    .await
}

/// Every pending or firing alert, or those of the names in `alertname` (the links in alerts have it; Prometheus does not).
pub(super) async fn alerts(State(desk): State<QueryDesk>, params: Params) -> Result<Success, Failure> {
    let names: Vec<String> = params.all("alertname").map(str::to_owned).collect();
    desk.look(move |_, engine| {
        let standing = engine.standing();
        let rules = standing.iter().flat_map(|group| &group.rules).filter(|rule| named(&names, &rule.rule.name));
        let alerts: Vec<Value> = rules.flat_map(|rule| &rule.alerts).map(alert).collect();
        Success::of(&json!({"alerts": alerts}))
    })
    .await
}

fn group(standing: &GroupStanding<'_>, wanted: &Wanted) -> Option<Value> {
    if !wanted.wants_group(standing) {
        return None;
    }
    let rules: Vec<Value> =
        standing.rules.iter().filter(|rule| wanted.wants(rule)).map(|rule| one(rule, wanted.without_alerts)).collect();
    if rules.is_empty() {
        return None;
    }
    let (at, took) = standing.last.map_or((None, Duration::ZERO), |(at, took)| (Some(at), took));
    Some(json!({
        "name": standing.group.name,
        "file": standing.group.file,
        "rules": rules,
        "interval": seconds(standing.group.interval),
        "limit": standing.group.limit,
        "evaluationTime": seconds(took),
        "lastEvaluation": at.map_or_else(|| NEVER.to_owned(), Timestamp::rfc3339),
    }))
}

fn one(standing: &RuleStanding<'_>, without_alerts: bool) -> Value {
    let rule = standing.rule;
    let query = rule.expr.to_string();
    let mut shown = match &rule.action {
        Action::Record => json!({"name": rule.name, "query": query}),
        Action::Alert { hold, keep_firing, annotations } => {
            let alerts: Vec<Value> =
                if without_alerts { Vec::new() } else { standing.alerts.iter().map(alert).collect() };
            json!({
                "state": state(standing),
                "name": rule.name,
                "query": query,
                "duration": seconds(*hold),
                "keepFiringFor": seconds(*keep_firing),
                "labels": rule.labels,
                "annotations": annotations,
                "alerts": alerts,
            })
        }
    };
    if rule.action == Action::Record && !rule.labels.is_empty() {
        shown["labels"] = json!(rule.labels);
    }
    let LastRun { at, took, error } = match standing.last {
        Some(last) => last.clone(),
        None => LastRun { at: Timestamp::default(), took: Duration::ZERO, error: None },
    };
    shown["health"] = json!(match (standing.last, &error) {
        (None, _) => "unknown",
        (_, Some(_)) => "err",
        _ => "ok",
    });
    if let Some(error) = error {
        shown["lastError"] = json!(error);
    }
    shown["evaluationTime"] = seconds(took);
    shown["lastEvaluation"] = json!(standing.last.map_or_else(|| NEVER.to_owned(), |_| at.rfc3339()));
    shown["type"] = json!(if rule.action == Action::Record { "recording" } else { "alerting" });
    shown
}

/// Whole seconds without a fraction, as Go prints them.
fn seconds(span: Duration) -> Value {
    if span.subsec_nanos() == 0 { json!(span.as_secs()) } else { json!(span.as_secs_f64()) }
}

/// The state of the alert that is furthest on.
fn state(standing: &RuleStanding<'_>) -> &'static str {
    let any = |state| standing.alerts.iter().any(|alert| alert.alert.state == state);
    match (any(AlertState::Firing), any(AlertState::Pending)) {
        (true, _) => "firing",
        (_, true) => "pending",
        _ => "inactive",
    }
}

fn alert(standing: &AlertStanding<'_>) -> Value {
    let mut shown = json!({
        "labels": standing.labels,
        "annotations": standing.alert.annotations,
        "state": standing.alert.state,
        "activeAt": standing.alert.active_at.rfc3339(),
        "value": exponent(standing.alert.value),
    });
    if let Some(since) = standing.kept_since {
        shown["keepFiringSince"] = json!(since.rfc3339());
    }
    shown
}
