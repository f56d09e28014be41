//! Where in a request or an answer its text is, as a fixed tree.

use plimsoll_rules::Endpoint;

/// Where in the document we are, as far as it interests us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing below interests us.
    Skip,
    /// A request's document.
    Request(Endpoint),
    /// An answer's document, or one of a stream's.
    Answer,
    /// The list of messages of a chat.
    Messages,
    /// A message in it, or an item of the input of the Responses API; a string in a list of inputs.
    Message,
    /// Whose message it is.
    Role,
    /// A text, or a list of texts.
    Texts,
    /// The input of the Responses API or of embeddings: a text, a list of texts, or one of items.
    Input,
    Choices,
    Choice,
    /// Which choice.
    Index,
    /// `delta` or `message` of a choice, `message` of Ollama.
    Delta,
    /// The output of the Responses API.
    Output,
    Item,
    /// The `delta` of an event of the Responses API, whose type says what it is.
    EventDelta,
    /// A text, or a list of parts.
    Content,
    Part,
    /// The type of a part, an item or an event.
    Kind,
    Text,
}

impl Place {
    /// The member `key` of an object here.
    pub(super) fn member(self, key: &[u8]) -> Self {
        match (self, key) {
            (Self::Request(endpoint), key) => Self::of_request(endpoint, key),
            (Self::Answer, b"choices") => Self::Choices,
            (Self::Answer, b"output") => Self::Output,
            (Self::Answer, b"delta") => Self::EventDelta,
            // A string in Ollama's /api/generate; in the Responses API an object, which repeats what its events said.
            (Self::Answer, b"response") | (Self::Choice | Self::Part, b"text") => Self::Text,
            (Self::Answer | Self::Choice, b"message") | (Self::Choice, b"delta") => Self::Delta,
            (Self::Choice, b"index") => Self::Index,
            (Self::Message | Self::Delta | Self::Item, b"content") => Self::Content,
            (Self::Message, b"role") => Self::Role,
            (Self::Delta | Self::Part, b"refusal") => Self::Text,
            (Self::Answer | Self::Item | Self::Part, b"type") => Self::Kind,
            _ => Self::Skip,
        }
    }

    fn of_request(endpoint: Endpoint, key: &[u8]) -> Self {
        match (endpoint, key) {
            (Endpoint::Chat | Endpoint::OllamaChat, b"messages") => Self::Messages,
            (Endpoint::Completions | Endpoint::OllamaGenerate, b"prompt") => Self::Texts,
            (Endpoint::Embeddings | Endpoint::Responses, b"input") => Self::Input,
            _ => Self::Skip,
        }
    }

    /// An element of a list here.
    pub(super) fn element(self) -> Self {
        match self {
            Self::Messages | Self::Input => Self::Message,
            Self::Texts => Self::Text,
            Self::Choices => Self::Choice,
            Self::Output => Self::Item,
            Self::Content => Self::Part,
            _ => Self::Skip,
        }
    }

    /// Whether a string here is text.
    pub(super) fn is_text(self) -> bool {
        matches!(
            self,
            Self::Text | Self::Texts | Self::Content | Self::Part | Self::Input | Self::Message | Self::EventDelta
        )
    }

    /// Whether a scalar here says something about the text around it.
    pub(super) fn is_word(self) -> bool {
        matches!(self, Self::Role | Self::Kind | Self::Index)
    }

    /// Whether the texts of a list here are kept apart by line breaks.
    pub(super) fn separates(self) -> bool {
        matches!(self, Self::Texts | Self::Input | Self::Content | Self::Output)
    }

    /// What `word` (the value at `at`) says about the text of an object here.
    pub(super) fn judge(self, at: Self, word: &[u8]) -> Judgement {
        let wanted = match (self, at) {
            (Self::Message, Self::Role) => word == b"user",
            (Self::Choice, Self::Index) => word == b"0",
            (Self::Item, Self::Kind) => word == b"message",
            (Self::Part, Self::Kind) => matches!(word, b"text" | b"input_text" | b"output_text" | b"refusal"),
            (Self::Answer, Self::Kind) => matches!(word, b"response.output_text.delta" | b"response.refusal.delta"),
            _ => return Judgement::Open,
        };
        if wanted { Judgement::Wanted } else { Judgement::Unwanted }
    }
}

/// Whether an object's text is what we are after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Not said: it is.
    #[default]
    Open,
    /// It has to be said, and has not been.
    Needed,
    /// It is.
    Wanted,
    /// It is not.
    Unwanted,
}

impl Judgement {
    /// Whether to keep the text of an object that is over.
    pub(super) fn keeps(self) -> bool {
        matches!(self, Self::Open | Self::Wanted)
    }
}
