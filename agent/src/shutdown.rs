//! Ends the process in order: one token, tracked tasks, one deadline, names of what did not stop.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Handed to everything that runs in the background. Clones share one token and one set of tasks.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tracker: TaskTracker,
    running: Arc<Mutex<Vec<&'static str>>>,
}

impl Shutdown {
    /// Starts a tracked task; `name` is what the log says if it outlives the deadline.
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let running = self.running.clone();
        lock(&running).push(name);
        self.tracker.spawn(async move {
            task.await;
            let mut names = lock(&running);
            if let Some(at) = names.iter().position(|n| *n == name) {
                names.swap_remove(at);
            }
        });
    }

    /// Completes when shutdown begins.
    pub async fn begun(&self) {
        self.token.cancelled().await;
    }

    /// Whether shutdown has begun.
    pub fn has_begun(&self) -> bool {
        self.token.is_cancelled()
    }

    /// The token itself, for code of other crates.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// The set of tasks, for code of other crates: the end waits for them too.
    pub fn tracker(&self) -> TaskTracker {
        self.tracker.clone()
    }

    /// Begins: tasks that listen stop taking work.
    pub fn begin(&self) {
        self.token.cancel();
    }

    /// Waits for every tracked task, at most `deadline`; gives the names of those still running then.
    pub async fn finish(&self, deadline: Duration) -> Vec<&'static str> {
        self.begin();
        self.tracker.close();
        if tokio::time::timeout(deadline, self.tracker.wait()).await.is_ok() {
            return Vec::new();
        }
        lock(&self.running).clone()
    }
}

/// A poisoned list of names is still a list of names.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn finish_waits_for_listeners_and_names_the_stuck() {
        let shutdown = Shutdown::default();
        let listener = shutdown.clone();
        shutdown.spawn("listener", async move { listener.begun().await });
        shutdown.spawn("stuck", std::future::pending());
        assert_eq!(shutdown.finish(Duration::from_secs(1)).await, ["stuck"]);
    }
}
