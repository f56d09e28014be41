//! One pass over the text: rare bytes that every recognisable value must contain wake the recogniser that knows them.
//!
//! A recogniser looks a bounded way back (never behind what was taken already) and forward; what it takes is passed
//! over. So the time is linear in the text, and no value is taken twice.

use std::ops::Range;

use super::bytes::{before, byte, is_alnum};
use super::kind::KindSet;
use super::span::Span;
use super::{Kind, api_key, assignment, email, fold, ip, jwt, number, pem, url};

/// What a recogniser says.
#[derive(Debug)]
pub(super) enum Step {
    /// A value; the scan goes on behind it.
    Hit(Span),
    /// Nothing up to here.
    Skip(usize),
}

/// Why a scan ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The whole text was seen.
    Done,
    /// The text has full-width letters or digits: fold it and scan that.
    FullWidth,
}

/// One scan.
pub(super) struct Scan<'t> {
    /// The text.
    pub(super) bytes: &'t [u8],
    /// Kinds that are looked for.
    pub(super) kinds: KindSet,
    /// End of the last value taken: nothing before it is looked at again.
    pub(super) floor: usize,
    /// What was found, in order, disjoint.
    pub(super) found: Vec<Span>,
    /// Tokens of ours that the text has already.
    pub(super) tokens: Vec<Range<usize>>,
    /// Length of a token of ours at the start of a text.
    pub(super) token: &'t dyn Fn(&[u8]) -> Option<usize>,
}

impl<'t> Scan<'t> {
    /// A scan of `bytes`, which are UTF-8.
    pub(super) fn new(bytes: &'t [u8], kinds: KindSet, token: &'t dyn Fn(&[u8]) -> Option<usize>) -> Self {
        Self { bytes, kinds, floor: 0, found: Vec::new(), tokens: Vec::new(), token }
    }

    /// Scans to the end, or to the first full-width character when `folded` says that they were not folded yet.
    pub(super) fn run(&mut self, full_width: OnFullWidth) -> End {
        let mut at = 0;
        while let Some(offset) = self.bytes[at..].iter().position(|byte| WAKE[usize::from(*byte)]) {
            let here = at + offset;
            if self.bytes[here] == 0xef {
                if full_width == OnFullWidth::Stop && is_foldable(self.bytes, here) {
                    return End::FullWidth;
                }
                at = self.full_width_colon(here);
            } else {
                at = self.wake(here);
            }
            if at >= self.bytes.len() {
                break;
            }
        }
        End::Done
    }

    /// Asks the recognisers of the byte at `at`; where to go on.
    fn wake(&mut self, at: usize) -> usize {
        let (bytes, floor) = (self.bytes, self.floor);
        match bytes[at] {
            b'0'..=b'9' => number::wake(self, at),
            b'@' => self.take(email::at_sign(bytes, at, floor, 1)),
            b':' => self.colon(at),
            b'=' => self.assign(at, 1),
            b'-' => self.dash(at),
            b'_' if is_alnum(byte(bytes, at + 1)) => self.take(api_key::at_joint(bytes, at, floor)),
            b'.' if matches!(before(bytes, at), b'G' | b's' | b'9') => self.take(api_key::at_joint(bytes, at, floor)),
            b'J' if before(bytes, at) == b'y' => self.take(jwt::at_j(bytes, at, floor)),
            b'K' | b'z' | b'L' | b'S' if api_key::may_be_letter(bytes, at) => {
                self.take(api_key::at_letter(bytes, at, floor))
            }
            b'b' | b'B'
                if byte(bytes, at + 1) | 0x20 == b'e'
                    && byte(bytes, at + 2) | 0x20 == b'a'
                    && self.kinds.has(Kind::Secret) =>
            {
                self.take(assignment::bearer(bytes, at))
            }
            b'<' => self.pass_token(at),
            _ => at + 1,
        }
    }

    /// Keeps a value when its kind is looked for; where to go on.
    pub(super) fn take(&mut self, step: Step) -> usize {
        match step {
            Step::Skip(to) => to,
            Step::Hit(span) => {
                let end = span.range.end;
                self.floor = end;
                if self.kinds.has(span.kind) {
                    self.found.push(span);
                }
                end
            }
        }
    }

    fn pass_token(&mut self, at: usize) -> usize {
        let Some(length) = (self.token)(&self.bytes[at..]) else { return at + 1 };
        self.floor = at + length;
        self.tokens.push(at..self.floor);
        self.floor
    }

    fn colon(&mut self, at: usize) -> usize {
        if byte(self.bytes, at + 1) == b'/' {
            if byte(self.bytes, at + 2) == b'/' && self.kinds.has(Kind::UrlCredentials) {
                return self.take(url::credentials(self.bytes, at, self.floor));
            }
            return at + 1;
        }
        match ip::v6(self.bytes, at, self.floor) {
            Step::Hit(span) => self.take(Step::Hit(span)),
            Step::Skip(_) => self.assign(at, 1),
        }
    }

    /// `：` and `＝` assign as their ASCII twins do.
    fn full_width_colon(&mut self, at: usize) -> usize {
        match (byte(self.bytes, at + 1), byte(self.bytes, at + 2)) {
            (0xbc, 0x9a | 0x9d) => self.assign(at, 3),
            _ => at + 3,
        }
    }

    fn assign(&mut self, at: usize, length: usize) -> usize {
        if !self.kinds.has(Kind::Secret) {
            return at + length;
        }
        let step = assignment::at_sign(self.bytes, at, length, self.floor);
        self.take(step)
    }

    fn dash(&mut self, at: usize) -> usize {
        if self.bytes[at..].starts_with(b"-----BEGIN ") {
            return self.take(pem::block(self.bytes, at));
        }
        if is_alnum(before(self.bytes, at)) && is_alnum(byte(self.bytes, at + 1)) {
            return self.take(api_key::at_joint(self.bytes, at, self.floor));
        }
        at + 1
    }
}

/// What a full-width letter or digit does to a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnFullWidth {
    /// Ends it.
    Stop,
    /// Nothing: those of this text are folded.
    Pass,
}

fn is_foldable(bytes: &[u8], at: usize) -> bool {
    fold::twin(byte(bytes, at + 1), byte(bytes, at + 2)).is_some()
}

/// Bytes that wake a recogniser. For keys it is the rarest letter of their prefix.
const WAKE: [bool; 256] = {
    let mut table = [false; 256];
    let wakes = b"0123456789@:=-_.JKzLSbB<\xef";
    let mut at = 0;
    while at < wakes.len() {
        table[wakes[at] as usize] = true;
        at += 1;
    }
    table
};
