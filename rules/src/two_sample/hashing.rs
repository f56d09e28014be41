//! Texts as hashed n-grams: what the domain classifier learns from and what MMD measures distances in.

/// Characters of a text that are looked at.
const LOOKED_AT: usize = 4_000;

/// Gives the hash of every n-gram of two to four characters and of every word; letters in lower case, white space as one.
///
/// Works for scripts without spaces, for there the n-grams are the words.
pub(super) fn each_feature(text: &str, scratch: &mut Vec<char>, mut each: impl FnMut(u64)) {
    scratch.clear();
    scratch.push(' ');
    let lower = text.chars().flat_map(char::to_lowercase);
    for c in lower.map(|c| if c.is_whitespace() || c.is_control() { ' ' } else { c }).take(LOOKED_AT) {
        if c != ' ' || scratch.last() != Some(&' ') {
            scratch.push(c);
        }
    }
    if scratch.last() != Some(&' ') {
        scratch.push(' ');
    }
    for start in 0..scratch.len() {
        let mut hash = 0xcbf2_9ce4_8422_2325;
        for (length, c) in scratch[start..].iter().take(4).enumerate() {
            hash = step(hash, *c);
            if length > 0 {
                each(mix(hash));
            }
        }
    }
    for word in scratch.split(|c| !c.is_alphanumeric()).filter(|word| word.len() > 4) {
        each(mix(word.iter().fold(0x9e37_79b9_7f4a_7c15, |hash, c| step(hash, *c))));
    }
}

fn step(hash: u64, c: char) -> u64 {
    (hash ^ u64::from(c)).wrapping_mul(0x0000_0100_0000_01b3)
}

/// Spreads the entropy over all bits (the finalizer of splitmix64).
fn mix(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// Sparse rows of unit length: the features of each text in `buckets` columns.
pub(super) struct Sparse {
    starts: Vec<usize>,
    cells: Vec<(u32, f32)>,
}

impl Sparse {
    /// `buckets` is a power of two.
    pub(super) fn of<'t>(texts: impl Iterator<Item = &'t str>, buckets: u32) -> Self {
        let (mut starts, mut cells, mut scratch, mut found) = (vec![0], Vec::new(), Vec::new(), Vec::new());
        for text in texts {
            found.clear();
            each_feature(text, &mut scratch, |hash| found.push(hash as u32 & (buckets - 1)));
            found.sort_unstable();
            let first = cells.len();
            for same in found.chunk_by(|a, b| a == b) {
                cells.push((same[0], (same.len() as f32).sqrt()));
            }
            scale_to_one(&mut cells[first..]);
            starts.push(cells.len());
        }
        Self { starts, cells }
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// The same for rows that are equal.
    pub(super) fn hash(&self, at: usize) -> u64 {
        let start = 0xcbf2_9ce4_8422_2325;
        self.row(at)
            .iter()
            .fold(start, |hash, (bucket, value)| mix(hash ^ (u64::from(*bucket) << 32 | u64::from(value.to_bits()))))
    }

    pub(super) fn row(&self, at: usize) -> &[(u32, f32)] {
        &self.cells[self.starts[at]..self.starts[at + 1]]
    }
}

fn scale_to_one(cells: &mut [(u32, f32)]) {
    let length = cells.iter().map(|(_, value)| value * value).sum::<f32>().sqrt();
    if length > 0.0 {
        cells.iter_mut().for_each(|(_, value)| *value /= length);
    }
}

/// Each text as a vector of `width` numbers and unit length (signed feature hashing, Weinberger et al. 2009), row-major.
///
/// `width` is a power of two. A text without letters is the zero vector.
pub(super) fn dense(texts: &[&str], width: usize) -> Vec<f32> {
    let mut out = vec![0.0_f32; texts.len() * width];
    let mut scratch = Vec::new();
    for (row, text) in out.chunks_exact_mut(width).zip(texts) {
        each_feature(text, &mut scratch, |hash| {
            let sign = if hash >> 63 == 0 { 1.0 } else { -1.0 };
            row[hash as usize & (width - 1)] += sign;
        });
        let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
        if length > 0.0 {
            row.iter_mut().for_each(|value| *value /= length);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_texts_are_near_in_every_script() {
        let texts =
            ["Where is my card?", "where is  my CARD", "reset the pin code", "我想找家餐馆", "我想找一家餐馆吃饭", ""];
        let rows = dense(&texts, 256);
        let product = |a: usize, b: usize| -> f32 {
            let row = |at: usize| &rows[at * 256..(at + 1) * 256];
            row(a).iter().zip(row(b)).map(|(x, y)| x * y).sum()
        };
        assert!(product(0, 1) > 0.7 && product(0, 2) < 0.3, "{} {}", product(0, 1), product(0, 2));
        assert!(product(3, 4) > 0.3 && product(0, 3).abs() < 0.2, "{} {}", product(3, 4), product(0, 3));
        assert!(rows[5 * 256..].iter().all(|value| value.is_finite()));
        let sparse = Sparse::of(texts.into_iter(), 1 << 12);
        let length: f32 = sparse.row(0).iter().map(|(_, value)| value * value).sum();
        assert!((length - 1.0).abs() < 1e-5);
    }
}
