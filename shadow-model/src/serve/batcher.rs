//! Dynamic batching: texts of similar length run together, and a batch waits only while waiting pays.
//!
//! A batch starts when it is full, when its oldest text has waited as long as it may, or when nobody else is expected in
//! the time that is left, by the rate at which texts have been coming. So a lone text never waits, and under load batches
//! fill by themselves: while one runs the next one gathers.

use std::collections::VecDeque;
use std::time::Duration;

/// Over how many arrivals the rate is averaged.
const MEMORY: f64 = 16.0;

/// How large a batch may be and how long it may gather.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Tokens in one batch, counted as if all were as long as the longest.
    pub tokens: usize,
    /// Texts in one batch.
    pub texts: usize,
    /// How long the oldest text waits for company at most.
    pub patience: Duration,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self { tokens: 8192, texts: 64, patience: Duration::from_millis(5) }
    }
}

struct Waiting<T> {
    since: Duration,
    tokens: usize,
    what: T,
}

/// Texts that wait for their batch. Times are spans since any fixed moment.
pub struct Batcher<T> {
    limits: BatchLimits,
    waiting: VecDeque<Waiting<T>>,
    last: Option<Duration>,
    /// Mean seconds between two arrivals.
    gap: Option<f64>,
}

impl<T> Batcher<T> {
    /// Nothing waits yet.
    pub fn new(limits: BatchLimits) -> Self {
        Self { limits, waiting: VecDeque::new(), last: None, gap: None }
    }

    /// A text of so many tokens has come.
    pub fn push(&mut self, now: Duration, tokens: usize, what: T) {
        if let Some(last) = self.last.replace(now) {
            let gap = now.saturating_sub(last).as_secs_f64();
            let mean = self.gap.unwrap_or(gap);
            self.gap = Some(mean + (gap - mean) / MEMORY);
        }
        self.waiting.push_back(Waiting { since: now, tokens, what });
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How long the next batch is still worth waiting for, zero when it is due; `None` when nothing waits.
    pub fn due_in(&self, now: Duration) -> Option<Duration> {
        let oldest = self.waiting.front()?;
        let left = (oldest.since + self.limits.patience).saturating_sub(now);
        let missing = self.limits.texts.saturating_sub(self.waiting.len());
        if left.is_zero() || missing == 0 || self.tokens() >= self.limits.tokens {
            return Some(Duration::ZERO);
        }
        // the silence since the last arrival counts too: a burst that is over is over
        let silence = self.last.map_or(0.0, |last| now.saturating_sub(last).as_secs_f64());
        let gap = self.gap.unwrap_or(f64::INFINITY).max(silence);
        if gap > left.as_secs_f64() {
            return Some(Duration::ZERO);
        }
        Some(left.min(Duration::from_secs_f64(gap * missing as f64)))
    }

    fn tokens(&self) -> usize {
        self.waiting.iter().map(|waiting| waiting.tokens).sum()
    }

    /// The next batch: the text that has waited longest and those most like it in length, in the order of arrival.
    pub fn take(&mut self) -> Vec<T> {
        let Some(oldest) = self.waiting.front() else { return Vec::new() };
        let length = oldest.tokens.max(1);
        let mut order: Vec<usize> = (0..self.waiting.len()).collect();
        order.sort_by_key(|&at| (at != 0, self.waiting[at].tokens.abs_diff(length), at));
        let (mut longest, mut chosen) = (length, vec![false; order.len()]);
        for (count, &at) in order.iter().enumerate() {
            let tokens = self.waiting[at].tokens;
            let padded = longest.max(tokens).saturating_mul(count + 1);
            let alike = tokens <= 2 * length && length <= 2 * tokens.max(16);
            if count > 0 && (count >= self.limits.texts || padded > self.limits.tokens || !alike) {
                break;
            }
            longest = longest.max(tokens);
            chosen[at] = true;
        }
        let (mut batch, mut rest) = (Vec::new(), VecDeque::new());
        for (waiting, chosen) in self.waiting.drain(..).zip(chosen) {
            match chosen {
                true => batch.push(waiting.what),
                false => rest.push_back(waiting),
            }
        }
        self.waiting = rest;
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn batcher(texts: usize, tokens: usize) -> Batcher<u32> {
        Batcher::new(BatchLimits { tokens, texts, patience: 5 * MS })
    }

    #[test]
    fn a_lone_text_does_not_wait() {
        let mut batcher = batcher(8, 1000);
        assert_eq!(batcher.due_in(MS), None);
        batcher.push(1000 * MS, 10, 1);
        assert_eq!(batcher.due_in(1000 * MS), Some(Duration::ZERO), "nobody knows whether another comes");
        assert_eq!(batcher.take(), [1]);
        batcher.push(2000 * MS, 10, 2);
        assert_eq!(batcher.due_in(2000 * MS), Some(Duration::ZERO), "one a second: no other in 5 ms");
    }

    #[test]
    fn company_that_is_expected_is_waited_for() {
        let mut batcher = batcher(8, 1000);
        for n in 0..4 {
            batcher.push(n * MS, 10, n);
        }
        let due = batcher.due_in(3 * MS).unwrap();
        assert!(due > Duration::ZERO && due <= 2 * MS, "{due:?}");
        assert_eq!(batcher.due_in(4 * MS + MS / 2), Some(Duration::ZERO), "the burst seems to be over");
        assert_eq!(batcher.due_in(5 * MS), Some(Duration::ZERO), "the oldest has waited long enough");
    }

    #[test]
    fn a_full_batch_is_due_and_no_larger() {
        let mut by_texts = batcher(3, 1000);
        (0..5).for_each(|n| by_texts.push(MS, 10, n));
        assert_eq!((by_texts.due_in(MS), by_texts.take()), (Some(Duration::ZERO), vec![0, 1, 2]));
        assert_eq!((by_texts.take(), by_texts.take()), (vec![3, 4], vec![]));
        let mut by_tokens = batcher(10, 100);
        [60, 30, 60].iter().zip(0..).for_each(|(tokens, n)| by_tokens.push(MS, *tokens, n));
        assert_eq!(by_tokens.due_in(MS), Some(Duration::ZERO));
        assert_eq!((by_tokens.take(), by_tokens.take(), by_tokens.take()), (vec![0], vec![1], vec![2]), "padded to 60");
    }

    #[test]
    fn lengths_that_differ_run_apart_and_nobody_is_passed_over_for_ever() {
        let mut batcher = batcher(8, 10_000);
        [500, 20, 490, 22, 520].iter().zip(0..).for_each(|(tokens, n)| batcher.push(MS, *tokens, n));
        assert_eq!(batcher.take(), [0, 2, 4]);
        assert_eq!(batcher.take(), [1, 3]);
        batcher.push(MS, 1_000_000, 7);
        assert_eq!(batcher.take(), [7], "one that is longer than a batch runs alone");
    }
}
