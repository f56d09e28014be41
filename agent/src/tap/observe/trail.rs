//! What the observer knows of one exchange so far, and the [`Exchange`] it makes of it at the end. Text is gathered where
//! it is wanted only, and leaves masked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use plimsoll_rules::mask::Masker;
use plimsoll_rules::{Endpoint, Exchange, ExchangeOutcome, ExchangeText, Timestamp, TokenCount};

use super::json::{Facts, Scanner};
use super::lines::{Event, Events, Lines};
use super::text::{self, Said, Walk};
use super::{Batch, Ending, Format};

/// Most inter-token gaps kept of one answer.
const GAPS: usize = 8192;

/// How the answer's body is read.
#[derive(Debug, Default)]
enum Reader {
    /// Nothing in it is for us.
    #[default]
    None,
    Document(Scanner, Option<Box<Walk>>),
    Events(Events),
    Lines(Lines),
}

/// One exchange in the making.
#[derive(Debug, Default)]
pub(super) struct Trail {
    reader: Reader,
    /// It has been decided whether text is wanted.
    begun: bool,
    /// Text is wanted, up to so many bytes of prompt and response each.
    wanted: Option<usize>,
    response: Option<Box<Walk>>,
    streamed: bool,
    /// The request's body, read only if the answer does not say what we need: prompts are long, answers name the model.
    request: Option<(Vec<u8>, Vec<u8>)>,
    id: Option<String>,
    model: Option<String>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    finish_reason: Option<String>,
    /// Content deltas seen, in all choices.
    deltas: u64,
    first_content: Option<Instant>,
    last_content: Option<Instant>,
    gaps: Vec<f32>,
    /// The stream's own terminator was seen.
    terminated: bool,
    error: bool,
    error_code: Option<String>,
    /// Part of the answer did not reach us: counts are too low.
    incomplete: bool,
}

impl Trail {
    /// Asks `wanted`, once, whether text is wanted of this exchange, and how many bytes.
    pub(super) fn begin(&mut self, wanted: impl FnOnce() -> Option<usize>) {
        if !std::mem::replace(&mut self.begun, true) {
            self.wanted = wanted();
        }
    }

    /// Takes in one more batch of copies.
    pub(super) fn read(&mut self, batch: &mut Batch) {
        if !batch.request.is_empty() {
            self.request = Some((std::mem::take(&mut batch.request), std::mem::take(&mut batch.request_tail)));
        }
        if let Some(format) = batch.format {
            self.streamed = format != Format::Document;
            let text = self.wanted.map(|most| Box::new(text::answer(most)));
            self.reader = match format {
                Format::Other => Reader::None,
                Format::Document => Reader::Document(Scanner::default(), text),
                Format::Events => Reader::Events(Events::with(text)),
                Format::Lines => Reader::Lines(Lines::with(text)),
            };
        }
        if batch.gap {
            self.incomplete = true;
        }
        let mut from = 0;
        for (to, at) in &batch.marks {
            let to = *to as usize;
            self.read_answer(batch.answer.get(from..to).unwrap_or(&[]), *at);
            from = to;
        }
        if !batch.answer_tail.is_empty() {
            self.read_tail(&batch.answer_tail);
        }
    }

    /// The model that the request names, and whether it asks for a stream.
    fn asked(&self) -> (Option<String>, bool) {
        let Some((head, tail)) = &self.request else { return (None, false) };
        let mut scanner = Scanner::default();
        scanner.push(head);
        let facts = scanner.finish();
        (facts.model.or_else(|| tail_string(tail, b"\"model\"")), facts.stream.unwrap_or(false))
    }

    fn read_answer(&mut self, bytes: &[u8], at: Instant) {
        let mut reader = std::mem::take(&mut self.reader);
        match &mut reader {
            Reader::None => {}
            Reader::Document(scanner, text) => {
                scanner.push(bytes);
                if let Some(text) = text {
                    text.push(bytes);
                }
            }
            Reader::Events(events) => {
                events.push(bytes, &mut |event| self.event(event, at));
                if self.named() {
                    events.skip_names();
                }
            }
            Reader::Lines(lines) => {
                lines.push(bytes, &mut |event| self.event(event, at));
                if self.named() {
                    lines.skip_names();
                }
            }
        }
        self.reader = reader;
    }

