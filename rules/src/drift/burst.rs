//! What a short run of values may say: at long run lengths an alarm must rest on more than one burst.
//!
//! Real traffic comes in bursts of like requests: one client that sends a hundred similar prompts within seconds is no
//! drift, yet to a test that takes values as independent it is overwhelming evidence. So within each stretch of 16
//! consecutive values what a bet held at its beginning grows by at most 2 nats; losses are paid in full, and what begins
//! within the stretch, after losses, may win them back on top. A product of e-values that is held at a ceiling is still
//! one: `min(·, c)` is concave, so by Jensen's inequality the expected factor stays at most 1 and the statistic remains an
//! e-detector. It costs delay, and only where long run lengths are asked for.

use serde::{Deserialize, Serialize};

use super::bank::{ALTERNATIVES, LANES, Lanes};

/// Whether winnings are held down within stretches of [`Burst::LENGTH`] observations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Burst {
    /// Every value counts in full.
    #[default]
    Free,
    /// A stretch adds at most [`Burst::NATS`] to what a bet held at its beginning.
    Held,
}

impl Burst {
    /// What one stretch may give each bet, in nats.
    pub const NATS: f64 = 2.0;

    /// Length of a stretch, in observations.
    pub const LENGTH: u32 = 16;

    /// From this average run length on bursts are held unless the settings say otherwise.
    pub const HELD_FROM: f64 = 100_000.0;

    /// What suits this average run length.
    pub fn usual(arl: f64) -> Self {
        if arl >= Self::HELD_FROM { Self::Held } else { Self::Free }
    }
}

/// Below this a product of ratios is taken as this, so that none becomes 0.
const LEAST: f64 = 1e-280;

/// What each bet has won in the present stretch: a product of ratios.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Gained {
    product: Lanes,
    observations: u64,
}

impl Default for Gained {
    fn default() -> Self {
        Self { product: [1.0; LANES], observations: 0 }
    }
}

impl Gained {
    /// Holds the `ratios` that `observations` at once pay down to what the stretch still allows.
    ///
    /// A tick that would overrun a stretch begins one of its own, with as much allowance as its length is worth.
    #[inline]
    pub(super) fn hold(&mut self, burst: Burst, observations: u64, ratios: &mut Lanes) {
        if burst == Burst::Free {
            return;
        }
        let length = u64::from(Burst::LENGTH);
        if self.observations == 0 || self.observations + observations > length {
            *self = Self::default();
        }
        let most = (Burst::NATS * (observations as f64 / length as f64).max(1.0)).min(600.0).exp();
        for (product, ratio) in self.product.iter_mut().zip(ratios).take(ALTERNATIVES) {
            let after = (*product * *ratio).max(LEAST);
            *ratio = after.min(most) / product.min(most);
            *product = after;
        }
        self.observations += observations;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_run_lengths_hold_bursts() {
        for (arl, burst) in [(50.0, Burst::Free), (99_999.0, Burst::Free), (1e5, Burst::Held), (f64::NAN, Burst::Free)]
        {
            assert_eq!(Burst::usual(arl), burst, "{arl}");
        }
        let mut ratios = [1e9; LANES];
        Gained::default().hold(Burst::Free, 1, &mut ratios);
        assert_eq!(ratios, [1e9; LANES]);
    }

    #[test]
    fn a_stretch_wins_no_more_than_its_share_and_loses_all() {
        for (why, ratio, times, wanted) in [
            ("little is kept whole", 1.1_f64, 16, 1.1_f64.powi(16)),
            ("much is held", 3.0, 16, 2_f64.exp()),
            ("the next stretch wins again", 3.0, 32, 4_f64.exp()),
            ("losses are whole", 0.5, 20, 0.5_f64.powi(20)),
        ] {
            let (mut gained, mut total) = (Gained::default(), 1.0);
            for _ in 0..times {
                let mut ratios = [ratio; LANES];
                gained.hold(Burst::Held, 1, &mut ratios);
                total *= ratios[0];
            }
            assert!((total / wanted - 1.0).abs() < 1e-9, "{why}: {total} {wanted}");
        }
    }

    #[test]
    fn what_was_lost_after_the_ceiling_must_be_won_twice() {
        let mut gained = Gained::default();
        let mut pay = |ratio: f64| {
            let mut ratios = [ratio; LANES];
            gained.hold(Burst::Held, 1, &mut ratios);
            ratios[0]
        };
        assert!((pay(3_f64.exp()) - 2_f64.exp()).abs() < 1e-12);
        assert!((pay((-0.5_f64).exp()) - 1.0).abs() < 1e-12, "still above the ceiling");
        assert!((pay((-1.5_f64).exp()) - (-1_f64).exp()).abs() < 1e-12);
    }

    #[test]
    fn a_long_tick_is_worth_its_length_and_no_tick_overflows() {
        let mut gained = Gained::default();
        let mut ratios = [1e30; LANES];
        gained.hold(Burst::Held, 64, &mut ratios);
        assert!((ratios[0].ln() - 8.0).abs() < 1e-9);
        for ratio in [0.0, 1e280, 1e-300, 1e280] {
            let mut ratios = [ratio; LANES];
            gained.hold(Burst::Held, u64::MAX / 4, &mut ratios);
            assert!(ratios.iter().all(|ratio| ratio.is_finite()), "{ratios:?}");
        }
    }
}
