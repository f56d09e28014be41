//! Feedback as posted, checked: every mistake with the field it is in. Text in it is masked here.

use plimsoll_rules::MaskedText;
use plimsoll_rules::dataset::CORRECTION;
use plimsoll_rules::mask::Masker;
use serde_json::{Map, Value};

/// What a metric says about the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The task was completed (1) or not (0).
    Completion,
    /// How satisfied the user is, 0 to 1.
    Satisfaction,
    /// Something else: stored and counted.
    Other,
}

/// One piece of feedback.
#[derive(Clone, Debug, PartialEq)]
pub struct Feedback {
    /// Idempotency key: given, or made of target, metric and user.
    pub key: String,
    /// The exchange or episode it is about.
    pub target: String,
    /// Metric name as posted.
    pub metric: String,
    /// The value as a number.
    pub value: f64,
    /// The value on a scale of 0 to 1, where the metric has a meaning of ours.
    pub score: Option<f64>,
    /// What the metric says.
    pub meaning: Meaning,
    /// Tags as JSON, if any, their text masked.
    pub tags: Option<String>,
    /// Of a correction: the answer that would have been right.
    pub text: Option<MaskedText>,
    /// Units of experiments that it is about: an episode may be one.
    pub units: Vec<(String, u64)>,
}

/// Longest id, metric name, key or tags text, in bytes.
const LONGEST: usize = 512;

/// Longest correction, in bytes, before it is masked.
const LONGEST_CORRECTION: usize = 16 << 10;

/// What a metric name means.
pub fn meaning(metric: &str) -> Meaning {
    match metric {
        "task_completed" | "task_completion" | "task_success" => Meaning::Completion,
        "thumbs" | "rating" | "satisfaction" => Meaning::Satisfaction,
        _ => Meaning::Other,
    }
}

impl Feedback {
    /// Checks one JSON object. Ids and names are kept as they are, tags are masked; what a mistake quotes is not, that is
    /// for whoever tells it.
    ///
    /// # Errors
    /// Every mistake, as `field: what was found; what would be right`.
    pub fn parse(value: &Value, header_key: Option<&str>, masker: &Masker) -> Result<Self, Vec<String>> {
        let Some(object) = value.as_object() else {
            return Err(vec!["the body is not a JSON object with inference_id, metric_name and value".into()]);
        };
        let mut wrong = Vec::new();
        for name in object.keys() {
            match name.as_str() {
                "inference_id" | "episode_id" | "metric_name" | "value" | "tags" | "id" => {}
                "comment" | "text" | "prompt" | "response" => {
                    wrong.push(format!("{name}: text belongs in tags (masked), or with its exchange; leave it out"));
                }
                _ => wrong.push(format!(
                    "{name}: unknown field; known: inference_id, episode_id, metric_name, value, tags, id"
                )),
            }
        }
        let target = match (name(object, "inference_id", &mut wrong), name(object, "episode_id", &mut wrong)) {
            (Some(id), None) | (None, Some(id)) => id,
            (Some(_), Some(_)) => {
                wrong.push("inference_id: given together with episode_id; give one of them".into());
                String::new()
            }
            (None, None) => {
                wrong.push("inference_id: missing; the id of the engine's response (or episode_id)".into());
                String::new()
            }
        };
        let metric = name(object, "metric_name", &mut wrong).unwrap_or_else(|| {
            wrong.push("metric_name: missing; task_completed, thumbs, rating, or a name of your own".into());
            String::new()
        });
        let tags = tags(object, masker, &mut wrong);
        let text = (metric == CORRECTION).then(|| correction(object, masker, &mut wrong)).flatten();
        let (value, score) = match metric == CORRECTION {
            true => (1.0, None),
            false => number(&metric, object, &mut wrong).unwrap_or((0.0, None)),
        };
        let key = name(object, "id", &mut wrong).or_else(|| header_key.map(ToOwned::to_owned));
        let user = tags.as_ref().and_then(|tags| tags.get("user")).and_then(Value::as_str).unwrap_or("");
        let key = key.unwrap_or_else(|| format!("{target}\u{1f}{metric}\u{1f}{user}"));
        let (meaning, tags) = (meaning(&metric), tags.map(|tags| Value::Object(tags).to_string()));
        if wrong.is_empty() {
            Ok(Self { key, target, metric, value, score, meaning, tags, text, units: Vec::new() })
        } else {
            Err(wrong)
        }
    }
}

/// The answer that would have been right, masked. What is wrong with it is told without it.
fn correction(object: &Map<String, Value>, masker: &Masker, wrong: &mut Vec<String>) -> Option<MaskedText> {
    if object.contains_key("episode_id") {
        wrong.push("episode_id: a correction is the answer to one request; give its inference_id".into());
    }
    match object.get("value") {
        Some(Value::String(text)) if text.len() > LONGEST_CORRECTION => {
            wrong.push(format!("value: {} bytes long; a correction has at most {LONGEST_CORRECTION}", text.len()));
            None
        }
        Some(Value::String(text)) if !text.trim().is_empty() => Some(MaskedText::of(masker, text)),
        _ => {
            wrong.push("value: a correction is the text that would have been the right answer, and not empty".into());
            None
        }
    }
}

