//! `inject_usage`: asks the engine for the usage of a stream whose client did not, and hides the extra event again.
//!
//! The one exception to "bytes in = bytes out", so it is off by default. A request that is not plainly understood passes
//! as it is, and so does every answer to it.

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue};
use plimsoll_rules::Endpoint;

use super::members::members;
use super::observe::is_only_usage;

/// Longest request that is read and rewritten.
pub(super) const LONGEST: usize = 4 << 20;
/// Longest event that is held back to see what it is.
const EVENT: usize = 1 << 20;

const WISH: &str = "\"include_usage\":true";

/// Whether requests to `endpoint` have `stream_options`.
pub(super) fn applies(endpoint: Option<Endpoint>, headers: &HeaderMap) -> bool {
    let short = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok())
        .is_none_or(|length| length <= LONGEST);
    matches!(endpoint, Some(Endpoint::Chat | Endpoint::Completions))
        && short
        && !headers.contains_key(http::header::CONTENT_ENCODING)
        && !headers.contains_key(http::header::EXPECT)
}

/// The request with the wish for usage in it; `None` when it is no stream, has said what it wants, or is not understood.
pub(super) fn ask_for_usage(body: &[u8]) -> Option<Bytes> {
    // From here on the text is known to be JSON, so the walk below need not check.
    serde_json::from_slice::<serde::de::IgnoredAny>(body).ok()?;
    let members = members(body)?;
    let value = |key: &[u8]| members.iter().rev().find(|(name, _)| *name == key).map(|(_, span)| *span);
    let (from, to) = value(b"stream")?;
    if &body[from..to] != b"true" {
        return None;
    }
    let (at, until, text) = match value(b"stream_options") {
        None => {
            let end = body.iter().rposition(|byte| *byte == b'}')?;
            (end, end, format!(",\"stream_options\":{{{WISH}}}"))
        }
        Some((from, to)) if &body[from..to] == b"null" => (from, to, format!("{{{WISH}}}")),
        Some((from, to)) => {
            let options = super::members::members(&body[from..to])?;
            if options.iter().any(|(name, _)| *name == b"include_usage") {
                return None;
            }
            (from + 1, from + 1, format!("{WISH}{}", if options.is_empty() { "" } else { "," }))
        }
    };
    let mut asked = BytesMut::with_capacity(body.len() + text.len());
    asked.extend_from_slice(&body[..at]);
    asked.extend_from_slice(text.as_bytes());
    asked.extend_from_slice(&body[until..]);
    Some(asked.freeze())
}

