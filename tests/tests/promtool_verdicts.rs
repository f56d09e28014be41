//! `plimsoll test rules` passes and fails what promtool passes and fails: small test files, each judged by both.
//!
//! Where promtool 2.x says something else than 3.x, or we than both, the case says so: `docs/rules.md` lists the reasons.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use plimsoll_tests::{binary, promtool};
use serde_json::Value as Json;

const RULES: &str = "groups:
- name: g
  rules:
  - {record: r, expr: sum(x)}
  - alert: Hot
    expr: x > 5
    for: 1m
    labels: {severity: page}
    annotations: {summary: 'v {{ $value }}', empty: ''}
";

/// Who says what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    /// Everybody: it passes.
    Pass,
    /// Everybody: it fails.
    Fail,
    /// 3.x and we pass it, 2.x does not.
    PassSince3,
    /// 3.x and we fail it, 2.x does not.
    FailSince3,
    /// promtool passes it, we refuse it.
    WeRefuse,
    /// Only 3.x passes it; 2.x and we refuse it.
    Only3,
    /// promtool fails it, we pass it.
    WePass,
}
use Says::{Fail, FailSince3, Only3, Pass, PassSince3, WePass, WeRefuse};

impl Says {
    fn of_promtool(self, modern: bool) -> bool {
        match self {
            Pass | WeRefuse => true,
            Fail | WePass => false,
            PassSince3 | Only3 => modern,
            FailSince3 => !modern,
        }
    }

    fn of_us(self) -> bool {
        matches!(self, Pass | PassSince3 | WePass)
    }
}

/// A test of one expression over `x`.
struct Sample<'a> {
    top: &'a str,
    test: &'a str,
    series: &'a str,
    values: &'a str,
    expr: &'a str,
    at: &'a str,
    samples: &'a str,
}

const X: Sample<'_> = Sample {
    top: "evaluation_interval: 1m",
    test: "interval: 1m",
    series: "'x'",
    values: "1 2 3",
    expr: "x",
    at: "2m",
    samples: "[{labels: x, value: 3}]",
};

impl Sample<'_> {
    fn text(&self) -> String {
        let Self { top, test, series, values, expr, at, samples } = self;
        format!(
            "rule_files: [r.yml]\n{top}\ntests:\n- {test}\n  input_series:\n  - series: {series}\n    values: {values}\n  \
             promql_expr_test:\n  - expr: '{expr}'\n    eval_time: {at}\n    exp_samples: {samples}\n"
        )
    }
}

/// A test of the alert `Hot`, which fires from minute 2 on.
fn alert(at: &str, name: &str, expected: &str) -> String {
    let expr = Sample { values: "1 9 9 9 9", expr: "1", samples: "[{labels: '{}', value: 1}]", ..X };
    expr.text() + &format!("  alert_rule_test: [{{eval_time: {at}, alertname: {name}, exp_alerts: {expected}}}]\n")
}

/// That the sum of the samples of `values` is `sum`.
fn sum(values: &str, sum: &str) -> String {
    let samples = format!("[{{labels: '{{}}', value: {sum}}}]");
    Sample { values: &format!("'{values}'"), expr: "sum_over_time(x[100d])", at: "1h", samples: &samples, ..X }.text()
}

/// That `expr` gives the YAML number `value`.
fn value(expr: &str, value: &str) -> String {
    Sample { expr, samples: &format!("[{{labels: '{{}}', value: {value}}}]"), ..X }.text()
}

