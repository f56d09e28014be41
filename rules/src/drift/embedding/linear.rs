//! Small dense algebra in single precision, written so that the compiler vectorises it.

/// Numbers summed side by side; a multiple of every vector width in use.
const LANES: usize = 16;

/// `Σ aᵢ·bᵢ` over the shorter of the two.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let (a_blocks, b_blocks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a_blocks.remainder().iter().zip(b_blocks.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a_blocks.zip(b_blocks) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// `Σ vᵢ²`, four sums side by side: one after another, each addition would wait for the last.
pub(crate) fn squared_length(values: &[f64]) -> f64 {
    let (fours, rest) = values.as_chunks::<4>();
    let mut lanes = [0.0_f64; 4];
    for four in fours {
        for at in 0..4 {
            lanes[at] += four[at] * four[at];
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|value| value * value).sum::<f64>()
}

/// `into += scale · from`.
pub(crate) fn add_scaled(into: &mut [f32], scale: f32, from: &[f32]) {
    for (into, from) in into.iter_mut().zip(from) {
        *into += scale * from;
    }
}

/// Up to this many columns of a [`Turned`] matrix: their sums fit the registers.
pub(crate) const COLUMNS: usize = 32;

/// A matrix of at most [`COLUMNS`] rows, kept column by column and padded with zeros: shape `[width, COLUMNS]`.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Turned(pub(crate) Vec<[f32; COLUMNS]>);

impl Turned {
    /// Rows beyond [`COLUMNS`] are left out.
    pub(crate) fn of(rows: &Matrix) -> Self {
        let mut columns = vec![[0.0; COLUMNS]; rows.width];
        for (at, row) in rows.rows().take(COLUMNS).enumerate() {
            columns.iter_mut().zip(row).for_each(|(column, value)| column[at] = *value);
        }
        Self(columns)
    }

    /// The product of each row with `vector` (shape `[width]`). Not inlined: beside other code the compiler has made four
    /// times slower work of it.
    #[inline(never)]
    pub(crate) fn times(&self, vector: &[f32]) -> [f32; COLUMNS] {
        let mut sums = [0.0_f32; COLUMNS];
        for (value, column) in vector.iter().zip(&self.0) {
            for at in 0..COLUMNS {
                sums[at] += value * column[at];
            }
        }
        sums
    }
}

/// A matrix of `rows` rows of `width` numbers, one after another.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Matrix {
    pub(crate) width: usize,
    pub(crate) values: Vec<f32>,
}

impl Matrix {
    pub(crate) fn zeros(rows: usize, width: usize) -> Self {
        Self { width, values: vec![0.0; rows * width] }
    }

    pub(crate) fn row(&self, at: usize) -> &[f32] {
        &self.values[at * self.width..(at + 1) * self.width]
    }

    pub(crate) fn row_mut(&mut self, at: usize) -> &mut [f32] {
        &mut self.values[at * self.width..(at + 1) * self.width]
    }

    pub(crate) fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.width.max(1))
    }

    pub(crate) fn height(&self) -> usize {
        self.values.len() / self.width.max(1)
    }
}
