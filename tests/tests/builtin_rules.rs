//! The built-in rules say the same in Plimsoll and in Prometheus: one scene is played through our engine, what came of
//! it is written down as unit tests for promtool, and promtool judges.

use std::process::{Command, Output};
use std::time::Duration;

use plimsoll_rules::promql::{self, Value};
use plimsoll_rules::{
    ActiveAlert, AlertState, BUILTIN_RULES, EngineOptions, Labels, RuleEngine, Store, StoreLimits, Timestamp,
    load_rules,
};
use serde_json::json;

/// Seconds between samples and between evaluations.
const STEP: u32 = 15;
/// An hour and a half.
const STEPS: u32 = 360;

/// A value that `before` holds until `at` minutes, `after` from then on.
fn change(second: f64, at: f64, before: f64, after: f64) -> f64 {
    if second < at * 60.0 { before } else { after }
}

/// A counter that grows by `before` a second until `at` minutes, by `after` from then on.
fn growth(second: f64, at: f64, before: f64, after: f64) -> f64 {
    let turn = at * 60.0;
    before * second.min(turn) + after * (second - turn).max(0.0)
}

/// Every series of the scene at `second`.
fn scene(second: f64) -> Vec<(Labels, f64)> {
    let mut all = Vec::new();
    let mut add = |name: &str, labels: &[(&str, &str)], value: f64| {
        all.push((Labels::metric(name, labels.iter().copied()), value));
    };
    add("plimsoll_cpu_utilization_ratio", &[], change(second, 10.0, 0.5, 0.9125));
    add("plimsoll_memory_utilization_ratio", &[], change(second, 40.0, 0.86, 0.85));
    for (gpu, value) in [("0", 0.2), ("1", 0.991)] {
        add("plimsoll_gpu_utilization_ratio", &[("gpu", gpu), ("uuid", "GPU-x")], value);
    }
    add("plimsoll_gpu_memory_utilization_ratio", &[("gpu", "0"), ("mig", "1")], change(second, 3.0, 0.95, 0.3));
    let model = [("model", "m"), ("source", "tap"), ("variant", "v")];
    add("plimsoll_input_tokens_count", &model, 10.0 * second);
    add("plimsoll_input_tokens_sum", &model, growth(second, 60.0, 10_000.0, 20_000.0));
    add("plimsoll_output_tokens_count", &model, 10.0 * second);
    add("plimsoll_output_tokens_sum", &model, growth(second, 60.0, 1000.0, 1050.0));
    let owner = [("model", "m"), ("variant", "v")];
    add(
        "plimsoll_tasks_total",
        &[("model", "m"), ("outcome", "completed"), ("variant", "v")],
        growth(second, 30.0, 1.0, 0.75),
    );
    add(
        "plimsoll_tasks_total",
        &[("model", "m"), ("outcome", "failed"), ("variant", "v")],
        growth(second, 30.0, 0.0, 0.25),
    );
    add("plimsoll_user_satisfaction_ratings_total", &owner, second);
    add("plimsoll_user_satisfaction_score_total", &owner, growth(second, 50.0, 0.5, 1.0));
    let drift = [("model", "m"), ("signal", "input_tokens")];
    add("plimsoll_drift_alarm", &drift, change(second, 30.0, 0.0, 1.0));
    add("plimsoll_drift_evidence", &drift, change(second, 30.0, 0.5, 17.25));
    add("plimsoll_drift_threshold", &drift, 14.5);
    add("plimsoll_drift_arl_observations", &drift, 2_592_000.0);
    let median = |statistic| [("model", "m"), ("signal", "input_tokens"), ("statistic", statistic)];
    add("plimsoll_drift_score", &median("reference_median"), 310.0);
    add("plimsoll_drift_score", &median("recent_median"), change(second, 30.0, 308.0, 575.0));
    add("plimsoll_drift_since_timestamp_seconds", &drift, change(second, 30.0, 0.0, 1799.0));
    add("plimsoll_finetune_ranks_diverged", &[("run", "r")], change(second, 45.0, 0.0, 1.0));
    add("plimsoll_finetune_ranks_diverged_step", &[("run", "r")], 7.0);
    add("plimsoll_finetune_stage", &[("stage", "proposed")], change(second, 45.0, 0.0, 1.0));
    add("plimsoll_finetune_stage", &[("stage", "failed")], change(second, 45.0, 0.0, 1.0));
    add("plimsoll_finetune_circuit_open", &[], change(second, 45.0, 0.0, 1.0));
    add("plimsoll_collector_up", &[("source", "gpu")], change(second, 20.0, 1.0, 0.0));
    add("plimsoll_notifications_dead_letters", &[("sink", "http://am:9093")], change(second, 20.0, 0.0, 2.0));
    all
}

