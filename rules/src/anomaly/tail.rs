//! How often a quantity was at least this large: a histogram over its logarithm that slowly forgets.

use serde::{Deserialize, Serialize};

use super::exact;

/// Width of a bin, in natural logarithms: values are told apart to 10 %.
const STEP: f64 = 0.1;
/// Bins that are summed together, so that a tail is read in a few steps.
const GROUP: usize = 16;
/// Weights grow instead of old counts shrinking; beyond this all are scaled back.
const HEAVIEST: f64 = 1e12;

/// Counts of a non-negative quantity in bins of its logarithm; a count halves after `half_life` additions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Tail {
    /// Logarithm at the lowest bin's lower edge; smaller values, and zero, fall into that bin.
    #[serde(with = "exact::number")]
    floor: f64,
    #[serde(with = "exact::numbers")]
    bins: Vec<f64>,
    /// Sums of [`GROUP`] bins each.
    #[serde(with = "exact::numbers")]
    groups: Vec<f64>,
    #[serde(with = "exact::number")]
    total: f64,
    /// Weight of the next addition, and what it is multiplied by each time.
    #[serde(with = "exact::number")]
    weight: f64,
    #[serde(with = "exact::number")]
    growth: f64,
}

impl Tail {
    /// For values whose logarithms lie in `floor..ceiling`; others count as the nearest of these.
    pub(super) fn new(floor: f64, ceiling: f64, half_life: f64) -> Self {
        let groups = (((ceiling - floor) / STEP / GROUP as f64).ceil() as usize).max(1);
        let (bins, groups) = (vec![0.0; groups * GROUP], vec![0.0; groups]);
        Self { floor, bins, groups, total: 0.0, weight: 1.0, growth: half_life.recip().exp2() }
    }

    pub(super) fn add(&mut self, value: f64) {
        let bin = self.bin(value.ln());
        self.weight *= self.growth;
        self.total += self.weight;
        for count in self.bins.get_mut(bin).into_iter().chain(self.groups.get_mut(bin / GROUP)) {
            *count += self.weight;
        }
        if self.weight > HEAVIEST {
            self.bins.iter_mut().chain(&mut self.groups).chain([&mut self.total]).for_each(|count| *count /= HEAVIEST);
            self.weight /= HEAVIEST;
        }
    }

    /// Surprise of `value`, `-log10` of the share of additions at least as large as `value / e^margin` (one more counted
    /// on either side, half of those in the same bin): 2 is one in a hundred. At most `log10` of the additions in memory.
    pub(super) fn surprise(&self, value: f64, margin: f64) -> f64 {
        let bin = self.bin(value.ln() - margin);
        let same = 0.5 * self.bins.get(bin).copied().unwrap_or(0.0);
        -((same + self.above(bin + 1) + self.weight) / (self.total + self.weight)).log10()
    }

    /// Additions at least as large as `value / e^margin`, the bin's own included.
    pub(super) fn at_least(&self, value: f64, margin: f64) -> f64 {
        self.above(self.bin(value.ln() - margin)) / self.weight
    }

    fn above(&self, bin: usize) -> f64 {
        let next = bin.div_ceil(GROUP);
        let rest = self.bins.get(bin..next * GROUP).unwrap_or_default();
        rest.iter().chain(self.groups.get(next..).unwrap_or_default()).sum()
    }

    /// A logarithm of minus infinity (zero) or NaN falls into the lowest bin.
    fn bin(&self, logarithm: f64) -> usize {
        let bin = (logarithm - self.floor) / STEP;
        (bin.max(0.0) as usize).min(self.bins.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surprise_is_the_share_of_what_was_as_large() {
        let mut tail = Tail::new(-7.0, 12.0, 1e9);
        (0..990).for_each(|_| tail.add(1.0));
        (0..9).for_each(|_| tail.add(10.0));
        for (why, value, margin, expected) in [
            ("larger than all", 100.0, 0.0, 1.0 / 1000.0),
            ("as the nine: half of them count", 10.0, 0.0, 5.5 / 1000.0),
            ("a little more than the nine, within the margin", 12.3, 0.2, 5.5 / 1000.0),
            ("clearly more than the nine", 15.0, 0.2, 1.0 / 1000.0),
            ("zero", 0.0, 0.0, 1.0),
        ] {
            let found = 10_f64.powf(-tail.surprise(value, margin));
            assert!((found / expected - 1.0).abs() < 1e-6, "{why}: {found}, not {expected}");
        }
        assert!((tail.at_least(10.0, 0.0) - 9.0).abs() < 1e-3);
    }

    #[test]
    fn old_additions_fade_and_weights_stay_finite() {
        let mut tail = Tail::new(-7.0, 12.0, 10.0);
        (0..100).for_each(|_| tail.add(5.0));
        (0..1000).for_each(|_| tail.add(1.0));
        assert!(tail.at_least(5.0, 0.0) < 1e-20);
        assert!(tail.weight.is_finite() && (tail.at_least(0.0, 0.0) - 14.93).abs() < 0.01);
    }
}
