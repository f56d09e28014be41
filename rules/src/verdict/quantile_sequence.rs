//! Quantiles valid at all times: bounds on how far an empirical distribution strays, and a test of two arms' quantiles.
//!
//! Howard, Ramdas, "Sequential estimation of quantiles with applications to A/B testing and best-arm identification",
//! Bernoulli 28 (2022), arXiv 1906.09712: double stitching over quantiles and times, the law of the iterated logarithm
//! for the whole distribution, the test of two arms.

use super::beta_binomial::BetaBinomial;
use super::estimate_error::{EstimateError, finite, inside, level};

/// Sections of a search: golden ones shrink by 0.618 each, halves by 0.5.
const SECTIONS: usize = 120;

/// The double-stitched bound, uniform over quantiles and times. [`DoubleStitching::bound`] over `t` is how far a quantile's
/// share of values may be off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DoubleStitching {
    /// Values from which on it is valid and near which it is narrowest, at least 1.
    pub tuned_for: f64,
    /// Distance of neighbouring quantiles of the grid, in log odds at `tuned_for` values; positive.
    pub delta: f64,
    /// How error is spread over epochs, above 1: epoch k gets `k^-s`.
    pub s: f64,
    /// How much longer each epoch is than the one before, above 1.
    pub eta: f64,
}

impl DoubleStitching {
    /// The paper's choice: grid 0.5, s = 1.4, eta = 2.
    #[must_use]
    pub fn new(tuned_for: f64) -> Self {
        Self { tuned_for, delta: 0.5, s: 1.4, eta: 2.0 }
    }

    /// Most by which the count of values at or under the `p` quantile exceeds `p t` at any time `t`, any `p`, with
    /// probability at least `1 - alpha`; in values.
    ///
    /// # Errors
    /// [`EstimateError::Refused`] for a number out of range.
    pub fn bound(&self, p: f64, t: f64, alpha: f64) -> Result<f64, EstimateError> {
        let p = inside("the quantile", "in (0, 1)", (0.0, 1.0), p)?;
        let alpha = level(alpha)?;
        let time = positive("t", t)?.max(self.checked()?.tuned_for);
        let grown = self.eta * time / self.tuned_for;
        let variance = self.variance(p, time);
        let steps = (time / self.tuned_for).sqrt() * log_odds(p).abs() / (2.0 * self.delta) + 1.0;
        let series = riemann_zeta(self.s);
        let split = (2.0 * series * (2.0 * series + 1.0) / (alpha * self.eta.ln().powf(self.s))).ln();
        let log = self.s * (grown.ln().ln() + steps.ln()) + split;
        let k1 = (self.eta.powf(0.25) + self.eta.powf(-0.25)).powi(2) / 2.0;
        let skew = 0.5 * (self.eta.sqrt() + 1.0) * (1.0 - 2.0 * p) / 3.0 * log;
        let grid = self.delta * (grown * variance).sqrt();
        finite("the bound", grid + (k1 * variance * time * log + skew * skew).sqrt() + skew)
    }

    fn checked(&self) -> Result<&Self, EstimateError> {
        inside("tuned_for", "at least 1 and finite", (1.0 - f64::EPSILON, f64::INFINITY), self.tuned_for)?;
        positive("delta", self.delta)?;
        inside("s", "above 1 and finite", (1.0, f64::INFINITY), self.s)?;
        inside("eta", "above 1 and finite", (1.0, f64::INFINITY), self.eta)?;
        Ok(self)
    }

    /// r(1 - r), r the grid's quantile that stands for `p`.
    fn variance(&self, p: f64, time: f64) -> f64 {
        if p >= 0.5 {
            return p * (1.0 - p);
        }
        let step = 2.0 * self.delta * (self.tuned_for * self.eta / time).sqrt();
        let odds = log_odds(p) + step;
        let r = (1.0 / (1.0 + (-odds).exp())).min(0.5);
        r * (1.0 - r)
    }
}

fn positive(what: &'static str, value: f64) -> Result<f64, EstimateError> {
    inside(what, "positive and finite", (0.0, f64::INFINITY), value)
}

fn log_odds(p: f64) -> f64 {
    p.ln() - (-p).ln_1p()
}

