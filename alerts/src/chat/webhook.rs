//! Alertmanager's own webhook, version 4: what is written for Alertmanager takes it unchanged.

use std::collections::BTreeMap;

use plimsoll_rules::Timestamp;
use reqwest::Url;
use serde::Serialize;

use super::{Message, Outgoing};
use crate::sign::Signer;
use crate::{Notification, SinkError, Status};

/// Where a firing alert's `endsAt` stands, as Alertmanager writes a time that is not set.
const NOT_SET: &str = "0001-01-01T00:00:00Z";

/// Alertmanager's webhook. Signed after Standard Webhooks too, when there is a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookV4 {
    signer: Option<Signer>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    version: &'static str,
    group_key: &'a str,
    truncated_alerts: u32,
    status: &'static str,
    receiver: &'a str,
    group_labels: &'a BTreeMap<String, String>,
    common_labels: BTreeMap<String, String>,
    common_annotations: BTreeMap<String, String>,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
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
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
    fingerprint: String,
}

impl WebhookV4 {
    /// Signs with `secret` (`whsec_` and base64, or the secret's own characters) when there is one.
    ///
    /// # Errors
    /// [`SinkError::Secret`] when it is empty or not base64 after `whsec_`.
    pub fn new(secret: Option<&str>) -> Result<Self, SinkError> {
        Ok(Self { signer: secret.map(Signer::new).transpose()? })
    }

    pub(super) fn request(&self, url: Url, message: &Message<'_>, wall: Timestamp) -> Outgoing {
        let body = body(message);
        let headers = crate::sign::headers(self.signer.as_ref(), message.id, wall, &body);
        Outgoing { url, headers, body }
    }
}

fn body(message: &Message<'_>) -> Vec<u8> {
    let all: Vec<&Notification> = message.alerts.iter().chain(message.context).copied().collect();
    let firing = all.iter().any(|alert| alert.status == Status::Firing);
    let alerts = all.into_iter().map(|alert| Alert {
        status: alert.status.as_str(),
        labels: &alert.labels,
        annotations: &alert.annotations,
        starts_at: alert.starts_at.rfc3339(),
        ends_at: if alert.status == Status::Firing { NOT_SET.to_owned() } else { alert.ends_at.rfc3339() },
        generator_url: &alert.generator_url,
        fingerprint: format!("{:016x}", alert.fingerprint()),
    });
    let payload = Payload {
        version: "4",
        group_key: message.group.map_or("{}:{}", |group| &group.key),
        truncated_alerts: 0,
        status: if firing { Status::Firing } else { Status::Resolved }.as_str(),
        receiver: message.receiver,
        group_labels: message.group_labels(),
        common_labels: message.common(|alert| &alert.labels),
        common_annotations: message.common(|alert| &alert.annotations),
        external_url: message.external_url,
        alerts: alerts.collect(),
    };
    // Maps of strings cannot fail to serialise.
    serde_json::to_vec(&payload).unwrap_or_default()
}
