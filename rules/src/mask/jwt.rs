//! JSON Web Tokens (RFC 7519): two to five base64url parts, the first of which is a JSON object.

use super::Kind;
use super::bytes::{before, byte, is_base64url, run_end};
use super::scan::Step;
use super::span::{Form, Span};

/// Shortest header: `{"alg":"x"}` takes 15 characters.
const HEADER: usize = 12;

/// The token around the `J` of `eyJ`, which is `{"` in base64.
pub(super) fn at_j(bytes: &[u8], at: usize) -> Step {
    let nothing = Step::skip(at + 1, at + 1);
    let Some(start) = at.checked_sub(2).filter(|start| &bytes[*start..at] == b"ey") else { return nothing };
    if is_base64url(before(bytes, start)) {
        return nothing;
    }
    let header = run_end(bytes, start, is_base64url);
    if header - start < HEADER || byte(bytes, header) != b'.' {
        return Step::skip(at + 1, header + 1);
    }
    let (parts, end) = parts(bytes, header);
    let claims = bytes[header + 1..].starts_with(b"eyJ");
    let shaped = parts >= 3 || (parts == 2 && claims);
    if shaped && end - header > HEADER {
        return Step::Hit(Span { range: start..end, kind: Kind::Jwt, form: Form::Plain });
    }
    Step::skip(at + 1, end + 2)
}

/// Number of dotted parts and their end, given the end of the first. Parts after the second may be empty, for a token
/// that is not signed ends in a dot.
fn parts(bytes: &[u8], first: usize) -> (usize, usize) {
    let (mut count, mut end) = (1, first);
    while count < 5 && byte(bytes, end) == b'.' {
        let next = run_end(bytes, end + 1, is_base64url);
        // an encrypted token (RFC 7516) whose key is agreed on has an empty second part
        if next == end + 1 && !(count == 1 && byte(bytes, next) == b'.') {
            break;
        }
        (count, end) = (count + 1, next);
    }
    (count, end)
}
