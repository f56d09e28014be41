//! Real CPU load: one busy thread a core, more while the agent's own figure says that it is not enough.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use plimsoll_exporters::Metric;

use super::board::Board;
use super::scrape;

/// What the CPU rule takes for too much.
pub(crate) const BUSY: f64 = 0.85;
/// Between two looks at whether it is enough.
const LOOK: Duration = Duration::from_secs(3);

/// The load of the act; dropped, it is over.
#[derive(Debug)]
pub(crate) struct Load {
    burners: Burners,
    cores: usize,
    looked_at: Duration,
}

impl Load {
    /// A busy thread for each core that is ours or that the agent's figure refers to.
    pub(crate) fn start(board: &Board) -> Self {
        let own = std::thread::available_parallelism().map_or(1, usize::from);
        let limit = scrape::largest(&board.metrics, Metric::CpuLimitCores.name(), &[]).unwrap_or(0.0);
        let cores = own.max(limit.ceil() as usize);
        let mut burners = Burners::default();
        burners.add(cores);
        Self { burners, cores, looked_at: Duration::ZERO }
    }

    /// `elapsed` after its start: more threads when that was not enough, up to eight a core.
    pub(crate) fn top_up(&mut self, board: &Board, elapsed: Duration) {
        if elapsed < self.looked_at + LOOK {
            return;
        }
        self.looked_at = elapsed;
        let enough = board.points.last().and_then(|point| point.cpu).is_none_or(|cpu| cpu > BUSY + 0.05);
        if !enough && self.burners.threads.len() < 8 * self.cores {
            self.burners.add(self.cores);
        }
    }
}

/// Busy threads; all stop when this is dropped.
#[derive(Debug, Default)]
struct Burners {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Burners {
    /// Starts `count` more threads; fewer when the system refuses.
    fn add(&mut self, count: usize) {
        for _ in 0..count {
            let stop = self.stop.clone();
            let started = std::thread::Builder::new().name("demo-load".to_owned()).spawn(move || burn(&stop));
            self.threads.extend(started);
        }
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
    use crate::demo::board::Point;

    #[test]
    fn threads_are_added_only_while_the_machine_is_not_busy() {
        let board = |cpu| Board { points: vec![Point { cpu, ..Point::default() }], ..Board::default() };
        let mut load = Load::start(&board(None));
        let cores = load.cores;
        for (why, second, cpu, expected) in [
            ("too early to tell", 1, Some(0.1), cores),
            ("busy enough", 4, Some(0.99), cores),
            ("not enough", 8, Some(0.6), 2 * cores),
            ("just added", 9, Some(0.6), 2 * cores),
            ("no figure", 13, None, 2 * cores),
        ] {
            load.top_up(&board(cpu), Duration::from_secs(second));
            assert_eq!(load.burners.threads.len(), expected, "{why}");
        }
        let stop = load.burners.stop.clone();
        drop(load);
        assert_eq!(Arc::strong_count(&stop), 1, "every thread has ended");
    }
}