type Case = (&'static str, Says, String);

fn notations() -> Vec<Case> {
    let series = |series: &str, labels: &str| {
        Sample { series, samples: &format!("[{{labels: '{labels}', value: 3}}]"), expr: "{__name__=\"x\"}", ..X }.text()
    };
    vec![
        ("as it should be", Pass, X.text()),
        ("another value", Fail, Sample { samples: "[{labels: x, value: 4}]", ..X }.text()),
        ("one too many", Fail, Sample { samples: "[{labels: x, value: 3}, {labels: x, value: 3}]", ..X }.text()),
        ("nothing expected", Fail, Sample { samples: "[]", ..X }.text()),
        ("a+bxn has n+1 samples", Pass, sum("1+2x3", "16")),
        ("a-bxn", Pass, sum("1-2x3", "-8")),
        ("axn", Pass, sum("5x2", "15")),
        ("a missing one", Pass, sum("1 _ 2", "3")),
        ("_xn has n", Pass, sum("1 _x3 2+1x1", "6")),
        ("stale is no sample", Pass, sum("1 stale 2", "3")),
        ("octal", Pass, sum("010", "8")),
        ("a zero and a count", Pass, sum("0x3 1", "1")),
        ("infinity", Pass, sum("Inf", ".inf")),
        ("underscores", PassSince3, sum("1_000", "1000")),
        ("a step without count", Fail, sum("1+1", "1")),
        ("a blank in it", Fail, sum("1 +1x2", "1")),
        ("a negative count", Fail, sum("1x-1", "1")),
        ("a fraction of a count", Fail, sum("1x1.5", "1")),
        ("a word", Fail, sum("1 b", "1")),
        ("stale, often", Fail, sum("stalex3", "0")),
        ("a comma", Fail, sum("1,2", "3")),
        ("a comment", Fail, sum("1 # 2", "1")),
        ("a histogram", Only3, Sample { values: "'{{schema:0 sum:1 count:1 buckets:[1]}} 1 3'", ..X }.text()),
        ("a folded text", Pass, Sample { values: ">-\n      1 2\n      3", ..X }.text()),
        ("a comment line", Pass, Sample { values: "|\n      1 2 3\n      # four", ..X }.text()),
        ("two lines", Fail, Sample { values: "|\n      1 2\n      3", ..X }.text()),
        ("a second series below", WeRefuse, Sample { values: "|\n      1 2 3\n      y 1 2 3", ..X }.text()),
        ("no values", Pass, Sample { values: "", samples: "[]", ..X }.text()),
        ("labels", Pass, series("'x{a=\"b\",}'", "x{a=\"b\"}")),
        ("labels in other quotes", Pass, series("'x{a=`b`}'", "x{ a = \"b\" }")),
        ("the name as a label", Pass, series("'{__name__=\"x\"}'", "x")),
        ("the name in quotes", PassSince3, series("'{\"x\"}'", "{\"x\"}")),
        ("a matcher", Fail, series("'x{a=~\"b\"}'", "x{a=\"b\"}")),
        ("an open brace", Fail, series("'x{a=\"b\"'", "x")),
        ("a range", Fail, series("'x[5m]'", "x")),
        (
            "a series twice, the last counts",
            Pass,
            X.text().replace("series:\n", "series:\n  - {series: x, values: 7 7 7 7 7}\n"),
        ),
    ]
}

fn numbers_and_times() -> Vec<Case> {
    let at = |at| Sample { at, ..X }.text();
    let fuzzy =
        |fuzzy: &str| value("0.1 + 0.2", "0.3").replace("evaluation_interval: 1m", &format!("fuzzy_compare: {fuzzy}"));
    vec![
        ("hexadecimal", Pass, value("vector(16)", "0x10")),
        ("octal YAML", Pass, value("vector(8)", "010")),
        ("octal YAML, other", Fail, value("vector(10)", "010")),
        ("thousands", Pass, value("vector(1000)", "1_000")),
        ("YAML infinity", Pass, value("vector(-Inf)", "-.inf")),
        ("Go infinity", Fail, value("vector(Inf)", "Inf")),
        ("NaN equals nothing", Fail, value("vector(NaN)", ".nan")),
        ("in quotes", Fail, value("vector(3)", "\"3\"")),
        ("no value is 0", Pass, value("vector(0)", "")),
        ("zeros are equal", Pass, value("vector(-0)", "0")),
        ("the last bit", Fail, value("0.1 + 0.2", "0.3")),
        ("the last bit, fuzzy", PassSince3, fuzzy("true")),
        ("the last bit, fuzzy as YAML 1.1 says yes", PassSince3, fuzzy("yes")),
        ("the last bit, fuzzy no", Fail, fuzzy("false")),
        ("fuzzy in quotes", Fail, fuzzy("\"true\"")),
        ("seconds", Pass, at("120s")),
        ("between evaluations", Pass, at("2m30s")),
        ("no unit", Fail, at("120")),
        ("a fraction", Fail, at("2.5m")),
        ("negative", Fail, at("-2m")),
        ("no interval: that of the evaluation", PassSince3, Sample { test: "name: n", ..X }.text()),
        ("the lookback is open", PassSince3, Sample { values: "1", at: "5m", samples: "[]", ..X }.text()),
        (
            "ranges are open",
            PassSince3,
            Sample { expr: "count_over_time(x[2m])", samples: "[{labels: '{}', value: 2}]", ..X }.text(),
        ),
        (
            "ranges are not closed",
            FailSince3,
            Sample { expr: "count_over_time(x[2m])", samples: "[{labels: '{}', value: 3}]", ..X }.text(),
        ),
        (
            "a subquery's step",
            PassSince3,
            Sample {
                top: "evaluation_interval: 2m",
                values: "0+1x10",
                expr: "count_over_time(x[8m:])",
                at: "10m",
                samples: "[{labels: '{}', value: 4}]",
                ..X
            }
            .text(),
        ),
        (
            "samples until the last evaluation",
            Pass,
            Sample {
                top: "evaluation_interval: 2m",
                at: "3m",
                values: "0+1x10",
                samples: "[{labels: x, value: 2}]",
                ..X
            }
            .text(),
        ),
        ("experimental functions", WePass, Sample { expr: "limitk(1, x)", ..X }.text()),
        (
            "more than 10 000 samples",
            WePass,
            Sample {
                values: "1x20000",
                expr: "count(count_over_time(x[100d]))",
                at: "12000m",
                samples: "[{labels: '{}', value: 1}]",
                ..X
            }
            .text(),
        ),
    ]
}

fn alerts() -> Vec<Case> {
    const HOT: &str = "[{exp_labels: {severity: page}, exp_annotations: {summary: v 9, empty: ''}}]";
    vec![
        ("it fires", Pass, alert("3m", "Hot", HOT)),
        ("of the evaluation before", Pass, alert("2m59s", "Hot", HOT)),
        ("pending is not firing", Pass, alert("1m59s", "Hot", "[]")),
        ("not expected", Fail, alert("3m", "Hot", "[]")),
        ("not there", Fail, alert("1m", "Hot", HOT)),
        ("twice", Fail, alert("3m", "Hot", &HOT.replace("}]", "}, {exp_labels: {severity: page}}]"))),
        (
            "an empty annotation is one",
            Fail,
            alert("3m", "Hot", "[{exp_labels: {severity: page}, exp_annotations: {summary: v 9}}]"),
        ),
        ("an empty label is none", Fail, alert("3m", "Hot", &HOT.replace("page", "page, other: ''"))),
        ("its own name", Pass, alert("3m", "Hot", &HOT.replace("page", "page, alertname: Hot"))),
        ("another name is overwritten", Pass, alert("3m", "Hot", &HOT.replace("page", "page, alertname: Cold"))),
        ("nobody has that name", Pass, alert("3m", "Nobody", "[]")),
        ("a recording rule", Pass, alert("3m", "r", "[]")),
        ("no name", Fail, alert("3m", "''", "[]")),
        (
            "external labels are not the rule's",
            Pass,
            alert("3m", "Hot", HOT).replace("- interval: 1m", "- external_labels: {a: b}\n  interval: 1m"),
        ),
        ("unknown key", Fail, alert("3m", "Hot", &HOT.replace("exp_labels", "labels"))),
    ]
}

fn files() -> Vec<Case> {
    let record = Sample { expr: "r", samples: "[{labels: r, value: 3}]", ..X }.text();
    let with = |pattern: &str| record.replace("[r.yml]", pattern);
    let over = |file: &str, value: &str| {
        Sample { series: "r", expr: "r", samples: &format!("[{{labels: r, value: {value}}}]"), ..X }
            .text()
            .replace("r.yml", file)
    };
    vec![
        ("a recorded series", Pass, record.clone()),
        ("a pattern", Pass, with("['[r].y*']")),
        ("Go's negated class", Pass, with("['[^a-qs-z].yml']")),
        ("a class with an exclamation mark is not negated", Fail, with("['[!a].yml']")),
        ("two stars cross nothing", Fail, with("['**/r.yml']")),
        ("a file named twice is there once", Pass, with("[r.yml, ./r.yml, '?.yml']")),
        ("no such file", Fail, with("[nope.yml]")),
        ("a broken pattern", Fail, with("['r[.yml']")),
        ("a broken rule file", Fail, with("[broken.yaml]")),
        ("a broken rule file and no test", Pass, "rule_files: [broken.yaml]\n".to_owned()),
        ("a rule that fails", Fail, X.text().replace("r.yml", "fails.yaml")),
        ("records what is there already", Pass, over("same.yaml", "3")),
        ("contradicts what is there already", Fail, over("other.yaml", "3")),
        ("an empty file", Pass, String::new()),
        ("only a comment", Pass, "# nothing\n".to_owned()),
        ("a test of nothing", Pass, "tests: [~, {}]\n".to_owned()),
        ("no mapping", Fail, "[]\n".to_owned()),
        ("tests are a list", Fail, "tests: {}\n".to_owned()),
        ("unknown key", Fail, X.text() + "test: []\n"),
        ("the same key twice", Fail, X.text() + "evaluation_interval: 1m\n"),
        ("a group twice in the order", Fail, X.text() + "group_eval_order: [g, g]\n"),
        ("a group that is not there in the order", Pass, X.text() + "group_eval_order: [nope]\n"),
        ("a second document", WeRefuse, X.text() + "---\n" + &X.text()),
    ]
}

const OTHER_FILES: [(&str, &str); 5] = [
    ("r.yml", RULES),
    ("broken.yaml", "groups: [{name: g, rules: [{record: r, expr: 'sum('}]}]\n"),
    (
        "fails.yaml",
        "groups: [{name: g, rules: [{record: q, expr: 'label_replace({__name__=~\"x|r\"}, \"__name__\", \"y\", \"\", \"\")'}, {record: r, expr: x}, {record: s, expr: 'label_replace({__name__=~\"x|r\"}, \"__name__\", \"y\", \"\", \"\")'}]}]\n",
    ),
    ("same.yaml", "groups: [{name: g, rules: [{record: r, expr: r}]}]\n"),
    ("other.yaml", "groups: [{name: g, rules: [{record: r, expr: r + 1}]}]\n"),
];

#[test]
fn the_verdict_is_promtools() {
    let cases = [notations(), numbers_and_times(), alerts(), files()].concat();
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in OTHER_FILES {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let name = |case: usize| format!("case{case}.test");
    for (case, (_, _, text)) in cases.iter().enumerate() {
        std::fs::write(folder.path().join(name(case)), text).unwrap();
    }
    let names: Vec<String> = (0..cases.len()).map(name).collect();
    let us = ours(folder.path(), &names);
    let theirs = promtool().map(|(program, modern)| (promtools(&program, folder.path(), &names), modern));
    let mut wrong = Vec::new();
    for ((why, says, text), name) in cases.iter().zip(&names) {
        if us[name].0 != says.of_us() {
            wrong.push(format!("{why}: we were to say {}\n{text}\n{}", says.of_us(), us[name].1));
        }
        if let Some((theirs, modern)) = &theirs
            && theirs[name] != says.of_promtool(*modern)
        {
            wrong.push(format!("{why}: promtool was to say {}\n{text}", says.of_promtool(*modern)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n----\n"));
    println!("{} test files, each with the same verdict as listed", cases.len());
}

/// What we say of each file, and why.
fn ours(folder: &Path, names: &[String]) -> BTreeMap<String, (bool, String)> {
    let mut command = Command::new(binary().unwrap());
    let said = command.args(["test", "rules", "--format", "json"]).args(names).current_dir(folder).output().unwrap();
    assert_eq!(said.status.code(), Some(1), "some fail");
    let said: Json = serde_json::from_slice(&said.stdout).unwrap();
    let files = said["files"].as_array().unwrap().iter();
    files.map(|f| (f["file"].as_str().unwrap().to_owned(), (f["ok"] == true, f["problems"].to_string()))).collect()
}

/// What promtool says of each file, by its exit code.
fn promtools(program: &str, folder: &Path, names: &[String]) -> BTreeMap<String, bool> {
    let judge = |name: &String| {
        let said = Command::new(program).args(["test", "rules", name]).current_dir(folder).output().unwrap();
        let code = said.status.code();
        assert!(matches!(code, Some(0 | 1)), "{name}: {code:?}");
        (name.clone(), code == Some(0))
    };
    std::thread::scope(|scope| {
        let halves = names.chunks(names.len().div_ceil(2));
        let judges: Vec<_> = halves.map(|names| scope.spawn(|| names.iter().map(judge).collect::<Vec<_>>())).collect();
        judges.into_iter().flat_map(|judge| judge.join().unwrap()).collect()
    })
}
