//! Rule life cycles, generated with a fixed seed and judged twice: our engine's alerts at every step become the
//! expectations of a promtool test file, and the real promtool must agree with each of them.
//!
//! Two kinds: in the first no sample lies exactly on the edge of a window, so every Prometheus agrees; in the second all
//! do, and only 3.x is asked, whose windows are open on the left (docs/rules.md names the differences).

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use plimsoll_rules::promql::{EvalOptions, Value, parse, query};
use plimsoll_rules::{
    AlertState, EngineOptions, Labels, METRIC_NAME, RuleEngine, STALE_NAN_BITS, Store, StoreLimits, Timestamp,
    load_rules,
};
use plimsoll_tests::promtool;
use serde_json::{Value as Json, json};

/// Life cycles of each kind, and how many share a file.
const CYCLES: usize = 520;
const TOGETHER: usize = 20;
/// Evaluations of each, a minute apart.
const STEPS: i64 = 40;
const MINUTE: i64 = 60_000;

/// One rule and the series it looks at.
struct Cycle {
    rule: Json,
    /// Series and the word for each of its samples.
    series: Vec<(String, Vec<String>)>,
}

fn pick<'a>(rng: &mut fastrand::Rng, from: &[&'a str]) -> &'a str {
    from[rng.usize(..from.len())]
}

/// A series that stays where it is for a while, then jumps, goes missing, goes stale or is no number.
fn words(rng: &mut fastrand::Rng, count: usize) -> Vec<String> {
    let mut words = vec!["_".to_owned()];
    while words.len() < count {
        let word = match rng.u8(..20) {
            0..6 => rng.u32(6..12).to_string(),
            6..12 => rng.u32(0..5).to_string(),
            12..16 => "_".to_owned(),
            16..18 => "stale".to_owned(),
            18 => "NaN".to_owned(),
            _ => format!("{}.5", rng.u32(0..12)),
        };
        let hold = *rng.choice([1, 1, 2, 3, 5, 8].as_slice()).unwrap_or(&1);
        words.extend(std::iter::repeat_n(word, hold));
    }
    words.truncate(count);
    words
}

fn cycle(rng: &mut fastrand::Rng, id: usize, samples: usize) -> Cycle {
    let (m, n) = (format!("m{id}"), format!("n{id}"));
    let exprs = [
        format!("{m} > 5"),
        format!("{m} > 5 unless on (k) {n} > 5"),
        format!("{m} > 5 and on (k) {n} < 5"),
        format!("sum by (k) ({m}) > 9"),
        format!("count({m} > 5) >= 1"),
        format!("absent({m}{{k=\"a\"}})"),
        format!("avg_over_time({m}[4m]) > 5"),
        format!("max_over_time({m}[3m]) - min_over_time({m}[3m]) > 4"),
        format!("changes({m}[5m]) > 1"),
        format!("{m} > on (k) {n}"),
        format!("{m} offset 2m > 5"),
        format!("{m} == {m}"),
        format!("count_over_time({m}[6m]) < 4"),
        format!("absent_over_time({m}[3m])"),
        format!("last_over_time({m}[2m]) > 5 or {n} > 8"),
    ];
    let mut labels = BTreeMap::from([("severity", pick(rng, &["page", "ticket"]).to_owned())]);
    match rng.u8(..4) {
        0 => _ = labels.insert("level", "{{ if gt $value 8.0 }}high{{ else }}low{{ end }}".to_owned()),
        1 => _ = labels.insert("of", "{{ $labels.k }}-{{ printf \"%.6f\" $value }}".to_owned()),
        _ => {}
    }
    let rule = json!({
        "alert": format!("A{id}"),
        "expr": exprs[rng.usize(..exprs.len())],
        "for": pick(rng, &["0s", "0s", "1m", "2m", "3m", "5m", "90s"]),
        "keep_firing_for": pick(rng, &["0s", "0s", "1m", "2m", "4m"]),
        "labels": labels,
        "annotations": {"summary": "{{ $labels.k }} is {{ $value | printf \"%.3f\" }}"},
    });
    let mut series = Vec::new();
    for name in [m, n] {
        for k in ["a", "b", "c"].iter().take(rng.usize(1..4)) {
            series.push((format!("{name}{{k=\"{k}\"}}"), words(rng, samples)));
        }
    }
    Cycle { rule, series }
}

fn value(word: &str) -> Option<f64> {
    match word {
        "_" => None,
        "stale" => Some(f64::from_bits(STALE_NAN_BITS)),
        number => Some(number.parse().unwrap()),
    }
}

/// Every sample of the cycles, by the moment it is there.
fn samples(cycles: &[Cycle], spacing: i64) -> BTreeMap<i64, Vec<(Labels, f64)>> {
    let mut all: BTreeMap<i64, Vec<_>> = BTreeMap::new();
    for (series, words) in cycles.iter().flat_map(|cycle| &cycle.series) {
        let (name, rest) = series.split_once("{k=\"").unwrap();
        let labels = Labels::metric(name, [("k", rest.trim_end_matches("\"}"))]);
        for (at, word) in words.iter().enumerate() {
            if let Some(value) = value(word) {
                all.entry(spacing * i64::try_from(at).unwrap()).or_default().push((labels.clone(), value));
            }
        }
    }
    all
}

