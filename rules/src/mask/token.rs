//! The token that stands for a value: `<PHONE:3fa1c2d4>`, from a keyed hash of the canonical form.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Shortest salt that is taken, in bytes: 128 bits cannot be searched.
pub const LEAST_SALT: usize = 16;

/// Makes tokens: HMAC-SHA-256 (RFC 2104) under the salt, over tag and canonical form, cut to some hexadecimal digits.
#[derive(Clone)]
pub(super) struct Tokens {
    keyed: Hmac<Sha256>,
    digits: usize,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens {{ digits: {} }}", self.digits)
    }
}

impl Tokens {
    /// Under `salt`, with `digits` hexadecimal digits.
    pub(super) fn new(salt: &[u8], digits: usize) -> Option<Self> {
        Some(Self { keyed: Hmac::new_from_slice(salt).ok()?, digits })
    }

    /// Hexadecimal digits of a token.
    pub(super) fn digits(&self) -> usize {
        self.digits
    }

    /// Appends the token of a value to `out`.
    pub(super) fn write(&self, tag: &str, canonical: &[u8], out: &mut String) {
        let mut mac = self.keyed.clone();
        mac.update(tag.as_bytes());
        mac.update(&[0]);
        mac.update(canonical);
        let hash = mac.finalize().into_bytes();
        out.push('<');
        out.push_str(tag);
        out.push(':');
        let nibbles = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        out.extend(nibbles.take(self.digits).filter_map(|nibble| char::from_digit(u32::from(nibble), 16)));
        out.push('>');
    }
}

/// Length of the token at the start of `text`, if there is one with a tag that `known` accepts.
pub(super) fn token_len(text: &[u8], digits: usize, known: impl Fn(&[u8]) -> bool) -> Option<usize> {
    let rest = text.strip_prefix(b"<")?;
    let colon = rest.iter().take(MAX_TAG + 1).position(|b| !is_tag_byte(*b))?;
    let hash = rest[colon..].strip_prefix(b":")?;
    let shaped = hash.len() > digits && hash[digits] == b'>' && hash[..digits].iter().all(|b| is_hash_byte(*b));
    (shaped && known(&rest[..colon])).then_some(colon + digits + 3)
}

/// Longest tag of an own pattern.
pub(super) const MAX_TAG: usize = 32;

/// Whether `byte` may stand in a tag.
pub(super) fn is_tag_byte(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_'
}

fn is_hash_byte(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}
