//! Training jobs that report what their ranks hold: taken at the API, shown as series. What is judged is in `rules::ranks`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use plimsoll_exporters::{Metric, Reading, Registry};
use plimsoll_rules::ranks::{RankError, RankReport, Run, Runs};

use crate::clock;
use crate::shutdown::Shutdown;

/// How often what came is shown: a thousand ranks may report in a second.
const EVERY: Duration = Duration::from_secs(1);

/// Every job that reports; clones share it.
#[derive(Clone, Debug)]
pub struct Ranks {
    runs: Arc<Mutex<Runs>>,
    registry: Registry,
}

impl Ranks {
    /// Of no job; shown in `registry` until shutdown.
    pub fn start(registry: Registry, shutdown: &Shutdown) -> Self {
        let ranks = Self { runs: Arc::default(), registry };
        let (shown, ending) = (ranks.clone(), shutdown.clone());
        shutdown.spawn("ranks", async move {
            let mut tick = tokio::time::interval(EVERY);
            loop {
                tokio::select! {
                    () = ending.begun() => return,
                    _ = tick.tick() => shown.show(),
                }
            }
        });
        ranks
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes reports of a run, all or none.
    ///
    /// # Errors
    /// The first that is no good, with its place in the list.
    pub fn take(&self, run: &str, reports: &[RankReport]) -> Result<(), (usize, RankError)> {
        let gone = self.runs().take(run, reports, clock::wall())?;
        if gone > 0 {
            self.registry.add(Metric::Dropped, &["finetune_runs"], gone as f64);
        }
        Ok(())
    }

    /// One run, as it is now.
    pub fn get(&self, run: &str) -> Option<Run> {
        self.runs().get(run).cloned()
    }

    fn show(&self) {
        let mut runs = self.runs();
        runs.forget(clock::wall());
        let readings = runs.iter().flat_map(|(name, run)| readings(name, run)).collect();
        drop(runs);
        self.registry.publish("ranks", readings);
    }
}

fn readings(name: &str, run: &Run) -> Vec<Reading> {
    let diverged = f64::from(u8::from(run.divergence().is_some()));
    let mut all = vec![Reading::scalar(Metric::FinetuneRanksDiverged, &[name], diverged)];
    let mut add = |metric, labels: &[&str], value: Option<f64>| {
        all.extend(value.map(|value| Reading::scalar(metric, labels, value)));
    };
    add(Metric::FinetuneDivergedStep, &[name], run.divergence().map(|divergence| divergence.step as f64));
    add(Metric::FinetuneStraggler, &[name], run.straggler().map(|straggler| straggler.ratio));
    for (number, rank) in run.ranks() {
        let number = number.to_string();
        add(Metric::FinetuneRankStep, &[name, &number], rank.step_seconds());
        add(Metric::FinetuneRankLoss, &[name, &number], rank.loss());
    }
    all
}
