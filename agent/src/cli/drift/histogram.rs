//! One histogram of two samples, over bins of equal width, on a linear or a logarithmic axis.

use plimsoll_rules::two_sample::Sorted;

/// Bars.
const BARS: usize = 40;
/// From this ratio of the upper to the lower quantile on, positive values are drawn on a logarithmic axis.
const LOGARITHMIC_FROM: f64 = 60.0;

/// Shares per bar; what lies beyond the axis is in the outermost bars.
pub(super) struct Histogram {
    /// `BARS + 1` edges, in the values' unit.
    pub(super) edges: Vec<f64>,
    pub(super) logarithmic: bool,
    /// Shares of the reference and of the current sample.
    pub(super) shares: Vec<[f64; 2]>,
}

impl Histogram {
    /// The axis covers all but the outermost half percent of both samples.
    pub(super) fn of(reference: &Sorted, current: &Sorted) -> Self {
        let mut low = reference.quantile(0.005).min(current.quantile(0.005));
        let mut high = reference.quantile(0.995).max(current.quantile(0.995));
        let lower = reference.quantile(0.05).min(current.quantile(0.05));
        let logarithmic = low > 0.0 && high / lower.max(f64::MIN_POSITIVE) >= LOGARITHMIC_FROM;
        let whole = |sample: &Sorted| sample.values().iter().all(|value| value.fract() == 0.0);
        let mut bars = BARS;
        if !logarithmic && high - low < BARS as f64 && whole(reference) && whole(current) {
            // one bar a whole number, around it
            (low, high) = (low.floor() - 0.5, high.ceil() + 0.5);
            bars = ((high - low).round() as usize).max(1);
        } else if high <= low {
            let margin = if low == 0.0 { 0.5 } else { low.abs() * 0.05 };
            (low, high) = (low - margin, high + margin);
        }
        let edge = |at: usize| {
            let part = at as f64 / bars as f64;
            // neither the ratio nor the difference of two numbers need be a number
            if logarithmic {
                (low.ln() * (1.0 - part) + high.ln() * part).exp()
            } else {
                low * (1.0 - part) + high * part
            }
        };
        let edges: Vec<f64> = (0..=bars).map(edge).collect();
        let count = |sample: &Sorted| -> Vec<f64> {
            let left = |at: usize| match at {
                0 => 0,
                at if at == bars => sample.len(),
                at => sample.values().partition_point(|value| *value < edges[at]),
            };
            (0..bars).map(|at| (left(at + 1) - left(at)) as f64 / sample.len() as f64).collect()
        };
        let shares = count(reference).into_iter().zip(count(current)).map(|(a, b)| [a, b]).collect();
        Self { edges, logarithmic, shares }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_a_bar() {
        let sample = |values: Vec<f64>| Sorted::new(values).unwrap();
        for (why, a, b, logarithmic, bars) in [
            ("constant", vec![5.0; 9], vec![5.0; 3], false, 1),
            ("zeros", vec![0.0], vec![0.0, 0.0], false, 1),
            ("fractions", (0..100).map(|n| f64::from(n) / 7.0).collect(), vec![3.3], false, BARS),
            ("heavy tail", (1..1000).map(|n| f64::from(n).powi(3)).collect(), vec![8.5; 4], true, BARS),
            ("as wide as numbers go", vec![-1e308, 1e308], vec![0.0], false, BARS),
            ("as far as numbers go", vec![5e-324, 1.0], vec![1e308], true, BARS),
            ("few whole numbers", vec![1.0, 2.0, 3.0], vec![2.0, 9.0], false, 9),
        ] {
            let found = Histogram::of(&sample(a), &sample(b));
            assert_eq!((found.logarithmic, found.shares.len()), (logarithmic, bars), "{why}");
            for side in 0..2 {
                let sum: f64 = found.shares.iter().map(|share| share[side]).sum();
                assert!((sum - 1.0).abs() < 1e-12, "{why}: {sum}");
            }
            assert!(found.edges.windows(2).all(|pair| pair[0] < pair[1]), "{why}");
        }
    }
}
