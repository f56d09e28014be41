//! `plimsoll detect`: a file in, a score for each row out; and the Numenta Anomaly Benchmark by its official method.

use std::process::Command;

use plimsoll_tests::{binary, shared};

#[test]
fn a_spike_in_a_file_is_labelled() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("cpu.csv"), folder.path().join("scored.csv"));
    let row = |n: u32| format!("{},{}\n", n * 60, if n == 1500 { 90 } else { n * 7 % 11 });
    let text: String = std::iter::once("timestamp,value\n".to_owned()).chain((0..1600).map(row)).collect();
    std::fs::write(&from, text).unwrap();
    let done = Command::new(binary().unwrap()).arg("detect").arg(&from).arg("-o").arg(&to).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let scored = std::fs::read_to_string(to).unwrap();
    assert_eq!(scored.lines().count(), 1601);
    assert!(scored.lines().nth(1501).unwrap().ends_with(",1"), "{:?}", scored.lines().nth(1501));
}

#[test]
fn a_bad_time_is_said_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("bad.csv");
    std::fs::write(&from, "timestamp,value\n1,2\nsoon,3\n").unwrap();
    let done = Command::new(binary().unwrap()).arg("detect").arg(&from).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(!done.status.success() && said.contains("bad.csv:3: column 1: \"soon\" is no time"), "{said}");
}

#[test]
fn isolated_failures_are_silent() {
    let Some(data) = shared("data/mscloud/service-unavailable/unavail-01.csv.gz") else { return };
    let done = Command::new(binary().unwrap()).arg("detect").arg(data).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let alarms: Vec<&str> = said.lines().filter(|row| row.ends_with(",1")).collect();
    assert!(said.lines().count() == 15_841 && alarms.is_empty(), "{alarms:?}");
}

#[test]
fn nab_is_scored_by_its_official_method() {
    let (Some(data), Some(scorer)) = (shared("data/nab"), shared("nab_score.py")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let windows = std::fs::read_to_string(data.join("labels/windows.json")).unwrap();
    let windows: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&windows).unwrap();
    for name in windows.keys() {
        let (from, to) = (data.join("data").join(format!("{name}.gz")), folder.path().join(name));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        let done = Command::new(binary().unwrap()).arg("detect").arg(&from).arg("-o").arg(&to).output().unwrap();
        assert!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
    }
    let done = Command::new("python3").arg(scorer).arg(folder.path()).arg("--data").arg(data).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let score = |profile: &str| {
        let line = said.lines().find(|line| line.starts_with(profile)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap()
    };
    assert!(score("standard") >= 79.8 && score("low_fp") >= 73.7 && score("low_fn") >= 84.1, "{said}");
}
