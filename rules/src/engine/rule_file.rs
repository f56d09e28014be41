//! Rule files in Prometheus' format: YAML in, checked groups out, or every mistake with its place.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use super::fields::{Fields, Sheet};
use super::names::{is_label, is_metric};
use super::rule::{Action, Group, Rule};
use super::template;
use super::yaml::{self, Data, Node, Place, Text};
use crate::METRIC_NAME;
use crate::promql::{self, Expr, Type};

/// A mistake in a rule file, with its place (1-based).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct RuleProblem {
    /// File as the user named it.
    pub file: String,
    /// 1-based line.
    pub line: usize,
    /// 1-based column, in characters.
    pub column: usize,
    /// What was found and what would be right.
    pub message: String,
}

/// Parses and checks a rule file in Prometheus' format. `default_interval` is for groups without `interval`.
///
/// # Errors
/// Every mistake at once, in the order of the file, each with line and column.
pub fn load_rules(file: &str, text: &str, default_interval: Duration) -> Result<Vec<Group>, Vec<RuleProblem>> {
    let mut sheet = Sheet { source: text, mistakes: Vec::new() };
    let groups = match yaml::parse(text, &mut sheet.mistakes) {
        Some(root) => read_file(&mut sheet, &root, file, default_interval),
        None => Vec::new(),
    };
    if sheet.mistakes.is_empty() { Ok(groups) } else { Err(sheet.into_problems(file)) }
}

fn read_file(sheet: &mut Sheet<'_>, root: &Node, file: &str, default_interval: Duration) -> Vec<Group> {
    if matches!(root.data, Data::Null) {
        return Vec::new();
    }
    let Some(fields) = sheet.mapping(root, "a rule file", &["groups"]) else { return Vec::new() };
    let mut names = BTreeMap::new();
    let mut groups = Vec::new();
    for node in sheet.list(&fields, "groups") {
        let Some((group, place)) = read_group(sheet, &node, file, default_interval) else { continue };
        if let Some(first) = names.insert(group.name.clone(), place.line) {
            sheet.refuse(place, format!("group {} already stands in line {first}; choose another name", group.name));
        }
        groups.push(group);
    }
    groups
}

const GROUP_KEYS: &[&str] = &["name", "interval", "query_offset", "limit", "labels", "rules"];

fn read_group(sheet: &mut Sheet<'_>, node: &Node, file: &str, default_interval: Duration) -> Option<(Group, Place)> {
    let fields = sheet.mapping(node, "a group", GROUP_KEYS)?;
    let name = sheet.required(&fields, "name", "a group");
    let interval = sheet.duration(&fields, "interval").filter(|interval| !interval.is_zero());
    let query_offset = sheet.duration(&fields, "query_offset").unwrap_or_default();
    let limit = sheet.count(&fields, "limit").unwrap_or(0);
    let common = labels(sheet, &fields, "labels");
    let mut known = BTreeMap::new();
    let mut rules = Vec::new();
    for node in sheet.list(&fields, "rules") {
        let Some((mut rule, place)) = read_rule(sheet, &node) else { continue };
        for (label, value) in &common {
            rule.labels.entry(label.clone()).or_insert_with(|| value.clone());
        }
        if let Some(first) = known.insert(format!("{} {}", rule.identity(), rule.expr), place.line) {
            let why = format!("the same rule as in line {first}: name, labels and expr are equal; remove one");
            sheet.refuse(place, why);
        }
        rules.push(rule);
    }
    let (name, interval) = (name?, interval.unwrap_or(default_interval.max(Duration::from_millis(1))));
    let group = Group { file: file.to_owned(), name: name.text, interval, query_offset, limit, rules };
    Some((group, name.place))
}

const RULE_KEYS: &[&str] = &["record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"];

