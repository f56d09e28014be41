//! Where others look at drift and act on it: the latest snapshot, and questions to the task that owns the detectors.

use std::collections::BTreeMap;
use std::sync::Arc;

use plimsoll_rules::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

use super::act::{Act, ActError};
use super::audit::{By, Entry};
use super::bench::Bench;
use super::signal::{Signal, SignalId};
use super::view::{Annotations, SignalView};

/// What others may see; replaced whole.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// When it was taken.
    pub at: Timestamp,
    /// Every signal.
    pub signals: Vec<SignalView>,
    /// Why nothing is known: what was saved cannot be read.
    pub unread: Option<String>,
    /// What alerts on them say more, by signal, model and variant.
    pub annotations: BTreeMap<(String, String, String), Annotations>,
}

/// Which model and variant of a signal is meant; what is not said must be clear without.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Which {
    /// Model name as served.
    pub model: Option<String>,
    /// Variant.
    pub variant: Option<String>,
}

/// A question or an order about one signal.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Every version of the baseline.
    Baselines,
    /// Two versions, side by side.
    Compare(u64, u64),
    /// Something to be done, and who wants it.
    Do(Act, By),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// Drift is not watched at all.
    #[error("drift is off: set drift.enabled")]
    Off,
    /// What was saved cannot be read, or has not been yet.
    #[error("{0}")]
    NotReady(String),
    /// There is no such signal.
    #[error("{0}")]
    Unknown(String),
    /// More than one is meant.
    #[error("{signal} is watched for several models: say which with model and variant; known: {known}")]
    Ambiguous {
        /// The signal.
        signal: &'static str,
        /// Its models and variants.
        known: String,
    },
    /// The database refuses.
    #[error("the log cannot be read: {0}")]
    Disk(String),
    /// It may not be done.
    #[error(transparent)]
    Act(#[from] ActError),
}

/// What may be asked.
pub(super) enum Question {
    /// About one signal.
    Signal(Signal, Which, Ask),
    /// So many of the newest acts on baselines.
    Log(usize),
}

/// A question with the way of its answer.
pub(super) struct Request {
    pub(super) question: Question,
    pub(super) answer: oneshot::Sender<Result<Value, Refusal>>,
}

/// The handle of the drift task; clones share it.
#[derive(Clone, Debug)]
pub struct Drift {
    snapshot: watch::Receiver<Arc<Snapshot>>,
    requests: Option<mpsc::Sender<Request>>,
}

/// Questions that may wait; more make the caller wait.
const QUEUE: usize = 8;

impl Drift {
    /// Of a pod that does not watch for drift.
    pub fn off() -> Self {
        let (_, snapshot) = watch::channel(Arc::default());
        Self { snapshot, requests: None }
    }

    pub(super) fn new() -> (Self, watch::Sender<Arc<Snapshot>>, mpsc::Receiver<Request>) {
        let (publish, snapshot) = watch::channel(Arc::default());
        let (requests, queue) = mpsc::channel(QUEUE);
        (Self { snapshot, requests: Some(requests) }, publish, queue)
    }

    /// Whether drift is watched.
    pub fn is_on(&self) -> bool {
        self.requests.is_some()
    }

    /// The latest snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.borrow().clone()
    }

    /// Puts a question or an order; what it changes is on disk when it returns (`durable` in the answer says so).
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn ask(&self, signal: Signal, which: Which, ask: Ask) -> Result<Value, Refusal> {
        self.put(Question::Signal(signal, which, ask)).await
    }

    /// The newest acts on baselines, the newest first, at most `limit`.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn log(&self, limit: usize) -> Result<Value, Refusal> {
        self.put(Question::Log(limit)).await
    }

    async fn put(&self, question: Question) -> Result<Value, Refusal> {
        let requests = self.requests.as_ref().ok_or(Refusal::Off)?;
        let (answer, answered) = oneshot::channel();
        requests.send(Request { question, answer }).await.map_err(|_| Refusal::Off)?;
        answered.await.unwrap_or(Err(Refusal::Off))
    }
}

/// Answers on the side of the detectors.
pub(super) fn answer(
    bench: &mut Bench,
    signal: Signal,
    which: &Which,
    ask: Ask,
    now: Timestamp,
) -> Result<Value, Refusal> {
    let id = meant(bench, signal, which)?;
    let (_, watch) = bench
        .watches_mut()
        .find(|(other, _)| *other == id)
        .ok_or_else(|| Refusal::Unknown(format!("{} is not watched", id.signal.name())))?;
    let mut said = json!({"signal": signal.name(), "model": id.model, "variant": id.variant});
    match ask {
        Ask::Baselines => said["baselines"] = Value::Array(watch.baselines()),
        Ask::Compare(before, after) => said["comparison"] = watch.compare(before, after)?,
        Ask::Do(act, by) => {
            let version = watch.act(act, now)?;
            said["baseline"] = json!(version);
            if act == Act::Accept {
                said["learned"] = json!(watch.learned(now));
            }
            bench.note(Entry::done(now, id.clone(), act, version, &by));
            bench.set_urgent();
            tracing::info!(signal = %id, ?act, baseline = %said["baseline"], "drift baseline changed on request");
        }
    }
    Ok(said)
}

/// The one signal that fits.
fn meant(bench: &mut Bench, signal: Signal, which: &Which) -> Result<SignalId, Refusal> {
    let fits = |id: &SignalId| {
        id.signal == signal
            && which.model.as_ref().is_none_or(|model| *model == id.model)
            && which.variant.as_ref().is_none_or(|variant| *variant == id.variant)
    };
    let mut fitting: Vec<SignalId> = bench.watches_mut().map(|(id, _)| id).filter(fits).collect();
    match fitting.len() {
        1 => Ok(fitting.remove(0)),
        0 => Err(Refusal::Unknown(format!("{} has not been observed for that model and variant", signal.name()))),
        _ => {
            let shown = |id: &SignalId| format!("model={:?} variant={:?}", id.model, id.variant);
            let known = fitting.iter().map(shown).collect::<Vec<_>>().join(", ");
            Err(Refusal::Ambiguous { signal: signal.name(), known })
        }
    }
}
