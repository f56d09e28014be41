//! `plimsoll drift`: the same data gives the same verdict in every format; bad files are said with their place; a file is
//! watched as a stream.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use plimsoll_tests::{binary, shared};
use serde_json::{Value, json};

/// One row: input tokens, why it ended, what was asked.
struct Row {
    tokens: Option<u32>,
    reason: &'static str,
    prompt: String,
}

const SUBJECTS: [&str; 6] = ["card", "transfer", "account", "refund", "limit", "address"];

/// Requests of a bank's assistant; `moved` of them are longer, end early and ask about something new.
fn rows(count: usize, moved: f64, seed: u64) -> Vec<Row> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut row = || {
        let new = random.f64() < moved;
        let base = (0..6).map(|_| random.u32(0..60)).sum::<u32>();
        let subject = SUBJECTS[random.usize(..SUBJECTS.len())];
        let (number, ask) =
            (random.u32(..), ["where is my", "please change my", "what happened to the"][random.usize(..3)]);
        let prompt = if new {
            format!("how do I buy bitcoin with my {subject}? write to eve{number}@example.com")
        } else {
            format!("{ask} {subject} from last week, thank you")
        };
        Row {
            tokens: (random.u32(..50) > 0).then_some(if new { base * 2 + 100 } else { base }),
            reason: if new && random.bool() { "length" } else { "stop" },
            prompt,
        }
    };
    (0..count).map(|_| row()).collect()
}

fn csv(rows: &[Row]) -> String {
    let mut out = "timestamp,tokens,reason,prompt\n".to_owned();
    for (at, row) in rows.iter().enumerate() {
        let tokens = row.tokens.map_or(String::new(), |tokens| tokens.to_string());
        writeln!(out, "{at},{tokens},{},\"{}\"", row.reason, row.prompt).unwrap();
    }
    out
}

fn jsonl(rows: &[Row]) -> String {
    let line = |(at, row): (usize, &Row)| {
        let object = json!({"timestamp": at, "tokens": row.tokens, "reason": row.reason, "prompt": row.prompt});
        format!("{object}\n")
    };
    rows.iter().enumerate().map(line).collect()
}

fn packed(text: &str) -> Vec<u8> {
    let mut pack = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    pack.write_all(text.as_bytes()).unwrap();
    pack.finish().unwrap()
}

fn drift(arguments: &[&str]) -> Output {
    Command::new(binary().unwrap()).arg("drift").args(arguments).output().unwrap()
}

fn compared(reference: &Path, current: &Path, more: &[&str]) -> Output {
    let files = ["--reference", reference.to_str().unwrap(), "--current", current.to_str().unwrap()];
    drift(&[&files, more].concat())
}