/// What our engine says of the rules at every step, as the expectations of a promtool test.
fn judged(rules: &str, cycles: &[Cycle], spacing: i64) -> (Vec<Json>, Vec<Json>) {
    let groups = load_rules("rules.yml", rules, Duration::from_secs(60)).unwrap();
    let options = EngineOptions {
        external_labels: Labels::default(),
        external_url: String::new(),
        resend_delay: Duration::from_secs(60),
    };
    let mut engine = RuleEngine::new(groups, options);
    let mut store = Store::new(StoreLimits { series: 10_000, retention: Duration::from_secs(1 << 30) });
    let (mut alerts, mut waiting) = (Vec::new(), samples(cycles, spacing));
    for step in 0..STEPS {
        let now = Timestamp::from_millis(step * MINUTE);
        while let Some(entry) = waiting.first_entry().filter(|entry| *entry.key() <= now.millis()) {
            let at = Timestamp::from_millis(*entry.key());
            for (labels, value) in entry.remove() {
                store.append(&labels, at, value);
            }
        }
        for report in engine.evaluate(&mut store, now) {
            assert_eq!(report.failures, Vec::<String>::new(), "at {step}m");
        }
        for cycle in cycles {
            let name = cycle.rule["alert"].as_str().unwrap();
            let named = engine.alerts().into_iter().filter(|alert| alert.labels.get("alertname") == Some(name));
            let firing = named.filter(|alert| alert.state == AlertState::Firing);
            let expected: Vec<Json> = firing
                .map(|alert| {
                    let labels: BTreeMap<_, _> = alert.labels.iter().filter(|(name, _)| *name != "alertname").collect();
                    json!({"exp_labels": labels, "exp_annotations": alert.annotations})
                })
                .collect();
            alerts.push(json!({"eval_time": format!("{step}m"), "alertname": name, "exp_alerts": expected}));
        }
    }
    (alerts, ALERT_SERIES.iter().flat_map(|expr| (0..STEPS).map(|step| asked(&store, expr, step))).collect())
}

const ALERT_SERIES: [&str; 2] = ["ALERTS", "ALERTS_FOR_STATE"];

fn asked(store: &Store, expr: &str, step: i64) -> Json {
    let at = Timestamp::from_millis(step * MINUTE);
    let answer = query(&parse(expr).unwrap(), store, at, &EvalOptions::default()).unwrap();
    let Value::Vector(vector) = answer.value else { panic!("{expr} gives a vector") };
    let samples: Vec<Json> = vector
        .iter()
        .map(|sample| {
            let pairs: Vec<String> = sample
                .labels
                .iter()
                .filter(|(name, _)| *name != METRIC_NAME)
                .map(|(k, v)| format!("{k}={v:?}"))
                .collect();
            json!({"labels": format!("{}{{{}}}", sample.labels.name(), pairs.join(",")), "value": sample.value})
        })
        .collect();
    json!({"expr": expr, "eval_time": format!("{step}m"), "exp_samples": samples})
}

/// Writes rules and expectations; gives the test file's name.
fn write(folder: &Path, batch: usize, cycles: &[Cycle], spacing: i64) -> String {
    let rules: Vec<&Json> = cycles.iter().map(|cycle| &cycle.rule).collect();
    let rules = json!({"groups": [{"name": "g", "rules": rules}]}).to_string();
    let (alerts, exprs) = judged(&rules, cycles, spacing);
    let series: Vec<Json> = cycles
        .iter()
        .flat_map(|cycle| &cycle.series)
        .map(|(series, words)| json!({"series": series, "values": words.join(" ")}))
        .collect();
    let test = json!({"interval": format!("{}s", spacing / 1000), "input_series": series,
        "alert_rule_test": alerts, "promql_expr_test": exprs});
    let (rules_name, test_name) = (format!("rules{batch}.json"), format!("test{batch}.json"));
    let file = json!({"rule_files": [rules_name], "evaluation_interval": "1m", "tests": [test]});
    std::fs::write(folder.join(&rules_name), rules).unwrap();
    std::fs::write(folder.join(&test_name), file.to_string()).unwrap();
    test_name
}

/// What came of the life cycles: that they were no quiet ones.
fn assert_lively(folder: &Path, files: &[String]) {
    let texts: String = files.iter().map(|file| std::fs::read_to_string(folder.join(file)).unwrap()).collect();
    let count = |what: &str| texts.matches(what).count();
    let (firing, pending) = (count("alertstate=\\\"firing"), count("alertstate=\\\"pending"));
    println!("{firing} firing and {pending} pending states expected, {} alert checks", count("\"alertname\""));
    assert!(firing > CYCLES * 5 && pending > CYCLES * 2, "{firing} {pending}");
}

/// Plays `CYCLES` life cycles whose samples are `spacing` milliseconds apart.
fn agree(program: &str, seed: u64, spacing: i64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().unwrap();
    let count = usize::try_from(STEPS * MINUTE / spacing + 1).unwrap();
    let cycles: Vec<Cycle> = (0..CYCLES).map(|id| cycle(&mut rng, id, count)).collect();
    let batches = cycles.chunks(TOGETHER).enumerate();
    let files: Vec<String> = batches.map(|(batch, cycles)| write(folder.path(), batch, cycles, spacing)).collect();
    assert_lively(folder.path(), &files);
    for (program, verb) in
        [(program, ["test", "rules"]), (plimsoll_tests::binary().unwrap().to_str().unwrap(), ["test", "rules"])]
    {
        let said = Command::new(program).args(verb).args(&files).current_dir(folder.path()).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        let (out, err): (String, String) = (out.chars().take(2000).collect(), err.chars().take(4000).collect());
        assert!(said.status.success(), "{program}, samples {spacing} ms apart:\n{out}\n{err}");
    }
}

#[test]
fn promtool_and_our_engine_agree_at_every_step() {
    let Some((program, modern)) = promtool() else { return };
    agree(&program, 3, 61_000);
    match modern {
        true => agree(&program, 4, MINUTE),
        false => println!("samples on the edge of windows: left to promtool 3.x (PLIMSOLL_PROMTOOL)"),
    }
}
