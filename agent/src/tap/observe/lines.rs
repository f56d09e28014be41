//! Splits a streamed answer into its JSON documents: server-sent events, or one document a line (Ollama).
//!
//! Pieces may end anywhere. The text of a document goes straight on to the scanner, so nothing is gathered here.

use memchr::{memchr, memchr2};

use super::json::{Facts, Scanner};
use super::repeat::Repeat;
use super::text::Walk;

/// What one event of a stream turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A JSON document.
    Document(Facts),
    /// `data: [DONE]`, the end of OpenAI's streams.
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// This many bytes of `data:` have been seen at the start of a line.
    Field(usize),
    /// After `data:`, where one space may stand.
    Space,
    /// In the value of a `data` line.
    Data,
    /// In a line that does not interest us (a comment, `event:`, `id:`, `retry:`).
    Other,
}

const FIELD: &[u8] = b"data:";
const DONE: &[u8] = b"[DONE]";

/// Server-sent events, as the HTML standard has them: LF, CRLF or CR, comments, `data:` with or without a space.
#[derive(Debug)]
pub(super) struct Events {
    at: At,
    /// The last byte was CR: an LF belongs to it.
    after_cr: bool,
    /// The event being read has a `data` line.
    has_data: bool,
    /// First bytes of its data, enough to know `[DONE]`.
    head: [u8; 6],
    head_len: usize,
    scanner: Scanner,
    repeat: Repeat,
    /// Set by an event that said nothing but that so many texts were generated.
    plain: Option<u32>,
    /// Gathers the text as well, where it is wanted: then every event is taken apart.
    text: Option<Box<Walk>>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            at: At::Field(0),
            after_cr: false,
            has_data: false,
            head: [0; 6],
            head_len: 0,
            scanner: Scanner::default(),
            repeat: Repeat::default(),
            plain: None,
            text: None,
        }
    }
}

impl Events {
    /// One that gathers text too.
    pub(super) fn with(text: Option<Box<Walk>>) -> Self {
        Self { text, ..Self::default() }
    }

    /// The text gathered so far, once.
    pub(super) fn take_text(&mut self) -> Option<Box<Walk>> {
        self.text.take()
    }

    /// Reads one more piece and gives each event that it completes.
    pub(super) fn push(&mut self, mut piece: &[u8], on_event: &mut impl FnMut(Event)) {
        if self.after_cr && piece.first() == Some(&b'\n') {
            piece = &piece[1..];
        }
        if !piece.is_empty() {
            self.after_cr = false;
        }
        let mut begin = None;
        while let Some(&first) = piece.first() {
            if self.at == At::Field(0) && !self.has_data {
                if self.text.is_none()
                    && let Some((used, deltas)) = self.repeat.matches(piece)
                {
                    on_event(Event::Document(Facts { deltas, ..Facts::default() }));
                    piece = &piece[used..];
                    continue;
                }
                begin = Some(piece);
            }
            let used = match self.at {
                At::Field(seen) => {
                    if first == FIELD[seen] {
                        self.at = if seen + 1 == FIELD.len() { At::Space } else { At::Field(seen + 1) };
                        1
                    } else if matches!(first, b'\n' | b'\r') {
                        self.end_line(piece, seen == 0, on_event)
                    } else {
                        self.at = At::Other;
                        0
                    }
                }
                At::Space => {
                    self.begin_data();
                    usize::from(first == b' ')
                }
                At::Data | At::Other => {
                    let end = memchr2(b'\n', b'\r', piece).unwrap_or(piece.len());
                    if self.at == At::Data {
                        self.data(&piece[..end]);
                    }
                    if end < piece.len() { end + self.end_line(&piece[end..], false, on_event) } else { end }
                }
            };
            piece = &piece[used..];
            if let (Some(deltas), Some(begin)) = (self.plain.take(), begin) {
                self.repeat.learn(&begin[..begin.len() - piece.len()], deltas);
            }
        }
    }

    /// The stream is over: gives the event that lacks its blank line, if there is one.
    pub(super) fn finish(&mut self, on_event: &mut impl FnMut(Event)) {
        if self.has_data {
            self.dispatch(on_event);
        }
    }

    /// See [`Scanner::skip_names`].
    pub(super) fn skip_names(&mut self) {
        self.scanner.skip_names();
    }

    fn begin_data(&mut self) {
        self.at = At::Data;
        if self.has_data {
            self.both(b"\n");
        }
        self.has_data = true;
    }

    fn data(&mut self, bytes: &[u8]) {
        let room = (DONE.len() - self.head_len).min(bytes.len());
        self.head[self.head_len..self.head_len + room].copy_from_slice(&bytes[..room]);
        self.head_len += room;
        self.both(bytes);
    }

    fn both(&mut self, bytes: &[u8]) {
        self.scanner.push(bytes);
        if let Some(text) = &mut self.text {
            text.push(bytes);
        }
    }

    /// Takes the line break that `piece` starts with; gives how many bytes it has (the LF of a CRLF may come later).
    fn end_line(&mut self, piece: &[u8], blank: bool, on_event: &mut impl FnMut(Event)) -> usize {
        if blank && self.has_data {
            self.dispatch(on_event);
        }
        self.at = At::Field(0);
        match piece {
            [b'\r', b'\n', ..] => 2,
            [b'\r'] => {
                self.after_cr = true;
                1
            }
            _ => 1,
        }
    }

    fn dispatch(&mut self, on_event: &mut impl FnMut(Event)) {
        let facts = self.scanner.finish();
        if let Some(text) = &mut self.text {
            text.end_document();
        }
        let done = self.head[..self.head_len] == *DONE;
        (self.has_data, self.head_len) = (false, 0);
        self.plain = facts.is_plain().then_some(facts.deltas);
        on_event(if done { Event::Done } else { Event::Document(facts) });
    }
}

/// One JSON document a line.
#[derive(Debug, Default)]
pub(super) struct Lines {
    started: bool,
    scanner: Scanner,
    text: Option<Box<Walk>>,
}

impl Lines {
    /// One that gathers text too.
    pub(super) fn with(text: Option<Box<Walk>>) -> Self {
        Self { text, ..Self::default() }
    }

    /// The text gathered so far, once.
    pub(super) fn take_text(&mut self) -> Option<Box<Walk>> {
        self.text.take()
    }

    /// Reads one more piece and gives each document that it completes.
    pub(super) fn push(&mut self, mut piece: &[u8], on_event: &mut impl FnMut(Event)) {
        while !piece.is_empty() {
            let end = memchr(b'\n', piece).unwrap_or(piece.len());
            let line = &piece[..end];
            self.started |= line.iter().any(|b| !b.is_ascii_whitespace());
            self.scanner.push(line);
            if let Some(text) = &mut self.text {
                text.push(line);
            }
            if end < piece.len() {
                self.finish(on_event);
            }
            piece = piece.get(end + 1..).unwrap_or(&[]);
        }
    }

    /// The stream is over, or the line.
    pub(super) fn finish(&mut self, on_event: &mut impl FnMut(Event)) {
        if let Some(text) = &mut self.text {
            text.end_document();
        }
        if std::mem::take(&mut self.started) {
            on_event(Event::Document(self.scanner.finish()));
        }
    }

    /// See [`Scanner::skip_names`].
    pub(super) fn skip_names(&mut self) {
        self.scanner.skip_names();
    }
}
