//! Walks a JSON text that arrives in pieces and gathers the strings that are text, in bounded memory.
//!
//! Used for the exchanges that are looked at in this way only; the figures of all come from the quicker scanner in
//! `observe/json.rs`. As lenient as that one: what is not understood ends the walk, and what was gathered before stands.

use memchr::memchr2;

use super::gather::{Gather, Mark};
use super::place::{Judgement, Place};

/// Longest key or word kept.
const WORD: usize = 64;
/// Deepest nesting followed outside of what is skipped.
const DEPTH: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Before a value.
    Value,
    /// Before a key or `}`.
    Key,
    InKey,
    /// Before `:`.
    Colon,
    /// After a value.
    After,
    InString,
    /// Inside a number, `true`, `false` or `null`.
    InWord,
    /// Inside a list or object that does not interest us, so many levels deep.
    Skipping(u32),
    /// Inside a string there.
    SkippingString(u32),
    /// The document is over, or was not understood.
    End,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    place: Place,
    object: bool,
    /// Where the text was when it opened.
    mark: Mark,
    judgement: Judgement,
}

/// The walk. [`Walk::push`] pieces, [`Walk::end_document`] between the documents of a stream, then [`Walk::finish`].
#[derive(Debug)]
pub(in crate::tap::observe) struct Walk {
    root: Place,
    at: At,
    levels: Vec<Level>,
    place: Place,
    /// What has arrived of the key or word being read.
    token: Vec<u8>,
    escaped: bool,
    text: Gather,
    /// The text of the messages before the one being read.
    before: Option<Gather>,
    /// There has been a message.
    messages: bool,
}

impl Walk {
    /// A walk through documents of the kind `root`, which gathers at most `most` bytes.
    pub(super) fn new(root: Place, most: usize) -> Self {
        Self {
            root,
            at: At::Value,
            levels: Vec::new(),
            place: root,
            token: Vec::new(),
            escaped: false,
            text: Gather::new(most),
            before: None,
            messages: false,
        }
    }

    /// Reads one more piece.
    pub(in crate::tap::observe) fn push(&mut self, mut piece: &[u8]) {
        while let Some(&first) = piece.first() {
            let used = match self.at {
                At::InKey | At::InString => self.string(piece),
                At::InWord => self.word(piece),
                At::Skipping(depth) => self.skip(piece, depth),
                At::SkippingString(depth) => self.skip_string(piece, depth),
                At::End => return,
                at => {
                    self.structure(at, first);
                    1
                }
            };
            piece = &piece[used..];
        }
    }

    /// The next document of a stream begins: what it says is added to the text.
    pub(in crate::tap::observe) fn end_document(&mut self) {
        if self.is_inside_text() {
            self.text.broke_off();
        }
        while let Some(level) = self.levels.pop() {
            self.leave(level);
        }
        (self.at, self.place) = (At::Value, self.root);
    }

    /// Whether a text has begun and not ended.
    fn is_inside_text(&self) -> bool {
        self.at == At::InString && self.place.is_text()
    }

    /// Whether a text of a user's message has begun and not ended.
    pub(super) fn is_inside_question(&self) -> bool {
        let asks = |level: &Level| level.place == Place::Message && level.judgement == Judgement::Wanted;
        self.is_inside_text() && self.levels.iter().any(asks)
    }

    /// Whether there has been a message.
    pub(super) fn has_messages(&self) -> bool {
        self.messages
    }

    /// The text and whether there was more of it; `None` when there was none.
    pub(in crate::tap::observe) fn finish(mut self) -> Option<(String, bool)> {
        self.end_document();
        self.text.finish()
    }

    fn structure(&mut self, at: At, byte: u8) {
        match (at, byte) {
            (_, b' ' | b'\n' | b'\r' | b'\t') | (At::Key, b',') => {}
            (At::After, b',') => self.next(),
            (At::Colon, b':') => self.at = At::Value,
            (At::Key, b'"') => self.begin(At::InKey),
            (At::Value, b'"') => self.begin(At::InString),
            (At::Value, b'{') => self.open(true),
            (At::Value, b'[') => self.open(false),
            (At::Value | At::Key | At::After, b'}' | b']') => self.close(),
            (At::Value, b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                self.begin(At::InWord);
                self.token.push(byte);
            }
            // A byte order mark.
            (At::Value, 0xef | 0xbb | 0xbf) if self.levels.is_empty() => {}
            _ => self.at = At::End,
        }
    }

    fn begin(&mut self, at: At) {
        self.at = at;
        self.token.clear();
        self.escaped = false;
        if self.is_inside_text() {
            if let Some(list) = self.levels.iter().find(|level| level.place.separates() && !level.object) {
                self.text.separate(list.mark);
            }
            self.text.begin();
            if self.place == Place::EventDelta {
                self.need();
            }
        }
    }

