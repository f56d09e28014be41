//! From an average run length to a threshold.
//!
//! Thresholds up to a thousand or two observations between false alarms are read off streams drawn from the reference.
//! Beyond, `ln ARL` is carried on as a straight line: the score is a quadratic form of nearly normal means, whose tail is
//! `exp(-κ·h)` times slowly varying terms, and crossings of a high level come as a Poisson process whose rate is in
//! proportion to that tail (Aldous, "Probability approximations via the Poisson clumping heuristic", 1989). Below those
//! levels `ln ARL` is convex in `h`, so the line errs to the side of fewer false alarms.

use serde::{Deserialize, Serialize};

/// Levels whose run length is estimated.
const LEVELS: usize = 48;

/// The part of a stream's length up to which run lengths are read directly: hardly a stream ends before its alarm.
const TRUSTED: f64 = 0.25;

/// `ln ARL` as a function of the threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Law {
    /// `(threshold, ln ARL)`, ascending in both.
    knots: Vec<(f64, f64)>,
    /// `d ln ARL / d threshold` beyond the last knot.
    slope: f64,
}

impl Law {
    /// From the records of streams of one `length`: `(observation, score)` at each new maximum.
    pub(crate) fn fit(streams: &[Vec<(u32, f64)>], length: usize) -> Self {
        let mut knots: Vec<(f64, f64)> = Vec::new();
        for level in levels(streams) {
            let arl = run_length(streams, length, level);
            if arl > TRUSTED * length as f64 && knots.len() >= 2 {
                break;
            }
            if knots.last().is_none_or(|last| arl.ln() > last.1 && level > last.0) {
                knots.push((level, arl.ln()));
            }
        }
        let slope = slope(&knots, (length as f64 / 64.0).ln());
        Self { knots, slope }
    }

    /// The threshold at which false alarms are `arl` observations apart on average.
    pub(crate) fn threshold(&self, arl: f64) -> f64 {
        let wanted = arl.ln();
        let above = self.knots.partition_point(|knot| knot.1 < wanted);
        match (above.checked_sub(1).and_then(|at| self.knots.get(at)), self.knots.get(above)) {
            (Some(low), Some(high)) => low.0 + (high.0 - low.0) * (wanted - low.1) / (high.1 - low.1),
            (Some(last), None) => self.beyond(*last, wanted),
            (None, Some(first)) => first.0,
            (None, None) => f64::INFINITY,
        }
    }

    fn beyond(&self, last: (f64, f64), wanted: f64) -> f64 {
        last.0 + (wanted - last.1) / self.slope
    }

    /// Whether thresholds come out finite and ascending.
    pub(crate) fn is_sound(&self) -> bool {
        let ascending = self.knots.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 < two[1].1);
        let finite = self.knots.iter().all(|knot| knot.0.is_finite() && knot.1.is_finite());
        !self.knots.is_empty() && ascending && finite && self.slope > 0.0 && self.slope.is_finite()
    }
}

/// Evenly spaced from where half of the streams are after their first observations to where the last of them ends.
fn levels(streams: &[Vec<(u32, f64)>]) -> Vec<f64> {
    let mut ends: Vec<f64> = streams.iter().filter_map(|records| records.last()).map(|record| record.1).collect();
    ends.sort_by(f64::total_cmp);
    let (Some(lowest), Some(highest)) = (ends.first(), ends.get(ends.len() * 3 / 4)) else {
        return Vec::new();
    };
    let low = lowest.min(highest - 1e-9) - 2.0;
    (0..LEVELS).map(|at| low + (highest - low) * at as f64 / (LEVELS - 1) as f64).collect()
}

/// Observations over alarms, each stream stopped at its first: the most likely mean of a time without memory.
fn run_length(streams: &[Vec<(u32, f64)>], length: usize, level: f64) -> f64 {
    let (mut observations, mut alarms) = (0.0, 0.0_f64);
    for records in streams {
        match records.get(records.partition_point(|record| record.1 < level)) {
            Some((at, _)) => {
                observations += f64::from(*at);
                alarms += 1.0;
            }
            None => observations += length as f64,
        }
    }
    observations / alarms.max(0.5)
}

/// Least squares over the knots from `from` on, or over the last two.
fn slope(knots: &[(f64, f64)], from: f64) -> f64 {
    let first = knots.partition_point(|knot| knot.1 < from).min(knots.len().saturating_sub(2));
    let upper = &knots[first..];
    let count = upper.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| upper.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|knot| knot.0), mean(|knot| knot.1));
    let along: f64 = upper.iter().map(|knot| (knot.0 - x).powi(2)).sum();
    let both: f64 = upper.iter().map(|knot| (knot.0 - x) * (knot.1 - y)).sum();
    if along > 0.0 { both / along } else { 1.0 }
}
