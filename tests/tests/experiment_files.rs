//! `plimsoll experiment`: files are judged as they should be, and what cannot be judged is said.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use plimsoll_tests::binary;
use serde_json::Value;

fn run(arguments: &[&str]) -> Output {
    Command::new(binary().unwrap()).arg("experiment").args(arguments).output().unwrap()
}

fn json(arguments: &[&str]) -> Value {
    let output = run(&[arguments, &["--format", "json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|why| panic!("{why}: {output:?}"))
}

/// Why a file or an argument is refused.
fn refused(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Units half and half; `each` gives the rest of a unit's row, from its number, its half and some luck.
fn file(
    folder: &Path,
    head: &str,
    units: u32,
    each: impl Fn(u32, bool, &mut fastrand::Rng) -> Option<String>,
) -> String {
    let mut rng = fastrand::Rng::with_seed(5);
    let mut text = format!("ts,unit,variant,metric,value{head}\n");
    for unit in 0..units {
        let treated = rng.bool();
        let variant = if treated { "new" } else { "old" };
        if let Some(rest) = each(unit, treated, &mut rng) {
            writeln!(text, "{},u{unit},{variant},{rest}", 1_790_000_000 + unit * 10).unwrap();
        }
    }
    let path = folder.join("outcomes.csv");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn success(rng: &mut fastrand::Rng, share: f64) -> u8 {
    u8::from(rng.f64() < share)
}

#[test]
fn harm_is_rolled_back_and_its_absence_promoted() {
    let folder = tempfile::tempdir().unwrap();
    for (treated_share, decision) in [(0.8, "roll_back"), (0.9, "promote")] {
        let path = file(folder.path(), "", 8000, |_, treated, rng| {
            Some(format!("done,{}", success(rng, if treated { treated_share } else { 0.9 })))
        });
        let page = folder.path().join("page.html").display().to_string();
        let said = json(&["analyze", &path, "--control", "old", "--html", &page]);
        assert_eq!(said["decision"], decision, "{said}");
        let effect = said["metrics"][0]["effect"]["estimate"].as_f64().unwrap();
        assert!((effect - (treated_share - 0.9)).abs() < 0.03, "{effect}");
        let code = run(&["analyze", &path, "--control", "old", "--fail-on-harm"]).status.code();
        assert_eq!(code, Some(i32::from(decision == "roll_back")));
        let page = std::fs::read_to_string(page).unwrap();
        assert!(page.contains("decided") && !page.contains("<script") && !page.contains("http"), "{page}");
    }
}

#[test]
fn a_broken_split_or_missing_outcomes_are_never_judged() {
    let folder = tempfile::tempdir().unwrap();
    let row = |treated, rng: &mut fastrand::Rng| format!("done,{}", success(rng, if treated { 0.7 } else { 0.9 }));
    let lost =
        |_: u32, treated: bool, rng: &mut fastrand::Rng| (!treated || rng.f64() < 0.7).then(|| row(treated, rng));
    let said = json(&["analyze", &file(folder.path(), "", 4000, lost)]);
    assert_eq!((&said["decision"], &said["reason"]), (&"hold".into(), &"sample_ratio_mismatch".into()));
    let silent = |_: u32, treated: bool, rng: &mut fastrand::Rng| {
        Some(if treated && rng.f64() < 0.4 { "done,".to_owned() } else { row(treated, rng) })
    };
    let said = json(&["analyze", &file(folder.path(), "", 4000, silent)]);
    assert_eq!((&said["decision"], &said["reason"]), (&"hold".into(), &"missing_differs".into()));
}

#[test]
fn labels_that_depend_on_the_judge_do_not_mislead() {
    let folder = tempfile::tempdir().unwrap();
    // The treatment is ten points worse; its answers are asked about more often where the judge likes them less.
    let path = file(folder.path(), ",judge,label_prob", 8000, |_, treated, rng| {
        let done = success(rng, if treated { 0.7 } else { 0.8 });
        let judge = 0.4 * f64::from(done) + 0.6 * rng.f64() - if treated { 0.2 } else { 0.0 };
        let share = if judge < 0.5 { 0.5 } else { 0.05 };
        let value = if rng.f64() < share { done.to_string() } else { String::new() };
        Some(format!("done,{value},{judge:.3},{share}"))
    });
    let said = json(&["analyze", &path, "--control", "old"]);
    assert_eq!(said["decision"], "none", "{said}");
    let interval = &said["metrics"][0]["effect"]["interval"];
    assert!(interval[0].as_f64().unwrap() < -0.1 && -0.1 < interval[1].as_f64().unwrap(), "{interval}");
}

#[test]
fn a_judge_narrows_what_few_labels_say() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), ",judge,label_prob", 8000, |_, treated, rng| {
        let done = success(rng, if treated { 0.75 } else { 0.8 });
        let judge = f64::from(done) * 0.9 + 0.1 * rng.f64();
        let value = if rng.f64() < 0.1 { done.to_string() } else { String::new() };
        Some(format!("done,{value},{judge:.3},0.1"))
    });
    let said = json(&["analyze", &path, "--control", "old"]);
    let width = |key: &str| {
        let interval = &said["metrics"][0][key]["interval"];
        interval[1].as_f64().unwrap() - interval[0].as_f64().unwrap()
    };
    let (labels, judged) = (width("effect"), width("effect_with_judge"));
    assert!(judged < 0.7 * labels, "{judged} against {labels}");
}

#[test]
fn what_cannot_be_judged_is_said_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "", 50, |_, _, rng| Some(format!("cost,{:.3}", rng.f64())));
    assert!(
        refused(&["analyze", &path]).contains("outcomes.csv:2), so it is a mean"),
        "{}",
        refused(&["analyze", &path])
    );
    assert!(refused(&["analyze", &path, "--margin", "cost=3%"]).contains("not a percentage"));
    assert!(refused(&["analyze", &path, "--bounds", "cost=0.9:1"]).contains("outside its --bounds"));
    assert!(refused(&["analyze", &path, "--signal", "none"]).contains("it has cost"));
    let path = file(folder.path(), "", 50, |_, _, _| Some("done,1".to_owned()));
    assert!(refused(&["analyze", &path, "--margin", "3"]).contains("a share below 1"));
    assert!(refused(&["analyze", &path, "--control", "nobody"]).contains("is the control \"nobody\""));
    let millis = std::fs::read_to_string(&path).unwrap().replace("17900", "17900000");
    std::fs::write(&path, millis).unwrap();
    assert!(refused(&["analyze", &path]).contains("looks like milliseconds"));
    assert!(refused(&["plan", "--baseline", "90%", "--effect=20%"]).contains("no share"));
}

#[test]
fn a_plan_agrees_with_what_analysis_finds() {
    let said = json(&["plan", "--baseline", "90%", "--effect=-10%", "--runs", "200"]);
    let [none, harm] = [0, 1].map(|at: usize| said["effects"][at].clone());
    assert!(none["promoted"].as_f64().unwrap() > 0.9 && harm["rolled_back"].as_f64().unwrap() > 0.98, "{said}");
    assert!(harm["units_mean"].as_f64().unwrap() < none["units_mean"].as_f64().unwrap());
}
