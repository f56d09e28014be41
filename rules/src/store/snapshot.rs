//! The store as bytes and back: versioned, checksummed, refusing whatever is not whole.

use super::chunk::Encoded;
use super::{Series, Store, StoreLimits};
use crate::Labels;
use crate::labels::LabelsBuilder;

const MAGIC: &[u8; 8] = b"PLIMSER2";

/// Bytes of a chunk beside its samples: count, first time, length.
const CHUNK_HEAD: usize = 2 + 8 + 4;

impl Store {
    /// A compact snapshot that [`Store::restore`] reads back; format versioned, checksummed.
    pub fn snapshot(&self) -> Vec<u8> {
        // The exact size, because growing would hold it twice for a moment.
        let size: usize = self.slots.iter().flatten().map(size).sum();
        let mut out = Vec::with_capacity(MAGIC.len() + size + 8);
        out.extend_from_slice(MAGIC);
        self.slots.iter().flatten().for_each(|series| write(series, &mut out));
        let sum = checksum(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        out
    }

    /// Reads a snapshot back; series beyond the limit are left out.
    ///
    /// # Errors
    /// A sentence saying what is wrong with it (truncated, other version, checksum).
    pub fn restore(limits: StoreLimits, snapshot: &[u8]) -> Result<Self, String> {
        let (body, sum) = snapshot.split_last_chunk::<8>().ok_or("it is too short")?;
        let rest = body.strip_prefix(MAGIC).ok_or("it is not a series snapshot of this version")?;
        if checksum(body) != u64::from_le_bytes(*sum) {
            return Err("its checksum does not match: it is damaged or was cut short".into());
        }
        let mut store = Self::new(limits);
        let mut reader = Reader(rest);
        while !reader.0.is_empty() {
            let labels = reader.labels().ok_or("the labels of a series in it cannot be read")?;
            let labels = store.index.intern(&labels);
            let series = reader.series(&labels).ok_or("a series in it cannot be decoded")?;
            if store.by_labels.contains_key(&series.labels) {
                return Err(format!("it holds {} twice", series.labels));
            }
            if store.by_labels.len() < limits.series {
                store.enter(series);
            }
        }
        Ok(store)
    }
}

fn size(series: &Series) -> usize {
    let labels: usize = series.labels.iter().map(|(name, value)| 8 + name.len() + value.len()).sum();
    let chunks: usize = series.encoded().map(|chunk| CHUNK_HEAD + chunk.bytes.len()).sum();
    4 + labels + 4 + chunks
}

fn write(series: &Series, out: &mut Vec<u8>) {
    write_length(out, series.labels.len());
    for text in series.labels.iter().flat_map(|(name, value)| [name, value]) {
        write_length(out, text.len());
        out.extend_from_slice(text.as_bytes());
    }
    write_length(out, series.encoded().count());
    for chunk in series.encoded() {
        out.extend_from_slice(&chunk.count.to_le_bytes());
        out.extend_from_slice(&chunk.first_ms.to_le_bytes());
        write_length(out, chunk.bytes.len());
        out.extend_from_slice(chunk.bytes);
    }
}

fn write_length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

/// FNV-1a over eight bytes at a time: catches torn and rotten files, not attackers.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(0xcbf2_9ce4_8422_2325, |hash: u64, part| {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x0100_0000_01b3).rotate_left(5)
    })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    fn length(&mut self) -> Option<usize> {
        let bytes = self.take(4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.length()?;
        std::str::from_utf8(self.take(length)?).ok()
    }

    fn labels(&mut self) -> Option<Labels> {
        let mut labels = LabelsBuilder::default();
        for _ in 0..self.length()? {
            let (name, value) = (self.text()?, self.text()?);
            labels.set(name, value);
        }
        Some(labels.build())
    }

    fn series(&mut self, labels: &Labels) -> Option<Series> {
        let count = self.length()?;
        Series::rebuild(labels, (0..count).map(|_| self.chunk()))
    }

    fn chunk(&mut self) -> Option<Encoded<'a>> {
        let count = u16::from_le_bytes(self.take(2)?.try_into().ok()?);
        let first_ms = i64::from_le_bytes(self.take(8)?.try_into().ok()?);
        let length = self.length()?;
        Some(Encoded { count, first_ms, bytes: self.take(length)? })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Labels, Timestamp};

    #[test]
    fn a_snapshot_reads_back_and_damage_is_refused() {
        let limits = StoreLimits { series: 10, retention: Duration::from_secs(3600) };
        let mut store = Store::new(limits);
        for n in 0..300_i64 {
            store.append(&Labels::metric("x", [("n", "1")]), Timestamp::from_millis(n * 5000), n as f64 * 0.1);
            store.append(&Labels::metric("y", []), Timestamp::from_millis(n * 5000), f64::NAN);
        }
        let bytes = store.snapshot();
        let back = Store::restore(limits, &bytes).unwrap();
        assert_eq!((back.stats().series, back.stats().samples), (2, 600));
        assert_eq!(back.snapshot(), bytes);
        assert_eq!(bytes.capacity(), bytes.len(), "its size was known beforehand");
        let one = StoreLimits { series: 1, ..limits };
        assert_eq!(Store::restore(one, &bytes).unwrap().stats().series, 1);
        let mut rng = fastrand::Rng::with_seed(3);
        for _ in 0..500 {
            let mut bad = bytes[..rng.usize(..bytes.len())].to_vec();
            assert!(Store::restore(limits, &bad).is_err(), "cut short");
            bad = bytes.clone();
            let at = rng.usize(..bad.len());
            bad[at] ^= 1 << rng.u8(..8);
            assert!(Store::restore(limits, &bad).is_err(), "one bit flipped at {at}");
        }
    }

    #[test]
    fn damage_behind_a_good_checksum_is_refused_too() {
        let limits = StoreLimits { series: 10, retention: Duration::from_secs(3600) };
        let mut store = Store::new(limits);
        for n in 0..300_i64 {
            store.append(&Labels::metric("x", [("n", "1")]), Timestamp::from_millis(n * 5000), n as f64 * 0.1);
        }
        let bytes = store.snapshot();
        let mut rng = fastrand::Rng::with_seed(4);
        for _ in 0..2000 {
            let mut bad = bytes[..bytes.len() - 8].to_vec();
            for _ in 0..rng.usize(1..4) {
                let at = rng.usize(MAGIC.len()..bad.len());
                bad[at] = rng.u8(..);
            }
            bad.truncate(rng.usize(MAGIC.len()..=bad.len()));
            let sum = checksum(&bad);
            bad.extend_from_slice(&sum.to_le_bytes());
            if let Ok(store) = Store::restore(limits, &bad) {
                assert!(store.stats().samples <= 300, "more than was saved");
            }
        }
    }
}
