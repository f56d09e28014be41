//! Any text as a unit test file of rules: read, or refused with places.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_rules::load_tests;

fuzz_target!(|text: &str| {
    match load_tests("t.yml", text) {
        Ok(tests) => _ = tests.counts(),
        Err(problems) => assert!(problems.iter().all(|p| p.line >= 1 && p.column >= 1) && !problems.is_empty()),
    }
});
