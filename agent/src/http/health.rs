//! /livez, /readyz, /startupz: alive while the process answers, started and ready when every latch has dropped.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;

/// Shared readiness; clones share it. Depends on our own parts only: never on the engine, a receiver or an exporter.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    latches: Vec<&'static str>,
    stopping: bool,
}

/// Holds readiness back until it is dropped.
#[derive(Debug)]
pub struct Latch {
    readiness: Readiness,
    name: &'static str,
}

impl Readiness {
    /// Not ready until the returned latch is dropped.
    pub fn latch(&self, name: &'static str) -> Latch {
        self.lock().latches.push(name);
        Latch { readiness: self.clone(), name }
    }

    /// Not ready any more: the process is going to end.
    pub fn stopping(&self) {
        self.lock().stopping = true;
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn started(&self) -> Result<(), String> {
        let waiting = self.lock();
        if waiting.latches.is_empty() { Ok(()) } else { Err(format!("waiting for {}", waiting.latches.join(", "))) }
    }

    fn ready(&self) -> Result<(), String> {
        if self.lock().stopping { Err("stopping".to_owned()) } else { self.started() }
    }
}

impl Drop for Latch {
    fn drop(&mut self) {
        let mut waiting = self.readiness.lock();
        if let Some(at) = waiting.latches.iter().position(|name| *name == self.name) {
            waiting.latches.swap_remove(at);
        }
    }
}

/// Alive: the process answers.
pub async fn livez() -> &'static str {
    "ok\n"
}

/// Ready: started and not stopping.
pub async fn readyz(State(readiness): State<Readiness>) -> (StatusCode, String) {
    answer(readiness.ready())
}

/// Started: every latch has dropped once.
pub async fn startupz(State(readiness): State<Readiness>) -> (StatusCode, String) {
    answer(readiness.started())
}

fn answer(state: Result<(), String>) -> (StatusCode, String) {
    match state {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why + "\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_every_latch_has_dropped_and_until_the_end() {
        let readiness = Readiness::default();
        let (a, b) = (readiness.latch("records"), readiness.latch("rules"));
        drop(b);
        assert_eq!(readiness.ready(), Err("waiting for records".to_owned()));
        drop(a);
        assert_eq!(readiness.ready(), Ok(()));
        readiness.stopping();
        assert_eq!((readiness.started(), readiness.ready()), (Ok(()), Err("stopping".to_owned())));
    }
}