/// The rule and where its name stands; `None` when it has no name or no expression, which is then said.
fn read_rule(sheet: &mut Sheet<'_>, node: &Rc<Node>) -> Option<(Rule, Place)> {
    let fields = sheet.mapping(node, "a rule", RULE_KEYS)?;
    let (record, alert) = (sheet.text(&fields, "record"), sheet.text(&fields, "alert"));
    let expr = sheet.required(&fields, "expr", "a rule").and_then(|text| expression(sheet, &text));
    let labels = labels(sheet, &fields, "labels");
    let (name, action) = match (record, alert) {
        (Some(name), None) => {
            recording(sheet, &fields, &name);
            (Some(name), Action::Record)
        }
        (None, Some(name)) => (Some(name), alerting(sheet, &fields)),
        (Some(_), Some(alert)) => {
            sheet.refuse(alert.place, "a rule has either record or alert, not both; make two rules".to_owned());
            (None, alerting(sheet, &fields))
        }
        (None, None) if fields.get("record").or(fields.get("alert")).is_some() => (None, alerting(sheet, &fields)),
        (None, None) => {
            sheet.refuse(node.place, "a rule needs alert: NAME or record: METRIC".to_owned());
            (None, alerting(sheet, &fields))
        }
    };
    let (name, expr) = (name?, expr?);
    let place = name.place;
    Some((Rule { name: name.text, expr, labels, action }, place))
}

fn recording(sheet: &mut Sheet<'_>, fields: &Fields, name: &Text) {
    if !is_metric(&name.text) {
        let why = format!(
            "{:?} is not a metric name; write letters, digits, _ and :, such as level:metric:operation",
            name.text
        );
        sheet.refuse(name.place, why);
    }
    for key in ["for", "keep_firing_for", "annotations"] {
        if let Some((place, _)) = fields.get(key) {
            sheet.refuse(place, format!("{key} belongs to alert rules; a recording rule has none"));
        }
    }
}

fn alerting(sheet: &mut Sheet<'_>, fields: &Fields) -> Action {
    let hold = sheet.duration(fields, "for").unwrap_or_default();
    let keep_firing = sheet.duration(fields, "keep_firing_for").unwrap_or_default();
    let annotations = labels(sheet, fields, "annotations");
    if fields.get("record").is_none() {
        templates(sheet, fields);
    }
    Action::Alert { hold, keep_firing, annotations }
}

fn templates(sheet: &mut Sheet<'_>, fields: &Fields) {
    for key in ["labels", "annotations"] {
        for (name, text) in sheet.texts(fields, key) {
            if let Err(wrong) = template::check(&text.text) {
                let place = sheet.locate(&text, wrong.line, wrong.column);
                sheet.refuse(place, format!("the template of {} does not parse: {}", name.text, wrong.message));
            }
        }
    }
}

fn expression(sheet: &mut Sheet<'_>, text: &Text) -> Option<Expr> {
    match promql::parse(&text.text) {
        Ok(expr) if matches!(expr.kind(), Type::Vector | Type::Scalar) => Some(expr),
        Ok(expr) => {
            let why = format!("expr gives {}; a rule needs an instant vector or a scalar", expr.kind());
            sheet.refuse(text.place, why);
            None
        }
        Err(e) => {
            let place = sheet.locate(text, e.line, e.column);
            sheet.refuse(place, format!("expr: {}", e.message));
            None
        }
    }
}

