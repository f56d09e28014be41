//! The store as bytes and back: in pieces, so that it is never held twice; versioned, checksummed, refusing whatever is
//! not whole.
//!
//! `PLIMSER3`, then frames: length (u32), checksum (u64), that many bytes of whole series. The last frame is empty; its
//! checksum is that of all the others' (so that a missing frame shows).

use std::io::{self, Read};

use super::chunk::Encoded;
use super::{Series, Store, StoreLimits};
use crate::Labels;
use crate::labels::LabelsBuilder;

const MAGIC: &[u8; 8] = b"PLIMSER3";

/// Bytes after which a frame ends.
const FRAME: usize = 256 << 10;

/// Longest frame read back, in bytes: one series beyond [`FRAME`] with whatever its retention may hold.
const LONGEST_FRAME: u32 = 64 << 20;

/// Length and checksum.
const FRAME_HEAD: usize = 4 + 8;

impl Store {
    /// A compact snapshot that [`Store::restore`] reads back, in pieces of about 256 KiB, each made when it is asked for.
    pub fn snapshot(&self) -> impl Iterator<Item = Vec<u8>> + use<'_> {
        let mut series = self.slots.iter().flatten().peekable();
        let mut sums = checksum(&[]);
        let frames = std::iter::from_fn(move || {
            series.peek()?;
            let mut frame = Vec::with_capacity(FRAME + FRAME / 8);
            frame.extend_from_slice(&[0; FRAME_HEAD]);
            while frame.len() < FRAME
                && let Some(series) = series.next()
            {
                write(series, &mut frame);
            }
            let sum = checksum(&frame[FRAME_HEAD..]);
            Some((seal(frame, sum), sum))
        });
        let frames = frames.map(Some).chain([None]).map(move |frame| match frame {
            Some((frame, sum)) => {
                sums = fold(sums, sum);
                frame
            }
            None => seal(vec![0; FRAME_HEAD], sums),
        });
        std::iter::once(MAGIC.to_vec()).chain(frames)
    }

    /// Reads a snapshot back, a frame at a time; series beyond the limit are left out.
    ///
    /// # Errors
    /// A sentence saying what is wrong with it (truncated, other version, checksum, cannot be read).
    pub fn restore(limits: StoreLimits, mut snapshot: impl Read) -> Result<Self, String> {
        let mut magic = [0; MAGIC.len()];
        fill(&mut snapshot, &mut magic)?;
        if &magic != MAGIC {
            return Err("it is not a series snapshot of this version".into());
        }
        let (mut store, mut sums, mut frame) = (Self::new(limits), checksum(&[]), Vec::new());
        loop {
            let sum = read_frame(&mut snapshot, &mut frame)?;
            let expected = if frame.is_empty() { sums } else { checksum(&frame) };
            if sum != expected {
                return Err("its checksum does not match: it is damaged or was cut short".into());
            }
            if frame.is_empty() {
                return end(snapshot).map(|()| store);
            }
            sums = fold(sums, sum);
            store.take_frame(&frame)?;
        }
    }

    fn take_frame(&mut self, frame: &[u8]) -> Result<(), String> {
        let mut reader = Reader(frame);
        while !reader.0.is_empty() {
            let labels = reader.labels().ok_or("the labels of a series in it cannot be read")?;
            let labels = self.index.intern(&labels);
            let series = reader.series(&labels).ok_or("a series in it cannot be decoded")?;
            if self.by_labels.contains_key(&series.labels) {
                return Err(format!("it holds {} twice", series.labels));
            }
            if self.by_labels.len() < self.limits.series {
                self.enter(series);
            }
        }
        Ok(())
    }
}

/// Writes length and checksum into the room left for them.
fn seal(mut frame: Vec<u8>, sum: u64) -> Vec<u8> {
    let length = u32::try_from(frame.len() - FRAME_HEAD).unwrap_or(u32::MAX);
    frame[..4].copy_from_slice(&length.to_le_bytes());
    frame[4..FRAME_HEAD].copy_from_slice(&sum.to_le_bytes());
    frame
}

/// Reads the next frame into `frame` and gives its checksum.
fn read_frame(snapshot: &mut impl Read, frame: &mut Vec<u8>) -> Result<u64, String> {
    let (mut length, mut sum) = ([0; 4], [0; 8]);
    fill(snapshot, &mut length)?;
    fill(snapshot, &mut sum)?;
    let length = u32::from_le_bytes(length);
    if length > LONGEST_FRAME {
        return Err(format!("a part of it claims to be {length} bytes long: it is damaged"));
    }
    frame.clear();
    // through `take`, so that a lying length asks for no more memory than there are bytes
    let read = snapshot.take(u64::from(length)).read_to_end(frame).map_err(|error| unreadable(&error))?;
    if read < length as usize { Err("it was cut short".into()) } else { Ok(u64::from_le_bytes(sum)) }
}

