//! Test files that pass, that fail, and that are none.

use std::time::Duration;

use super::load_tests;
use crate::load_rules;

const RULES: &str = r#"
groups:
- name: second
  rules:
  - {record: b, expr: a * 2}
- name: first
  rules:
  - {record: a, expr: sum by (job) (up)}
  - alert: Down
    expr: up == 0
    for: 2m
    labels: {severity: page}
    annotations: {summary: '{{ $labels.instance }} of {{ $externalLabels.cluster }} is down for {{ $externalURL }}'}
"#;

/// Plays `text` against [`RULES`]; what failed, a line each.
fn play(text: &str) -> Vec<String> {
    let groups = load_rules("r.yml", RULES, Duration::from_secs(60)).unwrap();
    let tests = load_tests("t.yml", text).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    let failures = tests.run(&groups);
    failures.iter().map(|f| format!("{}:{} {}: {:?} {:?}", f.line, f.column, f.message, f.expected, f.got)).collect()
}

const GOOD: &str = r#"
rule_files: [r.yml]
evaluation_interval: 1m
group_eval_order: [first, second]
tests:
- name: down
  interval: 1m
  external_labels: {cluster: c}
  external_url: http://x
  input_series:
  - series: up{job="api", instance="a"}
    values: 1 1 0x4 1
  - {series: 'up{job="api",instance="b"}', values: '1x4 stale _ 0+0x3'}
  alert_rule_test:
  - {eval_time: 3m59s, alertname: Down}
  - eval_time: 4m
    alertname: Down
    exp_alerts:
    - exp_labels: {job: api, instance: a, severity: page}
      exp_annotations: {summary: a of c is down for http://x}
  - {eval_time: 4m, alertname: Unknown, exp_alerts: []}
  promql_expr_test:
  - {expr: b, eval_time: 4m, exp_samples: [{labels: 'b{job="api"}', value: 2}]}
  - {expr: 'up{instance="b"}', eval_time: 5m}
  - {expr: 'time()', eval_time: 1m30s, exp_samples: [{value: 90}]}
  - {expr: 'count_over_time(up{instance="a"}[5m:])', eval_time: 5m, exp_samples: [{labels: '{job="api", instance="a"}', value: 5}]}
"#;

#[test]
fn what_is_as_expected_passes() {
    assert_eq!(play(GOOD), Vec::<String>::new());
}

#[test]
fn what_is_not_is_shown() {
    let found =
        play(&GOOD.replace("value: 2}", "value: 3}").replace("4m59s", "4m").replace("is down for", "was down for"));
    let (alert, sample) = (&found[0], &found[1]);
    assert!(alert.starts_with("16:5 alerts Down at 4m: ") && alert.contains("was down"), "{alert}");
    assert_eq!(sample, r#"23:5 b at 4m: ["b{job=\"api\"} 3"] ["b{job=\"api\"} 2"]"#);
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn the_order_of_groups_matters() {
    // b is recorded before a, so it lags by one evaluation; at the first it is not there
    let late = GOOD
        .replace("[first, second]", "[second, first]")
        .replace("eval_time: 4m, exp_samples", "eval_time: 0s, exp_samples");
    assert_eq!(play(&late).len(), 1);
}

#[test]
fn fuzzy_comparison_forgives_the_last_bit() {
    let text = |fuzzy: bool| {
        format!(
            "fuzzy_compare: {fuzzy}\ntests:\n- promql_expr_test:\n  - {{expr: 0.1 + 0.2, exp_samples: [{{value: 0.3}}]}}\n"
        )
    };
    assert_eq!((play(&text(false)).len(), play(&text(true)).len()), (1, 0));
}

#[test]
fn a_rule_that_fails_ends_its_test() {
    let rules = "groups:\n- name: g\n  rules:\n  - {record: x, expr: a * on(k) b}\n";
    let groups = load_rules("r.yml", rules, Duration::from_secs(60)).unwrap();
    let text = "tests:\n- interval: 1m\n  input_series:\n  - {series: 'a{k=\"1\",l=\"1\"}', values: 1x9}\n  - {series: 'a{k=\"1\",l=\"2\"}', values: 1x9}\n  - {series: 'b{k=\"1\",l=\"1\"}', values: 1x9}\n  - {series: 'b{k=\"1\",l=\"2\"}', values: 1x9}\n  promql_expr_test: [{expr: x, eval_time: 9m}]\n";
    let failures = load_tests("t.yml", text).unwrap().run(&groups);
    assert!(failures.len() == 1 && failures[0].message.starts_with("rule x: "), "{failures:?}");
}

#[test]
fn every_mistake_is_named_with_its_place() {
    let wrong = load_tests(
        "t.yml",
        "group_eval_order: [a, a]\ntests:\n- input_series:\n  - {series: 'up{', values: '1'}\n  - {series: up, values: '1 2+3'}\n  alert_rule_test:\n  - {eval_time: soon}\n  promql_expr_test:\n  - {expr: 'sum(', exp_samples: [{value: x, histogram: y}]}\n  evaltime: 1m\n",
    )
    .unwrap_err();
    let shown: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    let expected = [
        "t.yml:1:23: group a stands twice",
        "t.yml:4:18: found the end",
        "t.yml:5:29: \"2+3\": a step needs a count",
        "t.yml:7:5: an alert test needs alertname",
        "t.yml:7:17: eval_time: \"soon\" is not a duration",
        "t.yml:9:17: expr: ",
        "t.yml:9:42: value: \"x\" is not a number",
        "t.yml:9:45: native histograms",
        "t.yml:10:3: unknown key evaltime",
    ];
    let fits = shown.len() == expected.len() && shown.iter().zip(expected).all(|(s, e)| s.starts_with(e));
    assert!(fits, "{shown:#?}");
}

#[test]
fn what_cannot_hold_is_refused() {
    for (why, expected, said) in [
        ("an empty label", "alert_rule_test: [{alertname: A, exp_alerts: [{exp_labels: {a: ''}}]}]", "no alert has"),
        ("a number in quotes", "promql_expr_test: [{expr: x, exp_samples: [{labels: x, value: '3'}]}]", "in quotes"),
        ("Go's infinity", "promql_expr_test: [{expr: x, exp_samples: [{labels: x, value: Inf}]}]", "infinity .inf"),
    ] {
        let wrong = load_tests("t.yml", &format!("tests:\n- {expected}\n")).unwrap_err();
        let fits = wrong.len() == 1 && wrong[0].line == 2 && wrong[0].message.contains(said);
        assert!(fits, "{why}: {wrong:?}");
    }
}

#[test]
fn what_is_probably_not_meant_is_remarked_and_changes_nothing() {
    let groups = load_rules("r.yml", RULES, Duration::from_secs(60)).unwrap();
    let text = "group_eval_order: [frist]\ntests:\n- input_series:\n  - {series: x, values: 7 7 7}\n  - {series: x, values: 1}\n  \
        alert_rule_test: [{eval_time: 0s, alertname: Dwon}]\n  \
        promql_expr_test: [{expr: x, exp_samples: [{labels: x, value: 1}]}]\n";
    let tests = load_tests("t.yml", text).unwrap();
    let remarks: Vec<String> =
        tests.remarks(&groups).iter().map(|r| format!("{}:{} {}", r.line, r.column, r.message)).collect();
    let expected = [
        "1:20 no rule file has a group frist",
        "5:5 x{} stands here again; as in promtool the last one counts",
        "6:21 no rule file has an alert Dwon",
    ];
    assert_eq!(remarks, expected);
    assert_eq!(tests.run(&groups), []);
    for nothing in ["", "# only a comment\n", "tests:\n"] {
        let tests = load_tests("t.yml", nothing).unwrap();
        assert_eq!((tests.run(&groups).len(), tests.remarks(&groups).len()), (0, 1), "{nothing:?}");
    }
}

#[test]
fn a_test_without_end_is_refused() {
    for (why, text, said) in [
        ("years at a millisecond", "tests:\n- alert_rule_test: [{eval_time: 99y, alertname: Down}]\n", "evaluations"),
        (
            "samples beyond measure",
            "evaluation_interval: 1y\ntests:\n- interval: 1ms\n  input_series: [{series: x, values: 1x99999999999}]\n  \
             promql_expr_test: [{expr: x, eval_time: 2y}]\n",
            "input samples",
        ),
    ] {
        let failures = play(text);
        assert!(failures.len() == 1 && failures[0].contains(said), "{why}: {failures:?}");
    }
}

#[test]
fn rules_that_record_the_same_agree_and_others_are_an_error() {
    let play = |second: &str| {
        let rules =
            format!("groups:\n- name: g\n  rules:\n  - {{record: r, expr: x}}\n  - {{record: r, expr: {second}}}\n");
        let groups = load_rules("r.yml", &rules, Duration::from_secs(60)).unwrap();
        let text = "tests:\n- input_series: [{series: x, values: 1 2 3}]\n  \
            promql_expr_test: [{expr: r, eval_time: 2m, exp_samples: [{labels: r, value: 3}]}]\n";
        load_tests("t.yml", text).unwrap().run(&groups)
    };
    assert_eq!(play("x + 0"), []);
    let failures = play("x + 1");
    assert!(failures.len() == 1 && failures[0].message.starts_with("rule r: "), "{failures:?}");
}
