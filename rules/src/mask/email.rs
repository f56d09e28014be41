//! E-mail addresses: RFC 5321 in the form that people use, without quoted local parts.

use super::Kind;
use super::bytes::{byte, is_alnum, run_end, run_start};
use super::scan::Step;
use super::span::{Form, Span};

/// Longest local part and longest domain (RFC 5321, 4.5.3.1).
const LOCAL: usize = 64;
const DOMAIN: usize = 255;

/// Ends of attribute chains in code (`a@b.shape`), which no top-level domain is called.
const CODE: [&[u8]; 12] = [
    b"shape",
    b"dot",
    b"sum",
    b"size",
    b"dtype",
    b"reshape",
    b"transpose",
    b"conj",
    b"numpy",
    b"values",
    b"inv",
    b"astype",
];

/// Furthest that a refusal of what begins at an `@` has looked.
pub(super) const REACH: usize = DOMAIN + 8;

/// The address around an `@`.
pub(super) fn at_sign(bytes: &[u8], at: usize) -> Step {
    let nothing = Step::skip(at + 1, at + REACH);
    let start = local_start(bytes, at);
    if start == at {
        return Step::skip(at + 1, at + 1);
    }
    match domain_end(bytes, at + 1) {
        Some(end) if !is_remote_login(bytes, start..at, end) => {
            Step::Hit(Span { range: start..end, kind: Kind::Email, form: Form::Lower })
        }
        _ => nothing,
    }
}

/// Whether what stands between may be part of an address, up to an `@`: then what comes before belongs to it too.
pub(super) fn continues(bytes: &[u8], at: usize) -> bool {
    let end = run_end(&bytes[..bytes.len().min(at + LOCAL)], at, is_local);
    end > at && byte(bytes, end) == b'@' && domain_end(bytes, end + 1).is_some()
}

/// Furthest that [`continues`] looks.
pub(super) fn continues_reach(bytes: &[u8], at: usize) -> usize {
    let end = run_end(&bytes[..bytes.len().min(at + LOCAL)], at, is_local);
    end + if byte(bytes, end) == b'@' { REACH + 1 } else { 1 }
}

fn is_local(byte: u8) -> bool {
    is_alnum(byte) || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-' | b'\'')
}

fn local_start(bytes: &[u8], at: usize) -> usize {
    let start = run_start(bytes, at, LOCAL, is_local);
    start + bytes[start..at].iter().position(|b| is_alnum(*b) || *b == b'_').unwrap_or(at - start)
}

/// End of the domain that begins at `at`: labels with a top-level domain of letters, or an address in brackets.
fn domain_end(bytes: &[u8], at: usize) -> Option<usize> {
    let limited = &bytes[..bytes.len().min(at + DOMAIN)];
    if byte(bytes, at) == b'[' {
        let end = run_end(limited, at + 1, |b| b.is_ascii_hexdigit() || matches!(b, b'.' | b':' | b'I' | b'P' | b'v'));
        return (end > at + 6 && byte(bytes, end) == b']').then_some(end + 1);
    }
    let mut end = run_end(limited, at, |b| is_alnum(b) || matches!(b, b'.' | b'-'));
    while end > at && !is_alnum(bytes[end - 1]) {
        end -= 1;
    }
    end = bytes[at..end].windows(2).position(|pair| pair == b"..").map_or(end, |dots| at + dots);
    // "a@example.com-13812345678": no top-level domain has a dash
    let dot = bytes[at..end].iter().rposition(|b| *b == b'.').unwrap_or(0);
    end = bytes[at + dot..end]
        .iter()
        .position(|b| *b == b'-')
        .filter(|_| !bytes[at + dot + 1..].starts_with(b"xn--"))
        .map_or(end, |dash| at + dot + dash);
    let domain = &bytes[at..end];
    let dot = domain.iter().rposition(|b| *b == b'.')?;
    let top = &domain[dot + 1..];
    let named = top.len() >= 2 && (top.iter().all(u8::is_ascii_alphabetic) || top.starts_with(b"xn--"));
    let code = CODE.contains(&top) || byte(bytes, end) == b'(';
    (dot > 0 && is_alnum(domain[0]) && named && !code).then_some(end)
}

/// `git@github.com:owner/name` is where a repository is, not somebody's address.
fn is_remote_login(bytes: &[u8], local: std::ops::Range<usize>, end: usize) -> bool {
    &bytes[local] == b"git" && matches!(byte(bytes, end), b':' | b'/')
}
