//! Numbers for tests: as if drawn at random, and the same at every run (candle's CPU generator takes no seed).

use candle_core::{Device, Tensor};

/// About normal with the standard deviation `spread`: sums of twelve uniform numbers of splitmix64.
pub(crate) fn normal(shape: &[usize], spread: f32) -> Tensor {
    let count: usize = shape.iter().product();
    let mut state = (count as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(spread.to_bits());
    let mut uniform = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed >> 40) as f32 / (1 << 24) as f32
    };
    let numbers: Vec<f32> = (0..count).map(|_| ((0..12).map(|_| uniform()).sum::<f32>() - 6.0) * spread).collect();
    Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()
}