/// The JSON report.
fn judged(reference: &Path, current: &Path) -> Value {
    let output = compared(reference, current, &["--format", "json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn column<'r>(report: &'r Value, name: &str) -> &'r Value {
    report["columns"].as_array().unwrap().iter().find(|column| column["name"] == name).unwrap()
}

/// No number of a report is NaN, infinite or null.
fn assert_numbers_exist(value: &Value) {
    match value {
        Value::Null => panic!("a number that does not exist is absent"),
        Value::Array(all) => all.iter().for_each(assert_numbers_exist),
        Value::Object(all) => all.values().for_each(assert_numbers_exist),
        _ => {}
    }
}

#[test]
fn every_format_gives_the_same_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let (before, after) = (rows(800, 0.0, 1), rows(700, 0.4, 2));
    let a = write("a.csv", csv(&before).as_bytes());
    let expected = judged(&a, &write("b.csv", csv(&after).as_bytes()));
    for name in ["tokens", "reason", "prompt"] {
        assert_eq!(column(&expected, name)["drift"], true, "{expected:#}");
        assert!(column(&expected, name)["p_adjusted"].as_f64().unwrap() < 0.05);
    }
    assert_eq!(expected["drift"], true);
    let tokens = column(&expected, "tokens");
    assert_eq!((&tokens["kind"], &tokens["direction"]), (&json!("numeric"), &json!("up")));
    let there = after.iter().filter(|row| row.tokens.is_some()).count();
    assert_eq!((&tokens["n_current"], &tokens["missing_current"]), (&json!(there), &json!(700 - there)));
    for key in ["wasserstein", "psi", "js", "hellinger"] {
        assert!(tokens["effect"][key].as_f64().unwrap() > 0.0, "{key}");
    }
    assert!(tokens["tests"]["ks"]["p_value"].is_number() && tokens["tests"]["cvm"]["statistic"].is_number());
    assert_eq!(column(&expected, "reason")["kind"], "categorical");
    let prompt = column(&expected, "prompt");
    assert_eq!(prompt["kind"], "text");
    assert!(prompt["tests"]["classifier"]["auc"].as_f64().unwrap() > 0.6 && prompt["effect"].get("psi").is_none());
    assert_eq!(expected["skipped"][0]["name"], "timestamp");
    assert_numbers_exist(&expected);

    for (name, bytes) in [
        ("b.csv.gz", packed(&csv(&after))),
        ("b.jsonl", jsonl(&after).into_bytes()),
        ("b.jsonl.gz", packed(&jsonl(&after))),
    ] {
        assert_eq!(judged(&a, &write(name, &bytes)), expected, "{name}");
    }
}

/// `tests/golden/drift/generate.py` wrote the same rows in every format.
#[test]
fn parquet_says_what_jsonl_says() {
    let folder = tempfile::tempdir().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/drift");
    let mut before = String::new();
    for (at, row) in rows(400, 0.0, 9).iter().enumerate() {
        let (seconds, ok) = (f64::from(at as u32 % 97) / 40.0, at % 10 != 0);
        let object =
            json!({"tokens": row.tokens, "seconds": seconds, "reason": row.reason, "ok": ok, "prompt": row.prompt});
        writeln!(before, "{object}").unwrap();
    }
    let reference = folder.path().join("a.jsonl");
    std::fs::write(&reference, before).unwrap();
    let expected = judged(&reference, &golden.join("rows.jsonl"));
    let kinds: Vec<&str> =
        expected["columns"].as_array().unwrap().iter().map(|column| column["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["numeric", "numeric", "categorical", "categorical", "text"]);
    for compression in ["none", "snappy", "gzip"] {
        let found = judged(&reference, &golden.join(format!("rows.{compression}.parquet")));
        assert_eq!(found, expected, "{compression}");
    }
}

#[test]
fn size_of_the_data_does_not_make_drift_and_codes_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, rows: &[Row]| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, csv(rows)).unwrap();
        path
    };
    let (a, same) = (file("a.csv", &rows(20_000, 0.0, 3)), file("same.csv", &rows(20_000, 0.004, 4)));
    let few = file("few.csv", &rows(6, 0.0, 5));
    for (why, current) in [("much data, almost nothing moved", &same), ("six rows", &few)] {
        let output = compared(&a, current, &["--fail-on-drift", "--format", "json"]);
        assert_eq!(output.status.code(), Some(0), "{why}: {}", String::from_utf8_lossy(&output.stdout));
    }
    let moved = file("moved.csv", &rows(3_000, 0.5, 6));
    assert_eq!(compared(&a, &moved, &[]).status.code(), Some(0));
    let output = compared(&a, &moved, &["--fail-on-drift"]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{table}");
    assert!(table.starts_with("3 of 3 columns have drifted: tokens, reason, prompt."), "{table}");
    assert!(table.contains("not compared: timestamp: times always differ"), "{table}");

    let page = folder.path().join("report.html");
    let output = compared(&a, &moved, &["--html", page.to_str().unwrap()]);
    assert!(output.status.success());
    let page = std::fs::read_to_string(page).unwrap();
    assert!(
        page.contains("bitcoin") && page.contains("&lt;EMAIL&gt;") && !page.contains("@example.com"),
        "text is masked"
    );
    for outside in ["src=", "http://", "https://", "<script", "@import", "url("] {
        assert!(!page.contains(outside), "{outside} in the page");
    }
    for tag in ["svg", "section", "table", "div"] {
        assert_eq!(page.matches(&format!("<{tag}")).count(), page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn bad_files_are_said_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| -> String {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let numbers: String = (0..2_000).map(|n| format!("{n}\n")).collect();
    let good = file("good.csv", &format!("x\n{numbers}"));
    let late = file("late.csv", &format!("x\n{numbers}{}", "oops\n".repeat(150)));
    let endless = file("endless.csv", &format!("x\n{numbers}{}", "inf\n".repeat(150)));
    let behind = file("behind.csv", "x,y\n1,\"a\"\n2,\"b\"c\n");
    let other = file("other.csv", "y\n1\n");
    let ragged = file("ragged.csv", "x,y\n1,2\n3\n");
    let broken = file("broken.jsonl", "{\"x\": 1}\n{\"x\": \n");
    for (reference, current, more, expected) in [
        (
            &good,
            &late,
            &[][..],
            "late.csv:2002: column \"x\": \"oops\" is no number; 150 of 2150 cells are none, more than 5 %: leave",
        ),
        (&good, &endless, &[], "endless.csv:2002: column \"x\": inf is infinite, or beyond 1.8e308; 150 of"),
        (&good, &behind, &[], "behind.csv:3: \"c\" stands behind a closing quote"),
        (&good, &other, &[], "there is no column to compare: x ("),
        (&good, &ragged, &[], "ragged.csv:3: 1 cell where the first line has 2"),
        (&good, &broken, &[], "broken.jsonl:2: column"),
        (&good, &good, &["--columns", "z=text"], "--columns z: neither file has such a column; they have x"),
        (&good, &"missing.csv".to_owned(), &[], "missing.csv cannot be read"),
        (&good, &good, &["--columns", "x=number"], "KIND one of numeric, categorical, text, skip"),
        (&good, &good, &["--alpha", "NaN"], "a number between 0 and 1 is wanted"),
    ] {
        let output = compared(Path::new(reference), Path::new(current), more);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(expected), "{expected}: {said}");
    }
    assert_eq!(drift(&[]).status.code(), Some(2));
}

/// One bad cell among the first rows makes no text, no category and no identifier of a column of numbers.
#[test]
fn a_few_odd_cells_are_missing_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, odd: &[usize]| -> PathBuf {
        let cell = |row: usize| if odd.contains(&row) { "1.2.3".to_owned() } else { format!("{}", row % 97) };
        let path = folder.path().join(name);
        std::fs::write(&path, (0..3_000).fold("x\n".to_owned(), |text, row| text + &cell(row) + "\n")).unwrap();
        path
    };
    let (reference, current) = (file("a.csv", &[17]), file("b.csv", &[40, 2_500]));
    let output = compared(&reference, &current, &["--format", "json"]);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let x = column(&report, "x");
    assert_eq!((&x["kind"], &x["drift"], &x["missing_current"]), (&json!("numeric"), &json!(false), &json!(2)), "{x}");
    assert_eq!(x["not_numbers_current"]["count"], 2, "{x}");
    for said in [
        "a.csv:19: column \"x\": \"1.2.3\" is no number: counted as missing\n",
        "b.csv:42: column \"x\": \"1.2.3\" is no number: counted as missing, and 1 more such cells\n",
    ] {
        assert!(complaint.contains(said), "{complaint}");
    }
    let output = drift(&["watch", current.to_str().unwrap(), "--reference-rows", "1000", "--arl", "100000"]);
    let (said, complaint) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    let summary: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    let signal = &summary["summary"]["signals"][0];
    assert_eq!((&signal["kind"], &signal["observations"]), (&json!("numeric"), &json!(1_999)), "{said}");
    assert_eq!(signal["not_numbers"]["count"], 2, "{said}");
    assert!(complaint.contains("b.csv:42: column \"x\": \"1.2.3\" is no number: counted as missing\n"), "{complaint}");
    let many: Vec<usize> = (0..3_000).step_by(10).filter(|row| *row > 1_000).collect();
    let many = file("many.csv", &many);
    let output = drift(&["watch", many.to_str().unwrap(), "--reference-rows", "200", "--arl", "100000"]);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && complaint.contains("more than 5 %"), "{complaint}");
}

#[test]
fn a_file_is_watched_as_a_stream() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stream.jsonl");
    let mut all = rows(3_000, 0.0, 7);
    all.extend(rows(1_500, 0.9, 8));
    std::fs::write(&path, jsonl(&all)).unwrap();
    let output = drift(&["watch", path.to_str().unwrap(), "--reference-rows", "1000", "--arl", "20000"]);
    let (said, complaint) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{complaint}");
    let mut lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.pop().unwrap()["summary"].clone();
    assert_eq!((&summary["rows"], &summary["reference_rows"]), (&json!(4500), &json!(1000)), "{said}");
    assert_eq!(summary["alarms"], lines.len());
    for signal in ["tokens", "reason", "prompt"] {
        let alarm = lines.iter().find(|alarm| alarm["signal"] == signal).unwrap_or_else(|| panic!("{signal}: {said}"));
        let row = alarm["row"].as_u64().unwrap();
        assert!((3_001..3_400).contains(&row), "{alarm}");
        for key in ["evidence", "direction", "effect", "explanation"] {
            assert!(!alarm[key].is_null(), "{key}: {alarm}");
        }
        assert!(!alarm.to_string().contains("@example.com"), "{alarm}");
    }
    let tokens = lines.iter().find(|alarm| alarm["signal"] == "tokens").unwrap();
    assert_eq!(tokens["direction"], "up");
    let output = drift(&["watch", path.to_str().unwrap(), "--reference-rows", "5000", "--arl", "20000"]);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && complaint.contains("has 4500 rows"), "{complaint}");
}

