//! Any text as PromQL: parsing and evaluating end in time and without a panic; what parses prints as what it is.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use plimsoll_rules::promql::{EvalOptions, parse, query, query_range};
use plimsoll_rules::{Labels, Store, StoreLimits, Timestamp};

/// A few series with the names and labels that texts of the corpus use.
static STORE: LazyLock<Store> = LazyLock::new(|| {
    let mut store = Store::new(StoreLimits { series: 100, retention: Duration::from_secs(3600) });
    for (n, job) in ["api", "db"].into_iter().enumerate() {
        for step in 0..40_u32 {
            let at = Timestamp::from_millis(i64::from(step) * 15_000);
            for (name, le) in [("up", ""), ("x", ""), ("h_bucket", "0.5"), ("h_bucket", "+Inf")] {
                let value = if step % 11 == 7 { f64::NAN } else { f64::from(step * (n as u32 + 1)) };
                store.append(&Labels::metric(name, [("job", job), ("le", le)]), at, value);
            }
        }
    }
    store
});

fuzz_target!(|text: &str| {
    let Ok(expr) = parse(text) else { return };
    let printed = expr.to_string();
    let again = parse(&printed).unwrap_or_else(|why| panic!("{text:?} prints as {printed:?}, which is refused: {why}"));
    assert_eq!(again.to_string(), printed, "{text:?}");
    let options = EvalOptions { max_samples: 200_000, ..EvalOptions::default() };
    let at = Timestamp::from_millis(600_000);
    let _ = query(&expr, &STORE, at, &options);
    let _ = query_range(&expr, &STORE, (Timestamp::from_millis(0), at), Duration::from_secs(60), &options);
});
