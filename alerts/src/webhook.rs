//! The generic webhook: its JSON body and its signature after the Standard Webhooks specification
//! (github.com/standard-webhooks/standard-webhooks). `docs/alerts.md` is its manual.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use plimsoll_rules::Timestamp;
use serde::Serialize;
use sha2::Sha256;

use crate::notification::number;
use crate::{Notification, SinkError, Status};

/// Signs messages with a shared secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Signer {
    key: Vec<u8>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(..)")
    }
}

impl Signer {
    /// From `whsec_` and base64, or from the secret's own characters.
    ///
    /// # Errors
    /// [`SinkError::Secret`] when it is empty or not base64 after `whsec_`.
    pub(crate) fn new(secret: &str) -> Result<Self, SinkError> {
        let wrong = |why: &str| SinkError::Secret { why: why.into() };
        let key = match secret.strip_prefix("whsec_") {
            Some(encoded) => STANDARD.decode(encoded).map_err(|_| wrong("what follows whsec_ is not base64"))?,
            None => secret.as_bytes().to_vec(),
        };
        if key.is_empty() {
            return Err(wrong("it is empty"));
        }
        Ok(Self { key })
    }

    /// The header `webhook-signature`: `v1,` and base64 of HMAC-SHA256 over `id.seconds.body`.
    pub(crate) fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        // HMAC takes keys of every length; without a key there is no signature to give.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return String::new() };
        mac.update(format!("{id}.{seconds}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

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

    /// The first is the published example of the specification's libraries. Both agree with:
    /// `python3 -c 'import base64, hmac; key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    /// text = b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}";
    /// print(base64.b64encode(hmac.new(key, text, "sha256").digest()))'`, the second with `key = b"plain secret"`.
    #[test]
    fn signatures_against_the_published_example_and_python() {
        for (why, secret, expected) in [
            ("published", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
            ("plain", "plain secret", "v1,gke7k785FD6W2FuaDcrvG3sQcmFE9YVaaAmarK4oi68="),
        ] {
            let signer = Signer::new(secret).unwrap();
            let found = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
            assert_eq!(found, expected, "{why}");
        }
    }

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
