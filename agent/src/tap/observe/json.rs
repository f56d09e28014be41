//! Reads the few facts we want out of a JSON text that arrives in pieces, in constant memory.
//!
//! A push parser that walks a fixed tree of wanted paths ([`Node`]) and skips everything else: a 10 MB body costs no more
//! memory than a small one, and a piece may end anywhere, also inside a multi-byte character. It is lenient (it reads
//! JSON that is good enough to be understood and gives up quietly on what is not): a proxy's observer is no validator.

use memchr::memchr2;

/// Where in the document we are, as far as it interests us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    /// Nothing below interests us.
    Skip,
    /// The document itself, or `response` inside an event of the Responses API.
    Root,
    Id,
    Model,
    Kind,
    Stream,
    StreamOptions,
    IncludeUsage,
    Usage,
    InputTokens,
    OutputTokens,
    Choices,
    Choice,
    /// `delta` or `message` of a choice, `message` of Ollama.
    Delta,
    Role,
    /// A string that a model generated.
    Content,
    /// A list or object that a model generated (tool calls).
    Generated,
    FinishReason,
    Status,
    Incomplete,
    Done,
    Error,
    ErrorCode,
}

impl Node {
    /// The member `key` of an object at this node.
    fn member(self, key: &[u8]) -> Self {
        match self {
            Self::Root => Self::of_root(key),
            Self::StreamOptions if key == b"include_usage" => Self::IncludeUsage,
            Self::Usage => match key {
                b"prompt_tokens" | b"input_tokens" => Self::InputTokens,
                b"completion_tokens" | b"output_tokens" => Self::OutputTokens,
                _ => Self::Skip,
            },
            Self::Choice => match key {
                b"delta" | b"message" => Self::Delta,
                b"text" => Self::Content,
                b"finish_reason" => Self::FinishReason,
                _ => Self::Skip,
            },
            Self::Delta => match key {
                b"content" | b"reasoning_content" | b"reasoning" | b"thinking" | b"refusal" => Self::Content,
                b"tool_calls" | b"function_call" => Self::Generated,
                b"role" => Self::Role,
                _ => Self::Skip,
            },
            Self::Incomplete if key == b"reason" => Self::FinishReason,
            Self::Error if key == b"code" => Self::ErrorCode,
            _ => Self::Skip,
        }
    }

    fn of_root(key: &[u8]) -> Self {
        match key {
            b"id" => Self::Id,
            b"model" => Self::Model,
            b"type" => Self::Kind,
            b"stream" => Self::Stream,
            b"stream_options" => Self::StreamOptions,
            b"usage" => Self::Usage,
            b"prompt_eval_count" => Self::InputTokens,
            b"eval_count" => Self::OutputTokens,
            b"choices" => Self::Choices,
            b"message" => Self::Delta,
            // A string in Ollama's /api/generate, an object in events of the Responses API.
            b"response" => Self::Content,
            b"thinking" => Self::Content,
            b"delta" => Self::Content,
            b"done_reason" => Self::FinishReason,
            b"done" => Self::Done,
            b"status" => Self::Status,
            b"incomplete_details" => Self::Incomplete,
            b"error" => Self::Error,
            _ => Self::Skip,
        }
    }

    /// An element of an array at this node.
    fn element(self) -> Self {
        match self {
            Self::Choices => Self::Choice,
            _ => Self::Skip,
        }
    }

    /// Whether the text of a scalar here is worth keeping.
    fn keeps_text(self) -> bool {
        matches!(
            self,
            Self::Id
                | Self::Model
                | Self::Kind
                | Self::Stream
                | Self::IncludeUsage
                | Self::InputTokens
                | Self::OutputTokens
                | Self::FinishReason
                | Self::Status
                | Self::Done
                | Self::ErrorCode
        )
    }
}

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
    /// Whether there is an `error` that is not `null`.
    pub(super) error: bool,
    pub(super) error_code: Option<String>,
}

/// Longest scalar kept.
const TEXT: usize = 256;
/// Longest key compared.
const KEY: usize = 24;
/// Deepest nesting followed; deeper documents are given up.
const DEPTH: usize = 64;

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