    /// Without a word for it, the text of this object does not count.
    fn need(&mut self) {
        if let Some(level) = self.levels.last_mut()
            && level.judgement == Judgement::Open
        {
            level.judgement = Judgement::Needed;
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.is_inside_text() {
            self.text.push(bytes);
        } else if self.at != At::InString || self.place.is_word() {
            let room = WORD.saturating_sub(self.token.len()).min(bytes.len());
            self.token.extend_from_slice(&bytes[..room]);
        }
    }

    /// Reads on in a string; gives how many bytes it used.
    fn string(&mut self, piece: &[u8]) -> usize {
        if std::mem::take(&mut self.escaped) {
            self.keep(&piece[..1]);
            return 1;
        }
        let end = memchr2(b'"', b'\\', piece);
        match end.map(|end| (end, piece[end])) {
            Some((end, b'"')) => {
                self.keep(&piece[..end]);
                self.end_string();
                end + 1
            }
            Some((end, _)) => {
                self.escaped = true;
                self.keep(&piece[..=end]);
                end + 1
            }
            None => {
                self.keep(piece);
                piece.len()
            }
        }
    }

    fn end_string(&mut self) {
        if self.at == At::InKey {
            let parent = self.levels.last().map_or(Place::Skip, |level| level.place);
            self.place = parent.member(&self.token);
            self.at = At::Colon;
            return;
        }
        if self.is_inside_text() {
            self.text.end();
        }
        self.end_scalar();
    }

    /// Reads on in a bare word; the byte that ends it is left.
    fn word(&mut self, piece: &[u8]) -> usize {
        let goes_on = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-');
        let end = piece.iter().position(|byte| !goes_on(byte)).unwrap_or(piece.len());
        self.keep(&piece[..end]);
        if end < piece.len() {
            self.end_scalar();
        }
        end
    }

    fn end_scalar(&mut self) {
        self.at = if self.levels.is_empty() { At::End } else { At::After };
        if self.place.is_word()
            && let Some(level) = self.levels.last_mut()
        {
            match level.place.judge(self.place, &self.token) {
                Judgement::Open => {}
                judgement => level.judgement = judgement,
            }
        }
    }

    fn skip(&mut self, piece: &[u8], depth: u32) -> usize {
        let Some(at) = piece.iter().position(|byte| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']')) else {
            return piece.len();
        };
        self.at = match piece[at] {
            b'"' => {
                self.escaped = false;
                At::SkippingString(depth)
            }
            b'{' | b'[' => At::Skipping(depth.saturating_add(1)),
            _ if depth > 1 => At::Skipping(depth - 1),
            _ => At::After,
        };
        at + 1
    }

    fn skip_string(&mut self, piece: &[u8], depth: u32) -> usize {
        if std::mem::take(&mut self.escaped) {
            return 1;
        }
        let Some(end) = memchr2(b'"', b'\\', piece) else { return piece.len() };
        if piece[end] == b'"' {
            self.at = At::Skipping(depth);
        } else {
            self.escaped = true;
        }
        end + 1
    }

    fn open(&mut self, object: bool) {
        let followed = match (self.place, object) {
            (Place::Skip, _) => false,
            (Place::Request(_) | Place::Answer | Place::Choice | Place::Delta, object) => object,
            (Place::Message | Place::Item | Place::Part, object) => object,
            (Place::Messages | Place::Texts | Place::Input | Place::Choices, object) => !object,
            (Place::Output | Place::Content, object) => !object,
            _ => false,
        };
        if !followed || self.levels.len() == DEPTH {
            self.at = At::Skipping(1);
            return;
        }
        let mut judgement = Judgement::Open;
        if self.place == Place::Message {
            // The last one counts, so each begins anew; only the user's do.
            let fresh = self.text.fresh();
            self.before = Some(std::mem::replace(&mut self.text, fresh));
            judgement = Judgement::Needed;
            self.messages = true;
        }
        self.levels.push(Level { place: self.place, object, mark: self.text.mark(), judgement });
        self.at = if object { At::Key } else { At::Value };
        if !object {
            self.place = self.place.element();
        }
    }

    fn close(&mut self) {
        let Some(level) = self.levels.pop() else {
            self.at = At::End;
            return;
        };
        self.leave(level);
        self.at = if self.levels.is_empty() { At::End } else { At::After };
    }

    /// Keeps or forgets the text of what has closed.
    fn leave(&mut self, level: Level) {
        let before = if level.place == Place::Message { self.before.take() } else { None };
        match before {
            _ if level.judgement.keeps() => {}
            Some(before) => self.text = before,
            None => self.text.back_to(level.mark),
        }
    }

    fn next(&mut self) {
        match self.levels.last() {
            Some(Level { object: true, .. }) => self.at = At::Key,
            Some(Level { place, .. }) => {
                self.at = At::Value;
                self.place = place.element();
            }
            None => self.at = At::End,
        }
    }
}
