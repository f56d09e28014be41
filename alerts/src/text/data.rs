//! What a template sees of a message: the names of Alertmanager's template data, and what says why.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gotmpl::Value;
use plimsoll_rules::Timestamp;

use super::words::link_name;
use super::{Flavour, Lang, threshold};
use crate::chat::Message;
use crate::{Notification, Status};

/// Annotations that hold an address.
const LINKS: [&str; 3] = ["dashboard_url", "panel_url", "runbook_url"];
/// Annotations that say what to do, the first one present.
const NEXT_STEPS: [&str; 3] = ["next_step", "action", "remedy"];

type Map = BTreeMap<Arc<str>, Value>;

/// How labels and the like are put into a template's data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Data {
    pub(super) lang: Lang,
    pub(super) flavour: Flavour,
}

impl Data {
    /// The whole message.
    pub(super) fn message(self, message: &Message<'_>) -> Value {
        let alerts: Vec<(Status, Value)> =
            message.alerts.iter().map(|alert| (alert.status, self.alert(message, alert))).collect();
        let only = |wanted: Status| list(alerts.iter().filter(|(s, _)| *s == wanted).map(|(_, value)| value.clone()));
        object([
            ("Status", text(message.status().as_str())),
            ("Receiver", text(message.receiver)),
            ("Digest", Value::Bool(message.is_digest())),
            ("Alerts", list(alerts.iter().map(|(_, value)| value.clone()))),
            ("Firing", only(Status::Firing)),
            ("Resolved", only(Status::Resolved)),
            ("GroupLabels", self.map(message.group_labels())),
            ("CommonLabels", self.map(&message.common(|alert| &alert.labels))),
            ("CommonAnnotations", self.map(&message.common(|alert| &alert.annotations))),
            ("ExternalURL", text(message.external_url)),
        ])
    }

    /// One alert of it.
    pub(super) fn alert(self, message: &Message<'_>, alert: &Notification) -> Value {
        let firing = alert.status == Status::Firing;
        let end = if firing { message.at } else { alert.ends_at };
        let annotation = |name: &str| alert.annotations.get(name).map_or("", String::as_str);
        let next = NEXT_STEPS.iter().map(|name| annotation(name)).find(|step| !step.is_empty()).unwrap_or("");
        let hidden = ["alertname", "severity"];
        let place: Vec<String> = alert
            .labels
            .iter()
            .filter(|(name, _)| !hidden.contains(&name.as_str()))
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        object([
            ("Status", text(alert.status.as_str())),
            ("Firing", Value::Bool(firing)),
            ("Labels", self.map(&alert.labels)),
            ("Annotations", self.map(&alert.annotations)),
            ("StartsAt", text(&alert.starts_at.rfc3339())),
            ("EndsAt", text(&alert.ends_at.rfc3339())),
            ("Since", text(&for_people(alert.starts_at))),
            ("Until", text(&for_people(alert.ends_at))),
            ("Lasted", text(&lasted(end.since(alert.starts_at)))),
            ("Value", Value::Float(alert.value)),
            ("ValueText", text(&number(alert.value))),
            ("Threshold", text(&self.flavour.escape(&threshold::of(&alert.expr).unwrap_or_default()))),
            ("Expr", text(&self.flavour.escape(&alert.expr))),
            ("Where", text(&self.flavour.escape(&place.join(" ")))),
            ("NextStep", text(&self.flavour.escape(next))),
            ("Links", self.links(alert)),
            ("GeneratorURL", text(&alert.generator_url)),
            ("Fingerprint", text(&format!("{:016x}", alert.fingerprint()))),
        ])
    }

    fn links(self, alert: &Notification) -> Value {
        let named = LINKS.iter().filter_map(|name| alert.annotations.get(*name).map(|url| (*name, url)));
        let all = std::iter::once(("", &alert.generator_url)).chain(named).filter(|(_, url)| !url.is_empty());
        list(all.map(|(name, url)| {
            // A bracket would end the link early in every dialect of Markdown.
            let url = url.replace(')', "%29").replace(['<', '>', ' '], "");
            object([("Name", text(link_name(self.lang, name))), ("URL", text(&url))])
        }))
    }

    fn map(self, map: &BTreeMap<String, String>) -> Value {
        let entries = map.iter().map(|(name, value)| (Arc::from(name.as_str()), text(&self.flavour.escape(value))));
        Value::Map(Arc::new(entries.collect()))
    }
}

fn object<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(Arc::new(entries.into_iter().map(|(name, value)| (name.into(), value)).collect::<Map>()))
}

fn list(values: impl Iterator<Item = Value>) -> Value {
    Value::List(values.collect())
}

fn text(content: &str) -> Value {
    Value::String(content.into())
}

/// `2026-08-04 10:00:00 UTC`.
fn for_people(at: Timestamp) -> String {
    let full = at.rfc3339();
    full.get(..19).map_or(full.clone(), |seconds| format!("{} UTC", seconds.replace('T', " ")))
}

/// `5m 3s`: the two largest units.
fn lasted(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [("d", seconds / 86_400), ("h", seconds / 3600 % 24), ("m", seconds / 60 % 60), ("s", seconds % 60)];
    let from = units.iter().position(|(_, count)| *count > 0).unwrap_or(3);
    let shown = units[from..].iter().take(2).map(|(unit, count)| format!("{count}{unit}"));
    shown.collect::<Vec<_>>().join(" ")
}

/// Five significant digits, without a tail of zeros.
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        }
        .to_owned();
    }
    if value == 0.0 {
        return "0".into();
    }
    let size = value.abs().log10().floor();
    if !(-4.0..15.0).contains(&size) {
        return format!("{value:.4e}");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 8")]
    let digits = (4.0 - size).max(0.0) as usize;
    let fixed = format!("{value:.digits$}");
    if fixed.contains('.') { fixed.trim_end_matches('0').trim_end_matches('.').to_owned() } else { fixed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_spans_are_short() {
        for (value, expected) in [
            (0.931_234, "0.93123"),
            (0.9, "0.9"),
            (0.0, "0"),
            (12.0, "12"),
            (123_456.7, "123457"),
            (-0.000_5, "-0.0005"),
            (1e-9, "1.0000e-9"),
            (3e20, "3.0000e20"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (99_999.96, "100000"),
        ] {
            assert_eq!(number(value), expected);
        }
        for (seconds, expected) in
            [(0, "0s"), (59, "59s"), (60, "1m 0s"), (3_725, "1h 2m"), (90_000, "1d 1h"), (864_000, "10d 0h")]
        {
            assert_eq!(lasted(Duration::from_secs(seconds)), expected);
        }
        assert_eq!(for_people(Timestamp::from_millis(1_785_837_600_000)), "2026-08-04 10:00:00 UTC");
    }
}
