//! Any answer of a receiver: read without a panic, and never asking us to stay away for longer than an hour.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| plimsoll_alerts::fuzz_answer(data));
