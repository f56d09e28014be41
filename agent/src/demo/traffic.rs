//! The people in front of the pod: requests through the tap at a steady rate, and what became of each, told to the API.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Context as _;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::quantiles::{self, Spread, Step};
use super::scene::Conditions;
use super::words;
use crate::shutdown::Shutdown;

/// Visits at once (an answer being read, a reader thinking); one more is skipped and counted, so that a slow engine is
/// not buried.
const OPEN: usize = 96;
/// Give up on one request after this long.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What happened to the traffic, counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Requests sent.
    pub(crate) sent: AtomicU64,
    /// Answers that came to their end.
    pub(crate) answered: AtomicU64,
    /// Requests without a proper answer.
    pub(crate) failed: AtomicU64,
    /// Requests not sent because too many were open.
    pub(crate) skipped: AtomicU64,
    /// Chunks of streamed answers.
    pub(crate) chunks: AtomicU64,
    /// Feedback acknowledged.
    pub(crate) feedback: AtomicU64,
    /// Feedback that was not.
    pub(crate) feedback_failed: AtomicU64,
}

/// Where traffic goes and what it is like.
#[derive(Clone, Debug)]
pub(crate) struct Aim {
    /// Base URL of the tap.
    pub(crate) tap: String,
    /// Base URL of the agent's API.
    pub(crate) api: String,
    /// Model to ask for.
    pub(crate) model: String,
    /// Requests a second.
    pub(crate) rate: f64,
    /// Prompt lengths are multiplied by this (1 for the stand-in; less for a slow real engine).
    pub(crate) prompt_scale: f64,
    /// Ask for `max_tokens` drawn from the trace, for an engine that would not stop by itself.
    pub(crate) limit_answers: bool,
}

/// One request before it is sent.
#[derive(Clone, Copy, Debug)]
struct Draw {
    prompt_words: usize,
    first_word: usize,
    most_tokens: Option<u64>,
    stream: bool,
    /// From the answer's end until its reader presses a button.
    thinking: Duration,
    completed: bool,
    content: Option<bool>,
}

/// Draws requests one after the other; each property fills its distribution evenly.
#[derive(Debug)]
pub(crate) struct Dice {
    rng: fastrand::Rng,
    prompt: Spread,
    answer: Spread,
    completed: Spread,
    satisfied: Spread,
    manner: Spread,
}

impl Dice {
    /// Begins at random places.
    pub(crate) fn new(mut rng: fastrand::Rng) -> Self {
        let [prompt, answer, completed, satisfied, manner] =
            [Step::Prompt, Step::Answer, Step::Completed, Step::Satisfied, Step::Manner]
                .map(|step| Spread::new(step, &mut rng));
        Self { rng, prompt, answer, completed, satisfied, manner }
    }

    /// Words of the next prompt.
    pub(crate) fn prompt_words(&mut self, factor: f64) -> usize {
        (quantiles::at(&quantiles::PROMPT_TOKENS, self.prompt.draw()) * factor).round().max(1.0) as usize
    }

    fn draw(&mut self, aim: &Aim, conditions: Conditions) -> Draw {
        let answer = quantiles::at(&quantiles::ANSWER_TOKENS, self.answer.draw()).round() as u64;
        let manner = self.manner.draw();
        let (completed, content) = self.outcome(conditions);
        Draw {
            prompt_words: self.prompt_words(aim.prompt_scale * conditions.prompt_factor),
            first_word: self.rng.usize(..1 << 16),
            most_tokens: aim.limit_answers.then_some(answer),
            stream: manner < 0.75,
            thinking: Duration::from_millis(self.rng.u64(300..1500)),
            completed,
            content,
        }
    }

    /// Whether the next task is completed, and what its user says (two in three say something).
    pub(crate) fn outcome(&mut self, conditions: Conditions) -> (bool, Option<bool>) {
        let completed = self.completed.draw() < conditions.completion;
        let content = self.rng.u8(..3).gt(&0).then(|| self.satisfied.draw() < conditions.satisfaction);
        (completed, content)
    }

    /// From one request to the next: even, but not a metronome.
    pub(crate) fn pause(&mut self, rate: f64) -> Duration {
        Duration::from_secs_f64((0.5 + self.rng.f64()) / rate)
    }
}

/// A client for the loopback: no proxy from the environment, no certificates to look for.
///
/// # Errors
/// The client cannot be built.
pub(crate) fn loopback_client() -> anyhow::Result<reqwest::Client> {
    // It is an error only if one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(TIMEOUT).build().context("no HTTP client")
}

/// Sends requests until shutdown, as `conditions` says at the time.
pub(crate) fn start(
    aim: Aim,
    client: reqwest::Client,
    conditions: watch::Receiver<Conditions>,
    tally: Arc<Tally>,
    shutdown: &Shutdown,
) {
    let stop = shutdown.clone();
    shutdown.spawn("demo traffic", async move {
        tokio::select! {
            () = send_forever(Arc::new(aim), client, conditions, tally) => {}
            () = stop.begun() => {}
        }
    });
}