/// Says the new length where the old one was said.
pub(super) fn set_length(headers: &mut HeaderMap, length: usize) {
    if headers.contains_key(CONTENT_LENGTH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// Takes the usage event out of a stream of events; everything else passes, in whole events.
#[derive(Debug, Default)]
pub(super) struct Hide {
    held: BytesMut,
    /// The usage event has been hidden, or was too long to be recognised: the rest passes as it comes.
    over: bool,
}

impl Hide {
    /// What may pass of the next piece; empty while an event is incomplete.
    pub(super) fn pass(&mut self, piece: Bytes) -> Bytes {
        if self.over {
            return piece;
        }
        self.held.extend_from_slice(&piece);
        let mut passed = BytesMut::new();
        while let Some(end) = end_of_event(&self.held) {
            let event = self.held.split_to(end);
            if !self.over && is_only_usage(&event) {
                self.over = true;
            } else {
                passed.unsplit(event);
            }
        }
        if self.over || self.held.len() > EVENT {
            self.over = true;
            passed.unsplit(self.held.split());
        }
        passed.freeze()
    }

    /// Whether nothing is held back.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// What is left at the end.
    pub(super) fn rest(&mut self) -> Bytes {
        self.held.split().freeze()
    }
}

/// Behind the blank line that ends the first event, whichever line breaks it uses.
fn end_of_event(text: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr::memchr2(b'\n', b'\r', &text[from..])?;
        match &text[at..] {
            [b'\r', b'\n', b'\r', b'\n', ..] => return Some(at + 4),
            [b'\n', b'\n', ..] | [b'\r', b'\r', ..] => return Some(at + 2),
            _ => from = at + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_wish_is_added_where_it_is_missing() {
        let cases: &[(&str, &str, Option<&str>)] = &[
            (
                "a stream",
                r#"{"model":"m","stream":true}"#,
                Some(r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#),
            ),
            (
                "layout is kept",
                "{ \"stream\" : true ,\n \"a\": [1, {\"stream\":false}] }\n",
                Some(
                    "{ \"stream\" : true ,\n \"a\": [1, {\"stream\":false}] ,\"stream_options\":{\"include_usage\":true}}\n",
                ),
            ),
            (
                "empty options",
                r#"{"stream_options":{},"stream":true}"#,
                Some(r#"{"stream_options":{"include_usage":true},"stream":true}"#),
            ),
            (
                "other options",
                r#"{"stream":true,"stream_options":{"x":"}"}}"#,
                Some(r#"{"stream":true,"stream_options":{"include_usage":true,"x":"}"}}"#),
            ),
            (
                "options null",
                r#"{"stream":true,"stream_options":null}"#,
                Some(r#"{"stream":true,"stream_options":{"include_usage":true}}"#),
            ),
            ("asked for", r#"{"stream":true,"stream_options":{"include_usage":true}}"#, None),
            ("declined", r#"{"stream":true,"stream_options":{"include_usage":false}}"#, None),
            ("no stream", r#"{"model":"m"}"#, None),
            ("stream off", r#"{"stream":false}"#, None),
            ("stream inside a message", r#"{"messages":[{"stream":true}]}"#, None),
            ("a quote in a key", r#"{"a\"stream":true}"#, None),
            ("options that are none", r#"{"stream":true,"stream_options":7}"#, None),
            ("not JSON", r#"{"stream":true"#, None),
            ("not an object", "[true]", None),
            ("nothing", "", None),
        ];
        for (why, body, expected) in cases {
            let asked = ask_for_usage(body.as_bytes());
            assert_eq!(asked.as_deref().map(String::from_utf8_lossy), expected.map(Into::into), "{why}");
            if let Some(asked) = asked {
                let value: serde_json::Value = serde_json::from_slice(&asked).unwrap();
                assert_eq!(value["stream_options"]["include_usage"], true, "{why}");
                assert!(ask_for_usage(&asked).is_none(), "{why}: once is enough");
            }
        }
    }

    const WORD: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"\u{20ac}\"}}]}\n\n";
    const USAGE: &str =
        "data: {\"id\":\"a\",\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n";
    const DONE: &str = "data: [DONE]\n\n";

    fn hidden(pieces: &[&[u8]]) -> Vec<u8> {
        let mut hide = Hide::default();
        let mut passed: Vec<u8> = pieces.iter().flat_map(|piece| hide.pass(Bytes::copy_from_slice(piece))).collect();
        passed.extend_from_slice(&hide.rest());
        passed
    }

    #[test]
    fn only_the_usage_event_is_hidden() {
        let both = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":{\"prompt_tokens\":1}}\n\n";
        let cases = [
            ("usual", format!("{WORD}{WORD}{USAGE}{DONE}"), format!("{WORD}{WORD}{DONE}")),
            ("no usage came", format!("{WORD}{DONE}"), format!("{WORD}{DONE}")),
            ("usage beside content", format!("{both}{DONE}"), format!("{both}{DONE}")),
            ("CRLF", USAGE.replace('\n', "\r\n") + DONE, DONE.to_owned()),
            ("cut off", format!("{WORD}{}", &USAGE[..20]), format!("{WORD}{}", &USAGE[..20])),
            ("comments", format!(": ping\n\n{USAGE}{DONE}"), format!(": ping\n\n{DONE}")),
        ];
        for (why, text, expected) in cases {
            assert_eq!(String::from_utf8_lossy(&hidden(&[text.as_bytes()])), expected, "{why}");
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(String::from_utf8_lossy(&hidden(&bytes)), expected, "{why}, a byte at a time");
        }
    }

    proptest! {
        #[test]
        fn anything_else_passes(bytes in prop::collection::vec(prop::sample::select(b"data: {}\r\n\"x".to_vec()), 0..200), cut in 0_usize..200) {
            let cut = cut.min(bytes.len());
            prop_assert_eq!(hidden(&[&bytes[..cut], &bytes[cut..]]), bytes);
        }

        #[test]
        fn no_request_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            ask_for_usage(&bytes);
        }
    }
}
