//! Safe tests of two proportions by e-values over blocks (Turner, Ly, Grünwald 2024): a comparator only.
//!
//! Blocks have fixed sizes `[a, b]`; the blocks before bet on the next. The order matters, so there is nothing to merge:
//! the state is the list of blocks.

use super::super::estimate_error::{EstimateError, finite, inside};
use super::brent::{UNIROOT, root};

/// How a test bets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Safe2x2 {
    /// Units a block of `[a, b]`.
    pub sizes: [u32; 2],
    /// Beta prior of a's probability: successes and failures.
    pub prior_a: [f64; 2],
    /// Beta prior of b's; not used with a restriction.
    pub prior_b: [f64; 2],
    /// What the alternative is restricted to.
    pub restriction: Restriction,
}

/// A family of alternatives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Restriction {
    /// Any two probabilities.
    None,
    /// `p_b = p_a + delta`, over a grid of p_a.
    Difference {
        /// In (-1, 1).
        delta: f64,
        /// Points of the grid, at least 2.
        grid: usize,
    },
    /// `logit p_b = logit p_a + delta`, over a grid of p_a.
    LogOddsRatio {
        /// In nats.
        delta: f64,
        /// Points of the grid, at least 2.
        grid: usize,
    },
}

impl Safe2x2 {
    /// ln of the e-value against equal probabilities after each block of successes `[a, b]`:
    /// `Π p(y; p̆_a, p̆_b) / p(y; p̆_0, p̆_0)`, `p̆_0 = (n_a p̆_a + n_b p̆_b)/(n_a + n_b)`, with p̆ the posterior means before
    /// the block.
    ///
    /// # Errors
    /// [`EstimateError::Refused`] for a block with more successes than its size, an empty size, a prior that is not
    /// positive, a delta or a grid that cannot be.
    pub fn log_e(&self, blocks: &[[u32; 2]]) -> Result<Vec<f64>, EstimateError> {
        self.check(blocks)?;
        let [na, nb] = self.sizes.map(f64::from);
        let mut bets = Bets::new(self)?;
        let mut log_e = 0.0;
        let mut path = Vec::with_capacity(blocks.len());
        for block in blocks {
            let [pa, pb] = bets.means(self);
            let null = (na * pa + nb * pb) / (na + nb);
            log_e += self.log_likelihood(block, pa, pb) - self.log_likelihood(block, null, null);
            path.push(finite("a log e-value", log_e)?);
            bets.learn(self, block);
        }
        Ok(path)
    }

    /// ln of the e-value against `p_b - p_a = delta` after all blocks, from unrestricted bets; those not rejected make a
    /// confidence sequence.
    ///
    /// The denominator is the point of the null nearest in Kullback-Leibler divergence (RIPr), sought in p_a at least 0.001
    /// inside its range; a block before which it is not there multiplies by 1, as in `safestats`.
    ///
    /// # Errors
    /// As [`Self::log_e`], and for a `delta` outside of (-1, 1).
    pub fn log_e_against(&self, delta: f64, blocks: &[[u32; 2]]) -> Result<f64, EstimateError> {
        self.check(blocks)?;
        let delta = inside("delta", "in (-1, 1)", (-1.0, 1.0), delta)?;
        let mut totals = Totals::default();
        let mut log_e = 0.0;
        for block in blocks {
            let [pa, pb] = totals.means(self);
            if let Some(null) = self.nearest(delta, pa, pb) {
                log_e += self.log_likelihood(block, pa, pb) - self.log_likelihood(block, null, null + delta);
            }
            totals.learn(self, block);
        }
        finite("a log e-value", log_e)
    }

