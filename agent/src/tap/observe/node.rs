//! The paths of a JSON document that interest an observer, as a fixed tree.

/// Where in the document we are, as far as it interests us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
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
    pub(super) fn member(self, key: &[u8]) -> Self {
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

    pub(super) fn of_root(key: &[u8]) -> Self {
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
    pub(super) fn element(self) -> Self {
        match self {
            Self::Choices => Self::Choice,
            _ => Self::Skip,
        }
    }

    /// Whether the text of a scalar here is worth keeping.
    pub(super) fn keeps_text(self) -> bool {
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