/// Riemann's zeta function for `s` > 1: 20 terms and Euler and Maclaurin's rest.
fn riemann_zeta(s: f64) -> f64 {
    const TERMS: f64 = 20.0;
    let head: f64 = (1..20).map(|k| f64::from(k).powf(-s)).sum();
    let last = TERMS.powf(-s);
    let first = s / (12.0 * TERMS);
    let second = first * (s + 1.0) * (s + 2.0) / (60.0 * TERMS * TERMS);
    let third = second * (s + 3.0) * (s + 4.0) / (42.0 * TERMS * TERMS);
    let fourth = third * (s + 5.0) * (s + 6.0) / (40.0 * TERMS * TERMS);
    head + last * (TERMS / (s - 1.0) + 0.5 + first - second + third - fourth)
}

/// The iterated-logarithm bound on the empirical distribution's largest distance from the true one, at all times from `t_min`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EmpiricalLil {
    from: f64,
    scale: f64,
    /// C, the smallest for which the paper's error, least over eta, is alpha.
    constant: f64,
}

impl EmpiricalLil {
    /// Of level `alpha`, valid from `from` >= 1 values on, asymptotically `scale` > sqrt(1/2) times `sqrt(ln ln t / t)`.
    ///
    /// # Errors
    /// [`EstimateError::Refused`] for a number out of range, or a `scale` so near its limit that the constant is infinite.
    pub fn new(alpha: f64, from: f64, scale: f64) -> Result<Self, EstimateError> {
        let alpha = level(alpha)?;
        let from = inside("from", "at least 1 and finite", (1.0 - f64::EPSILON, f64::INFINITY), from)?;
        let least = std::f64::consts::FRAC_1_SQRT_2;
        let scale = inside("scale", "above sqrt(1/2) and finite", (least, f64::INFINITY), scale)?;
        let mut high = 5.0;
        while least_error(high, scale) > alpha {
            high = finite("the constant", 2.0 * high)?;
        }
        let enough = |constant: f64| least_error(constant, scale) <= alpha;
        Ok(Self { from, scale, constant: bisect(0.0, high, enough) })
    }

    /// Largest distance of the distribution functions at `t` values: `A sqrt((ln(1 + ln(t / t_min)) + C) / t)`; `None`
    /// before `t_min`.
    #[must_use]
    pub fn bound(&self, t: f64) -> Option<f64> {
        (t >= self.from && t.is_finite())
            .then(|| self.scale * (((t / self.from).ln().ln_1p() + self.constant) / t).sqrt())
    }
}

/// The upper end of where `holds` begins between `low`, where it does not, and `high`, where it does.
fn bisect(mut low: f64, mut high: f64, holds: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..SECTIONS {
        let middle = 0.5 * (low + high);
        if holds(middle) { high = middle } else { low = middle }
    }
    high
}

/// The least of a function with one valley between `low` and `high`: where it is.
fn valley(mut low: f64, mut high: f64, of: impl Fn(f64) -> f64) -> f64 {
    let ratio = 0.5 * (5.0_f64.sqrt() - 1.0);
    for _ in 0..SECTIONS {
        let (left, right) = (high - ratio * (high - low), low + ratio * (high - low));
        if of(left) < of(right) { high = right } else { low = left }
    }
    0.5 * (low + high)
}

/// The error of the constant `constant`, least over eta: `4 exp(-γ²C)(1 + 1/((γ² - 1) ln eta))`,
/// `γ² = 2/eta (A - sqrt(2(eta - 1)/C))²`, over the eta with `γ² > 1`.
fn least_error(constant: f64, scale: f64) -> f64 {
    let slack = |eta: f64| (2.0 * (eta - 1.0) / constant).sqrt();
    let error = |eta: f64| {
        let gamma = 2.0 / eta * (scale - slack(eta)).powi(2);
        if gamma <= 1.0 {
            return f64::INFINITY;
        }
        4.0 * (-gamma * constant).exp() * (1.0 + 1.0 / ((gamma - 1.0) * eta.ln()))
    };
    let most = bisect(1.0, 2.0 * scale * scale, |eta| (0.5 * eta).sqrt() + slack(eta) > scale);
    error(valley(1.0, most, error))
}

