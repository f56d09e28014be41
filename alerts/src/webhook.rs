//! The generic webhook's JSON body. `docs/alerts.md` is its manual.

use plimsoll_rules::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

use crate::notification::number;
use crate::{Notification, Status};

#[derive(Serialize)]
struct Message<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    status: &'static str,
    receiver: &'a str,
    alerts: Vec<Alert<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert<'a> {
    status: &'static str,
    labels: &'a BTreeMap<String, String>,
    annotations: &'a BTreeMap<String, String>,
    starts_at: String,
    ends_at: String,
    #[serde(with = "number")]
    value: f64,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
    fingerprint: String,
}

/// The request body for `alerts`, sent as `receiver`. The whole is firing when any alert is.
pub(crate) fn body(receiver: &str, alerts: &[&Notification]) -> Vec<u8> {
    let firing = alerts.iter().any(|alert| alert.status == Status::Firing);
    let (kind, status) = if firing { ("alert.firing", "firing") } else { ("alert.resolved", "resolved") };
    let happened = alerts.iter().map(|alert| happened(alert)).max().unwrap_or_default();
    let alerts = alerts.iter().map(|alert| Alert {
        status: alert.status.as_str(),
        labels: &alert.labels,
        annotations: &alert.annotations,
        starts_at: alert.starts_at.rfc3339(),
        ends_at: alert.ends_at.rfc3339(),
        value: alert.value,
        generator_url: &alert.generator_url,
        fingerprint: format!("{:016x}", alert.fingerprint()),
    });
    let data = Data { status, receiver, alerts: alerts.collect() };
    // Maps of strings cannot fail to serialise.
    serde_json::to_vec(&Message { kind, timestamp: happened.rfc3339(), data }).unwrap_or_default()
}

/// When what is told happened: it began, or it ended.
fn happened(alert: &Notification) -> Timestamp {
    match alert.status {
        Status::Firing => alert.starts_at,
        Status::Resolved => alert.ends_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::tests::{firing, resolved};

    #[test]
    fn the_body_is_as_documented() {
        let (on, over) = (firing("Hot", 1_785_837_600), resolved("Hot", 1_785_837_600, 1_785_837_660));
        let expected = format!(
            concat!(
                r#"{{"type":"alert.firing","timestamp":"2026-08-04T10:00:00.000Z","#,
                r#""data":{{"status":"firing","receiver":"hook","alerts":[{{"status":"firing","#,
                r#""labels":{{"alertname":"Hot"}},"annotations":{{"summary":"Hot is on"}},"#,
                r#""startsAt":"2026-08-04T10:00:00.000Z","endsAt":"2026-08-04T10:04:00.000Z","value":0.93,"#,
                r#""generatorURL":"http://127.0.0.1:9465/api/v1/alerts","fingerprint":"{:016x}"}}]}}}}"#,
            ),
            on.fingerprint()
        );
        assert_eq!(String::from_utf8(body("hook", &[&on])).unwrap(), expected);
        let over = String::from_utf8(body("hook", &[&over])).unwrap();
        assert!(over.starts_with(r#"{"type":"alert.resolved","timestamp":"2026-08-04T10:01:00.000Z""#), "{over}");
    }
}
