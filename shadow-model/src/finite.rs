//! Weights that are no numbers, NaN or infinite: looked for once, in the bytes as they are read, so that a checkpoint of a
//! training that went wrong is refused by name and not found out batch by batch.

use candle_core::quantized::GgmlDType;
use candle_core::quantized::ggml_file::qtensor_from_ggml;
use candle_core::{DType, Device};
use rayon::prelude::*;

use crate::Result;

/// Numbers that are looked at together.
const PART: usize = 1 << 16;

/// The first number that is not finite, as text with its place among `bytes` of little-endian `dtype`; whole numbers are
/// always finite.
pub(crate) fn not_finite(bytes: &[u8], dtype: DType) -> Option<String> {
    match dtype {
        DType::F64 => look(bytes, u64::from_le_bytes, 0x7FF0 << 48),
        DType::F32 => look(bytes, |number| u32::from_le_bytes(number).into(), 0x7F80_0000),
        DType::BF16 => look(bytes, |number| u16::from_le_bytes(number).into(), 0x7F80),
        DType::F16 => look(bytes, |number| u16::from_le_bytes(number).into(), 0x7C00),
        _ => None,
    }
}

/// `exponent` are the bits that are all set in NaN and infinity, and in no other number.
fn look<const WIDTH: usize>(bytes: &[u8], bits: impl Fn([u8; WIDTH]) -> u64 + Sync, exponent: u64) -> Option<String> {
    let (numbers, _) = bytes.as_chunks::<WIDTH>();
    let largest = |part: &[[u8; WIDTH]]| part.iter().fold(0, |most, &number| most.max(bits(number) & exponent));
    let part = numbers.par_chunks(PART).position_first(|part| largest(part) == exponent)? * PART;
    let within = numbers[part..].iter().position(|&number| bits(number) & exponent == exponent)?;
    Some(format!("NaN or infinity as number {} of {}", part + within + 1, numbers.len()))
}

/// The same of blocks of few bits, by what they stand for.
///
/// # Errors
/// Where they cannot be widened.
pub(crate) fn blocks_not_finite(bytes: &[u8], dtype: GgmlDType) -> Result<Option<String>> {
    let size = dtype.type_size() * (PART / dtype.block_size()).max(1);
    let wide = |part: &[u8]| {
        let numbers = part.len() / dtype.type_size() * dtype.block_size();
        let numbers = qtensor_from_ggml(dtype, part, vec![numbers], &Device::Cpu)?.dequantize(&Device::Cpu)?;
        Ok(numbers.to_vec1::<f32>()?.iter().all(|number| number.is_finite()))
    };
    let parts = bytes.par_chunks(size).map(wide).collect::<Result<Vec<bool>>>()?;
    let first = parts.iter().position(|&finite| !finite);
    Ok(first.map(|part| format!("NaN or infinity among the {PART} numbers from number {} on", part * PART + 1)))
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;

    fn bytes<const WIDTH: usize>(numbers: impl IntoIterator<Item = [u8; WIDTH]>) -> Vec<u8> {
        numbers.into_iter().flatten().collect()
    }

    #[test]
    fn each_kind_is_seen_with_its_place() {
        let at = 70_000; // beyond the first part
        for bad in [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let numbers = |bad: f64| (0..80_000).map(move |i| if i == at { bad } else { -1.5 * f64::from(i % 1000) });
            for (dtype, good, bad) in [
                (DType::F64, bytes(numbers(f64::MAX).map(f64::to_le_bytes)), bytes(numbers(bad).map(f64::to_le_bytes))),
                (
                    DType::F32,
                    bytes(numbers(f64::from(f32::MIN)).map(|x| (x as f32).to_le_bytes())),
                    bytes(numbers(bad).map(|x| (x as f32).to_le_bytes())),
                ),
                (
                    DType::BF16,
                    bytes(numbers(bf16::MAX.to_f64()).map(|x| bf16::from_f64(x).to_le_bytes())),
                    bytes(numbers(bad).map(|x| bf16::from_f64(x).to_le_bytes())),
                ),
                (
                    DType::F16,
                    bytes(numbers(f16::MAX.to_f64()).map(|x| f16::from_f64(x).to_le_bytes())),
                    bytes(numbers(bad).map(|x| f16::from_f64(x).to_le_bytes())),
                ),
            ] {
                assert_eq!(not_finite(&good, dtype), None, "{dtype:?}");
                let said = not_finite(&bad, dtype);
                assert_eq!(said.as_deref(), Some("NaN or infinity as number 70001 of 80000"), "{dtype:?}");
            }
        }
        assert_eq!(not_finite(&[0xFF; 64], DType::I64), None);
    }

    #[test]
    fn a_scale_of_a_block_is_seen() {
        // Q8_0: a scale in f16, then 32 numbers
        let block = |scale: f16| [scale.to_le_bytes().as_slice(), &[3; 32]].concat();
        let blocks = |last: f16| [block(f16::ONE).repeat(3000), block(last)].concat();
        assert_eq!(blocks_not_finite(&blocks(f16::MAX), GgmlDType::Q8_0).unwrap(), None);
        let said = blocks_not_finite(&blocks(f16::NAN), GgmlDType::Q8_0).unwrap();
        assert_eq!(said.as_deref(), Some("NaN or infinity among the 65536 numbers from number 65537 on"));
    }
}
