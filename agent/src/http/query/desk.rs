//! Where queries are let in, and the bounds that keep them from harming the pod.
//!
//! The pipeline only copies the series that an expression selects (`Expr::excerpt`, chunks are shared); the work is
//! done on the blocking pool, few queries at a time, until the time is up or the caller has gone away.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_exporters::{Metric, Registry};
use plimsoll_rules::promql::{Answer, EvalError, EvalOptions, Expr, Interrupt};
use plimsoll_rules::{RuleEngine, Store, Timestamp};
use tokio::sync::Semaphore;

use super::QueryLimits;
use super::envelope::{Failure, Kind, Success};
use crate::pipeline::Desk;

/// Queries at work at once.
const RUNNING: usize = 2;
/// Queries at work or waiting their turn; more are refused.
const ADMITTED: usize = 32;
/// Samples that a query may hold at once: with their text about 25 MB.
const POINTS: u64 = 500_000;

/// Lets queries in. Clones share the bounds.
#[derive(Clone, Debug)]
pub(super) struct QueryDesk {
    pipeline: Desk,
    pub(super) registry: Registry,
    limits: QueryLimits,
    admitted: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

/// How one query wants to be evaluated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) timeout: Option<Duration>,
    pub(super) lookback: Option<Duration>,
}

impl QueryDesk {
    pub(super) fn new(pipeline: Desk, registry: Registry, limits: QueryLimits) -> Self {
        let permits = |count| Arc::new(Semaphore::new(count));
        Self { pipeline, registry, limits, admitted: permits(ADMITTED), running: permits(RUNNING) }
    }

    /// Looks at store and engine on the pipeline's own task: only for what is quick.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Store, &RuleEngine) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(self.limits.time, self.pipeline.ask(look)).await {
            Ok(Some(seen)) => Ok(seen),
            Ok(None) => Err(Failure::new(Kind::Unavailable, "shutting down")),
            Err(_) => Err(self.too_long(self.limits.time)),
        }
    }

    /// Evaluates `expr` with `run` over a copy of the series it selects; `render` writes the answer as JSON.
    pub(super) async fn evaluate(
        &self,
        expr: Expr,
        terms: Terms,
        run: impl FnOnce(&Expr, &Store, &EvalOptions) -> Result<Answer, EvalError> + Send + 'static,
        render: impl FnOnce(Answer) -> Success + Send + 'static,
    ) -> Result<Success, Failure> {
        let Ok(_admitted) = self.admitted.try_acquire() else { return Err(self.refuse("busy", busy())) };
        let time = terms.timeout.map_or(self.limits.time, |wanted| wanted.min(self.limits.time));
        if time.is_zero() {
            return Err(self.too_long(time));
        }
        let interrupt = Interrupt::default();
        // a caller that hangs up drops this future: what is under way ends as well
        let _ends = RaiseOnDrop(interrupt.clone());
        let usual = EvalOptions::default();
        let options = EvalOptions {
            lookback: terms.lookback.unwrap_or(usual.lookback),
            max_samples: self.limits.samples,
            max_points: POINTS,
            interrupt,
            ..usual
        };
        let work = async {
            let running = self.running.clone().acquire_owned().await.map_err(|_| busy())?;
            let (expr, excerpt) = self
                .pipeline
                .ask(move |store, _| {
                    let excerpt = expr.excerpt(store);
                    (expr, excerpt)
                })
                .await
                .ok_or_else(|| Failure::new(Kind::Unavailable, "shutting down"))?;
            let job = move || {
                // held until the thread is done, also when nobody waits for it any more
                let _running = running;
                let failed = |(name, why)| format!("the source of {name} is unavailable: {why}");
                let unavailable: Vec<String> = excerpt.unavailable().map(failed).collect();
                let mut answer = run(&expr, &excerpt.into_store(), &options)?;
                answer.warnings.extend(unavailable);
                Ok(render(answer))
            };
            let done = tokio::task::spawn_blocking(job).await;
            done.map_err(|_| Failure::new(Kind::Execution, "the evaluation ended abnormally"))
        };
        match tokio::time::timeout(time, work).await {
            Err(_) => Err(self.too_long(time)),
            Ok(Err(failure)) => Err(failure),
            Ok(Ok(Ok(success))) => Ok(success),
            Ok(Ok(Err(error))) => Err(self.failed(error)),
        }
    }

    fn failed(&self, error: EvalError) -> Failure {
        let failure = Failure::new(Kind::Execution, error.message);
        if error.over_budget { self.refuse("cost", failure) } else { failure }
    }

    fn too_long(&self, time: Duration) -> Failure {
        let message = format!("query timed out: it may take {time:?} here (limits.query_time)");
        self.refuse("time", Failure::new(Kind::Timeout, message))
    }

    fn refuse(&self, reason: &str, failure: Failure) -> Failure {
        self.registry.add(Metric::QueriesRefused, &[reason], 1.0);
        failure
    }
}

fn busy() -> Failure {
    Failure::new(Kind::Unavailable, "too many queries at once; try again")
}

/// Ends an evaluation whose result nobody waits for.
struct RaiseOnDrop(Interrupt);

impl Drop for RaiseOnDrop {
    fn drop(&mut self) {
        self.0.raise();
    }
}

/// Now, as queries without a time mean it.
pub(super) fn now() -> Timestamp {
    crate::clock::wall()
}
