//! One exchange and what was said of it: an example, or the reason why it is none.

use super::{Example, LeftOut, Origin, Settings};
use crate::{ExchangeOutcome, Timestamp};

/// The metric of feedback whose value is the answer that would have been right.
pub const CORRECTION: &str = "correction";

/// A score of this or more is good, on the scale of 0 to 1.
const GOOD: f64 = 0.75;
/// One below this is bad.
const BAD: f64 = 0.5;

/// Interfaces whose prompt is what a user said: served models see it in their chat template.
const ENDPOINTS: [&str; 4] = ["chat", "responses", "ollama_chat", "ollama_generate"];

/// A piece of feedback as it was stored. No `Debug`: it may hold text.
#[derive(Clone)]
pub struct Said {
    /// Its key; the last key wins where two came at once.
    pub key: String,
    /// The metric.
    pub metric: String,
    /// On a scale of 0 to 1, where the metric has one.
    pub score: Option<f64>,
    /// Of a correction: the answer that would have been right, masked.
    pub text: Option<String>,
    /// When it came first.
    pub received: Timestamp,
}

/// An exchange as it was stored, and its feedback. No `Debug`: it holds text.
#[derive(Clone)]
pub struct Told {
    /// The exchange's id.
    pub id: String,
    /// When it began.
    pub started: Timestamp,
    /// Which interface, as serde names it.
    pub endpoint: String,
    /// Model name as served.
    pub model: String,
    /// Variant in an experiment, or empty.
    pub variant: String,
    /// How it ended, as [`ExchangeOutcome::as_str`].
    pub outcome: String,
    /// `stop`, `length`, ...
    pub finish_reason: Option<String>,
    /// What was asked, masked.
    pub prompt: Option<String>,
    /// What was answered, masked.
    pub response: Option<String>,
    /// The prompt was longer.
    pub prompt_truncated: bool,
    /// The answer was longer.
    pub response_truncated: bool,
    /// What was said of it.
    pub feedback: Vec<Said>,
}

/// What several scores come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Unjudged,
    Good,
    Unclear,
    Bad,
}

/// The example of `told`; or the reason why there is none, counted in `left_out`.
///
/// A correction always wins: it is the answer that is right, whatever was said of the model's own. Otherwise the answer
/// has to be good: the last score of each metric counts, and one that is bad makes it bad.
pub(super) fn example(mut told: Told, settings: &Settings, left_out: &mut LeftOut) -> Option<Example> {
    let other = |wanted: &Option<String>, found: &str| wanted.as_deref().is_some_and(|wanted| wanted != found);
    told.feedback.retain(|said| said.received < settings.until);
    told.feedback.sort_by(|a, b| (a.received, &a.key).cmp(&(b.received, &b.key)));
    let verdict = verdict(&told.feedback);
    let correction = told.feedback.iter().rev().find(|said| said.metric == CORRECTION && has_words(&said.text));
    let reason = if other(&settings.model, &told.model) || other(&settings.variant, &told.variant) {
        &mut left_out.other_model
    } else if !ENDPOINTS.contains(&told.endpoint.as_str()) {
        &mut left_out.other_endpoint
    } else if let Some(correction) = correction {
        match has_words(&told.prompt) {
            true if told.prompt_truncated => &mut left_out.truncated,
            true => {
                let (response, known) = (correction.text.clone(), correction.received);
                return Some(made(told, response, Origin::Corrected, known));
            }
            false => &mut left_out.no_text,
        }
    } else {
        match verdict {
            Verdict::Unjudged => &mut left_out.unjudged,
            Verdict::Unclear => &mut left_out.unclear,
            Verdict::Bad => &mut left_out.failed_without_correction,
            Verdict::Good if told.outcome != ExchangeOutcome::Ok.as_str() => &mut left_out.not_ok,
            Verdict::Good if is_cut(&told) => &mut left_out.truncated,
            Verdict::Good if !has_words(&told.prompt) || !has_words(&told.response) => &mut left_out.no_text,
            Verdict::Good => {
                let (response, known) = (told.response.take(), told.started);
                return Some(made(told, response, Origin::Good, known));
            }
        }
    };
    *reason += 1;
    None
}

fn made(told: Told, response: Option<String>, origin: Origin, known: Timestamp) -> Example {
    let (prompt, response) = (told.prompt.unwrap_or_default(), response.unwrap_or_default());
    Example { id: told.id, prompt, response, origin, started: told.started, known, weight: 1 }
}

/// `length`: the model itself was stopped in the middle.
fn is_cut(told: &Told) -> bool {
    told.prompt_truncated || told.response_truncated || told.finish_reason.as_deref() == Some("length")
}

fn has_words(text: &Option<String>) -> bool {
    text.as_ref().is_some_and(|text| !text.trim().is_empty())
}

/// Of feedback in the order in which it came.
fn verdict(feedback: &[Said]) -> Verdict {
    let mut last: Vec<(&str, f64)> = Vec::new();
    for (metric, score) in feedback.iter().filter_map(|said| Some((said.metric.as_str(), said.score?))) {
        last.retain(|(known, _)| *known != metric);
        last.push((metric, score));
    }
    let any = |of: fn(f64) -> bool| last.iter().any(|(_, score)| of(*score));
    match last.is_empty() {
        true => Verdict::Unjudged,
        false if any(|score| score < BAD) => Verdict::Bad,
        false if any(|score| score < GOOD) => Verdict::Unclear,
        false => Verdict::Good,
    }
}
