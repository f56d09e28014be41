//! The door for the fuzz target `sink_answer`; exists under `cargo fuzz` only.

use std::time::SystemTime;

use crate::chat::fuzz_inside;
use crate::verdict::{Answer, Verdict, judge};

/// Reads `data` as an answer: a line each for status, `Retry-After` and `Date`, then the body.
///
/// # Panics
/// An answer asks us to stay away for longer than an hour.
pub fn fuzz_answer(data: &[u8]) {
    let mut parts = data.splitn(4, |byte| *byte == b'\n');
    let mut line = || parts.next().map(|line| String::from_utf8_lossy(line).into_owned());
    let (status, retry_after, date) = (line(), line(), line());
    let Some(status) = status.and_then(|text| text.parse().ok()) else { return };
    let answer = Answer { status, retry_after, date, body: parts.next().unwrap_or_default().to_vec() };
    let verdicts = fuzz_inside(&answer).into_iter().chain([judge(&answer, SystemTime::UNIX_EPOCH)]);
    for verdict in verdicts {
        if let Verdict::Retry { after: Some(after), .. } = verdict {
            assert!(after.as_secs() <= 3600, "{after:?}");
        }
    }
}
