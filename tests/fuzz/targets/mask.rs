//! Any text masked: no panic, findings in order and inside the text, and masking twice changes nothing.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use plimsoll_rules::mask::{MaskOptions, Masker};

static MASKER: LazyLock<Masker> =
    LazyLock::new(|| Masker::new(&[7; 16], &MaskOptions::default()).unwrap_or_else(|why| panic!("{why}")));

fuzz_target!(|text: &str| {
    let findings = MASKER.find(text);
    assert!(findings.iter().all(|found| text.get(found.range.clone()).is_some()));
    assert!(findings.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start));
    let once = MASKER.mask(text);
    assert_eq!(once.counts.total(), findings.len() as u64, "what find lists is what mask hides: {text:?}");
    assert!(MASKER.find(&once.text).is_empty(), "{text:?} became {:?}", once.text);
    assert_eq!(MASKER.mask(&once.text).text, once.text, "{text:?}");
});