fn name(object: &Map<String, Value>, field: &str, wrong: &mut Vec<String>) -> Option<String> {
    match object.get(field)? {
        Value::String(text) if text.is_empty() => wrong.push(format!("{field}: is empty")),
        Value::String(text) if text.len() > LONGEST => {
            wrong.push(format!("{field}: {} bytes long; at most {LONGEST}", text.len()));
        }
        Value::String(text) => return Some(text.clone()),
        other => wrong.push(format!("{field}: {other} found; a text is expected")),
    }
    Some(String::new())
}

/// The tags, masked.
fn tags(object: &Map<String, Value>, masker: &Masker, wrong: &mut Vec<String>) -> Option<Map<String, Value>> {
    let given = object.get("tags")?;
    let Value::Object(map) = given else {
        wrong.push(format!("tags: {given} found; an object is expected"));
        return None;
    };
    for (name, value) in map {
        if !matches!(value, Value::Number(_) | Value::Bool(_) | Value::String(_)) {
            wrong.push(format!("tags.{name}: {value} found; a number, true, false or a text is expected"));
        }
    }
    let length = given.to_string().len();
    if length > LONGEST {
        wrong.push(format!("tags: {length} bytes long; at most {LONGEST}"));
    }
    let mask = |text: &str| MaskedText::of(masker, text).as_str().to_owned();
    Some(map.iter().map(|(name, value)| (mask(name), masked(value, &mask))).collect())
}

/// A tag's value with its text masked. A number becomes text where it is no mere number: telephone and card numbers are
/// written without quotes too.
fn masked(value: &Value, mask: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(mask(text)),
        Value::Number(number) => {
            let written = number.to_string();
            let masked = mask(&written);
            if masked == written { value.clone() } else { Value::String(masked) }
        }
        other => other.clone(),
    }
}