async fn send_forever(
    aim: Arc<Aim>,
    client: reqwest::Client,
    conditions: watch::Receiver<Conditions>,
    tally: Arc<Tally>,
) {
    let mut dice = Dice::new(fastrand::Rng::new());
    let open = Arc::new(Semaphore::new(OPEN));
    let mut requests = JoinSet::new();
    let mut next = tokio::time::Instant::now();
    loop {
        next += dice.pause(aim.rate);
        tokio::time::sleep_until(next).await;
        while requests.try_join_next().is_some() {}
        let draw = dice.draw(&aim, *conditions.borrow());
        let Ok(permit) = open.clone().try_acquire_owned() else {
            tally.skipped.fetch_add(1, Relaxed);
            continue;
        };
        let (aim, client, tally) = (aim.clone(), client.clone(), tally.clone());
        requests.spawn(async move {
            one_visit(&aim, &client, draw, &tally).await;
            drop(permit);
        });
    }
}

async fn one_visit(aim: &Aim, client: &reqwest::Client, draw: Draw, tally: &Tally) {
    tally.sent.fetch_add(1, Relaxed);
    let id = match ask(aim, client, draw, tally).await {
        Ok(id) => id,
        Err(error) => {
            tally.failed.fetch_add(1, Relaxed);
            tracing::debug!(%error, "demo request failed");
            return;
        }
    };
    tally.answered.fetch_add(1, Relaxed);
    tokio::time::sleep(draw.thinking).await;
    tell(aim, client, &id, "task_completed", json!(draw.completed), tally).await;
    if let Some(content) = draw.content {
        tell(aim, client, &id, "thumbs", json!(content), tally).await;
    }
}

/// Asks, reads the whole answer, gives its id.
async fn ask(aim: &Aim, client: &reqwest::Client, draw: Draw, tally: &Tally) -> anyhow::Result<String> {
    let prompt = words::text(draw.first_word, draw.prompt_words);
    let mut body = json!({"model": aim.model, "messages": [{"role": "user", "content": prompt}]});
    if let Some(most) = draw.most_tokens {
        body["max_tokens"] = most.into();
    }
    if draw.stream {
        body["stream"] = true.into();
        body["stream_options"] = json!({"include_usage": true});
    }
    let answer = client.post(format!("{}/v1/chat/completions", aim.tap)).json(&body).send().await?;
    let answer = answer.error_for_status()?;
    if !draw.stream {
        let answer: Value = answer.json().await?;
        return Ok(answer["id"].as_str().context("an answer without id")?.to_owned());
    }
    let mut text = Vec::new();
    let mut chunks = answer.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        text.extend_from_slice(&chunk?);
    }
    tally.chunks.fetch_add(memchr::memmem::find_iter(&text, b"data: ").count() as u64, Relaxed);
    anyhow::ensure!(memchr::memmem::rfind(&text, b"data: [DONE]").is_some(), "a stream without its end");
    stream_id(&text).context("a stream without id")
}

/// The `id` in the first event of a stream.
fn stream_id(text: &[u8]) -> Option<String> {
    let event = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"data: "))?;
    let event: Value = serde_json::from_slice(event).ok()?;
    event["id"].as_str().map(str::to_owned)
}

async fn tell(aim: &Aim, client: &reqwest::Client, id: &str, metric: &str, value: Value, tally: &Tally) {
    let body = json!({"inference_id": id, "metric_name": metric, "value": value});
    let told = client.post(format!("{}/api/v1/feedback", aim.api)).json(&body).send().await;
    match told.and_then(reqwest::Response::error_for_status) {
        Ok(_) => tally.feedback.fetch_add(1, Relaxed),
        Err(error) => {
            tracing::debug!(%error, "demo feedback failed");
            tally.feedback_failed.fetch_add(1, Relaxed)
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::scene::Act;

    fn aim(limit_answers: bool) -> Aim {
        let nowhere = String::new();
        Aim { tap: nowhere.clone(), api: nowhere.clone(), model: nowhere, rate: 20.0, prompt_scale: 1.0, limit_answers }
    }

    #[test]
    fn draws_follow_the_conditions() {
        for act in Act::ALL {
            let wanted = act.conditions();
            let mut dice = Dice::new(fastrand::Rng::with_seed(7));
            let draws: Vec<Draw> = (0..1000).map(|_| dice.draw(&aim(false), wanted)).collect();
            let completed = draws.iter().filter(|draw| draw.completed).count() as f64 / 1000.0;
            let words = draws.iter().map(|draw| draw.prompt_words as f64).sum::<f64>() / 1000.0;
            assert!((completed - wanted.completion).abs() < 0.01, "{act:?}: {completed} completed");
            assert!((words / (2060.0 * wanted.prompt_factor) - 1.0).abs() < 0.02, "{act:?}: {words} words");
            assert!(draws.iter().all(|draw| draw.most_tokens.is_none()), "the stand-in stops by itself");
        }
    }

    #[test]
    fn the_id_is_that_of_the_first_event() {
        for (why, text, expected) in [
            ("a chunk", "data: {\"id\":\"chatcmpl-1\"}\n\ndata: [DONE]\n\n", Some("chatcmpl-1")),
            ("a comment before it", ": ping\n\ndata: {\"id\":\"a\"}\n\n", Some("a")),
            ("no event", "", None),
            ("not JSON", "data: {\n\n", None),
        ] {
            assert_eq!(stream_id(text.as_bytes()).as_deref(), expected, "{why}");
        }
    }
}
