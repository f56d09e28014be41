//! Questions and answers of the worker as JSON: embeddings in OpenAI's form, the rest in its manner.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::refusal::Refusal;

/// Most texts of one request.
pub(super) const MOST_TEXTS: usize = 2048;

/// `POST /v1/embeddings`.
#[derive(Debug, Deserialize)]
pub(super) struct Embeddings {
    pub(super) input: Value,
    #[serde(default)]
    pub(super) encoding_format: Option<String>,
    #[serde(default)]
    pub(super) dimensions: Option<usize>,
}

/// `POST /v1/score`: `prompt` with `response` or with `responses`, or several such in `items`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scores {
    #[serde(default)]
    pub(super) model: Option<String>,
    #[serde(default)]
    items: Vec<ScoreItem>,
    #[serde(default)]
    prompt: Option<String>,
    #[serde(default)]
    response: Option<String>,
    #[serde(default)]
    responses: Vec<String>,
}

/// A prompt and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScoreItem {
    #[serde(default)]
    pub(super) prompt: String,
    #[serde(default)]
    pub(super) response: String,
}

impl Scores {
    /// All pairs, in order.
    pub(super) fn pairs(self) -> Result<Vec<ScoreItem>, Refusal> {
        let _ = self.model; // taken for the sake of clients that always send one
        let alone = self.prompt.is_some() || self.response.is_some() || !self.responses.is_empty();
        if alone != self.items.is_empty() {
            let right = "give prompt with response or responses, or items: a list of {prompt, response}";
            return Err(Refusal::Question(right.to_owned()));
        }
        if !alone {
            return Ok(self.items);
        }
        let prompt = self.prompt.unwrap_or_default();
        let mut responses = self.responses;
        responses.extend(self.response);
        if responses.is_empty() {
            responses.push(String::new());
        }
        Ok(responses.into_iter().map(|response| ScoreItem { prompt: prompt.clone(), response }).collect())
    }
}

/// `POST /v1/judge`.
#[derive(Debug, Deserialize)]
pub(super) struct Contest {
    pub(super) question: String,
    pub(super) a: String,
    pub(super) b: String,
}

/// `POST /v1/reward`.
#[derive(Debug, Deserialize)]
pub(super) struct Rewarded {
    pub(super) prompt: String,
    pub(super) response: String,
}

/// A question from a body.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|why| Refusal::Question(format!("the body: {}", mistake(&why))))
}

/// What is wrong with a JSON text; half a surrogate pair, which serde_json calls by another name, is called by its own.
pub fn mistake(why: &serde_json::Error) -> String {
    let said = why.to_string();
    if said.contains("hex escape") || said.contains("surrogate") {
        return format!("{said}: half a surrogate pair (\\uD800 to \\uDFFF alone) is no character");
    }
    said
}

/// The texts of `input`: one, or a list of them.
pub(super) fn texts(input: Value) -> Result<Vec<String>, Refusal> {
    let wrong = |at: String, found: &Value| {
        let kind = match found {
            Value::Array(_) | Value::Number(_) => "tokens",
            Value::Object(_) => "an object",
            _ => "no text",
        };
        Refusal::Question(format!("{at}: {kind} found; a text is expected"))
    };
    let texts = match input {
        Value::String(text) => vec![text],
        Value::Array(items) => {
            let text = |(at, item)| match item {
                Value::String(text) => Ok(text),
                other => Err(wrong(format!("input[{at}]"), &other)),
            };
            items.into_iter().enumerate().map(text).collect::<Result<_, _>>()?
        }
        other => return Err(wrong("input".to_owned(), &other)),
    };
    match texts.len() {
        0 => Err(Refusal::Question("input: no texts found; give at least one".to_owned())),
        count if count > MOST_TEXTS => {
            Err(Refusal::Question(format!("input: {count} texts found; at most {MOST_TEXTS} at once")))
        }
        _ => Ok(texts),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn input_is_texts() {
        for (input, expected) in [
            (json!("a"), Ok(vec!["a"])),
            (json!(["a", ""]), Ok(vec!["a", ""])),
            (json!([]), Err("input: no texts found; give at least one")),
            (json!(["a", 3]), Err("input[1]: tokens found; a text is expected")),
            (json!([[1, 2]]), Err("input[0]: tokens found; a text is expected")),
            (json!({"a": 1}), Err("input: an object found; a text is expected")),
            (Value::Null, Err("input: no text found; a text is expected")),
        ] {
            let found = texts(input).map_err(|why| why.to_string());
            let expected =
                expected.map(|texts| texts.into_iter().map(ToOwned::to_owned).collect()).map_err(ToOwned::to_owned);
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn pairs_come_in_three_forms() {
        let pair = |prompt: &str, response: &str| ScoreItem { prompt: prompt.into(), response: response.into() };
        for (body, expected) in [
            (r#"{"prompt": "p", "response": "r"}"#, Some(vec![pair("p", "r")])),
            (r#"{"prompt": "p", "responses": ["r", "s"]}"#, Some(vec![pair("p", "r"), pair("p", "s")])),
            (
                r#"{"items": [{"prompt": "p", "response": "r"}, {"prompt": "q"}]}"#,
                Some(vec![pair("p", "r"), pair("q", "")]),
            ),
            (r#"{"prompt": "p"}"#, Some(vec![pair("p", "")])),
            (r#"{"prompt": "p", "items": [{"prompt": "q"}]}"#, None),
            ("{}", None),
        ] {
            assert_eq!(read::<Scores>(body.as_bytes()).and_then(Scores::pairs).ok(), expected, "{body}");
        }
        let wrong = read::<Scores>(br#"{"promt": "p"}"#).unwrap_err().to_string();
        assert!(wrong.contains("unknown field `promt`"), "{wrong}");
        let wrong = read::<Scores>(br#"{"prompt": "\ud800"}"#).unwrap_err().to_string();
        assert!(wrong.contains("surrogate"), "{wrong}");
    }
}
