//! The store as bytes and back: versioned, checksummed, refusing whatever is not whole.

use super::{Series, Store, StoreLimits};
use crate::chunk::Chunk;
use crate::labels::LabelsBuilder;

const MAGIC: &[u8; 8] = b"PLIMSER1";

impl Store {
    /// A compact snapshot that [`Store::restore`] reads back; format versioned, checksummed.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        for series in self.slots.iter().flatten() {
            write_length(&mut out, series.labels.len());
            for (name, value) in series.labels.iter() {
                for text in [name, value] {
                    write_length(&mut out, text.len());
                    out.extend_from_slice(text.as_bytes());
                }
            }
            write_length(&mut out, series.chunks.len());
            series.chunks.iter().for_each(|chunk| chunk.write(&mut out));
        }
        let sum = checksum(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        out
    }

    /// Reads a snapshot back.
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
            let series = reader.series().ok_or("a series in it cannot be decoded")?;
            if store.by_labels.len() < limits.series {
                store.adopt(series);
            }
        }
        Ok(store)
    }

    fn adopt(&mut self, series: Series) {
        let name = series.labels.name().into();
        let slot = self.slots.len();
        if !series.chunks.is_empty() && self.by_labels.insert(series.labels.clone(), slot).is_none() {
            self.by_name.entry(name).or_default().push(slot);
            self.slots.push(Some(series));
        }
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

    fn series(&mut self) -> Option<Series> {
        let mut labels = LabelsBuilder::default();
        for _ in 0..self.length()? {
            let (name, value) = (self.text()?, self.text()?);
            labels.set(name, value);
        }
        let mut chunks = std::collections::VecDeque::new();
        for _ in 0..self.length()? {
            let chunk = self.chunk()?;
            if chunks.back().is_some_and(|last: &Chunk| last.last_ms >= chunk.first_ms) {
                return None;
            }
            chunks.push_back(chunk);
        }
        Some(Series { labels: labels.build(), chunks })
    }

    fn chunk(&mut self) -> Option<Chunk> {
        let count = u16::from_le_bytes(self.take(2)?.try_into().ok()?);
        let first_ms = i64::from_le_bytes(self.take(8)?.try_into().ok()?);
        let length = self.length()?;
        Chunk::read(count, first_ms, self.take(length)?)
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
}
