//! Recognises the events of a stream that differ from the one before in their text only, without taking them apart.
//!
//! Engines repeat everything in each event but a few characters of generated text. Two events that are equal up to a
//! member `"content":"` (or `"text":"`) and from that string's closing quote on differ in that string alone, and whether
//! it is empty is all that matters of it. A quote inside a string would be escaped, so what looks like such a member is
//! one.

use memchr::{memchr2, memmem};

/// Longest event remembered.
const LONGEST: usize = 2 << 10;

/// The event last taken apart, without its text.
#[derive(Debug, Default)]
pub(super) struct Repeat {
    /// Up to and with the quote that opens the text; empty when nothing is remembered.
    before: Vec<u8>,
    /// From the quote that closes it to the blank line.
    after: Vec<u8>,
    deltas: u32,
}

impl Repeat {
    /// Remembers `event`, which said nothing but that `deltas` texts were generated, if it has the one shape known here.
    pub(super) fn learn(&mut self, event: &[u8], deltas: u32) {
        self.before.clear();
        if event.len() > LONGEST || !event.ends_with(b"\n\n") {
            return;
        }
        let Some(start) = [b"\"content\":".as_slice(), b"\"text\":"].iter().find_map(|key| text_of(event, key)) else {
            return;
        };
        match end_of_string(&event[start..]) {
            None | Some(0) => {}
            Some(length) => {
                self.before.extend_from_slice(&event[..start]);
                self.after.clear();
                self.after.extend_from_slice(&event[start + length..]);
                self.deltas = deltas;
            }
        }
    }

    /// Whether `bytes` begin with such an event that is there whole: its length and what it generated.
    pub(super) fn matches(&self, bytes: &[u8]) -> Option<(usize, u32)> {
        if self.before.is_empty() {
            return None;
        }
        let text = bytes.strip_prefix(self.before.as_slice())?;
        let length = end_of_string(text)?;
        let whole = length > 0 && text[length..].starts_with(&self.after);
        whole.then_some((self.before.len() + length + self.after.len(), self.deltas))
    }
}

/// Where the string that is the value of `key` begins, behind its quote.
fn text_of(event: &[u8], key: &[u8]) -> Option<usize> {
    let colon = memmem::find(event, key)? + key.len();
    let spaces = event[colon..].iter().take_while(|byte| **byte == b' ').count();
    (event.get(colon + spaces) == Some(&b'"')).then_some(colon + spaces + 1)
}

/// Length of the string at the start of `text`, without its closing quote.
fn end_of_string(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}
