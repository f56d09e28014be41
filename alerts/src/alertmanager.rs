//! What Alertmanager's `POST /api/v2/alerts` takes.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Notification;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PostableAlert<'a> {
    labels: &'a BTreeMap<String, String>,
    annotations: &'a BTreeMap<String, String>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
}

/// The request body: one array with every alert of the batch. Whether an alert is over, Alertmanager reads from
/// `endsAt` alone: in the past, or still to come.
pub(crate) fn body<'a>(batch: impl Iterator<Item = &'a Notification>) -> Vec<u8> {
    let alerts: Vec<PostableAlert<'_>> = batch
        .map(|alert| PostableAlert {
            labels: &alert.labels,
            annotations: &alert.annotations,
            // Alertmanager refuses an alert that ends before it starts, which a clock set back over a restart can make.
            starts_at: alert.starts_at.min(alert.ends_at).rfc3339(),
            ends_at: alert.ends_at.rfc3339(),
            generator_url: &alert.generator_url,
        })
        .collect();
    // Maps of strings cannot fail to serialise.
    serde_json::to_vec(&alerts).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::tests::{firing, resolved};

    #[test]
    fn the_body_is_what_api_v2_takes() {
        let batch = [firing("Hot", 1_785_837_600), resolved("Cold", 1_785_837_600, 1_785_837_660)];
        let body = String::from_utf8(body(batch.iter())).unwrap();
        let expected = concat!(
            r#"[{"labels":{"alertname":"Hot"},"annotations":{"summary":"Hot is on"},"#,
            r#""startsAt":"2026-08-04T10:00:00.000Z","endsAt":"2026-08-04T10:04:00.000Z","#,
            r#""generatorURL":"http://127.0.0.1:9465/api/v1/alerts"},"#,
            r#"{"labels":{"alertname":"Cold"},"annotations":{"summary":"Cold is on"},"#,
            r#""startsAt":"2026-08-04T10:00:00.000Z","endsAt":"2026-08-04T10:01:00.000Z","#,
            r#""generatorURL":"http://127.0.0.1:9465/api/v1/alerts"}]"#,
        );
        assert_eq!(body, expected);
        let backwards = String::from_utf8(super::body([resolved("Hot", 60, 0)].iter())).unwrap();
        assert!(backwards.contains(r#""startsAt":"1970-01-01T00:00:00.000Z","endsAt":"1970-01-01T00:00:00.000Z""#));
    }
}