/// The p-value, valid at all times, that two arms have the same `quantile`: 1 over the least product of the arms'
/// beta-binomial mixtures for any common value of it, at most 1. `values` of each arm, in any order.
///
/// # Errors
/// [`EstimateError`] for an arm without values, a value that is not finite, a number out of range.
pub fn quantile_ab_p_value(
    values: [&[f64]; 2],
    quantile: f64,
    tuned_for: f64,
    tuned_level: f64,
) -> Result<f64, EstimateError> {
    let quantile = inside("the quantile", "in (0, 1)", (0.0, 1.0), quantile)?;
    let mixture = BetaBinomial::new(tuned_for, tuned_level)?;
    let arms = [Ranked::new(values[0], quantile, &mixture)?, Ranked::new(values[1], quantile, &mixture)?];
    let together = |value: f64| arms.iter().map(|arm| arm.log_e(value, quantile, &mixture)).sum::<f64>();
    // each is a step function that is least at its jumps, which are values
    let least = values.iter().copied().flatten().map(|value| together(*value)).fold(f64::INFINITY, f64::min);
    Ok((-least).exp().min(1.0))
}

/// One arm's values in order.
struct Ranked {
    sorted: Vec<f64>,
    /// How many values below speak least against.
    likeliest: f64,
}

impl Ranked {
    fn new(values: &[f64], quantile: f64, mixture: &BetaBinomial) -> Result<Self, EstimateError> {
        if values.is_empty() {
            return Err(EstimateError::TooFew { what: "values of an arm", have: 0, need: 1 });
        }
        values.iter().try_for_each(|value| finite("a value", *value).map(|_| ()))?;
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len() as f64;
        let likeliest = valley(0.0, count, |below| mixture.log_e(quantile, below, count));
        Ok(Self { sorted, likeliest })
    }

    /// ln of the evidence against `value` being the quantile: the least over the shares it may have below it, from that
    /// of smaller values to that of values no larger.
    fn log_e(&self, value: f64, quantile: f64, mixture: &BetaBinomial) -> f64 {
        let smaller = self.sorted.partition_point(|own| *own < value) as f64;
        let no_larger = self.sorted.partition_point(|own| *own <= value) as f64;
        let below = self.likeliest.max(smaller).min(no_larger);
        mixture.log_e(quantile, below, self.sorted.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeta_at_known_places() {
        let pi = std::f64::consts::PI;
        for (s, value) in [(2.0, pi * pi / 6.0), (4.0, pi.powi(4) / 90.0), (1.5, 2.612_375_348_685_488)] {
            assert!((riemann_zeta(s) - value).abs() < 1e-13, "{s} {}", riemann_zeta(s));
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let bound = DoubleStitching::new(100.0);
        for (p, t, alpha) in [(0.0, 9.0, 0.05), (1.0, 9.0, 0.05), (0.5, 0.0, 0.05), (0.5, 9.0, f64::NAN)] {
            assert!(bound.bound(p, t, alpha).is_err());
        }
        for broken in [
            DoubleStitching { tuned_for: 0.5, ..bound },
            DoubleStitching { delta: 0.0, ..bound },
            DoubleStitching { s: 1.0, ..bound },
            DoubleStitching { eta: 1.0, ..bound },
        ] {
            assert!(broken.bound(0.5, 200.0, 0.05).is_err(), "{broken:?}");
        }
        for (alpha, from, scale) in [(0.0, 32.0, 0.85), (0.05, 0.5, 0.85), (0.05, 32.0, 0.7), (0.05, 32.0, f64::NAN)] {
            assert!(EmpiricalLil::new(alpha, from, scale).is_err());
        }
        let lil = EmpiricalLil::new(0.05, 32.0, 0.85).unwrap();
        assert!(lil.bound(31.0).is_none() && lil.bound(f64::NAN).is_none() && lil.bound(32.0).is_some());
    }

    #[test]
    fn equal_arms_are_not_told_apart_and_far_ones_are() {
        let near: Vec<f64> = (0..300).map(f64::from).collect();
        let far: Vec<f64> = near.iter().map(|value| value + 1000.0).collect();
        let of = |a: &[f64], b: &[f64]| quantile_ab_p_value([a, b], 0.5, 100.0, 0.05);
        assert_eq!(of(&near, &near), Ok(1.0));
        assert!(of(&near, &far).unwrap() < 1e-10 && of(&far, &near).unwrap() < 1e-10);
        assert_eq!(of(&[1.0; 300], &[1.0; 300]), Ok(1.0));
        assert!(of(&[], &near).is_err() && of(&near, &[f64::NAN]).is_err());
    }
}
