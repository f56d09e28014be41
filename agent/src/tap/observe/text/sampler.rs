//! Which exchanges are looked at: evenly spread, without regard to what they are.

/// Picks a share of a sequence. Steps through the unit interval by the golden ratio (Weyl's sequence), whose points are
/// spread evenly over any stretch of it, also over every second or tenth element of the sequence.
#[derive(Clone, Copy, Debug)]
pub(in crate::tap::observe) struct Sampler {
    at: u64,
}

/// The golden ratio's fraction of 2^64.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Sampler {
    /// Begins at `seed`.
    pub(in crate::tap::observe) fn new(seed: u64) -> Self {
        Self { at: seed }
    }

    /// Whether the next element is among the `share` (0 to 1) that is picked.
    pub(in crate::tap::observe) fn pick(&mut self, share: f64) -> bool {
        self.at = self.at.wrapping_add(STEP);
        // 53 bits are as many as an f64 has
        ((self.at >> 11) as f64) < share * (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_kept_over_short_stretches_and_over_every_second_one() {
        for (share, expected) in [(0.0, 0..=0), (0.05, 4..=6), (0.2, 18..=22), (0.5, 48..=52), (1.0, 100..=100)] {
            let mut sampler = Sampler::new(7);
            for stretch in 0..50 {
                let picked = (0..100).filter(|_| sampler.pick(share)).count();
                assert!(expected.contains(&picked), "{share}, stretch {stretch}: {picked}");
            }
            let mut all = Sampler::new(9);
            let picks: Vec<bool> = (0..2000).map(|_| all.pick(share)).collect();
            let even = picks.iter().step_by(2).filter(|picked| **picked).count();
            let odd = picks.iter().skip(1).step_by(2).filter(|picked| **picked).count();
            assert!(even.abs_diff(odd) <= 10, "{share}: {even} and {odd}");
        }
    }
}
