//! Puts a text together from pieces of JSON strings, escapes undone, in bounded memory.

use memchr::memchr;

/// Where in an escape the last piece ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    No,
    /// Behind the backslash.
    Begun,
    /// In `\uXXXX`: digits still to come and the value so far.
    Unicode(u8, u16),
}

/// A point to which a text can be taken back.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    length: usize,
    found: bool,
    over: bool,
}

/// The text so far.
#[derive(Default)]
pub(super) struct Gather {
    bytes: Vec<u8>,
    most: usize,
    escape: Escape,
    /// The first half of a surrogate pair, waiting for the second.
    high: Option<u16>,
    found: bool,
    over: bool,
}

/// No text in debug output.
impl std::fmt::Debug for Gather {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gather({} of {} bytes)", self.bytes.len(), self.most)
    }
}

impl Gather {
    /// Nothing yet; at most `most` bytes are kept.
    pub(super) fn new(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    /// Another empty one with the same bound.
    pub(super) fn fresh(&self) -> Self {
        Self::new(self.most)
    }

    /// A string begins.
    pub(super) fn begin(&mut self) {
        self.found = true;
        (self.escape, self.high) = (Escape::No, None);
    }

    /// More of the string, as it stands between its quotes.
    pub(super) fn push(&mut self, mut raw: &[u8]) {
        while let Some(&first) = raw.first() {
            let used = match self.escape {
                Escape::No => self.plain(raw),
                Escape::Begun => {
                    self.escaped(first);
                    1
                }
                Escape::Unicode(left, value) => {
                    self.digit(first, left, value);
                    1
                }
            };
            raw = &raw[used..];
        }
    }

    /// The string is over.
    pub(super) fn end(&mut self) {
        self.lone();
        self.escape = Escape::No;
    }

    /// It broke off: there was more of it.
    pub(super) fn broke_off(&mut self) {
        self.over = true;
    }

    /// A line break between this text and the next, if there has been any since `mark`.
    pub(super) fn separate(&mut self, mark: Mark) {
        if self.bytes.len() > mark.length {
            self.keep(b"\n");
        }
    }

    /// Here.
    pub(super) fn mark(&self) -> Mark {
        Mark { length: self.bytes.len(), found: self.found, over: self.over }
    }

    /// Forgets what came after `mark`.
    pub(super) fn back_to(&mut self, mark: Mark) {
        self.bytes.truncate(mark.length);
        (self.found, self.over) = (mark.found, mark.over);
    }

    /// The text and whether there was more of it; `None` when there was no string at all.
    pub(super) fn finish(mut self) -> Option<(String, bool)> {
        if self.over
            && let Err(wrong) = std::str::from_utf8(&self.bytes)
            && wrong.error_len().is_none()
        {
            self.bytes.truncate(wrong.valid_up_to()); // the cut went through a character
        }
        self.found.then(|| (String::from_utf8_lossy(&self.bytes).into_owned(), self.over))
    }

    fn plain(&mut self, raw: &[u8]) -> usize {
        match memchr(b'\\', raw) {
            Some(0) => {
                self.escape = Escape::Begun;
                1
            }
            end => {
                let end = end.unwrap_or(raw.len());
                self.lone();
                self.keep(&raw[..end]);
                end
            }
        }
    }

    fn escaped(&mut self, byte: u8) {
        self.escape = Escape::No;
        let meant = match byte {
            b'u' => {
                self.escape = Escape::Unicode(4, 0);
                return;
            }
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            other => other,
        };
        self.lone();
        self.keep(&[meant]);
    }

    fn digit(&mut self, byte: u8, left: u8, value: u16) {
        let digit = char::from(byte).to_digit(16).and_then(|digit| u16::try_from(digit).ok());
        let Some(digit) = digit else {
            self.escape = Escape::No;
            self.lone();
            self.char(char::REPLACEMENT_CHARACTER);
            return;
        };
        let value = (value << 4) | digit;
        if left > 1 {
            self.escape = Escape::Unicode(left - 1, value);
            return;
        }
        self.escape = Escape::No;
        self.unit(value);
    }

    /// A unit of UTF-16 (RFC 8259, section 7).
    fn unit(&mut self, unit: u16) {
        let high = self.high.take();
        match (high, unit) {
            (Some(high), 0xdc00..=0xdfff) => {
                let decoded = char::decode_utf16([high, unit]).next().and_then(Result::ok);
                self.char(decoded.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            (high, unit) => {
                self.high = high;
                self.lone();
                match unit {
                    0xd800..=0xdbff => self.high = Some(unit),
                    _ => self.char(char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER)),
                }
            }
        }
    }

    /// Half a pair that will not get its other half.
    fn lone(&mut self) {
        if self.high.take().is_some() {
            self.char(char::REPLACEMENT_CHARACTER);
        }
    }

    fn char(&mut self, char: char) {
        self.keep(char.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.most.saturating_sub(self.bytes.len());
        self.over |= bytes.len() > room;
        self.bytes.extend_from_slice(&bytes[..room.min(bytes.len())]);
    }
}
