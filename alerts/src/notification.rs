//! What is said about one alert.

use std::collections::BTreeMap;

use plimsoll_rules::{Labels, Timestamp};
use serde::{Deserialize, Serialize};

/// Whether the alert is on or over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is on.
    Firing,
    /// It is over.
    Resolved,
}

impl Status {
    /// `firing` or `resolved`, as in every payload.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// The state of one alert as told to every sink.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// On or over.
    pub status: Status,
    /// All labels, `alertname` included: the alert's identity.
    pub labels: BTreeMap<String, String>,
    /// Texts for people.
    pub annotations: BTreeMap<String, String>,
    /// When it began to fire.
    pub starts_at: Timestamp,
    /// When it ended; for a firing one, when receivers may consider it over if they hear nothing more.
    pub ends_at: Timestamp,
    /// The expression's value at the last evaluation.
    #[serde(with = "number")]
    pub value: f64,
    /// Where to look: a link to our page for this rule.
    pub generator_url: String,
    /// The rule's expression; empty when not known.
    #[serde(default)]
    pub expr: String,
}

impl Notification {
    /// The alert's identity: a hash of its labels, the same as [`Labels::fingerprint`].
    pub fn fingerprint(&self) -> u64 {
        self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Labels>().fingerprint()
    }

    /// Whether both speak of the same turn of the same alert, so that the later one is only a fresher copy.
    pub(crate) fn is_repeat_of(&self, earlier: &Self) -> bool {
        self.status == earlier.status && self.starts_at == earlier.starts_at
    }

    /// About how much memory it holds, in bytes.
    pub(crate) fn size(&self) -> usize {
        /// A map entry's two `String`s and its share of a tree node.
        const ENTRY: usize = 64;
        let pairs = self.labels.iter().chain(&self.annotations);
        size_of::<Self>()
            + self.generator_url.len()
            + self.expr.len()
            + pairs.map(|(k, v)| k.len() + v.len() + ENTRY).sum::<usize>()
    }
}

/// A number in JSON, or `"NaN"`, `"+Inf"`, `"-Inf"`, which JSON has no numbers for.
pub(crate) mod number {
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's `with` hands over a reference")]
    pub(crate) fn serialize<S: Serializer>(value: &f64, out: S) -> Result<S::Ok, S::Error> {
        match value {
            v if v.is_finite() => out.serialize_f64(*v),
            v if v.is_nan() => out.serialize_str("NaN"),
            v if *v > 0.0 => out.serialize_str("+Inf"),
            _ => out.serialize_str("-Inf"),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f64),
            Word(String),
        }
        Ok(match Written::deserialize(from)? {
            Written::Number(value) => value,
            Written::Word(word) if word == "+Inf" => f64::INFINITY,
            Written::Word(word) if word == "-Inf" => f64::NEG_INFINITY,
            Written::Word(_) => f64::NAN,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An alert `name` that began to fire at `starts` seconds.
    pub(crate) fn firing(name: &str, starts: i64) -> Notification {
        Notification {
            status: Status::Firing,
            labels: [("alertname".to_owned(), name.to_owned())].into(),
            annotations: [("summary".to_owned(), format!("{name} is on"))].into(),
            starts_at: Timestamp::from_millis(starts * 1000),
            ends_at: Timestamp::from_millis((starts + 240) * 1000),
            value: 0.93,
            generator_url: "http://127.0.0.1:9465/api/v1/alerts".into(),
            expr: String::new(),
        }
    }

    /// The same alert, over at `ends` seconds.
    pub(crate) fn resolved(name: &str, starts: i64, ends: i64) -> Notification {
        Notification { status: Status::Resolved, ends_at: Timestamp::from_millis(ends * 1000), ..firing(name, starts) }
    }

    #[test]
    fn a_notification_survives_json_whatever_its_value() {
        for (value, text) in [
            (0.93, r#""value":0.93"#),
            (f64::NAN, r#""value":"NaN""#),
            (f64::INFINITY, r#""value":"+Inf""#),
            (f64::NEG_INFINITY, r#""value":"-Inf""#),
        ] {
            let written = serde_json::to_string(&Notification { value, ..firing("Hot", 1) }).unwrap();
            assert!(written.contains(text), "{written}");
            let read: Notification = serde_json::from_str(&written).unwrap();
            assert_eq!(read.value.to_bits(), value.to_bits());
        }
    }

    #[test]
    fn the_fingerprint_is_that_of_the_labels() {
        let one = firing("Hot", 1);
        assert_eq!(one.fingerprint(), [("alertname", "Hot")].into_iter().collect::<Labels>().fingerprint());
        assert_eq!(one.fingerprint(), resolved("Hot", 2, 3).fingerprint(), "time is not identity");
        assert_ne!(one.fingerprint(), firing("Cold", 1).fingerprint());
    }
}
