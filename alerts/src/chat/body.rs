//! What bodies of several services share: fitting into a limit, and reading the error inside of an HTTP 200.

use std::time::Duration;

use serde_json::Value;

use super::Message;
use crate::text::{Flavour, Measure, Texts, share};
use crate::verdict::{Answer, Failure, Verdict, wish};

/// How long to stay away when too many messages came; the limits are per minute.
const MINUTE: Duration = Duration::from_secs(60);

/// JSON cannot fail to serialise where keys are strings.
pub(super) fn json(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// The texts of a message, together at most `most` long; lines of a digest close up.
pub(super) fn joined(texts: &Texts, message: &Message<'_>, flavour: Flavour, most: usize, measure: Measure) -> String {
    let between = if message.is_digest() { "\n" } else { "\n\n" };
    let all = texts.alerts(message, flavour);
    let most = most.saturating_sub(between.len() * all.len().saturating_sub(1));
    share(&all, most, measure, texts.cut_mark()).join(between)
}

/// The JSON that `build` makes of the texts, which get less room until the whole is at most `most` bytes.
pub(super) fn within(most: usize, build: impl Fn(usize) -> Value) -> Vec<u8> {
    let mut room = most;
    loop {
        let body = json(&build(room));
        if body.len() <= most || room < 64 {
            return body;
        }
        // Escapes make JSON longer than its texts; take off what it is too long by, and a little more.
        room = room.saturating_sub(body.len() - most).min(room * 7 / 8);
    }
}

/// What a code in the body means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// Busy: later.
    Later,
    /// Too many messages: not within the next minute.
    Limited,
    /// The token, the signature, the address: nothing we send will pass.
    Unwelcome,
    /// This message.
    Refused,
}

/// Reads `{"<field>": code, "<words>": "..."}`; 0 is success, and what is no such body is no answer.
pub(super) fn coded(
    answer: &Answer,
    fields: &[&str],
    words: &[&str],
    meaning: impl Fn(i64) -> Code,
) -> Option<Verdict> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    let Some(code) = fields.iter().find_map(|field| body.get(*field)?.as_i64()) else {
        let detail = format!("HTTP {} without the service's own answer", answer.status);
        return Some(Verdict::Retry { failure: Failure::new("no_answer", detail), after: wish(answer) });
    };
    if code == 0 {
        return None;
    }
    let said: String =
        words.iter().find_map(|field| body.get(*field)?.as_str()).unwrap_or("").chars().take(200).collect();
    let failure = Failure::new(format!("code_{code}"), format!("HTTP {}, code {code}: {said}", answer.status));
    Some(match meaning(code) {
        Code::Later => Verdict::Retry { failure, after: wish(answer) },
        Code::Limited => Verdict::Retry { failure, after: Some(wish(answer).unwrap_or(MINUTE)) },
        Code::Unwelcome => Verdict::Disabled(failure),
        Code::Refused => Verdict::Refused(failure),
    })
}
