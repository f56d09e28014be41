//! A run of samples of one series, compressed (see `code`).

use std::sync::Arc;

use super::code::{Place, decode, encode};
use super::is_stale;
use crate::summary::Summary;

/// Samples after which a chunk is full.
pub(super) const FULL: u16 = 120;

/// Bytes before the first step: the first value.
const HEAD: usize = 8;

/// A full chunk: nothing is added to it any more.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    pub(super) count: u16,
    pub(super) first_ms: i64,
    pub(super) last_ms: i64,
    /// Shared with excerpts (`super::excerpt`), so that a query copies no samples.
    bytes: Arc<[u8]>,
    pub(super) summary: Option<Summary>,
}

/// The chunk at a series' end.
#[derive(Clone, Debug)]
pub(super) struct OpenChunk {
    pub(super) count: u16,
    run: u8,
    pub(super) first_ms: i64,
    last: Place,
    bytes: Vec<u8>,
}

impl OpenChunk {
    pub(super) fn new(at_ms: i64, value: f64) -> Self {
        let bits = value.to_bits();
        let last = Place { at_ms, delta: 0, bits };
        Self { count: 1, run: 0, first_ms: at_ms, last, bytes: bits.to_le_bytes().to_vec() }
    }

    /// Appends a sample that is newer than the last one.
    pub(super) fn push(&mut self, at_ms: i64, value: f64) {
        // Growing by half instead of by doubling: most of the memory of young series is this slack.
        if self.bytes.len() + 24 > self.bytes.capacity() {
            self.bytes.reserve_exact(self.bytes.len() / 2 + 24);
        }
        encode(&mut self.last, &mut self.run, at_ms, value.to_bits(), &mut self.bytes);
        self.count += 1;
    }

    pub(super) fn is_full(&self) -> bool {
        self.count >= FULL
    }

    pub(super) fn last_ms(&self) -> i64 {
        self.last.at_ms
    }

    pub(super) fn last_value(&self) -> f64 {
        f64::from_bits(self.last.bits)
    }

    pub(super) fn close(self) -> Chunk {
        let summary = Summary::of(self.samples().map(|(_, value)| value).filter(|value| !is_stale(*value)));
        let Self { count, first_ms, last, bytes, .. } = self;
        Chunk { count, first_ms, last_ms: last.at_ms, bytes: bytes.into(), summary }
    }

    pub(super) fn samples(&self) -> Samples<'_> {
        Samples::new(self.count, self.first_ms, &self.bytes)
    }

    /// Bytes on the heap.
    pub(super) fn heap(&self) -> usize {
        self.bytes.capacity()
    }

    pub(super) fn encoded(&self) -> Encoded<'_> {
        Encoded { count: self.count, first_ms: self.first_ms, bytes: &self.bytes }
    }
}

impl Chunk {
    pub(super) fn samples(&self) -> Samples<'_> {
        Samples::new(self.count, self.first_ms, &self.bytes)
    }

    pub(super) fn heap(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn encoded(&self) -> Encoded<'_> {
        Encoded { count: self.count, first_ms: self.first_ms, bytes: &self.bytes }
    }
}

/// A chunk as a snapshot holds it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Encoded<'a> {
    pub(super) count: u16,
    pub(super) first_ms: i64,
    pub(super) bytes: &'a [u8],
}

impl Encoded<'_> {
    /// Decodes once and builds anew, so that whatever was in the bytes, the chunk is a good one; `None` where they do
    /// not hold `count` samples of growing time.
    pub(super) fn rebuild(self) -> Option<OpenChunk> {
        if self.count == 0 || self.count > FULL {
            return None;
        }
        let mut samples = Samples::new(self.count, self.first_ms, self.bytes);
        let (at, value) = samples.next()?;
        let mut chunk = OpenChunk::new(at, value);
        for (at, value) in samples {
            if at <= chunk.last_ms() {
                return None;
            }
            chunk.push(at, value);
        }
        (chunk.count == self.count).then_some(chunk)
    }
}

