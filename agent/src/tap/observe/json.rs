//! Reads the few facts we want out of a JSON text that arrives in pieces, in constant memory.
//!
//! A push parser that walks a fixed tree of wanted paths ([`Node`]) and skips everything else: a 10 MB body costs no more
//! memory than a small one, and a piece may end anywhere, also inside a multi-byte character. It is lenient (it reads
//! JSON that is good enough to be understood and gives up quietly on what is not): a proxy's observer is no validator.

use memchr::memchr2;

use super::node::Node;

/// What one document said. Absent keys and `null` leave `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) id: Option<String>,
    pub(super) model: Option<String>,
    /// `type`: the name of an event of the Responses API.
    pub(super) kind: Option<String>,
    pub(super) stream: Option<bool>,
    pub(super) include_usage: Option<bool>,
    pub(super) input_tokens: Option<u64>,
    pub(super) output_tokens: Option<u64>,
    /// Of the first choice that gives one.
    pub(super) finish_reason: Option<String>,
    pub(super) status: Option<String>,
    pub(super) done: bool,
    /// `choices` whose delta carried something generated; a delta that only names a role does not count.
    pub(super) deltas: u32,
    /// There is a list `choices`, and nothing in it.
    pub(super) no_choices: bool,
    /// Whether there is an `error` that is not `null`.
    pub(super) error: bool,
    pub(super) error_code: Option<String>,
}

impl Facts {
    /// Whether it says that something was generated, and nothing else.
    pub(super) fn is_plain(&self) -> bool {
        self.deltas > 0 && *self == Self { deltas: self.deltas, ..Self::default() }
    }
}

/// Longest scalar kept.
const TEXT: usize = 256;
/// Deepest nesting followed outside of what is skipped; deeper documents are given up.
const DEPTH: usize = 64;
/// Strings are searched byte by byte so far, then with vectors: most are short.
const SHORT: usize = 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Before a value.
    Value,
    /// Before a key or `}`.
    Key,
    /// Inside a key.
    InKey,
    /// Before `:`.
    Colon,
    /// After a value.
    After,
    /// Inside a string value.
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
    node: Node,
    object: bool,
}

/// The parser. [`Scanner::push`] pieces, then [`Scanner::finish`].
#[derive(Debug)]
pub(super) struct Scanner {
    at: At,
    levels: Vec<Level>,
    node: Node,
    /// What earlier pieces had of the token being read.
    text: Vec<u8>,
    /// The string so far is not empty.
    filled: bool,
    escaped: bool,
    /// In the choice (or document) being read: something was generated, an empty string was, a role was named.
    generated: bool,
    empty_content: bool,
    role: bool,
    /// `id` and `model` are known already: every event of a stream repeats them, so do not copy them each time.
    named: bool,
    facts: Facts,
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            at: At::Value,
            levels: Vec::new(),
            node: Node::Root,
            text: Vec::new(),
            filled: false,
            escaped: false,
            generated: false,
            empty_content: false,
            role: false,
            named: false,
            facts: Facts::default(),
        }
    }
}

/// Where the next quote or backslash is, or the end.
fn end_of_run(piece: &[u8]) -> usize {
    let short = &piece[..piece.len().min(SHORT)];
    if let Some(end) = short.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
        return end;
    }
    memchr2(b'"', b'\\', &piece[short.len()..]).map_or(piece.len(), |end| short.len() + end)
}

impl Scanner {
    /// Reads one more piece.
    pub(super) fn push(&mut self, mut piece: &[u8]) {
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

    /// From now on `id` and `model` are skipped.
    pub(super) fn skip_names(&mut self) {
        self.named = true;
    }

    /// What was found, and a scanner ready for the next document.
    pub(super) fn finish(&mut self) -> Facts {
        if self.at == At::InWord {
            self.end_token(&[]);
        }
        self.close_choice();
        let facts = std::mem::take(&mut self.facts);
        self.levels.clear();
        self.text.clear();
        (self.at, self.node) = (At::Value, Node::Root);
        facts
    }

    fn structure(&mut self, at: At, byte: u8) {
        match (at, byte) {
            (_, b' ' | b'\n' | b'\r' | b'\t') => {}
            (At::After, b',') => self.next(),
            (At::Colon, b':') => self.at = At::Value,
            (At::Key, b'"') => self.begin(At::InKey),
            (At::Value, b'"') => self.begin(At::InString),
            (At::Value, b'{') => self.open(true),
            (At::Value, b'[') => self.open(false),
            (At::Value | At::Key | At::After, b'}' | b']') => self.close(),
            (At::Value, b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                self.begin(At::InWord);
                self.text.push(byte);
            }
            (At::Key, b',') => {}
            // A byte order mark.
            (At::Value, 0xef | 0xbb | 0xbf) if self.levels.is_empty() => {}
            _ => self.at = At::End,
        }
    }

    fn begin(&mut self, at: At) {
        self.at = at;
        self.text.clear();
        self.filled = false;
        self.escaped = false;
    }

    /// Keeps part of a token for when its end arrives.
    fn keep(&mut self, bytes: &[u8]) {
        if self.at != At::InString || self.node.keeps_text() {
            let room = TEXT.saturating_sub(self.text.len()).min(bytes.len());
            self.text.extend_from_slice(&bytes[..room]);
        }
    }

    /// Reads on in a string; gives how many bytes it used.
    fn string(&mut self, piece: &[u8]) -> usize {
        if self.escaped {
            self.escaped = false;
            self.keep(&piece[..1]);
            return 1;
        }
        let end = end_of_run(piece);
        self.filled |= end > 0;
        match piece.get(end) {
            Some(b'"') => {
                self.end_token(&piece[..end]);
                end + 1
            }
            Some(_) => {
                self.filled = true;
                self.escaped = true;
                self.keep(&piece[..=end]);
                end + 1
            }
            None => {
                self.keep(&piece[..end]);
                end
            }
        }
    }

    /// Reads on in a bare word; the byte that ends it is left.
    fn word(&mut self, piece: &[u8]) -> usize {
        let goes_on = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-');
        match piece.iter().position(|byte| !goes_on(byte)) {
            Some(end) => {
                self.end_token(&piece[..end]);
                end
            }
            None => {
                self.keep(piece);
                piece.len()
            }
        }
    }

    /// Reads on in what does not interest us.
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
        let end = end_of_run(piece);
        match piece.get(end) {
            Some(b'"') => self.at = At::Skipping(depth),
            Some(_) => self.escaped = true,
            None => return end,
        }
        end + 1
    }

