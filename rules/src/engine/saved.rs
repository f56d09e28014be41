//! The engine's state as JSON and back: what was pending, firing and lately resolved survives a restart.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::handover::{Known, forget_refuted, hand_over};
use super::state::{ActiveAlert, AlertState, Tracked};
use super::{Group, Rule, RuleEngine};
use crate::{Labels, Timestamp};

/// Pending time before a gap longer than this does not count: too much may have happened (Prometheus' outage tolerance).
const OUTAGE_TOLERANCE: Duration = Duration::from_secs(3600);
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedState {
    version: u32,
    /// The last time anything was judged or told; nothing is known of what came after.
    seen_at: Timestamp,
    rules: Vec<SavedRule>,
    gone: Vec<SavedAlert>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedRule {
    /// Group, kind, name and labels; the file is left out, a path may change over a restart.
    rule: String,
    alerts: Vec<SavedAlert>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedAlert {
    /// Without external labels.
    key: Labels,
    labels: Labels,
    annotations: BTreeMap<String, String>,
    state: AlertState,
    /// As text: JSON has no NaN and no infinities.
    value: String,
    active_at: Timestamp,
    fired_at: Option<Timestamp>,
    resolved_at: Option<Timestamp>,
    valid_until: Timestamp,
    expr: String,
    group: String,
    kept_since: Option<Timestamp>,
    told: Option<(AlertState, Timestamp)>,
}

/// The state of `engine`.
pub(super) fn to_json(engine: &RuleEngine) -> String {
    let mut rules = Vec::new();
    for group in &engine.groups {
        for (rule, run) in group.group.rules.iter().zip(&group.rules) {
            let alerts: Vec<SavedAlert> = run.alerts.0.iter().map(|(key, tracked)| save(key, tracked)).collect();
            if !alerts.is_empty() {
                rules.push(SavedRule { rule: key(&group.group, rule), alerts });
            }
        }
    }
    let gone = engine.gone.iter().map(|tracked| save(&tracked.alert.labels, tracked)).collect();
    let state = SavedState { version: VERSION, seen_at: engine.seen_at, rules, gone };
    serde_json::to_string(&state).unwrap_or_default()
}

/// Puts the saved state into `engine`. Times in the future (the clock was set back meanwhile) become `now`.
pub(super) fn from_json(engine: &mut RuleEngine, saved: &str, now: Timestamp) -> Result<(), String> {
    let state: SavedState = serde_json::from_str(saved).map_err(|e| format!("it is not a saved alert state: {e}"))?;
    if state.version != VERSION {
        return Err(format!("it has version {}, this program reads version {VERSION}", state.version));
    }
    let mut known: Known<Vec<(Labels, Tracked)>> = HashMap::new();
    for rule in state.rules {
        let alerts = rule.alerts.iter().map(|alert| load(alert, now)).collect::<Result<_, _>>()?;
        known.entry(rule.rule).or_default().push_back(alerts);
    }
    let mut gone = state.gone.iter().map(|alert| load(alert, now).map(|(_, t)| t)).collect::<Result<Vec<_>, _>>()?;
    let forget_pending = now.since(state.seen_at) > OUTAGE_TOLERANCE;
    hand_over(&mut known, &mut engine.groups, key, |run, alerts| {
        run.alerts.0 = alerts.into_iter().filter(|(_, t)| !(forget_pending && is_pending(t))).collect();
        run.written = run.alerts.series().into_iter().map(|(labels, _)| labels).collect();
        run.restored_at = Some(now);
    });
    let orphaned = known.into_values().flatten().map(|alerts| super::Alerts(alerts.into_iter().collect()));
    gone.extend(orphaned.flat_map(|alerts| alerts.end(now)));
    engine.gone.extend(gone);
    forget_refuted(&mut engine.gone, &engine.groups);
    engine.seen_at = engine.seen_at.max(state.seen_at.min(now));
    Ok(())
}

/// What makes it the same rule over a restart.
fn key(group: &Group, rule: &Rule) -> String {
    format!("{}\n{}", group.name, rule.identity())
}

fn is_pending(tracked: &Tracked) -> bool {
    tracked.alert.state == AlertState::Pending
}

fn save(key: &Labels, tracked: &Tracked) -> SavedAlert {
    let ActiveAlert { labels, annotations, state, value, active_at, fired_at, resolved_at, valid_until, expr, group } =
        tracked.alert.clone();
    SavedAlert {
        key: key.clone(),
        labels,
        annotations,
        state,
        value: value.to_string(),
        active_at,
        fired_at,
        resolved_at,
        valid_until,
        expr,
        group,
        kept_since: tracked.kept_since,
        told: tracked.told,
    }
}

fn load(saved: &SavedAlert, now: Timestamp) -> Result<(Labels, Tracked), String> {
    let SavedAlert { key, labels, annotations, state, expr, group, .. } = saved.clone();
    let value = saved.value.parse().map_err(|_| format!("value {:?} of {key} is not a number", saved.value))?;
    if (state == AlertState::Pending) != saved.fired_at.is_none()
        || (state == AlertState::Resolved) != saved.resolved_at.is_some()
    {
        return Err(format!("the times of {key} do not fit its state"));
    }
    let past = |at: Timestamp| at.min(now);
    let alert = ActiveAlert {
        labels,
        annotations,
        state,
        value,
        active_at: past(saved.active_at),
        fired_at: saved.fired_at.map(past),
        resolved_at: saved.resolved_at.map(past),
        valid_until: saved.valid_until,
        expr,
        group,
    };
    let told = saved.told.map(|(state, at)| (state, past(at)));
    Ok((key, Tracked { alert, kept_since: saved.kept_since.map(past), told, unconfirmed: true }))
}
