//! PagerDuty Events API v2: one event an alert; a resolve closes the incident that its firing opened.

use std::fmt;

use serde_json::{Value, json};

use super::{Message, body};
use crate::text::{Flavour, Measure, Texts, cut};
use crate::{Notification, SinkError, Status};

/// Where events go.
pub(crate) const URL: &str = "https://events.pagerduty.com/v2/enqueue";
const SUMMARY: usize = 1024;
/// The whole event may have 512 KB; no single text needs more than this.
const DETAIL: usize = 8 << 10;

/// An Events v2 integration.
#[derive(Clone, PartialEq, Eq)]
pub struct PagerDuty {
    routing_key: String,
}

impl fmt::Debug for PagerDuty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PagerDuty(..)")
    }
}

impl PagerDuty {
    /// The address of PagerDuty's own service.
    pub const URL: &'static str = URL;

    /// `routing_key` is the integration key of an Events v2 integration.
    ///
    /// # Errors
    /// [`SinkError::Secret`] when it is empty.
    pub fn new(routing_key: &str) -> Result<Self, SinkError> {
        if routing_key.is_empty() {
            return Err(SinkError::Secret { why: "it is empty".into() });
        }
        Ok(Self { routing_key: routing_key.to_owned() })
    }

    pub(super) fn body(&self, texts: &Texts, message: &Message<'_>) -> Vec<u8> {
        // Its policy makes batches of one.
        let Some(alert) = message.alerts.first() else { return Vec::new() };
        let action = if alert.status == Status::Firing { "trigger" } else { "resolve" };
        let label = |name: &str| alert.labels.get(name).map_or("", String::as_str);
        let summary = summary(texts, message, alert);
        let mut links = Vec::new();
        for name in ["runbook_url", "dashboard_url", "panel_url"] {
            if let Some(url) = alert.annotations.get(name) {
                links.push(json!({"href": url, "text": name.trim_end_matches("_url")}));
            }
        }
        body::json(&json!({
            "routing_key": self.routing_key,
            "event_action": action,
            "dedup_key": format!("plimsoll-{:016x}", alert.fingerprint()),
            "client": "Plimsoll",
            "client_url": alert.generator_url,
            "links": links,
            "payload": {
                "summary": summary,
                "source": source(alert),
                "severity": severity(label("severity")),
                "timestamp": alert.starts_at.rfc3339(),
                "component": label("service"),
                "class": label("alertname"),
                "custom_details": details(texts, alert),
            },
        }))
    }
}

/// The title, and what the alert says of itself.
fn summary(texts: &Texts, message: &Message<'_>, alert: &Notification) -> String {
    let title = texts.title(message, Flavour::Plain);
    let words = alert.annotations.get("summary").map_or("", String::as_str);
    let whole = if words.is_empty() { title } else { format!("{title}: {words}") };
    cut(&whole, SUMMARY, Measure::Units, texts.cut_mark())
}

/// Who is affected: the closest thing to a host name that the alert has.
fn source(alert: &Notification) -> &str {
    ["pod", "instance", "service"].iter().find_map(|name| alert.labels.get(*name)).map_or("plimsoll", String::as_str)
}

/// One of PagerDuty's four words.
fn severity(label: &str) -> &'static str {
    match label.to_lowercase().as_str() {
        "critical" | "page" | "fatal" | "emergency" => "critical",
        "warning" | "warn" | "minor" => "warning",
        "info" | "none" | "notice" => "info",
        _ => "error",
    }
}

fn details(texts: &Texts, alert: &Notification) -> Value {
    let short = |text: &String| cut(text, DETAIL, Measure::Bytes, texts.cut_mark());
    let value = if alert.value.is_finite() { json!(alert.value) } else { json!(alert.value.to_string()) };
    let annotations: serde_json::Map<String, Value> =
        alert.annotations.iter().take(64).map(|(name, text)| (name.clone(), json!(short(text)))).collect();
    json!({"labels": alert.labels, "annotations": annotations, "value": value, "expr": short(&alert.expr)})
}