    /// A key, string or word ends with `rest`; what came before is in `text`.
    fn end_token(&mut self, rest: &[u8]) {
        if self.text.is_empty() {
            return self.token(rest);
        }
        self.keep(rest);
        let text = std::mem::take(&mut self.text);
        self.token(&text);
        self.text = text;
    }

    fn token(&mut self, text: &[u8]) {
        if self.at == At::InKey {
            let parent = self.levels.last().map_or(Node::Skip, |level| level.node);
            self.node = match parent.member(text) {
                Node::Id | Node::Model if self.named => Node::Skip,
                node => node,
            };
            self.at = At::Colon;
        } else {
            let string = self.at == At::InString;
            self.at = if self.levels.is_empty() { At::End } else { At::After };
            if self.node != Node::Skip {
                self.scalar(text, string);
            }
        }
    }

    fn open(&mut self, object: bool) {
        if self.levels.len() == DEPTH {
            self.at = At::End;
            return;
        }
        if matches!(self.levels.last(), Some(Level { node: Node::Generated | Node::Content, .. })) {
            self.generated = true;
        }
        // `response` holds text in Ollama and the whole answer in the Responses API.
        let node = match self.node {
            Node::Content if object && self.levels.len() == 1 => Node::Root,
            Node::Skip => {
                self.at = At::Skipping(1);
                return;
            }
            node => node,
        };
        match node {
            Node::Error => self.facts.error = true,
            Node::Choices => self.facts.no_choices = true,
            Node::Choice => {
                self.facts.no_choices = false;
                self.close_choice();
            }
            _ => {}
        }
        self.levels.push(Level { node, object });
        if object {
            self.at = At::Key;
        } else {
            self.at = At::Value;
            self.node = node.element();
        }
    }

    fn close(&mut self) {
        let Some(level) = self.levels.pop() else {
            self.at = At::End;
            return;
        };
        if level.node == Node::Choice {
            self.close_choice();
        }
        self.at = if self.levels.is_empty() { At::End } else { At::After };
    }

    /// Counts what the choice (or the document, for engines without choices) generated.
    fn close_choice(&mut self) {
        if self.generated || (self.empty_content && !self.role) {
            self.facts.deltas += 1;
        }
        (self.generated, self.empty_content, self.role) = (false, false, false);
    }

    fn next(&mut self) {
        match self.levels.last() {
            Some(Level { object: true, .. }) => self.at = At::Key,
            Some(Level { node, .. }) => {
                self.at = At::Value;
                self.node = node.element();
            }
            None => self.at = At::End,
        }
    }

    fn scalar(&mut self, text: &[u8], string: bool) {
        let facts = &mut self.facts;
        match self.node {
            Node::Content if string => {
                self.generated |= self.filled;
                self.empty_content |= !self.filled;
            }
            Node::Role => self.role = true,
            Node::Error => facts.error |= string,
            Node::InputTokens => facts.input_tokens = number(text).or(facts.input_tokens),
            Node::OutputTokens => facts.output_tokens = number(text).or(facts.output_tokens),
            Node::Stream => facts.stream = Some(text == b"true"),
            Node::IncludeUsage => facts.include_usage = Some(text == b"true"),
            Node::Done => facts.done = text == b"true",
            _ if !string && text == b"null" => {}
            Node::Id => facts.id = words(text),
            Node::Model => facts.model = words(text),
            Node::Kind => facts.kind = words(text),
            Node::Status => facts.status = words(text),
            Node::ErrorCode => facts.error_code = words(text),
            Node::FinishReason if facts.finish_reason.is_none() => facts.finish_reason = words(text),
            _ => {}
        }
    }
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A string with its escapes undone and invalid UTF-8 replaced; `None` when it is longer than we keep.
fn words(text: &[u8]) -> Option<String> {
    if text.len() >= TEXT {
        return None;
    }
    let raw = String::from_utf8_lossy(text);
    if !raw.contains('\\') {
        return Some(raw.into_owned());
    }
    serde_json::from_str(&format!("\"{raw}\"")).ok()
}
