//! What a scalar detector bets on: fourteen ways a standard normal may change, each against a null with a dead zone.
//!
//! Alternative `k` pays `q_k(b) / p_k(b)` on bin `b` of 32 equally likely ones. `p_k` is not the null itself but the
//! null moved towards the alternative by the dead zone, so that everything up to there earns nothing on average: not
//! the error of a finite reference, and not an effect too small to matter.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

/// Bins of equal probability under the reference.
pub const BINS: usize = 32;

/// Alternatives, rounded up to whole vector registers; the spare ones never earn anything.
pub(super) const LANES: usize = 16;

/// Alternatives in use.
pub(super) const ALTERNATIVES: usize = 14;

/// One number for each alternative.
pub(super) type Lanes = [f64; LANES];

/// Distances of the location alternatives from the edge of the dead zone, in standard deviations.
const LOCATIONS: [f64; 4] = [0.25, 0.5, 1.0, 2.0];

/// Scale alternatives, as factors from the edge of the dead zone.
const SCALES: [f64; 4] = [0.5, 0.67, 1.5, 2.0];

/// Share of the observations that a tail alternative moves out by [`TAIL_AT`] standard deviations.
const TAIL: f64 = 0.1;
const TAIL_AT: f64 = 3.0;

/// A location dead zone of 1 standard deviation corresponds to this much of log scale, and of tail share: the three
/// are about equally far from the null in nats.
const SCALE_ZONE: f64 = 0.71;
const TAIL_ZONE: f64 = 0.125;

/// The least standard errors of the reference's own mean that the dead zone spans.
const ZONE_ERRORS: f64 = 2.0;

/// What no alarm should be raised for, as a shift in standard deviations of the normal scores.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeadZone(f64);

impl DeadZone {
    /// The zone in force: the wanted one, but never less than the error of a reference of `observations`, `2/√m`.
    pub fn at_least(wanted: f64, observations: usize) -> Self {
        let error = ZONE_ERRORS / (observations.max(1) as f64).sqrt();
        Self(if wanted > error { wanted.min(1.0) } else { error.min(1.0) })
    }

    /// What to leave alone at this average run length: 0.15 standard deviations up to 1000, rising by 0.05 with each
    /// factor of ten to 0.3 from a million on.
    ///
    /// Who asks for one false alarm a month wants to hear of what lasts and matters, not of the wandering that every
    /// real service shows; up to 0.3 the population stability index stays below the customary 0.1.
    pub fn usual(arl: f64) -> f64 {
        0.15 + 0.05 * (arl.max(1.0).log10() - 3.0).clamp(0.0, 3.0)
    }

    /// In standard deviations.
    pub fn sigmas(self) -> f64 {
        self.0
    }
}

/// A way in which a distribution may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alternative {
    /// The whole of it moved by so many standard deviations.
    Location(f64),
    /// It became wider (above 1) or narrower by this factor.
    Scale(f64),
    /// This share of it moved far up (above 0) or far down.
    Tail(f64),
}

/// What each alternative pays on each bin. Serialises as its dead zone alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "DeadZone", into = "DeadZone")]
pub(super) struct Bank {
    zone: DeadZone,
    /// `q_k(b) / p_k(b)`, by bin and alternative.
    pub(super) ratio: Box<[Lanes; BINS]>,
    /// Its logarithm.
    pub(super) log_ratio: Box<[Lanes; BINS]>,
    /// Where `R_k` starts: about where it settles while nothing changes, so that a change right after the start is
    /// found as fast as a later one (the head start of Moustakides, Polunchenko and Tartakovsky, 2011).
    pub(super) start: Lanes,
}

impl From<DeadZone> for Bank {
    fn from(zone: DeadZone) -> Self {
        Self::new(zone)
    }
}

impl From<Bank> for DeadZone {
    fn from(bank: Bank) -> Self {
        bank.zone
    }
}

impl Bank {
    pub(super) fn new(zone: DeadZone) -> Self {
        let mut bank = Self {
            zone,
            ratio: Box::new([[0.0; LANES]; BINS]),
            log_ratio: Box::new([[0.0; LANES]; BINS]),
            start: [0.0; LANES],
        };
        for (lane, alternative) in alternatives(zone).into_iter().enumerate() {
            bank.fill(lane, &masses(alternative), &masses(edge(alternative, zone)));
        }
        bank
    }

