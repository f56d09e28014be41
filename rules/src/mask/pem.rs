//! Private keys in PEM armour (RFC 7468), also on one line with `\n` escapes, also cut off before their end.

use super::Kind;
use super::bytes::run_end;
use super::scan::Step;
use super::span::{Form, Span};

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// Longest label, such as `ENCRYPTED PRIVATE KEY`.
const LABEL: usize = 40;

/// The armoured block whose `-----BEGIN ` stands at `at`.
pub(super) fn block(bytes: &[u8], at: usize) -> Step {
    let label_start = at + BEGIN.len();
    let Some(label_end) = label_end(bytes, label_start) else {
        return Step::skip(label_start, label_start + LABEL + 6);
    };
    let label = &bytes[label_start..label_end];
    if !contains(label, b"PRIVATE KEY") {
        return Step::skip(label_end, label_end + 6);
    }
    let body_end = run_end(bytes, label_end + DASHES.len(), is_body);
    let end = closing_end(bytes, body_end).unwrap_or(body_end);
    Step::Hit(Span { range: at..end, kind: Kind::PrivateKey, form: Form::NoSpace })
}

fn label_end(bytes: &[u8], start: usize) -> Option<usize> {
    let end = run_end(&bytes[..bytes.len().min(start + LABEL)], start, |b| b.is_ascii_uppercase() || b == b' ');
    bytes[end..].starts_with(DASHES).then_some(end)
}

/// Base64, white space, escapes, and the headers of old keys (`Proc-Type: 4,ENCRYPTED`). A dash ends it, unless inside a header.
fn is_body(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || byte.is_ascii_whitespace()
        || matches!(byte, b'+' | b'/' | b'=' | b'\\' | b':' | b',')
}

/// End of the closing line that begins at or soon after `at` (a header's dash ends a body early).
fn closing_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at;
    for _ in 0..8 {
        if bytes[at..].starts_with(END) {
            let label_start = at + END.len();
            return Some(label_end(bytes, label_start).map_or(label_start, |end| end + DASHES.len()));
        }
        if bytes.get(at) != Some(&b'-') {
            return None;
        }
        at = run_end(bytes, at + 1, is_body);
    }
    None
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