    fn named(&self) -> bool {
        self.id.is_some() && self.model.is_some()
    }

    /// Of a body too long to be read whole, only the end is here: its `usage` is what we are after.
    fn read_tail(&mut self, tail: &[u8]) {
        let Some(start) = memchr::memmem::rfind(tail, b"\"usage\"") else { return };
        let mut scanner = Scanner::default();
        scanner.push(b"{");
        scanner.push(&tail[start..]);
        let facts = scanner.finish();
        self.input_tokens = facts.input_tokens.or(self.input_tokens);
        self.output_tokens = facts.output_tokens.or(self.output_tokens);
    }

    fn event(&mut self, event: Event, at: Instant) {
        let facts = match event {
            Event::Done => {
                self.terminated = true;
                return;
            }
            Event::Document(facts) => facts,
        };
        let ends = |kind: &str| matches!(kind, "response.completed" | "response.incomplete" | "response.failed");
        let kind = facts.kind.as_deref().unwrap_or("");
        self.terminated |= facts.done || ends(kind);
        // The last document of Ollama names no content, and an event of the Responses API has content in `*.delta` only.
        let counts = !facts.done && (kind.is_empty() || kind.ends_with(".delta"));
        if facts.deltas > 0 && counts {
            self.content(u64::from(facts.deltas), at);
        }
        self.take(facts);
    }

    fn content(&mut self, deltas: u64, at: Instant) {
        self.deltas += deltas;
        if self.first_content.is_none() {
            self.first_content = Some(at);
        }
        if let Some(last) = self.last_content.replace(at)
            && self.gaps.len() < GAPS
        {
            self.gaps.push(at.saturating_duration_since(last).as_secs_f32());
        }
    }

    fn take(&mut self, facts: Facts) {
        self.id = self.id.take().or(facts.id);
        self.model = self.model.take().or(facts.model);
        self.input_tokens = facts.input_tokens.or(self.input_tokens);
        self.output_tokens = facts.output_tokens.or(self.output_tokens);
        // The Responses API has a status where the others have a finish reason.
        let status = facts.status.filter(|status| status == "completed").map(|_| "stop".to_owned());
        self.finish_reason = self.finish_reason.take().or(facts.finish_reason).or(status);
        self.error |= facts.error;
        self.error_code = self.error_code.take().or(facts.error_code);
    }

    fn close_reader(&mut self, at: Instant) {
        match std::mem::take(&mut self.reader) {
            Reader::None => {}
            Reader::Document(mut scanner, text) => {
                self.response = text;
                self.take(scanner.finish());
            }
            Reader::Events(mut events) => {
                events.finish(&mut |event| self.event(event, at));
                self.response = events.take_text();
            }
            Reader::Lines(mut lines) => {
                lines.finish(&mut |event| self.event(event, at));
                self.response = lines.take_text();
            }
        }
    }

    /// What was said, masked. Nothing of requests that were refused, and no response with a hole in it: half a secret would
    /// not be recognised.
    fn text(&mut self, endpoint: Endpoint, masker: &Masker) -> Option<Arc<ExchangeText>> {
        let most = self.wanted?;
        let response = self.response.take().filter(|_| !self.incomplete).and_then(|walk| walk.finish());
        let called = self.finish_reason.as_deref().is_some_and(|why| matches!(why, "tool_calls" | "function_call"));
        let response = response.filter(|(text, _)| !(called && text.is_empty()));
        let (head, tail) = self.request.take().unwrap_or_default();
        Said { prompt: text::prompt(endpoint, &head, &tail, most), response }.masked(masker, most)
    }

