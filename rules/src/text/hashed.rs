//! An embedding without weights: character n-grams hashed into a vector.
//!
//! Weinberger et al., "Feature hashing for large scale multitask learning", arXiv 0902.2206: each n-gram adds +1 or -1 to one
//! of `dim` places, both chosen by its hash, so inner products of n-gram counts are kept in expectation. Counts are damped by
//! a square root (a word said ten times is not ten times as telling) and the vector is scaled to length 1.

use std::num::NonZeroUsize;

/// Longest n-gram, in characters.
const LONGEST: usize = 5;
/// Shortest n-gram: two characters are a word in Chinese and hardly a syllable in English, so alphabets start at three.
const SHORTEST_OF_LETTERS: usize = 3;
/// Odd constant of splitmix64 (Steele, Lea, Flood, 2014).
const MIX: u64 = 0x9E37_79B9_7F4A_7C15;

/// Turns texts into vectors of one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashedEmbedder {
    dim: NonZeroUsize,
}

impl Default for HashedEmbedder {
    /// 384 places, as many as small embedding models have.
    fn default() -> Self {
        Self::new(NonZeroUsize::MIN.saturating_add(383))
    }
}

impl HashedEmbedder {
    /// Vectors of `dim` numbers; 256 to 384 are enough to tell subjects apart.
    pub fn new(dim: NonZeroUsize) -> Self {
        Self { dim }
    }

    /// Length of the vectors.
    pub fn dimensions(&self) -> usize {
        self.dim.get()
    }

    /// The vector of `text`: of length 1, or all zeros for a text without letters or signs.
    ///
    /// Case, runs of white space and the values of digits do not count.
    pub fn embed(&self, text: &str) -> Vec<f32> {
        let mut vector = Vec::new();
        self.embed_into(text, &mut vector);
        vector
    }

    /// [`HashedEmbedder::embed`] into a vector that is used again.
    pub fn embed_into(&self, text: &str, vector: &mut Vec<f32>) {
        vector.clear();
        vector.resize(self.dim.get(), 0.0);
        let mut window = Window::default();
        let mut space = true;
        for sign in text.chars() {
            if sign.is_whitespace() || sign.is_control() {
                if !space {
                    window.push(' ', vector);
                }
                space = true;
                continue;
            }
            if space {
                window.start_word();
                space = false;
            }
            window.push(folded(sign), vector);
        }
        if !space {
            window.push(' ', vector);
        }
        scale(vector);
    }
}

/// Lower case, one digit for all.
fn folded(sign: char) -> char {
    match sign {
        'a'..='z' => sign,
        '0'..='9' => '0',
        _ if sign.is_ascii() => sign.to_ascii_lowercase(),
        _ => sign.to_lowercase().next().unwrap_or(sign),
    }
}

/// The last characters, newest first.
#[derive(Default)]
struct Window {
    signs: [u32; LONGEST],
    filled: usize,
}

impl Window {
    /// A word's n-grams begin at the space before it, which is there even before the first word.
    fn start_word(&mut self) {
        if self.filled == 0 {
            self.signs = [u32::from(' '), 0, 0, 0, 0];
            self.filled = 1;
        }
    }

    fn push(&mut self, sign: char, vector: &mut [f32]) {
        self.signs.copy_within(..LONGEST - 1, 1);
        self.signs[0] = u32::from(sign);
        self.filled = (self.filled + 1).min(LONGEST);
        let shortest = if self.signs[0] < 0x2E80 || self.signs[1] < 0x2E80 { SHORTEST_OF_LETTERS } else { 2 };
        let mut hash = 0;
        for (at, sign) in self.signs[..self.filled].iter().enumerate() {
            hash = (hash ^ u64::from(*sign)).wrapping_mul(MIX).rotate_left(23);
            if at + 1 >= shortest {
                count(hash, vector);
            }
        }
    }
}

fn count(hash: u64, vector: &mut [f32]) {
    let mixed = (hash ^ (hash >> 29)).wrapping_mul(MIX);
    let place = ((mixed >> 32) * vector.len() as u64) >> 32;
    let sign = if mixed & (1 << 20) == 0 { 1.0 } else { -1.0 };
    if let Some(value) = vector.get_mut(place as usize) {
        *value += sign;
    }
}

/// Signed square root, then length 1.
fn scale(vector: &mut [f32]) {
    let mut square = 0.0;
    for value in vector.iter_mut() {
        square += f64::from(value.abs());
        *value = value.signum() * value.abs().sqrt();
    }
    if square > 0.0 {
        let share = (1.0 / square.sqrt()) as f32;
        vector.iter_mut().for_each(|value| *value *= share);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn likeness(a: &str, b: &str) -> f32 {
        let embedder = HashedEmbedder::default();
        embedder.embed(a).iter().zip(embedder.embed(b)).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn likeness_follows_what_is_said() {
        for (why, a, near, far) in [
            (
                "one subject",
                "my card has not arrived",
                "has my new card arrived yet?",
                "what is the exchange rate for euros",
            ),
            ("Chinese", "附近有什么好吃的餐馆", "请推荐一家好吃的餐馆", "明天的地铁几点开"),
            ("code and prose", "def add(a, b): return a + b", "def sub(x, y): return x - y", "please add these for me"),
        ] {
            assert!(likeness(a, near) > likeness(a, far) + 0.05, "{why}: {} {}", likeness(a, near), likeness(a, far));
        }
    }

    #[test]
    fn what_does_not_count() {
        for (why, a, b) in [
            ("case", "Hello World", "hello world"),
            ("white space", " hello \n\t world ", "hello world"),
            ("digits", "order 12345", "order 98765"),
            ("case beyond ASCII", "ÄÖ straße", "äö straße"),
        ] {
            assert!((likeness(a, b) - 1.0).abs() < 1e-5, "{why}: {}", likeness(a, b));
        }
    }

    #[test]
    fn lengths_are_one_or_nothing() {
        for (why, text, wanted) in
            [("empty", "", 0.0), ("blank", " \n ", 0.0), ("a letter", "a", 1.0), ("long", &"ab ".repeat(9999), 1.0)]
        {
            assert!((likeness(text, text) - wanted).abs() < 1e-5, "{why}");
        }
        assert_eq!(HashedEmbedder::new(NonZeroUsize::MIN).embed("abc").len(), 1);
    }

    /// The same on every machine: places and signs of one short text, computed with the formulas in Python integers.
    #[test]
    fn places_do_not_move() {
        let vector = HashedEmbedder::new(NonZeroUsize::MIN.saturating_add(15)).embed("card");
        let hundredths: Vec<i32> = vector.iter().map(|value| (value * 100.0).round() as i32).collect();
        assert_eq!(hundredths, [-45, 45, 0, 0, 45, -45, 0, 0, -45, 0, 0, 0, 0, 0, 0, 0]);
    }
}