fn fill(snapshot: &mut impl Read, bytes: &mut [u8]) -> Result<(), String> {
    snapshot.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => "it was cut short".into(),
        _ => unreadable(&error),
    })
}

fn end(mut snapshot: impl Read) -> Result<(), String> {
    match snapshot.read(&mut [0]).map_err(|error| unreadable(&error))? {
        0 => Ok(()),
        _ => Err("something follows its end".into()),
    }
}

fn unreadable(error: &io::Error) -> String {
    format!("it cannot be read: {error}")
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
        fold(hash, u64::from_le_bytes(word))
    })
}

fn fold(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(5)
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
        let bytes: Vec<u8> = store.snapshot().flatten().collect();
        let back = Store::restore(limits, &bytes[..]).unwrap();
        assert_eq!((back.stats().series, back.stats().samples), (2, 600));
        assert_eq!(back.snapshot().flatten().collect::<Vec<_>>(), bytes);
        let one = StoreLimits { series: 1, ..limits };
        assert_eq!(Store::restore(one, &bytes[..]).unwrap().stats().series, 1);
        let mut rng = fastrand::Rng::with_seed(3);
        for _ in 0..500 {
            let mut bad = bytes[..rng.usize(..bytes.len())].to_vec();
            assert!(Store::restore(limits, &bad[..]).is_err(), "cut short");
            bad = bytes.clone();
            let at = rng.usize(..bad.len());
            bad[at] ^= 1 << rng.u8(..8);
            assert!(Store::restore(limits, &bad[..]).is_err(), "one bit flipped at {at}");
        }
    }

    #[test]
    fn damage_behind_a_good_checksum_is_refused_too() {
        let limits = StoreLimits { series: 10, retention: Duration::from_secs(3600) };
        let mut store = Store::new(limits);
        for n in 0..300_i64 {
            store.append(&Labels::metric("x", [("n", "1")]), Timestamp::from_millis(n * 5000), n as f64 * 0.1);
        }
        let frame = store.snapshot().nth(1).unwrap();
        let mut rng = fastrand::Rng::with_seed(4);
        for _ in 0..2000 {
            let mut frame = frame.clone();
            for _ in 0..rng.usize(1..4) {
                let at = rng.usize(FRAME_HEAD..frame.len());
                frame[at] = rng.u8(..);
            }
            frame.truncate(rng.usize(FRAME_HEAD..=frame.len()));
            let sum = checksum(&frame[FRAME_HEAD..]);
            let last = seal(vec![0; FRAME_HEAD], fold(checksum(&[]), sum));
            let bad = [MAGIC.to_vec(), seal(frame, sum), last].concat();
            if let Ok(store) = Store::restore(limits, &bad[..]) {
                assert!(store.stats().samples <= 300, "more than was saved");
            }
        }
    }

    #[test]
    fn a_large_store_comes_in_pieces_and_a_missing_one_shows() {
        let limits = StoreLimits { series: 5000, retention: Duration::from_secs(3600) };
        let mut store = Store::new(limits);
        for n in 0..5000 {
            for at in 0..40 {
                let labels = Labels::metric("x", [("n", &*n.to_string())]);
                store.append(&labels, Timestamp::from_millis(at * 5000), f64::from(n) * 0.17 + at as f64 * 0.013);
            }
        }
        let pieces: Vec<Vec<u8>> = store.snapshot().collect();
        assert!(pieces.len() > 4, "{}", pieces.len());
        assert!(pieces.iter().all(|piece| piece.len() < FRAME + FRAME / 8));
        assert_eq!(Store::restore(limits, &pieces.concat()[..]).unwrap().stats(), store.stats());
        for left_out in 0..pieces.len() {
            let rest: Vec<u8> =
                pieces.iter().enumerate().filter(|(n, _)| *n != left_out).flat_map(|p| p.1.clone()).collect();
            assert!(Store::restore(limits, &rest[..]).is_err(), "without piece {left_out}");
        }
        assert!(Store::restore(limits, &[pieces.concat(), vec![0]].concat()[..]).is_err(), "something follows");
    }
}
