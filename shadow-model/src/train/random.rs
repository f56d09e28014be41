//! Numbers as if drawn at random that depend on nothing but a seed and what they are for: nothing has to be remembered to
//! draw them again, so a run that goes on after a kill draws what it would have drawn.

/// A stream of splitmix64 (Steele et al., OOPSLA 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// The stream of a seed for one purpose.
    pub fn new(seed: u64, purpose: &[u64]) -> Self {
        let state = purpose.iter().fold(mixed(seed), |state, &number| mixed(state ^ mixed(number)));
        Self { state }
    }

    /// A key for streams that are to be drawn from by position: see [`at`].
    pub fn key(&self) -> u64 {
        self.state
    }

    pub fn next(&mut self) -> u64 {
        let drawn = at(self.state, 0);
        self.state = self.state.wrapping_add(STEP);
        drawn
    }

    /// In [0, 1), of 24 bits.
    pub fn uniform(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }

    /// Fisher-Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            // the bias of a remainder is below 2^-32 for any number of examples that fits memory
            items.swap(last, (self.next() % (last as u64 + 1)) as usize);
        }
    }
}

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The number at a position of a key's stream.
pub(crate) fn at(key: u64, position: u64) -> u64 {
    mixed(key.wrapping_add(position.wrapping_add(1).wrapping_mul(STEP)))
}

fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_even_and_apart() {
        let mut random = Random::new(7, &[1, 2]);
        let mean = (0..100_000).map(|_| f64::from(random.uniform())).sum::<f64>() / 1e5;
        assert!((mean - 0.5).abs() < 5e-3, "{mean}");
        assert_ne!(Random::new(7, &[1, 2]).next(), Random::new(7, &[2, 1]).next());
        assert_eq!(Random::new(7, &[1]).next(), Random::new(7, &[1]).next());
        let mut items: Vec<u32> = (0..100).collect();
        Random::new(1, &[]).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
