//! Any bytes as an engine's exposition: every line is a sample, garbage, over the bound, or nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_exporters::parse::parse;

fuzz_target!(|text: &[u8]| {
    let found = parse(text, 50);
    assert!(found.lines.len() <= 50);
    let lines = text.split(|byte| *byte == b'\n').count();
    assert!(found.lines.len() + found.garbage + found.over <= lines);
    assert!(found.lines.iter().all(|line| !line.name.is_empty()));
});
