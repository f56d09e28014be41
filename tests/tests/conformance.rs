//! PromQL means what Prometheus says it means: its own conformance cases, through `plimsoll promql --stdio`.

use std::process::Command;

use plimsoll_tests::{binary, shared};

/// Cases on float samples in Prometheus v3.5.3 (native histograms are refused at load).
const CASES: usize = 843;

#[test]
fn every_float_case_of_prometheus_passes() {
    let Some(folder) = shared("promqltest") else { return };
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "test"))
        .collect();
    files.sort();
    let engine = format!("{} promql --stdio", binary().unwrap().display());
    let judge = folder.join("promqltest.py");
    let output = match Command::new("python3").arg(judge).args(["-v", "--stdio", &engine]).args(files).output() {
        Ok(output) => output,
        Err(error) => {
            println!("SKIPPED: python3, which judges, does not start: {error}");
            return;
        }
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    let total = said.lines().find(|line| line.starts_with("TOTAL")).unwrap_or("no TOTAL line");
    println!("{total}");
    assert!(total.starts_with(&format!("TOTAL {CASES}/{CASES} ")), "{said}\n{complaints}");
}
