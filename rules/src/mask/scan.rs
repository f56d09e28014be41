//! One pass over the text: rare bytes that every recognisable value must contain wake the recogniser that knows them.
//!
//! Masking what is masked must change nothing, so a value is judged in its piece alone: tokens and the values found so far cut
//! the text into pieces, and a recogniser sees no byte outside its piece. A value that is found cuts a piece in two. What
//! stands before it was looked at in the longer piece, so it is looked at again, from the first refusal that had seen
//! what is now cut off. At the end every piece has been refused whole, and is refused again by a second pass.

use std::ops::Range;

use super::bytes::{before, byte, is_alnum};
use super::kind::KindSet;
use super::span::Span;
use super::{Kind, api_key, assignment, email, fold, ip, jwt, number, pem, told, url};

/// What a recogniser says of its piece.
#[derive(Debug)]
pub(super) enum Step {
    /// A value.
    Hit(Span),
    /// Nothing.
    Skip {
        /// Where to go on.
        to: usize,
        /// No byte from here on had a part in the refusal.
        looked: usize,
    },
}

impl Step {
    /// Nothing up to `to`, whatever follows `looked`.
    pub(super) fn skip(to: usize, looked: usize) -> Self {
        Self::Skip { to, looked }
    }
}

/// Why a scan ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The whole text was seen.
    Done,
    /// The text has characters to be folded: fold it and scan that.
    Foldable,
}

/// What becomes of a character that could be folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnFoldable {
    /// It ends the scan.
    Stop,
    /// Nothing: those of this text are folded.
    Pass,
}

/// Furthest that the recogniser of a kind that is left alone may have looked behind a value.
const BEHIND: usize = 2048;

/// No value begins further than this before the byte that wakes its recogniser.
const BACK: usize = 80;

/// No recogniser looks further than this, but for those of keys and tokens.
const REACH: usize = 2048;

/// A place where the text is cut: a token that stands there already, or a value.
#[derive(Debug)]
struct Cut {
    range: Range<usize>,
    value: Option<Span>,
}

/// A refusal, to be reconsidered when the piece ends before `looked`.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    at: usize,
    looked: usize,
}

/// One scan.
pub(super) struct Scan<'t> {
    text: &'t [u8],
    kinds: KindSet,
    token: &'t dyn Fn(&[u8]) -> Option<usize>,
    /// The piece that is looked at.
    piece: Range<usize>,
    refusals: Vec<Refusal>,
    /// Number of refusals at which old ones are dropped, and how far those had looked.
    crowded: usize,
    dropped: usize,
    /// Cuts whose pieces before them are looked at again, with the end of the piece that they cut.
    pending: Vec<(Cut, usize)>,
    /// What was found, in order, disjoint.
    pub(super) found: Vec<Span>,
    /// Tokens of ours that the text has already.
    pub(super) tokens: Vec<Range<usize>>,
}

impl<'t> Scan<'t> {
    /// A scan of `text`, which is UTF-8; `token` tells the length of a token of ours at the start of a text.
    pub(super) fn new(text: &'t [u8], kinds: KindSet, token: &'t dyn Fn(&[u8]) -> Option<usize>) -> Self {
        let (refusals, pending, found, tokens) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { text, kinds, token, piece: 0..text.len(), refusals, crowded: 64, dropped: 0, pending, found, tokens }
    }

    /// Scans to the end, or to the first character that should be folded.
    pub(super) fn run(&mut self, foldable: OnFoldable) -> End {
        let mut at = 0;
        loop {
            match self.next_cut(at, foldable) {
                Err(end) => return end,
                Ok(Some(cut)) => {
                    at = match self.reopens(cut.range.start) {
                        Some(from) => {
                            let end = std::mem::replace(&mut self.piece.end, cut.range.start);
                            self.pending.push((cut, end));
                            from
                        }
                        None => self.keep(cut),
                    }
                }
                Ok(None) => match self.pending.pop() {
                    Some((cut, end)) => {
                        self.piece.end = end;
                        at = self.keep(cut);
                    }
                    None => return End::Done,
                },
            }
        }
    }

    /// The first cut of the piece at or behind `at`.
    fn next_cut(&mut self, at: usize, foldable: OnFoldable) -> Result<Option<Cut>, End> {
        let (origin, piece) = (self.piece.start, &self.text[self.piece.clone()]);
        let mut at = at - origin;
        while let Some(offset) = piece.get(at..).and_then(|rest| rest.iter().position(|b| WAKE[usize::from(*b)])) {
            let here = at + offset;
            let may_fold = piece[here] >= 0x80 || matches!(piece[here], b'\\' | b'%' | b'&');
            if may_fold && foldable == OnFoldable::Stop && fold::is_foldable(piece, here) {
                return Err(End::Foldable);
            }
            if piece[here] == b'<'
                && let Some(length) = (self.token)(&piece[here..])
            {
                let start = origin + here;
                return Ok(Some(Cut { range: start..start + length, value: None }));
            }
            match wake(piece, here, self.kinds) {
                Step::Hit(span) if self.kinds.has(span.kind) => {
                    if span.range.start > here {
                        // what stands before the value was refused on the way to it
                        self.refuse(origin + here, origin + span.range.end);
                    }
                    let range = origin + span.range.start..origin + span.range.end;
                    return Ok(Some(Cut { range: range.clone(), value: Some(Span { range, ..span }) }));
                }
                Step::Hit(span) => {
                    at = span.range.end;
                    self.refuse(origin + here, origin + at + BEHIND);
                }
                Step::Skip { to, looked } => {
                    at = to;
                    if looked > here + 1 {
                        self.refuse(origin + here, origin + looked);
                    }
                }
            }
        }
        Ok(None)
    }

