//! Any text as a rule file: refused with places that are in it, or evaluated.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use plimsoll_rules::{EngineOptions, Labels, RuleEngine, Store, StoreLimits, Timestamp, load_rules};

fuzz_target!(|text: &str| {
    let groups = match load_rules("f.yml", text, Duration::from_secs(60)) {
        Ok(groups) => groups,
        Err(problems) => {
            let lines = text.matches(['\n', '\r']).count() + 1; // YAML breaks lines at either
            assert!(!problems.is_empty());
            assert!(problems.iter().all(|p| p.line >= 1 && p.line <= lines && p.column >= 1), "{problems:?}");
            return;
        }
    };
    let options = EngineOptions {
        external_labels: Labels::default(),
        external_url: "http://pod".to_owned(),
        resend_delay: Duration::from_secs(60),
    };
    let mut engine = RuleEngine::new(groups, options);
    let mut store = Store::new(StoreLimits { series: 1000, retention: Duration::from_secs(3600) });
    for minute in 0..3 {
        let now = Timestamp::from_millis(minute * 60_000);
        store.append(&Labels::metric("up", [("job", "api")]), now, f64::from(minute as i32));
        engine.evaluate(&mut store, now);
        engine.to_notify(now);
    }
    let saved = engine.save();
    engine.restore(&saved, Timestamp::from_millis(180_000)).expect("what was saved can be restored");
});