/// Real traces: what is known to have drifted has, what has not has not.
#[test]
fn real_traces_get_the_known_verdicts() {
    let Some(azure) = shared("data/llm/azure_code_2023.csv.gz") else { return };
    let folder = tempfile::tempdir().unwrap();
    let parts = |path: &Path, cut: &dyn Fn(usize, &str) -> bool| -> [PathBuf; 2] {
        let mut text = String::new();
        let packed = std::fs::File::open(path).unwrap();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(packed), &mut text).unwrap();
        let (head, rest) = text.split_once('\n').unwrap();
        let mut halves = [format!("{head}\n"), format!("{head}\n")];
        for (at, line) in rest.lines().enumerate() {
            writeln!(halves[usize::from(cut(at, line))], "{line}").unwrap();
        }
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        [0, 1].map(|half| {
            let path = folder.path().join(format!("{half}-{stem}"));
            std::fs::write(&path, &halves[half]).unwrap();
            path
        })
    };
    let [first, second] = parts(&azure, &|at, _| at >= 4_410);
    let report = judged(&first, &second);
    assert_eq!(report["drift"], false, "{report:#}");
    let mooncake = shared("data/llm/mooncake_synthetic.csv.gz").unwrap();
    let [early, late] =
        parts(&mooncake, &|_, line| line.split(',').next().unwrap().parse::<f64>().unwrap() >= 480_000.0);
    let report = judged(&early, &late);
    assert_eq!(column(&report, "input_tokens")["direction"], "up");
    assert_eq!(column(&report, "output_tokens")["direction"], "down");
    assert!(["input_tokens", "output_tokens"].iter().all(|name| column(&report, name)["drift"] == true), "{report:#}");
    let train = shared("data/text/banking77_train.csv.gz").unwrap();
    let report = judged(&train, &shared("data/text/banking77_test.csv.gz").unwrap());
    assert_eq!(report["drift"], false, "train and test of one corpus: {report:#}");
    let english = judged(&train, &shared("data/text/arena_hard_v01.jsonl.gz").unwrap());
    assert!(column(&english, "text")["tests"]["classifier"]["auc"].as_f64().unwrap() > 0.9, "{english:#}");
}