    fn check(&self, blocks: &[[u32; 2]]) -> Result<(), EstimateError> {
        for prior in self.prior_a.into_iter().chain(self.prior_b) {
            inside("a prior", "positive and finite", (0.0, f64::INFINITY), prior)?;
        }
        if self.sizes.contains(&0) {
            return Err(EstimateError::TooFew { what: "units in a block", have: 0, need: 1 });
        }
        let beyond = blocks.iter().flat_map(|block| block.iter().zip(&self.sizes)).find(|(count, size)| count > size);
        if let Some((count, _)) = beyond {
            let found = f64::from(*count);
            return Err(EstimateError::Refused { what: "successes in a block", must: "at most its size", found });
        }
        Ok(())
    }

    /// ln of `p_a^y_a (1-p_a)^(n_a-y_a) p_b^y_b (1-p_b)^(n_b-y_b)`.
    fn log_likelihood(&self, block: &[u32; 2], pa: f64, pb: f64) -> f64 {
        let part = |successes: u32, size: u32, p: f64| {
            weighted_ln(f64::from(successes), p) + weighted_ln(f64::from(size - successes), 1.0 - p)
        };
        part(block[0], self.sizes[0], pa) + part(block[1], self.sizes[1], pb)
    }

    /// The p_a in the null's range at which the divergence from (pa, pb) is least: where its derivative, which rises,
    /// passes 0, no nearer than `uniroot` gets, which moves ln of a large e-value by some hundredths. `None` where it does
    /// not pass.
    fn nearest(&self, delta: f64, pa: f64, pb: f64) -> Option<f64> {
        const EDGE: f64 = 1e-3;
        let [na, nb] = self.sizes.map(f64::from);
        let slope = |p: f64, q: f64| (1.0 - p) / (1.0 - q) - p / q;
        let derivative = |at: f64| na * slope(pa, at) + nb * slope(pb, at + delta);
        root(derivative, (-delta).max(0.0) + EDGE, (1.0 - delta).min(1.0) - EDGE, UNIROOT)
    }
}

/// `count · ln p`, 0 for no count.
fn weighted_ln(count: f64, p: f64) -> f64 {
    if count == 0.0 { 0.0 } else { count * p.ln() }
}

/// What the blocks so far say of the next.
enum Bets {
    Totals(Totals),
    Grid(Grid),
}

impl Bets {
    fn new(test: &Safe2x2) -> Result<Self, EstimateError> {
        Ok(match test.restriction {
            Restriction::None => Self::Totals(Totals::default()),
            Restriction::Difference { delta, grid } => {
                let delta = inside("delta", "in (-1, 1)", (-1.0, 1.0), delta)?;
                Self::Grid(Grid::new(test, grid, |rho| rho * (1.0 - delta.abs()) + (-delta).max(0.0))?)
            }
            Restriction::LogOddsRatio { delta, grid } => {
                inside("delta", "in (-100, 100)", (-100.0, 100.0), delta)?;
                Self::Grid(Grid::new(test, grid, |rho| rho)?)
            }
        })
    }

    fn means(&self, test: &Safe2x2) -> [f64; 2] {
        match self {
            Self::Totals(totals) => totals.means(test),
            Self::Grid(grid) => grid.means(test),
        }
    }

    fn learn(&mut self, test: &Safe2x2, block: &[u32; 2]) {
        match self {
            Self::Totals(totals) => totals.learn(test, block),
            Self::Grid(grid) => grid.learn(test, block),
        }
    }
}

/// Successes and failures of both arms.
#[derive(Default)]
struct Totals([[f64; 2]; 2]);

impl Totals {
    fn means(&self, test: &Safe2x2) -> [f64; 2] {
        let mean = |seen: [f64; 2], prior: [f64; 2]| (seen[0] + prior[0]) / (seen[0] + seen[1] + prior[0] + prior[1]);
        [mean(self.0[0], test.prior_a), mean(self.0[1], test.prior_b)]
    }

    fn learn(&mut self, test: &Safe2x2, block: &[u32; 2]) {
        for ((seen, successes), size) in self.0.iter_mut().zip(block).zip(test.sizes) {
            seen[0] += f64::from(*successes);
            seen[1] += f64::from(size - successes);
        }
    }
}