/// The `labels` or `annotations` under `key`, their names checked.
fn labels(sheet: &mut Sheet<'_>, fields: &Fields, key: &str) -> BTreeMap<String, String> {
    let mut seen = BTreeSet::new();
    for (name, _) in sheet.texts(fields, key) {
        let what = if key == "labels" { "label" } else { "annotation" };
        if name.text == METRIC_NAME && key == "labels" {
            sheet.refuse(name.place, format!("{METRIC_NAME} cannot be set; the rule's name is the metric name"));
        } else if !is_label(&name.text) {
            let why = format!("{:?} is not a name for a {what}; write letters, digits and _", name.text);
            sheet.refuse(name.place, why);
        }
        seen.insert(name.text);
    }
    sheet.texts(fields, key).into_iter().map(|(name, text)| (name.text, text.text)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_file_in_prometheus_format_loads() {
        let text = r#"
groups:
  - name: g
    interval: 30s
    query_offset: 1m
    limit: 10
    labels: {team: a, severity: low}
    rules:
      - record: job:up:sum
        expr: sum by (job) (up)
        labels: {n: 1}
      - alert: Down
        expr: |
          job:up:sum
            < 1
        for: 5m
        keep_firing_for: 1h30m
        labels:
          severity: '{{ if gt $value 0.5 }}low{{ else }}high{{ end }}'
        annotations:
          summary: "{{ $labels.job }} is down"
          empty:
  - name: empty
    rules:
"#;
        let groups = load_rules("r.yml", text, MINUTE).unwrap();
        assert_eq!((groups.len(), groups[1].interval, groups[1].rules.len()), (2, MINUTE, 0));
        let group = &groups[0];
        assert_eq!((&*group.file, &*group.name), ("r.yml", "g"));
        assert_eq!((group.interval, group.query_offset, group.limit), (Duration::from_secs(30), MINUTE, 10));
        let shown: Vec<String> = group.rules.iter().map(|r| format!("{} {} {:?}", r.name, r.expr, r.labels)).collect();
        assert_eq!(
            shown,
            [
                r#"job:up:sum sum by (job) (up) {"n": "1", "severity": "low", "team": "a"}"#,
                r#"Down job:up:sum < 1 {"severity": "{{ if gt $value 0.5 }}low{{ else }}high{{ end }}", "team": "a"}"#,
            ]
        );
        let Action::Alert { hold, keep_firing, annotations } = &group.rules[1].action else { panic!("no alert") };
        assert_eq!((hold.as_secs(), keep_firing.as_secs()), (300, 5400));
        assert_eq!(annotations["summary"], "{{ $labels.job }} is down");
        assert_eq!(annotations["empty"], "");
    }

    #[test]
    fn files_without_rules_load() {
        for text in ["", "# nothing", "groups:", "groups: []", "{}"] {
            assert_eq!(load_rules("r.yml", text, MINUTE), Ok(Vec::new()), "{text:?}");
        }
    }

    /// One rule `a` with `more` in it, at line 4 of a file; expects exactly these mistakes.
    fn check(why: &str, text: &str, expected: &[&str]) {
        let problems = load_rules("r.yml", text, MINUTE).err().unwrap_or_default();
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let fits = shown.len() == expected.len() && shown.iter().zip(expected).all(|(s, e)| s.starts_with(e));
        assert!(fits, "{why}: {shown:#?}\nexpected {expected:#?}");
    }

    #[test]
    fn every_mistake_is_named_with_its_place() {
        let rule = |fields: &str| format!("groups:\n- name: g\n  rules:\n  - {fields}\n");
        let checked = |why: &str, fields: &str, expected: &[&str]| check(why, &rule(fields), expected);
        check("top level", "group: []\n", &["r.yml:1:1: unknown key group in a rule file; did you mean groups?"]);
        check("no mapping", "- a\n", &["r.yml:1:1: a rule file is a mapping (key: value), not a list"]);
        check("YAML", "groups: [\n", &["r.yml:2:1: "]);
        check("groups is no list", "groups: {a: b}\n", &["r.yml:1:9: groups is a list (- item), not a mapping"]);
        check("no name", "groups:\n- rules: []\n", &["r.yml:2:3: a group needs name"]);
        check("empty name", "groups:\n- name: ''\n", &["r.yml:2:9: name is empty; a group needs it"]);
        check(
            "twice the same group",
            "groups:\n- name: g\n- name: g\n",
            &["r.yml:3:9: group g already stands in line 2"],
        );
        check(
            "group's keys",
            "groups:\n- name: g\n  intervall: 1s\n  limit: -1\n  interval: 5x\n",
            &[
                "r.yml:3:3: unknown key intervall in a group; did you mean interval?",
                "r.yml:4:10: limit: \"-1\" is not a whole number from 0 up",
                "r.yml:5:13: interval: \"5x\" is not a duration",
            ],
        );
        checked("neither", "expr: up", &["r.yml:4:5: a rule needs alert: NAME or record: METRIC"]);
        checked(
            "both",
            "alert: a\n    record: b\n    expr: up",
            &["r.yml:4:12: a rule has either record or alert, not both"],
        );
        checked("no expr", "alert: a", &["r.yml:4:5: a rule needs expr"]);
        checked("empty expr", "alert: a\n    expr: ''", &["r.yml:5:11: expr is empty"]);
        checked(
            "unknown key",
            "alert: a\n    exp: up",
            &["r.yml:4:5: a rule needs expr", "r.yml:5:5: unknown key exp in a rule; did you mean expr?"],
        );
        checked(
            "bad durations",
            "alert: a\n    expr: up\n    for: 5 minutes\n    keep_firing_for: -1m",
            &[
                "r.yml:6:10: for: \"5 minutes\" is not a duration",
                "r.yml:7:22: keep_firing_for: \"-1m\" is not a duration",
            ],
        );
        checked(
            "durations that Prometheus cannot hold",
            "alert: a\n    expr: x[9999999y]\n    for: 300y\n    keep_firing_for: 292y",
            &["r.yml:5:13: expr: \"9999999y\" is out of range", "r.yml:6:10: for: \"300y\" is out of range"],
        );
        checked(
            "types",
            "alert: [a]\n    expr: up\n    labels: x\n    annotations: {s: {t: u}}",
            &[
                "r.yml:4:12: alert is text, not a list",
                "r.yml:6:13: labels is a mapping (name: text), not text",
                "r.yml:7:22: s in annotations is text, not a mapping",
            ],
        );
        checked(
            "names",
            "record: a-b\n    expr: up\n    labels: {a-b: c, __name__: d}",
            &[
                "r.yml:4:13: \"a-b\" is not a metric name",
                "r.yml:6:14: \"a-b\" is not a name for a label",
                "r.yml:6:22: __name__ cannot be set",
            ],
        );
        checked(
            "not for recording",
            "record: a\n    expr: up\n    for: 1m\n    annotations: {a: b}",
            &["r.yml:6:5: for belongs to alert rules", "r.yml:7:5: annotations belongs to alert rules"],
        );
        checked("range vector", "alert: a\n    expr: up[5m]", &["r.yml:5:11: expr gives "]);
        checked("PromQL", "alert: a\n    expr: sum(up", &["r.yml:5:"]);
        checked("PromQL in a block", "alert: a\n    expr: |\n      up\n        + * 2", &["r.yml:7:11: expr: "]);
        checked("PromQL in a folded block", "alert: a\n    expr: >-\n      up\n      + )", &["r.yml:7:9: expr: "]);
        checked("PromQL in quotes", "alert: a\n    expr: 'up{a=\"b''\"} + )'", &["r.yml:5:26: expr: "]);
        checked(
            "template",
            "alert: a\n    expr: up\n    annotations:\n      summary: 'x {{ $value | humanise }}'",
            &["r.yml:7:31: the template of summary does not parse: function \"humanise\" not defined"],
        );
        checked(
            "a variable that nobody declared",
            "alert: a\n    expr: up\n    annotations:\n      summary: 'x {{ $labls.foo }}'",
            &["r.yml:7:22: the template of summary does not parse: undefined variable $labls; a template knows"],
        );
        checked(
            "template in a block",
            "alert: a\n    expr: up\n    labels:\n      l: |\n        a\n        {{ end }}",
            &["r.yml:8:9: the template of l does not parse: "],
        );
        checked("twice the same key", "alert: a\n    expr: up\n    alert: b", &["r.yml:6:5: alert is set twice"]);
        checked(
            "twice the same rule",
            "alert: a\n    expr: up == 0\n  - alert: a\n    expr: up  ==  0\n    for: 5m",
            &["r.yml:6:12: the same rule as in line 4"],
        );
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "(groups|rules|name|alert|record|expr|labels|for|: |- |\n|\n  |\n    |'|\"|\\||>|[a-e{}\\[\\]&*<$0-9]){0,60}") {
            let _ = load_rules("r.yml", &text, MINUTE);
        }
    }
}