fn engine() -> RuleEngine {
    let groups = load_rules("builtin.yml", BUILTIN_RULES, Duration::from_secs(60)).unwrap();
    let options = EngineOptions {
        external_labels: Labels::default(),
        external_url: String::new(),
        resend_delay: Duration::from_secs(60),
    };
    RuleEngine::new(groups, options)
}

/// `ALERTS` as promtool wants to be told of it.
fn states(store: &Store, now: Timestamp) -> serde_json::Value {
    let Ok(Value::Vector(samples)) = promql::evaluate(&promql::parse("ALERTS").unwrap(), store, now) else {
        return json!([]);
    };
    samples.iter().map(|sample| json!({"labels": sample.labels.to_string(), "value": sample.value})).collect()
}

/// The alerts that fire, by name, with everything a person reads. (Those over ranges are compared by state alone: a
/// range is closed on the left in the Prometheus of Debian and open since 3.0, which moves figures by one sample.)
fn texts(alerts: &[&ActiveAlert], second: u32) -> Vec<serde_json::Value> {
    let firing = |a: &&&ActiveAlert| {
        a.state == AlertState::Firing && matches!(a.labels.get("layer"), Some("system" | "drift" | "finetune" | "self"))
    };
    let one = |alert: &&ActiveAlert| {
        let mut labels = serde_json::Map::new();
        labels.extend(alert.labels.iter().map(|(name, value)| (name.to_owned(), json!(value))));
        let name = labels.remove("alertname").unwrap();
        let expected = json!([{"exp_labels": labels, "exp_annotations": alert.annotations}]);
        json!({"eval_time": format!("{second}s"), "alertname": name, "exp_alerts": expected})
    };
    alerts.iter().filter(firing).map(one).collect()
}

#[test]
fn prometheus_and_plimsoll_say_the_same() {
    let (mut store, mut engine) =
        (Store::new(StoreLimits { series: 500, retention: Duration::from_secs(7200) }), engine());
    let mut series: Vec<(String, Vec<String>)> =
        scene(0.0).iter().map(|(labels, _)| (labels.to_string(), Vec::new())).collect();
    let (mut alerts, mut expressions, mut names) = (Vec::new(), Vec::new(), std::collections::BTreeSet::new());
    for step in 0..=STEPS {
        let second = step * STEP;
        let now = Timestamp::from_millis(i64::from(second) * 1000);
        for ((labels, value), (_, values)) in scene(f64::from(second)).iter().zip(&mut series) {
            store.append(labels, now, *value);
            values.push(value.to_string());
        }
        let failures: Vec<String> = engine.evaluate(&mut store, now).into_iter().flat_map(|r| r.failures).collect();
        assert_eq!(failures, Vec::<String>::new());
        // Between the turns, where an open and a closed range see the same.
        if second % 300 == 150 {
            let at = format!("{second}s");
            expressions.push(json!({"expr": "ALERTS", "eval_time": at, "exp_samples": states(&store, now)}));
            let on = engine.alerts();
            names.extend(
                on.iter().filter(|a| a.fired_at.is_some()).filter_map(|a| a.labels.get("alertname").map(str::to_owned)),
            );
            alerts.extend(texts(&on, second));
        }
    }
    assert_eq!(names.len(), 14, "fourteen of sixteen alerts fire here: {names:?}");
    let input: Vec<_> =
        series.into_iter().map(|(series, values)| json!({"series": series, "values": values.join(" ")})).collect();
    let test = json!({"interval": format!("{STEP}s"), "input_series": input, "alert_rule_test": alerts, "promql_expr_test": expressions});
    let file = json!({"rule_files": ["builtin.yml"], "evaluation_interval": format!("{STEP}s"), "tests": [test]});
    let Some(output) = promtool(&file) else {
        println!("SKIPPED: promtool is not installed; tests/setup.sh installs it");
        return;
    };
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    println!("{} states and {} texts were compared", expressions.len(), alerts.len());
}

/// What promtool says of `unit_tests`, if it is installed.
fn promtool(unit_tests: &serde_json::Value) -> Option<Output> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("builtin.yml"), BUILTIN_RULES).unwrap();
    // JSON is YAML.
    std::fs::write(folder.path().join("test.yml"), unit_tests.to_string()).unwrap();
    Command::new("promtool").args(["test", "rules", "test.yml"]).current_dir(folder.path()).output().ok()
}
