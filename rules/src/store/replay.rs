//! All samples of a store in the order of time: data that came series by series is sorted by loading it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Store;
use crate::{Labels, Timestamp};

impl Store {
    /// Every sample, oldest first, staleness markers left out; samples of one time in the order of the series.
    pub fn replay(&self) -> impl Iterator<Item = (&Labels, Timestamp, f64)> {
        let mut all: Vec<_> =
            self.select(None).map(|series| (&series.labels, series.range(i64::MIN, i64::MAX).peekable())).collect();
        let mut next: BinaryHeap<Reverse<(i64, usize)>> = BinaryHeap::with_capacity(all.len());
        for (number, (_, samples)) in all.iter_mut().enumerate() {
            next.extend(samples.peek().map(|(at, _)| Reverse((*at, number))));
        }
        std::iter::from_fn(move || {
            let Reverse((_, number)) = next.pop()?;
            let (labels, samples) = &mut all[number];
            let (at, value) = samples.next()?;
            next.extend(samples.peek().map(|(later, _)| Reverse((*later, number))));
            Some((*labels, Timestamp::from_millis(at), value))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::StoreLimits;

    #[test]
    fn series_are_merged_by_time() {
        let mut store = Store::new(StoreLimits { series: 10, retention: Duration::from_secs(60) });
        for (name, step) in [("a", 2_i64), ("b", 3), ("c", 50)] {
            for n in 0..300 {
                store.append(&Labels::metric(name, []), Timestamp::from_millis(n * step), step as f64);
            }
        }
        let replayed: Vec<(i64, f64)> = store.replay().map(|(_, at, value)| (at.millis(), value)).collect();
        assert_eq!(replayed.len(), 900);
        assert!(replayed.is_sorted_by_key(|(at, _)| *at));
        assert_eq!(replayed.iter().filter(|(_, step)| *step == 3.0).count(), 300);
    }
}