    fn refuse(&mut self, at: usize, looked: usize) {
        if self.refusals.capacity() == 0 {
            self.refusals.reserve(self.crowded);
        }
        if self.refusals.len() >= self.crowded {
            let old = at.saturating_sub(BACK + REACH);
            let passed = self.refusals.iter().filter(|refusal| refusal.looked <= old).map(|refusal| refusal.looked);
            self.dropped = passed.max().unwrap_or(0).max(self.dropped);
            self.refusals.retain(|refusal| refusal.looked > old);
            self.crowded = 64.max(2 * self.refusals.len());
        }
        self.refusals.push(Refusal { at, looked });
    }

    /// Where the piece that now ends at `end` must be looked at again.
    fn reopens(&mut self, end: usize) -> Option<usize> {
        if self.dropped > end {
            self.refusals.clear();
            self.dropped = 0;
            return Some(self.piece.start);
        }
        let first = self.refusals.iter().position(|refusal| refusal.at < end && refusal.looked > end)?;
        let from = self.refusals[first].at;
        self.refusals.truncate(first);
        Some(from)
    }

    /// Takes a cut; the next piece begins behind it.
    fn keep(&mut self, cut: Cut) -> usize {
        self.refusals.clear();
        self.dropped = 0;
        self.piece.start = cut.range.end;
        match cut.value {
            Some(span) => self.found.push(span),
            None => self.tokens.push(cut.range),
        }
        self.piece.start
    }
}

/// Asks the recognisers of the byte at `at`.
pub(super) fn wake(bytes: &[u8], at: usize, kinds: KindSet) -> Step {
    match bytes[at] {
        b'0'..=b'9' => number::wake(bytes, at),
        b'@' => email::at_sign(bytes, at),
        b':' => colon(bytes, at, kinds),
        b'=' => assign(bytes, at, 1, kinds),
        b'-' => dash(bytes, at),
        b'_' if is_alnum(byte(bytes, at + 1)) => api_key::at_joint(bytes, at),
        b'_' => Step::skip(at + 1, at + 2),
        b'.' if matches!(before(bytes, at), b'G' | b's' | b'9') => api_key::at_joint(bytes, at),
        b'.' => Step::skip(at + 1, at + 1),
        b'J' if before(bytes, at) == b'y' => jwt::at_j(bytes, at),
        b'J' => Step::skip(at + 1, at + 1),
        b'K' | b'z' | b'L' | b'S' if api_key::may_be_letter(bytes, at) => api_key::at_letter(bytes, at),
        b'b' | b'B'
            if byte(bytes, at + 1) | 0x20 == b'e' && byte(bytes, at + 2) | 0x20 == b'a' && kinds.has(Kind::Secret) =>
        {
            assignment::bearer(bytes, at)
        }
        b'w' | b'W' if matches!(before(bytes, at) | 0x20, b's' | b'p') && kinds.has(Kind::Secret) => {
            told::at_w(bytes, at)
        }
        0x81 if kinds.has(Kind::Secret) => told::at_ma(bytes, at),
        // `：` and `＝` assign as their ASCII twins do
        0xef if byte(bytes, at + 1) == 0xbc && matches!(byte(bytes, at + 2), 0x9a | 0x9d) => {
            assign(bytes, at, 3, kinds)
        }
        b'b' | b'B' => Step::skip(at + 1, at + 3),
        b'L' => Step::skip(at + 1, at + 2),
        // nothing is cut inside a character
        _ => Step::skip(at + 1, at + 1),
    }
}

fn colon(bytes: &[u8], at: usize, kinds: KindSet) -> Step {
    if byte(bytes, at + 1) == b'/' {
        if byte(bytes, at + 2) == b'/'
            && byte(bytes, at + 3) | 0x20 == b'h'
            && kinds.has(Kind::ApiKey)
            && let Some(step) = url::webhook(bytes, at)
        {
            return step;
        }
        if byte(bytes, at + 2) == b'/' && kinds.has(Kind::UrlCredentials) {
            return url::credentials(bytes, at);
        }
        return Step::skip(at + 1, at + 4);
    }
    match ip::v6(bytes, at) {
        Step::Hit(span) => Step::Hit(span),
        Step::Skip { looked: seen, .. } => match assign(bytes, at, 1, kinds) {
            Step::Hit(span) => Step::Hit(span),
            Step::Skip { to, looked } => Step::skip(to, looked.max(seen)),
        },
    }
}

fn assign(bytes: &[u8], at: usize, length: usize, kinds: KindSet) -> Step {
    match kinds.has(Kind::Secret) {
        true => assignment::at_sign(bytes, at, length),
        false => Step::skip(at + length, at + length),
    }
}

fn dash(bytes: &[u8], at: usize) -> Step {
    if bytes[at..].starts_with(b"-----BEGIN ") {
        return pem::block(bytes, at);
    }
    if is_alnum(before(bytes, at)) && is_alnum(byte(bytes, at + 1)) {
        return api_key::at_joint(bytes, at);
    }
    Step::skip(at + 1, at + if byte(bytes, at + 1) == b'-' { 11 } else { 2 })
}

/// Bytes that wake a recogniser, or may begin a character to be folded. For keys it is the rarest letter of their prefix.
pub(super) const WAKE: [bool; 256] = among(b"0123456789@:=-_.JKzLSbBwW<\\%&\x81\xc2\xcd\xd9\xdb\xe2\xef\xf0");

/// A table of whether a byte is one of these.
pub(super) const fn among(bytes: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut at = 0;
    while at < bytes.len() {
        table[bytes[at] as usize] = true;
        at += 1;
    }
    table
}
