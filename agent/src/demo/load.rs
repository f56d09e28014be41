//! Real CPU load: one busy thread a core, as polite as threads can be, until dropped.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;

/// Busy threads; all stop when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Burners {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Burners {
    /// Starts `count` more threads; fewer when the system refuses.
    pub(crate) fn add(&mut self, count: usize) {
        for _ in 0..count {
            let stop = self.stop.clone();
            let started = std::thread::Builder::new().name("demo-load".to_owned()).spawn(move || burn(&stop));
            self.threads.extend(started);
        }
    }

    /// How many threads burn.
    pub(crate) fn count(&self) -> usize {
        self.threads.len()
    }
}

impl Drop for Burners {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            // A burner cannot panic; if it did, it has stopped.
            let _ = thread.join();
        }
    }
}

fn burn(stop: &AtomicBool) {
    // The lowest priority (of this thread only) takes every idle moment and nothing else: utilization is as real, and
    // the traffic goes on. Refused or not, the load is there.
    let _ = rustix::process::setpriority_process(None, 19);
    let mut x = 0x9e37_79b9_7f4a_7c15_u64;
    while !stop.load(Relaxed) {
        for _ in 0..100_000 {
            x = black_box(x ^ (x << 13)).rotate_left(7).wrapping_mul(5);
        }
    }
    black_box(x);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burners_stop_when_dropped() {
        let mut burners = Burners::default();
        burners.add(2);
        assert_eq!(burners.count(), 2);
        drop(burners);
    }
}
