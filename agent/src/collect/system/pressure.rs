//! Pressure stall information (PSI): how long tasks waited for CPU, memory or I/O.

use std::path::Path;

/// `(resource, some|full, seconds)` from `folder/{cpu,memory,io}{suffix}`; what is missing or garbled is left out.
pub(super) fn read(folder: &Path, suffix: &str) -> Vec<(&'static str, &'static str, f64)> {
    let mut found = Vec::new();
    for resource in ["cpu", "memory", "io"] {
        let Ok(text) = std::fs::read_to_string(folder.join(format!("{resource}{suffix}"))) else { continue };
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            let kind = match words.next() {
                Some("some") => "some",
                Some("full") => "full",
                _ => continue,
            };
            let total = words.find_map(|word| word.strip_prefix("total=")).and_then(|n| n.parse::<u64>().ok());
            found.extend(total.map(|micros| (resource, kind, micros as f64 / 1e6)));
        }
    }
    found
}