    fn fill(&mut self, lane: usize, q: &[f64; BINS], p: &[f64; BINS]) {
        let mut lost = 0.0;
        for bin in 0..BINS {
            let ratio = q[bin] / p[bin];
            self.ratio[bin][lane] = ratio;
            self.log_ratio[bin][lane] = ratio.ln();
            lost -= ratio.ln() / BINS as f64;
        }
        self.start[lane] = (1.0 / lost).min(60.0);
    }

    pub(super) fn zone(&self) -> DeadZone {
        self.zone
    }

    pub(super) fn alternative(&self, lane: usize) -> Alternative {
        alternatives(self.zone)[lane.min(ALTERNATIVES - 1)]
    }
}

fn alternatives(DeadZone(zone): DeadZone) -> [Alternative; ALTERNATIVES] {
    let mut all = [Alternative::Tail(TAIL + TAIL_ZONE * zone); ALTERNATIVES];
    for (index, distance) in LOCATIONS.into_iter().enumerate() {
        all[2 * index] = Alternative::Location(distance + zone);
        all[2 * index + 1] = Alternative::Location(-distance - zone);
    }
    for (index, factor) in SCALES.into_iter().enumerate() {
        all[8 + index] = Alternative::Scale(factor * (SCALE_ZONE * zone * factor.ln().signum()).exp());
    }
    all[13] = Alternative::Tail(-TAIL - TAIL_ZONE * zone);
    all
}

/// The edge of the dead zone on the way to `alternative`.
fn edge(alternative: Alternative, DeadZone(zone): DeadZone) -> Alternative {
    match alternative {
        Alternative::Location(shift) => Alternative::Location(zone * shift.signum()),
        Alternative::Scale(factor) => Alternative::Scale((SCALE_ZONE * zone * factor.ln().signum()).exp()),
        Alternative::Tail(share) => Alternative::Tail(TAIL_ZONE * zone * share.signum()),
    }
}

/// Probability of each bin when a standard normal has changed so.
fn masses(alternative: Alternative) -> [f64; BINS] {
    let normal = Normal::standard();
    let below = |z: f64| match alternative {
        Alternative::Location(shift) => normal.cdf(z - shift),
        Alternative::Scale(factor) => normal.cdf(z / factor),
        Alternative::Tail(share) => {
            (1.0 - share.abs()) * normal.cdf(z) + share.abs() * normal.cdf(z - TAIL_AT * share.signum())
        }
    };
    let mut masses = [0.0; BINS];
    let mut before = 0.0;
    for (bin, mass) in masses.iter_mut().enumerate() {
        let upto = if bin + 1 == BINS { 1.0 } else { below(normal.inverse_cdf((bin + 1) as f64 / BINS as f64)) };
        *mass = (upto - before).max(1e-12);
        before = upto;
    }
    masses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(bank: &Bank, lane: usize, under: &[f64; BINS]) -> f64 {
        (0..BINS).map(|bin| under[bin] * bank.ratio[bin][lane]).sum()
    }

    #[test]
    fn no_bet_wins_inside_the_dead_zone() {
        for zone in [0.0, 0.05, 0.25, 0.6] {
            let bank = Bank::new(DeadZone(zone));
            for lane in 0..ALTERNATIVES {
                let alternative = bank.alternative(lane);
                let (at_edge, outside) =
                    (mean(&bank, lane, &masses(edge(alternative, bank.zone))), mean(&bank, lane, &masses(alternative)));
                assert!((at_edge - 1.0).abs() < 1e-9, "{zone} {alternative:?}: {at_edge}");
                assert!(mean(&bank, lane, &[1.0 / BINS as f64; BINS]) <= 1.0 + 1e-9, "{zone} {alternative:?}");
                assert!(outside > 1.0, "{zone} {alternative:?}: {outside}");
                assert!(bank.start[lane] > 0.0 && bank.start[lane] <= 60.0);
            }
        }
    }

    #[test]
    fn a_small_reference_widens_the_zone() {
        for (wanted, observations, zone) in [(0.25, 2000, 0.25), (0.0, 400, 0.1), (f64::NAN, 100, 0.2), (9.0, 0, 1.0)] {
            assert_eq!(DeadZone::at_least(wanted, observations).sigmas(), zone);
        }
    }

    #[test]
    fn a_bank_is_stored_as_its_zone() {
        let bank = Bank::new(DeadZone(0.25));
        let text = serde_json::to_string(&bank).unwrap();
        assert_eq!(text, "0.25");
        assert_eq!(serde_json::from_str::<Bank>(&text).unwrap(), bank);
    }
}
