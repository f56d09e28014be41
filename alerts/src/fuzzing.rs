//! The door for the fuzz target `sink_answer`; exists under `cargo fuzz` only.

use std::time::SystemTime;

use crate::chat::fuzz_inside;
use crate::verdict::{Answer, Verdict, judge};

/// Reads `data` as an answer: two bytes of status, then lines `Retry-After` and `Date`, then the body.
///
/// # Panics
/// An answer asks us to stay away for longer than an hour.
pub fn fuzz_answer(data: &[u8]) {
    let Some((status, rest)) = data.split_first_chunk::<2>() else { return };
    let mut parts = rest.splitn(3, |byte| *byte == b'\n');
    let mut header = || parts.next().map(|line| String::from_utf8_lossy(line).into_owned());
    let (retry_after, date) = (header(), header());
    let body = parts.next().unwrap_or_default().to_vec();
    let answer = Answer { status: u16::from_be_bytes(*status) % 600, retry_after, date, body };
    let verdicts = fuzz_inside(&answer).into_iter().chain([judge(&answer, SystemTime::UNIX_EPOCH)]);
    for verdict in verdicts {
        if let Verdict::Retry { after: Some(after), .. } = verdict {
            assert!(after.as_secs() <= 3600, "{after:?}");
        }
    }
}
