//! A run of samples of one series, compressed: about 3 bytes a sample for steady series, 2 for constant ones.
//!
//! Times are delta-of-delta varints, values are XORed with the one before and stripped of zero bytes at both ends: the
//! idea of Gorilla (Pelkonen et al., VLDB 2015) on byte boundaries, which decodes faster and costs little more.

/// Samples after which a chunk is full.
pub(crate) const FULL: u16 = 120;

/// One run of samples, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chunk {
    pub(crate) count: u16,
    pub(crate) first_ms: i64,
    pub(crate) last_ms: i64,
    last_delta: i64,
    last_bits: u64,
    bytes: Vec<u8>,
}

impl Chunk {
    pub(crate) fn new(at_ms: i64, value: f64) -> Self {
        let bits = value.to_bits();
        let bytes = bits.to_le_bytes().to_vec();
        Self { count: 1, first_ms: at_ms, last_ms: at_ms, last_delta: 0, last_bits: bits, bytes }
    }

    /// Appends a sample that is newer than the last one; `false` when the chunk is full.
    pub(crate) fn push(&mut self, at_ms: i64, value: f64) -> bool {
        if self.count >= FULL {
            return false;
        }
        let delta = at_ms.wrapping_sub(self.last_ms);
        write_varint(&mut self.bytes, zigzag(delta.wrapping_sub(self.last_delta)));
        let xor = value.to_bits() ^ self.last_bits;
        let (low, len) = significant(xor);
        self.bytes.push((low << 4) | len);
        self.bytes.extend_from_slice(&(xor >> (8 * u32::from(low))).to_le_bytes()[..usize::from(len)]);
        (self.last_ms, self.last_delta, self.last_bits) = (at_ms, delta, value.to_bits());
        self.count += 1;
        if self.count == FULL {
            self.bytes.shrink_to_fit();
        }
        true
    }

    pub(crate) fn last_value(&self) -> f64 {
        f64::from_bits(self.last_bits)
    }

    /// Bytes held, bookkeeping included.
    pub(crate) fn size(&self) -> usize {
        self.bytes.capacity() + size_of::<Self>()
    }

    pub(crate) fn samples(&self) -> Samples<'_> {
        Samples { bytes: &self.bytes, left: self.count, at_ms: self.first_ms, delta: 0, bits: 0, first: true }
    }

    /// Appends the chunk to a snapshot.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.first_ms.to_le_bytes());
        out.extend_from_slice(&u32::try_from(self.bytes.len()).unwrap_or(0).to_le_bytes());
        out.extend_from_slice(&self.bytes);
    }

    /// Builds a chunk from a snapshot's parts by decoding it once; `None` when it does not hold `count` samples.
    pub(crate) fn read(count: u16, first_ms: i64, bytes: &[u8]) -> Option<Self> {
        if count == 0 || count > FULL || bytes.len() < 8 {
            return None;
        }
        let probe = Self { count, first_ms, last_ms: 0, last_delta: 0, last_bits: 0, bytes: bytes.to_vec() };
        let mut samples = probe.samples();
        let (first_at, first_value) = samples.next()?;
        let mut chunk = Self::new(first_at, first_value);
        for (at, value) in samples {
            if at <= chunk.last_ms || !chunk.push(at, value) {
                return None;
            }
        }
        (chunk.count == count).then_some(chunk)
    }
}

/// Decodes a chunk without allocating.
#[derive(Clone, Debug)]
pub(crate) struct Samples<'a> {
    bytes: &'a [u8],
    left: u16,
    at_ms: i64,
    delta: i64,
    bits: u64,
    first: bool,
}

impl Iterator for Samples<'_> {
    type Item = (i64, f64);

    fn next(&mut self) -> Option<(i64, f64)> {
        self.left = self.left.checked_sub(1)?;
        if std::mem::take(&mut self.first) {
            let (head, rest) = self.bytes.split_first_chunk::<8>()?;
            (self.bits, self.bytes) = (u64::from_le_bytes(*head), rest);
            return Some((self.at_ms, f64::from_bits(self.bits)));
        }
        self.delta = self.delta.wrapping_add(unzigzag(read_varint(&mut self.bytes)?));
        self.at_ms = self.at_ms.wrapping_add(self.delta);
        let (header, rest) = self.bytes.split_first()?;
        let (low, len) = (u32::from(header >> 4), usize::from(header & 15));
        if len > 8 || low > 7 {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(len)?;
        let mut word = [0; 8];
        word[..len].copy_from_slice(digits);
        self.bits ^= u64::from_le_bytes(word) << (8 * low);
        self.bytes = rest;
        Some((self.at_ms, f64::from_bits(self.bits)))
    }
}

/// How many zero bytes the low end has, and how many bytes are left between both ends.
fn significant(xor: u64) -> (u8, u8) {
    if xor == 0 {
        return (0, 0);
    }
    let (low, high) = (xor.trailing_zeros() / 8, xor.leading_zeros() / 8);
    (low as u8, (8 - low - high) as u8)
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out(deltas in prop::collection::vec((1..100_000_i64, any::<u64>()), 1..120)) {
            let mut at = -5;
            let samples: Vec<(i64, u64)> = deltas.iter().map(|(d, v)| { at += d; (at, *v) }).collect();
            let mut chunk = Chunk::new(samples[0].0, f64::from_bits(samples[0].1));
            for (at, bits) in &samples[1..] {
                prop_assert!(chunk.push(*at, f64::from_bits(*bits)));
            }
            let back: Vec<(i64, u64)> = chunk.samples().map(|(at, v)| (at, v.to_bits())).collect();
            prop_assert_eq!(&back, &samples);
            let again = Chunk::read(chunk.count, chunk.first_ms, &chunk.bytes);
            prop_assert_eq!(again.map(|c| c.samples().map(|(a, v)| (a, v.to_bits())).collect::<Vec<_>>()), Some(samples));
        }

        #[test]
        fn garbage_is_refused_without_a_panic(count in any::<u16>(), first in any::<i64>(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Chunk::read(count, first, &bytes);
        }
    }
}
