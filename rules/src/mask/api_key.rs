//! Keys in their vendors' own forms, from the vendors' documentation and the public lists of secret scanners.

use super::Kind;
use super::bytes::{before, byte, is_alnum, is_base64url, is_word, run_end, run_start};
use super::scan::Step;
use super::span::{Form, Span};

/// What the rest of a key is made of.
#[derive(Clone, Copy, Debug)]
enum Body {
    /// Letters, digits, `-`, `_`.
    Url,
    /// As [`Body::Url`], in parts joined by dots.
    Dotted,
    /// Letters and digits.
    Alnum,
    /// Hexadecimal digits.
    Hex,
    /// Upper-case letters and digits.
    Upper,
}

/// A form: what it begins with, what follows, how many at least.
type Shape = (&'static [u8], Body, usize);

/// Forms whose prefix is letters and digits, then a joint (`-`, `_` or `.`); the joint wakes.
const JOINED: [Shape; 49] = [
    (b"sk-", Body::Url, 20),        // OpenAI, Anthropic (sk-ant-), OpenRouter, DeepSeek
    (b"sk_live_", Body::Alnum, 16), // Stripe
    (b"sk_test_", Body::Alnum, 16),
    (b"rk_live_", Body::Alnum, 16),
    (b"rk_test_", Body::Alnum, 16),
    (b"pk_live_", Body::Alnum, 16),
    (b"pk_test_", Body::Alnum, 16),
    (b"sk_", Body::Hex, 32), // ElevenLabs
    (b"whsec_", Body::Alnum, 24),
    (b"ghp_", Body::Alnum, 30), // GitHub
    (b"gho_", Body::Alnum, 30),
    (b"ghu_", Body::Alnum, 30),
    (b"ghs_", Body::Alnum, 30),
    (b"ghr_", Body::Alnum, 30),
    (b"github_pat_", Body::Url, 40),
    (b"glpat-", Body::Dotted, 20), // GitLab
    (b"gldt-", Body::Dotted, 20),
    (b"glrt-", Body::Dotted, 20),
    (b"glptt-", Body::Dotted, 20),
    (b"glcbt-", Body::Dotted, 20),
    (b"xoxb-", Body::Url, 20), // Slack
    (b"xoxp-", Body::Url, 20),
    (b"xoxa-", Body::Url, 20),
    (b"xoxr-", Body::Url, 20),
    (b"xoxs-", Body::Url, 20),
    (b"xoxe-", Body::Url, 20),
    (b"xoxc-", Body::Url, 20),
    (b"xapp-", Body::Url, 20),
    (b"hf_", Body::Alnum, 30), // Hugging Face
    (b"npm_", Body::Alnum, 36),
    (b"pypi-", Body::Url, 50),
    (b"gsk_", Body::Alnum, 40), // Groq
    (b"xai-", Body::Alnum, 40),
    (b"r8_", Body::Alnum, 30),   // Replicate
    (b"pplx-", Body::Alnum, 40), // Perplexity
    (b"nvapi-", Body::Url, 40),  // NVIDIA
    (b"dop_v1_", Body::Hex, 60), // DigitalOcean
    (b"shpat_", Body::Hex, 32),  // Shopify
    (b"shpss_", Body::Hex, 32),
    (b"ntn_", Body::Alnum, 40),     // Notion
    (b"PMAK-", Body::Url, 50),      // Postman
    (b"figd_", Body::Url, 30),      // Figma
    (b"lin_api_", Body::Alnum, 32), // Linear
    (b"GOCSPX-", Body::Url, 24),    // Google OAuth
    (b"ya29.", Body::Url, 30),
    (b"dckr_pat_", Body::Url, 20), // Docker
    (b"dckr_oat_", Body::Url, 20),
    (b"SG.", Body::Dotted, 50), // SendGrid
    (b"hvs.", Body::Url, 24),   // HashiCorp Vault
];

/// Forms without a joint: the letter that wakes, and how far into the prefix it stands.
const UNJOINED: [(u8, usize, Shape); 7] = [
    (b'K', 1, (b"AKIA", Body::Upper, 16)), // Amazon
    (b'S', 1, (b"ASIA", Body::Upper, 16)),
    (b'z', 2, (b"AIza", Body::Url, 30)),   // Google
    (b'L', 0, (b"LTAI", Body::Alnum, 12)), // Alibaba Cloud
    (b'K', 1, (b"AKID", Body::Alnum, 28)), // Tencent Cloud
    (b'K', 1, (b"AKLT", Body::Url, 28)),   // Volcengine
    (b'K', 1, (b"SK", Body::Hex, 32)),     // Twilio
];

/// Longest run of letters and digits before a first joint.
const HEAD: usize = 8;

/// Longest key.
const LONGEST: usize = 1024;

/// The key whose first joint is at `at`.
pub(super) fn at_joint(bytes: &[u8], at: usize) -> Step {
    let start = run_start(bytes, at, HEAD, is_alnum);
    let nothing = Step::skip(at + 1, at + 2);
    if start == at || is_base64url(before(bytes, start)) {
        return nothing;
    }
    if at - start == 3 && bytes[start..at].eq_ignore_ascii_case(b"aws") {
        return amazon_secret(bytes, start);
    }
    let head = at + 1 - start;
    let (first, second) = (bytes[start], bytes[start + 1]);
    let same_head = |shape: &&Shape| {
        shape.0[0] == first && shape.0[1] == second && shape.0.len() >= head && shape.0[..head] == bytes[start..=at]
    };
    let mut shapes = JOINED.iter().filter(same_head).peekable();
    if shapes.peek().is_none() {
        return nothing;
    }
    let found = shapes.find_map(|shape| key(bytes, start, *shape));
    found.map_or_else(|| refused(bytes, at), |range| Step::Hit(Span { range, kind: Kind::ApiKey, form: Form::Plain }))
}

/// Names of Amazon's secret key, whose value of 40 characters has no form of its own.
const AMAZON: [&[u8]; 3] = [b"aws_secret_access_key", b"aws_secret_key", b"aws_secret"];

/// The value behind a name in [`AMAZON`] at `start`, also where a space alone stands between (`aws configure set ...`).
fn amazon_secret(bytes: &[u8], start: usize) -> Step {
    let named = |name: &&&[u8]| {
        let end = start + name.len();
        bytes.get(start..end).is_some_and(|text| text.eq_ignore_ascii_case(name)) && !is_word(byte(bytes, end))
    };
    let Some(name) = AMAZON.iter().find(named) else { return Step::skip(start + 4, start + 24) };
    let behind = start + name.len();
    let sign = |b: u8| matches!(b, b' ' | b'\t' | b':' | b'=' | b'"' | b'\'' | b'`' | b'>');
    let from = run_end(&bytes[..bytes.len().min(behind + 8)], behind, sign);
    let base64 = |b: u8| is_alnum(b) || matches!(b, b'+' | b'/');
    let end = run_end(&bytes[..bytes.len().min(from + 42)], from, base64);
    let closed = !matches!(byte(bytes, end), b'=' | b'-' | b'_');
    if from > behind && end - from == 40 && closed && looks_random(&bytes[from..end]) {
        return Step::Hit(Span { range: from..end, kind: Kind::Secret, form: Form::Plain });
    }
    Step::skip(start + 4, behind + 52)
}

/// Whether the letter at `at` may stand in an unjoined prefix; the cheapest question, asked first.
pub(super) fn may_be_letter(bytes: &[u8], at: usize) -> bool {
    match bytes[at] {
        b'K' => matches!(before(bytes, at), b'A' | b'S'),
        b'S' => before(bytes, at) == b'A',
        b'z' => before(bytes, at) == b'I',
        _ => byte(bytes, at + 1) == b'T',
    }
}

/// The key around a telling letter of its prefix.
pub(super) fn at_letter(bytes: &[u8], at: usize) -> Step {
    let found = UNJOINED.iter().filter(|(letter, ..)| *letter == bytes[at]).find_map(|(_, into, shape)| {
        let start = at.checked_sub(*into)?;
        if is_word(before(bytes, start)) { None } else { key(bytes, start, *shape) }
    });
    found.map_or_else(|| refused(bytes, at), |range| Step::Hit(Span { range, kind: Kind::ApiKey, form: Form::Plain }))
}

fn refused(bytes: &[u8], at: usize) -> Step {
    let body = run_end(&bytes[..bytes.len().min(at + LONGEST + 16)], at, |b| is_base64url(b) || b == b'.');
    Step::skip(at + 1, body.max(at + 16) + 1)
}

/// Whether all of `value` is one key.
pub(super) fn is_key(value: &[u8]) -> bool {
    let shapes = JOINED.iter().copied().chain(UNJOINED.iter().map(|(.., shape)| *shape));
    shapes.into_iter().any(|shape| key(value, 0, shape).is_some_and(|range| range.end == value.len()))
}

fn key(bytes: &[u8], start: usize, (prefix, body, least): Shape) -> Option<std::ops::Range<usize>> {
    if !bytes[start..].starts_with(prefix) {
        return None;
    }
    let from = start + prefix.len();
    let limited = &bytes[..bytes.len().min(from + LONGEST)];
    let mut end = run_end(limited, from, |b| match body {
        Body::Url => is_base64url(b),
        Body::Dotted => is_base64url(b) || b == b'.',
        Body::Alnum => is_alnum(b),
        Body::Hex => b.is_ascii_hexdigit(),
        Body::Upper => b.is_ascii_uppercase() || b.is_ascii_digit(),
    });
    while end > from && matches!(bytes[end - 1], b'.' | b'-') {
        end -= 1;
    }
    let random = match body {
        // sixteen capitals after a prefix of four are no word
        Body::Upper => end - from == least,
        _ => end - from >= least && looks_random(&bytes[from..end]),
    };
    (random && !is_word(byte(bytes, end))).then_some(start..end)
}

/// Whether letters and digits are mixed inside one part: `sk-folding-cube-spinner-element` is a name, no key.
fn looks_random(body: &[u8]) -> bool {
    body.split(|b| matches!(b, b'-' | b'_' | b'.')).any(|part| {
        let digits = part.iter().filter(|b| b.is_ascii_digit()).count();
        let upper = part.iter().any(u8::is_ascii_uppercase) && part.iter().any(u8::is_ascii_lowercase);
        part.len() >= 8 && digits < part.len() && (digits >= 2 || (digits >= 1 || part.len() >= 12) && upper)
    }) || body.iter().filter(|b| b.is_ascii_digit()).count() * 6 >= body.len()
}