/// Decodes without allocating; ends early where the bytes do.
#[derive(Clone, Debug)]
pub(super) struct Samples<'a> {
    bytes: &'a [u8],
    left: u16,
    repeats: u8,
    place: Place,
    thousandths: Option<i64>,
    first: bool,
}

impl<'a> Samples<'a> {
    fn new(count: u16, first_ms: i64, bytes: &'a [u8]) -> Self {
        let (bits, left) = bytes.first_chunk().map_or((0, 0), |head| (u64::from_le_bytes(*head), count));
        let bytes = bytes.get(HEAD..).unwrap_or_default();
        Self {
            bytes,
            left,
            repeats: 0,
            place: Place { at_ms: first_ms, delta: 0, bits },
            thousandths: None,
            first: true,
        }
    }
}

impl Samples<'_> {
    /// Appends those in `(after, until]` to `out`, staleness markers left out: the same as filtering, in one tight loop.
    pub(super) fn read(self, after_ms: i64, until_ms: i64, out: &mut Vec<(i64, f64)>) {
        out.reserve(usize::from(self.left));
        for (at, value) in self {
            if at > until_ms {
                return;
            }
            if at > after_ms && !is_stale(value) {
                out.push((at, value));
            }
        }
    }
}

impl Iterator for Samples<'_> {
    type Item = (i64, f64);

    #[inline]
    fn next(&mut self) -> Option<(i64, f64)> {
        self.left = self.left.checked_sub(1)?;
        if self.first {
            self.first = false;
        } else {
            if self.repeats == 0 {
                self.repeats = decode(&mut self.place, &mut self.thousandths, &mut self.bytes)?;
            }
            self.repeats -= 1;
            self.place.at_ms = self.place.at_ms.wrapping_add(self.place.delta);
        }
        Some((self.place.at_ms, f64::from_bits(self.place.bits)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Values as they occur: whole, in hundredths, any bits, unchanged.
    fn steps() -> impl Strategy<Value = Vec<(i64, Option<f64>)>> {
        let value = prop_oneof![
            Just(None),
            (-500..500_i32).prop_map(|n| Some(f64::from(n))),
            (0..500_i32).prop_map(|n| Some(f64::from(n) / 100.0)),
            any::<u64>().prop_map(|bits| Some(f64::from_bits(bits))),
            any::<i64>().prop_map(|n| Some(n as f64)),
            Just(Some(-0.0)),
        ];
        let delta = prop_oneof![Just(5000_i64), 4997..5004_i64, 1..100_000_000_000_i64];
        prop::collection::vec((delta, value), 1..usize::from(FULL))
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(steps in steps()) {
            let (mut at, mut value) = (-5, 0.0);
            let samples: Vec<(i64, u64)> = steps
                .into_iter()
                .map(|(delta, next)| {
                    at += delta;
                    value = next.unwrap_or(value);
                    (at, f64::to_bits(value))
                })
                .collect();
            let mut chunk = OpenChunk::new(samples[0].0, f64::from_bits(samples[0].1));
            samples[1..].iter().for_each(|(at, bits)| chunk.push(*at, f64::from_bits(*bits)));
            let bits = |samples: Samples<'_>| samples.map(|(at, v)| (at, v.to_bits())).collect::<Vec<_>>();
            prop_assert_eq!(&bits(chunk.samples()), &samples);
            let again = chunk.encoded().rebuild().unwrap();
            prop_assert_eq!(again.encoded().bytes, chunk.encoded().bytes);
            prop_assert_eq!(&bits(chunk.close().samples()), &samples);
        }

        #[test]
        fn garbage_is_refused_or_made_good(
            count in any::<u16>(),
            first_ms in any::<i64>(),
            bytes in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            if let Some(chunk) = (Encoded { count, first_ms, bytes: &bytes }).rebuild() {
                let times: Vec<i64> = chunk.samples().map(|(at, _)| at).collect();
                prop_assert_eq!(times.len(), usize::from(count));
                prop_assert!(times.is_sorted_by(|a, b| a < b));
            }
        }
    }
}
