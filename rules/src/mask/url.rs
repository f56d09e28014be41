//! User and password inside a URL (RFC 3986, 3.2.1): `scheme://user:password@host`.

use super::Kind;
use super::bytes::{before, byte, is_alnum, run_end};
use super::scan::Step;
use super::span::{Form, Span};

/// Longest user and password looked at.
const LONGEST: usize = 512;

/// The credentials after the `://` at `at`.
pub(super) fn credentials(bytes: &[u8], at: usize) -> Step {
    let start = at + 3;
    if !is_alnum(before(bytes, at)) {
        return Step::skip(start, start);
    }
    let limited = &bytes[..bytes.len().min(start + LONGEST)];
    let authority = run_end(limited, start.min(limited.len()), is_authority);
    let nothing = Step::skip(start, authority.max(start) + 2);
    let Some(sign) = bytes[start.min(authority)..authority].iter().rposition(|b| *b == b'@') else { return nothing };
    let end = start + sign;
    let Some(colon) = bytes[start..end].iter().position(|b| *b == b':') else { return nothing };
    if colon + 1 == sign || !(is_alnum(byte(bytes, end + 1)) || byte(bytes, end + 1) == b'[') {
        return nothing;
    }
    Step::Hit(Span { range: start..end, kind: Kind::UrlCredentials, form: Form::Plain })
}

/// What stands between scheme and secret of a webhook: whoever knows the rest may post.
const WEBHOOKS: [&[u8]; 3] =
    [b"hooks.slack.com/services/", b"hooks.slack.com/workflows/", b"hooks.slack.com/triggers/"];

/// The secret path of the webhook after the `://` at `at`.
pub(super) fn webhook(bytes: &[u8], at: usize) -> Option<Step> {
    let start = at + 3;
    let known = WEBHOOKS
        .iter()
        .find(|known| bytes.get(start..start + known.len()).is_some_and(|text| text.eq_ignore_ascii_case(known)))?;
    let from = start + known.len();
    let end =
        run_end(&bytes[..bytes.len().min(from + LONGEST)], from, |b| is_alnum(b) || matches!(b, b'/' | b'-' | b'_'));
    (end - from >= 16).then_some(Step::Hit(Span { range: from..end, kind: Kind::ApiKey, form: Form::Plain }))
}

/// Bytes before the path. A `<` ends it: what is masked already is a token in angle brackets.
fn is_authority(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'/' | b'?' | b'#' | b'"' | b'<' | b'>' | b'`' | b'\\' | b'{' | b'}')
}