/// The value as a number, and on a scale of 0 to 1 where the metric has one.
fn number(metric: &str, object: &Map<String, Value>, wrong: &mut Vec<String>) -> Option<(f64, Option<f64>)> {
    let Some(value) = object.get("value") else {
        wrong.push("value: missing; true, false or a number".into());
        return None;
    };
    let number = match value {
        Value::Bool(yes) => f64::from(u8::from(*yes)),
        Value::Number(number) => number.as_f64()?,
        Value::String(word) if metric == "thumbs" && word == "up" => 1.0,
        Value::String(word) if metric == "thumbs" && word == "down" => 0.0,
        other => {
            let more = if metric == "thumbs" { ", \"up\" or \"down\"" } else { "" };
            wrong.push(format!("value: {other} found; true, false or a number{more} is expected"));
            return None;
        }
    };
    let scale = object.get("tags").and_then(|tags| tags["scale"].as_f64()).unwrap_or(5.0);
    let refuse = |wrong: &mut Vec<String>, right: &str| {
        wrong.push(format!("value: {value} found; {metric} takes {right}"));
        None
    };
    match metric {
        _ if meaning(metric) == Meaning::Completion => match number {
            n if n == 0.0 || n == 1.0 => Some((n, Some(n))),
            _ => refuse(wrong, "true or false"),
        },
        "thumbs" => match number {
            n if n == 1.0 || n == 0.0 || n == -1.0 => Some((n, Some(n.max(0.0)))),
            _ => refuse(wrong, "true or false, 1 or -1, \"up\" or \"down\""),
        },
        "rating" if scale > 1.0 && (1.0..=scale).contains(&number) => {
            Some((number, Some((number - 1.0) / (scale - 1.0))))
        }
        "rating" => refuse(wrong, &format!("a number from 1 to {scale} (tags.scale says the highest, 5 when absent)")),
        super::LABEL if [0.0, 0.5, 1.0].contains(&number) => Some((number, None)),
        super::LABEL => refuse(wrong, "0 where the first answer is better, 1 where the second is, 0.5 where neither"),
        "satisfaction" if (0.0..=1.0).contains(&number) => Some((number, Some(number))),
        "satisfaction" => refuse(wrong, "a number from 0 to 1"),
        _ => Some((number, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    use plimsoll_rules::mask::MaskOptions;

    fn masker() -> Masker {
        Masker::new(b"salt of the tests", &MaskOptions::default()).unwrap()
    }

    #[test]
    fn tags_are_masked_names_numbers_and_the_key_made_of_them() {
        let (mail, masker) = ("ann@example.org", masker());
        let item = json!({"inference_id": mail, "metric_name": "x", "value": 1, "tags": {"why": "ask ann@example.org",
            "user": mail, mail: true, "call": 13_812_345_678_u64, "n": 7, "scale": 5.5}});
        let feedback = Feedback::parse(&item, None, &masker).unwrap();
        let (token, call) = (masker.mask(mail).text, masker.mask("13812345678").text);
        assert!(token.starts_with("<EMAIL:") && call.starts_with("<PHONE:"), "{token} {call}");
        let why = format!("ask {token}");
        let expected = json!({"why": why, "user": token, token.as_ref(): true, "call": call, "n": 7, "scale": 5.5});
        assert_eq!(serde_json::from_str::<Value>(&feedback.tags.unwrap()).unwrap(), expected);
        assert_eq!(feedback.key, format!("{mail}\u{1f}x\u{1f}{token}"), "ids are kept as they are: they join");
    }

    #[test]
    fn values_are_put_on_one_scale() {
        for (metric, value, expected) in [
            ("task_completed", json!(true), Some(1.0)),
            ("task_completed", json!(0), Some(0.0)),
            ("thumbs", json!("up"), Some(1.0)),
            ("thumbs", json!(-1), Some(0.0)),
            ("rating", json!(5), Some(1.0)),
            ("rating", json!(3), Some(0.5)),
            ("satisfaction", json!(0.25), Some(0.25)),
            ("latency_felt", json!(17.5), None),
        ] {
            let item = json!({"inference_id": "a", "metric_name": metric, "value": value});
            assert_eq!(Feedback::parse(&item, None, &masker()).unwrap().score, expected, "{item}");
        }
    }

    #[test]
    fn every_mistake_is_named_with_its_field() {
        for (item, expected) in [
            (json!([]), vec!["not a JSON object"]),
            (json!({}), vec!["inference_id: missing", "metric_name: missing", "value: missing"]),
            (json!({"inference_id": "", "metric_name": "thumbs", "value": 1}), vec!["inference_id: is empty"]),
            (json!({"inference_id": 5, "metric_name": "thumbs", "value": 1}), vec!["inference_id: 5 found; a text"]),
            (json!({"inference_id": "a", "episode_id": "b", "metric_name": "x", "value": 1}), vec!["give one of them"]),
            (json!({"inference_id": "a", "metric_name": "task_completed", "value": 0.5}), vec!["takes true or false"]),
            (json!({"inference_id": "a", "metric_name": "rating", "value": 9}), vec!["from 1 to 5"]),
            (json!({"inference_id": "a", "metric_name": "x", "value": "NaN"}), vec!["value: \"NaN\" found"]),
            (
                json!({"inference_id": "a", "metric_name": "x", "value": 1, "comment": "?"}),
                vec!["comment: text belongs in tags"],
            ),
            (json!({"inference_id": "a", "metric_name": "x", "value": 1, "tagz": 1}), vec!["tagz: unknown field"]),
            (json!({"inference_id": "a", "metric_name": "correction", "value": true}), vec!["value: a correction is"]),
            (json!({"inference_id": "a", "metric_name": "correction", "value": " "}), vec!["value: a correction is"]),
            (
                json!({"inference_id": "a", "metric_name": "correction", "value": "é".repeat(9000)}),
                vec!["value: 18000 bytes long; a correction has at most 16384"],
            ),
            (
                json!({"episode_id": "a", "metric_name": "correction", "value": "x"}),
                vec!["episode_id: a correction is the answer to one request"],
            ),
            (
                json!({"inference_id": "a", "metric_name": "x", "value": 1, "tags": {"why": ["it was too long"]}}),
                vec!["tags.why: [\"it was too long\"] found"],
            ),
        ] {
            let wrong = Feedback::parse(&item, None, &masker()).unwrap_err();
            assert_eq!(wrong.len(), expected.len(), "{wrong:?}");
            for (said, wanted) in wrong.iter().zip(expected) {
                assert!(said.contains(wanted), "{said}");
            }
        }
    }

    #[test]
    fn a_correction_is_a_text_and_masked() {
        let item = json!({"inference_id": "a", "metric_name": "correction", "value": "ask ann@example.org"});
        let feedback = Feedback::parse(&item, None, &masker()).unwrap();
        assert!(feedback.text.as_ref().unwrap().as_str().starts_with("ask <EMAIL:"));
        assert_eq!((feedback.value, feedback.score, feedback.meaning), (1.0, None, Meaning::Other));
    }

    #[test]
    fn the_key_is_given_or_natural() {
        let item = json!({"inference_id": "a", "metric_name": "thumbs", "value": 1, "tags": {"user": "u"}});
        assert_eq!(Feedback::parse(&item, None, &masker()).unwrap().key, "a\u{1f}thumbs\u{1f}u");
        assert_eq!(Feedback::parse(&item, Some("k"), &masker()).unwrap().key, "k");
    }
}
