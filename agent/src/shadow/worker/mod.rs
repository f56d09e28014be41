//! The worker: a process of its own that holds the models, answers over HTTP, and makes way for the served model.
//!
//! One thread owns the device and runs batches; texts become tokens on others. A fault of a model or of a device ends
//! this process and no other.

mod answers;
mod check;
mod device;
mod http;
mod listen;
mod models;
mod polite;
mod refusal;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use plimsoll_exporters::{Metric, Registry};
use plimsoll_shadow_model::Options;
use plimsoll_shadow_model::serve::BatchLimits;
use reqwest::Url;

use crate::config::Secret;
use crate::shutdown::Shutdown;

pub use answers::mistake;
pub use check::{check, words};
pub use listen::Listen;
pub use models::HASHED;

use device::Desk;
use models::Models;
use polite::Polite;

/// What a worker is told.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// Where it listens.
    pub listen: Listen,
    /// Who may ask; everybody who can reach it when absent.
    pub token: Option<Secret>,
    /// Folder of the embedding model; hashed n-grams without one.
    pub model: Option<PathBuf>,
    /// Folder of the language model.
    pub scorer: Option<PathBuf>,
    /// Folder of the reward model.
    pub reward: Option<PathBuf>,
    /// Where and in which numbers they run.
    pub options: Options,
    /// How batches are made.
    pub batches: BatchLimits,
    /// Texts that may wait; more are refused.
    pub queue: usize,
    /// Bytes of answers kept for texts that come again.
    pub cache: usize,
    /// The served engine's metrics: while requests wait there, the worker does nothing.
    pub engine: Option<Url>,
    /// NVML's library, where it is not where the loader looks.
    pub nvml: Option<String>,
}

/// How long answers that are being made may still take when the worker is to end.
const GRACE: Duration = Duration::from_secs(5);

/// Loads the models, warms them up, and answers until it is told to end.
///
/// # Errors
/// A model cannot be loaded, the place to listen is taken, or the thread of the device broke down.
pub async fn run(options: WorkerOptions, shutdown: &Shutdown) -> anyhow::Result<()> {
    let registry = Registry::new(1000);
    // the socket first: whoever waits for it sees that we are coming, and a taken one is known before minutes of loading
    let listener = options.listen.bind().await?;
    let loading = options.clone();
    let models = tokio::task::spawn_blocking(move || Models::open(&loading)).await.context("loading the models")??;
    for (task, bytes) in models.bytes() {
        registry.set(Metric::ShadowModelBytes, &[task], bytes as f64);
    }
    tracing::info!(listen = %options.listen, models = %models, "the shadow worker is ready");
    let polite = Polite::start(options.engine.clone(), options.nvml.as_deref(), &models, registry.clone(), shutdown);
    let (desk, thread) = Desk::start(models, &options, polite, registry.clone());
    let router = http::router(desk, registry, options.token.clone());
    let serving = listener.serve(router, shutdown.clone());
    tokio::select! {
        served = serving => served?,
        // a client that dawdles over its question does not hold the end
        () = async { shutdown.begun().await; tokio::time::sleep(GRACE).await } => {
            tracing::warn!("requests that were not over were cut off");
        }
        broken = tokio::task::spawn_blocking(move || thread.join().is_err()) => {
            anyhow::ensure!(!broken.unwrap_or(true), "the thread of the device broke down");
        }
    }
    shutdown.finish(GRACE).await;
    Ok(())
}