impl Scanner {
    /// Reads one more piece.
    pub(super) fn push(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() && self.at != At::End {
            let used = match self.at {
                At::InKey | At::InString => self.string(piece),
                At::InWord => self.word(piece),
                _ => {
                    self.structure(piece[0]);
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
            self.end_scalar(false);
        }
        self.close_choice();
        let facts = std::mem::take(&mut self.facts);
        let (mut levels, mut text) = (std::mem::take(&mut self.levels), std::mem::take(&mut self.text));
        levels.clear();
        text.clear();
        *self = Self { levels, text, named: self.named, ..Self::default() };
        facts
    }

    fn structure(&mut self, byte: u8) {
        if byte.is_ascii_whitespace() || (byte == 0xef || byte == 0xbb || byte == 0xbf) && self.levels.is_empty() {
            return;
        }
        match (self.at, byte) {
            (At::Value, b'{') => self.open(true),
            (At::Value, b'[') => self.open(false),
            (At::Value | At::Key | At::After, b'}' | b']') => self.close(),
            (At::Value, b'"') => self.begin(At::InString),
            (At::Value, b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                self.begin(At::InWord);
                self.keep(&[byte]);
            }
            (At::Key, b'"') => self.begin(At::InKey),
            (At::Key, b',') => {}
            (At::Colon, b':') => self.at = At::Value,
            (At::After, b',') => self.next(),
            _ => self.at = At::End,
        }
    }

    fn begin(&mut self, at: At) {
        self.at = at;
        self.text.clear();
        self.filled = false;
        self.escaped = false;
    }

    fn keep(&mut self, bytes: &[u8]) {
        let limit = if self.at == At::InKey { KEY + 1 } else { TEXT };
        let room = limit.saturating_sub(self.text.len()).min(bytes.len());
        if self.at == At::InKey || self.node.keeps_text() {
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
        let end = memchr2(b'"', b'\\', piece).unwrap_or(piece.len());
        if end > 0 {
            self.filled = true;
            self.keep(&piece[..end]);
        }
        match piece.get(end) {
            None => end,
            Some(b'\\') => {
                self.filled = true;
                self.escaped = true;
                self.keep(b"\\");
                end + 1
            }
            Some(_) => {
                if self.at == At::InKey {
                    self.end_key();
                } else {
                    self.end_scalar(true);
                }
                end + 1
            }
        }
    }

    /// Reads on in a bare word; the byte that ends it is left.
    fn word(&mut self, piece: &[u8]) -> usize {
        let goes_on = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-');
        let end = piece.iter().position(|b| !goes_on(b)).unwrap_or(piece.len());
        self.keep(&piece[..end]);
        if end < piece.len() {
            self.end_scalar(false);
        }
        end
    }

    fn end_key(&mut self) {
        let parent = self.levels.last().map_or(Node::Skip, |level| level.node);
        self.node = match parent.member(&self.text) {
            Node::Id | Node::Model if self.named => Node::Skip,
            node => node,
        };
        self.at = At::Colon;
    }

    fn open(&mut self, object: bool) {
        if self.levels.len() == DEPTH {
            self.at = At::End;
            return;
        }
        // `response` holds text in Ollama and the whole answer in the Responses API.
        let node = match self.node {
            Node::Content if object && self.levels.len() == 1 => Node::Root,
            node => node,
        };
        if node == Node::Error {
            self.facts.error = true;
        }
        if matches!(self.levels.last(), Some(Level { node: Node::Generated | Node::Content, .. })) {
            self.generated = true;
        }
        if node == Node::Choice {
            self.close_choice();
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

    fn end_scalar(&mut self, string: bool) {
        self.at = if self.levels.is_empty() { At::End } else { At::After };
        let null = !string && self.text == b"null";
        match self.node {
            Node::Skip => {}
            Node::Content if string => {
                self.generated |= self.filled;
                self.empty_content |= !self.filled;
            }
            Node::Role => self.role = true,
            Node::Error => self.facts.error |= string,
            Node::InputTokens => self.number(|facts| &mut facts.input_tokens),
            Node::OutputTokens => self.number(|facts| &mut facts.output_tokens),
            Node::Stream => self.facts.stream = Some(self.text == b"true"),
            Node::IncludeUsage => self.facts.include_usage = Some(self.text == b"true"),
            Node::Done => self.facts.done = self.text == b"true",
            _ if null => {}
            Node::Id => self.facts.id = self.string_value(),
            Node::Model => self.facts.model = self.string_value(),
            Node::Kind => self.facts.kind = self.string_value(),
            Node::Status => self.facts.status = self.string_value(),
            Node::ErrorCode => self.facts.error_code = self.string_value(),
            Node::FinishReason if self.facts.finish_reason.is_none() => {
                self.facts.finish_reason = self.string_value();
            }
            _ => {}
        }
    }

    fn number(&mut self, slot: impl Fn(&mut Facts) -> &mut Option<u64>) {
        let number = std::str::from_utf8(&self.text).ok().and_then(|text| text.parse().ok());
        if number.is_some() {
            *slot(&mut self.facts) = number;
        }
    }

    /// The scalar kept, escapes undone, invalid UTF-8 replaced; `None` when it was longer than we keep.
    fn string_value(&self) -> Option<String> {
        if self.text.len() >= TEXT {
            return None;
        }
        let raw = String::from_utf8_lossy(&self.text);
        if !raw.contains('\\') {
            return Some(raw.into_owned());
        }
        serde_json::from_str(&format!("\"{raw}\"")).ok()
    }
}