    /// The whole exchange, now that it is over. `known_model` says whether a model name has been served before: a name
    /// that only a failed request mentions may be anything, so it does not become a label.
    pub(super) fn finish(mut self, end: &Ending, known_model: impl Fn(&str) -> bool, masker: &Masker) -> Exchange {
        self.close_reader(end.at);
        let outcome = self.outcome(end);
        let succeeded = (200..300).contains(&end.status);
        let (asked, asked_stream) = if succeeded && self.model.is_some() { (None, false) } else { self.asked() };
        let model = if succeeded {
            self.model.take().or(asked.filter(|_| outcome == ExchangeOutcome::Ok))
        } else {
            asked.filter(|name| known_model(name))
        };
        let request_id = end.request_id.as_deref().and_then(|value| std::str::from_utf8(value).ok()).map(str::to_owned);
        let (id, request_id) = match (self.id.take().filter(|id| !id.is_empty()), request_id) {
            (Some(id), other) => (id, other),
            (None, Some(request_id)) => (request_id, None),
            (None, None) => (format!("plimsoll-{}", uuid::Uuid::now_v7().simple()), None),
        };
        let (input_tokens, output_tokens) = self.tokens(end.endpoint, succeeded);
        let text = if succeeded { self.text(end.endpoint, masker) } else { None };
        Exchange {
            request_id: request_id.filter(|other| *other != id),
            id,
            started: Timestamp::from_millis(end.started_at),
            source: end.source,
            endpoint: end.endpoint,
            model: model.unwrap_or_default(),
            variant: end.variant.to_string(),
            assignment: end.assignment.as_deref().cloned(),
            outcome,
            status: end.status,
            finish_reason: self.finish_reason.take().filter(|_| succeeded),
            stream: self.streamed || (asked_stream && !succeeded),
            input_tokens,
            output_tokens,
            time_to_first_token: self.first_content.map(|at| at.saturating_duration_since(end.started)),
            inter_token_seconds: std::mem::take(&mut self.gaps),
            duration: end.at.saturating_duration_since(end.started).max(Duration::ZERO),
            text,
        }
    }

    fn tokens(&self, endpoint: Endpoint, succeeded: bool) -> (TokenCount, TokenCount) {
        if !succeeded {
            return (TokenCount::Unknown, TokenCount::Unknown);
        }
        let input = self.input_tokens.map_or(TokenCount::Unknown, TokenCount::Reported);
        let output = match self.output_tokens {
            _ if endpoint == Endpoint::Embeddings => TokenCount::Unknown,
            Some(tokens) => TokenCount::Reported(tokens),
            None if self.streamed && !self.incomplete => TokenCount::Estimated(self.deltas),
            None => TokenCount::Unknown,
        };
        (input, output)
    }

    fn outcome(&self, end: &Ending) -> ExchangeOutcome {
        match end.how {
            // the last event has been delivered: clients hang up on a stream once they have read it
            super::How::ClientAbort | super::How::Broken if self.terminated => self.completed(end.status),
            super::How::ClientAbort => ExchangeOutcome::ClientAbort,
            super::How::Broken => ExchangeOutcome::BrokenStream,
            super::How::Unreachable => ExchangeOutcome::Unreachable,
            super::How::Timeout => ExchangeOutcome::Timeout,
            super::How::Complete => self.completed(end.status),
        }
    }

    fn completed(&self, status: u16) -> ExchangeOutcome {
        if status >= 500 {
            ExchangeOutcome::ServerError
        } else if status >= 400 {
            ExchangeOutcome::ClientError
        } else if self.error && self.streamed {
            // The status line was sent before the engine failed: the error is an event of the stream.
            let fault_of_client = self.error_code.as_deref().is_some_and(|code| code.starts_with('4'));
            if fault_of_client { ExchangeOutcome::ClientError } else { ExchangeOutcome::ServerError }
        } else if self.streamed && !self.terminated && !self.incomplete {
            ExchangeOutcome::BrokenStream
        } else {
            ExchangeOutcome::Ok
        }
    }
}

/// The string after the last `key:` in the end of a document that was too long to be kept whole. A quote inside a string
/// is escaped, so a match is a real key, if perhaps of a nested object.
fn tail_string(tail: &[u8], key: &[u8]) -> Option<String> {
    let start = memchr::memmem::rfind(tail, key)?;
    let mut scanner = Scanner::default();
    scanner.push(b"{");
    scanner.push(&tail[start..]);
    scanner.finish().model
}
