//! JSON Web Tokens (RFC 7519): two to five base64url parts, the first of which is a JSON object.

use super::Kind;
use super::bytes::{before, byte, is_base64url, run_end};
use super::scan::Step;
use super::span::{Form, Span};

/// Shortest header: `{"alg":"x"}` takes 15 characters.
const HEADER: usize = 12;

/// The token around the `J` of `eyJ`, which is `{"` in base64.
pub(super) fn at_j(bytes: &[u8], at: usize, floor: usize) -> Step {
    let Some(start) = at.checked_sub(2).filter(|start| *start >= floor && &bytes[*start..at] == b"ey") else {
        return Step::Skip(at + 1);
    };
    let header = run_end(bytes, start, is_base64url);
    let nothing = Step::Skip(header.max(at + 1));
    if is_base64url(before(bytes, start)) || header - start < HEADER || byte(bytes, header) != b'.' {
        return nothing;
    }
    let (parts, end) = parts(bytes, header);
    let claims = bytes[header + 1..].starts_with(b"eyJ");
    let shaped = parts >= 3 || (parts == 2 && claims);
    if shaped && end - header > HEADER {
        return Step::Hit(Span { range: start..end, kind: Kind::Jwt, form: Form::Plain });
    }
    nothing
}

/// Number of dotted parts and their end, given the end of the first. Parts after the second may be empty, for a token
/// that is not signed ends in a dot.
fn parts(bytes: &[u8], first: usize) -> (usize, usize) {
    let (mut count, mut end) = (1, first);
    while count < 5 && byte(bytes, end) == b'.' {
        let next = run_end(bytes, end + 1, is_base64url);
        if next == end + 1 {
            break;
        }
        (count, end) = (count + 1, next);
    }
    (count, end)
}