/// A posterior over a grid of p_a, in log space.
struct Grid {
    points: Vec<f64>,
    log_weights: Vec<f64>,
}

impl Grid {
    fn new(test: &Safe2x2, points: usize, place: impl Fn(f64) -> f64) -> Result<Self, EstimateError> {
        if points < 2 {
            return Err(EstimateError::TooFew { what: "points of the grid", have: points as u64, need: 2 });
        }
        let edge = 1.0 / points as f64;
        let step = (1.0 - 2.0 * edge) / (points - 1) as f64;
        let rhos: Vec<f64> = (0..points).map(|at| edge + step * at as f64).collect();
        let [a, b] = test.prior_a;
        let log_weights = rhos.iter().map(|rho| (a - 1.0) * rho.ln() + (b - 1.0) * (1.0 - rho).ln()).collect();
        Ok(Self { points: rhos.into_iter().map(place).collect(), log_weights })
    }

    fn means(&self, test: &Safe2x2) -> [f64; 2] {
        let most = self.log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (mut sum, mut moment) = (0.0, 0.0);
        for (point, log_weight) in self.points.iter().zip(&self.log_weights) {
            let weight = (log_weight - most).exp();
            sum += weight;
            moment += weight * point;
        }
        let pa = moment / sum;
        [pa, partner(test.restriction, pa)]
    }

    fn learn(&mut self, test: &Safe2x2, block: &[u32; 2]) {
        for (point, log_weight) in self.points.iter().zip(&mut self.log_weights) {
            *log_weight += test.log_likelihood(block, *point, partner(test.restriction, *point));
        }
    }
}

/// The p_b that goes with p_a.
fn partner(restriction: Restriction, pa: f64) -> f64 {
    match restriction {
        Restriction::None => pa,
        Restriction::Difference { delta, .. } => (pa + delta).clamp(0.0, 1.0),
        Restriction::LogOddsRatio { delta, .. } => {
            let odds = delta.exp() * pa / (1.0 - pa);
            odds / (1.0 + odds)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Safe2x2 =
        Safe2x2 { sizes: [1, 1], prior_a: [0.18, 0.18], prior_b: [0.18, 0.18], restriction: Restriction::None };

    #[test]
    fn what_cannot_be_is_refused() {
        assert_eq!(PLAIN.log_e(&[]), Ok(vec![]));
        assert!(PLAIN.log_e(&[[2, 0]]).is_err());
        assert!(Safe2x2 { sizes: [0, 1], ..PLAIN }.log_e(&[]).is_err());
        assert!(Safe2x2 { prior_a: [f64::NAN, 1.0], ..PLAIN }.log_e(&[]).is_err());
        for restriction in [
            Restriction::Difference { delta: 1.0, grid: 10 },
            Restriction::Difference { delta: 0.1, grid: 1 },
            Restriction::LogOddsRatio { delta: f64::NAN, grid: 10 },
        ] {
            assert!(Safe2x2 { restriction, ..PLAIN }.log_e(&[[1, 0]]).is_err());
        }
        for delta in [-1.0, 1.0, f64::NAN] {
            assert!(PLAIN.log_e_against(delta, &[[1, 0]]).is_err());
        }
        assert_eq!(PLAIN.log_e_against(0.9999, &[[1, 0]]), Ok(0.0));
    }

    #[test]
    fn constant_outcomes_are_no_evidence_and_opposite_ones_are() {
        let same = PLAIN.log_e(&[[1, 1]; 500]).unwrap();
        assert!(same.iter().all(|log_e| log_e.abs() < 1e-9));
        assert!(PLAIN.log_e(&[[1, 0]; 100]).unwrap()[99] > 50.0);
        let restriction = Restriction::LogOddsRatio { delta: -0.9, grid: 1000 };
        assert!(Safe2x2 { restriction, ..PLAIN }.log_e(&[[1, 0]; 100]).unwrap()[99] > 5.0);
    }
}
