//! Reads a test file; every mistake at once, with its place.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::fields::{Fields, Sheet};
use super::super::rule_file::RuleProblem;
use super::super::yaml::{self, Data, Node, Text};
use super::{AlertTest, ExprTest, Remark, Test, UnitTests, notation, words};
use crate::promql::{self, Expr};
use crate::{Labels, LabelsBuilder, Timestamp};

const MINUTE: Duration = Duration::from_secs(60);

/// Parses and checks a test file in promtool's format.
///
/// # Errors
/// Every mistake at once, in the order of the file, each with line and column.
pub fn load_tests(file: &str, text: &str) -> Result<UnitTests, Vec<RuleProblem>> {
    let mut sheet = Sheet { source: text, mistakes: Vec::new() };
    let root = yaml::parse(text, &mut sheet.mistakes);
    let tests = match root.filter(|root| !matches!(root.data, Data::Null)) {
        Some(root) => read(&mut sheet, &root),
        None => Some(UnitTests { interval: MINUTE, ..UnitTests::default() }),
    };
    match tests {
        Some(tests) if sheet.mistakes.is_empty() => Ok(tests),
        _ => Err(sheet.into_problems(file)),
    }
}

const FILE_KEYS: &[&str] = &["rule_files", "evaluation_interval", "group_eval_order", "fuzzy_compare", "tests"];

fn read(sheet: &mut Sheet<'_>, root: &Node) -> Option<UnitTests> {
    let fields = sheet.mapping(root, "a test file", FILE_KEYS)?;
    let interval = positive(sheet, &fields, "evaluation_interval", MINUTE);
    let mut order = BTreeMap::new();
    for (at, name) in texts(sheet, &fields, "group_eval_order").into_iter().enumerate() {
        if order.insert(name.text.clone(), (at, name.place)).is_some() {
            sheet.refuse(name.place, format!("group {} stands twice in the order; once is enough", name.text));
        }
    }
    let fuzzy = sheet.text(&fields, "fuzzy_compare").is_some_and(|text| {
        words::flag(&text).unwrap_or_else(|why| {
            sheet.refuse(text.place, format!("fuzzy_compare: {why}"));
            false
        })
    });
    let rule_files = texts(sheet, &fields, "rule_files").into_iter().map(|pattern| pattern.text).collect();
    let (mut tests, mut remarks) = (Vec::new(), Vec::new());
    for node in sheet.list(&fields, "tests") {
        tests.extend(test(sheet, &node, interval, &mut remarks));
    }
    Some(UnitTests { rule_files, interval, order, fuzzy, tests, remarks })
}

const TEST_KEYS: &[&str] =
    &["name", "interval", "input_series", "alert_rule_test", "promql_expr_test", "external_labels", "external_url"];

fn test(sheet: &mut Sheet<'_>, node: &Node, default: Duration, remarks: &mut Vec<Remark>) -> Option<Test> {
    if matches!(node.data, Data::Null) {
        return None;
    }
    let fields = sheet.mapping(node, "a test", TEST_KEYS)?;
    let interval = positive(sheet, &fields, "interval", default);
    let mut text = |key| sheet.text(&fields, key).map(|text| text.text).unwrap_or_default();
    let (name, external_url) = (text("name"), text("external_url"));
    let external_labels = label_set(sheet, &fields, "external_labels").build();
    let mut series = Vec::new();
    for node in sheet.list(&fields, "input_series") {
        let Some((labels, values)) = input(sheet, &node) else { continue };
        if let Some(first) = series.iter().position(|(known, _)| *known == labels) {
            series.remove(first);
            remarks.push(Remark::at(
                node.place,
                format!("{labels} stands here again; as in promtool the last one counts"),
            ));
        }
        series.push((labels, values));
    }
    let alerts = sheet.list(&fields, "alert_rule_test").iter().filter_map(|node| alert_test(sheet, node)).collect();
    let exprs = sheet.list(&fields, "promql_expr_test").iter().filter_map(|node| expr_test(sheet, node)).collect();
    Some(Test { name, place: node.place, interval, series, alerts, exprs, external_labels, external_url })
}

fn input(sheet: &mut Sheet<'_>, node: &Node) -> Option<(Labels, notation::Values)> {
    let fields = sheet.mapping(node, "an input series", &["series", "values"])?;
    let labels = sheet.required(&fields, "series", "an input series").and_then(|text| labels_of(sheet, &text));
    let Some(text) = sheet.text(&fields, "values") else { return Some((labels?, notation::Values::default())) };
    match notation::values(&text.text) {
        Ok(values) => Some((labels?, values)),
        Err((at, why)) => {
            let before = &text.text[..at];
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
            let place = sheet.locate(&text, line, column);
            sheet.refuse(place, why);
            None
        }
    }
}

fn alert_test(sheet: &mut Sheet<'_>, node: &Node) -> Option<AlertTest> {
    let fields = sheet.mapping(node, "an alert test", &["eval_time", "alertname", "exp_alerts"])?;
    let at = sheet.duration(&fields, "eval_time").unwrap_or_default();
    let name = sheet.required(&fields, "alertname", "an alert test")?.text;
    let mut expected = Vec::new();
    for node in sheet.list(&fields, "exp_alerts") {
        let Some(fields) = sheet.mapping(&node, "an expected alert", &["exp_labels", "exp_annotations"]) else {
            continue;
        };
        for (name, value) in sheet.texts(&fields, "exp_labels").iter().filter(|(_, value)| value.text.is_empty()) {
            let why = format!("{}: no alert has an empty label, so this never holds; leave it out", name.text);
            sheet.refuse(value.place, why);
        }
        let mut labels = label_set(sheet, &fields, "exp_labels");
        labels.set("alertname", &name);
        let annotations = sheet.texts(&fields, "exp_annotations").into_iter().map(|(k, v)| (k.text, v.text)).collect();
        expected.push((labels.build(), annotations));
    }
    Some(AlertTest { place: node.place, at: moment(at), name, expected })
}

fn expr_test(sheet: &mut Sheet<'_>, node: &Node) -> Option<ExprTest> {
    let fields = sheet.mapping(node, "a PromQL test", &["expr", "eval_time", "exp_samples"])?;
    let at = sheet.duration(&fields, "eval_time").unwrap_or_default();
    let expr = sheet.required(&fields, "expr", "a PromQL test").and_then(|text| expression(sheet, &text));
    let mut expected = Vec::new();
    for node in sheet.list(&fields, "exp_samples") {
        let Some(fields) = sheet.mapping(&node, "an expected sample", &["labels", "value", "histogram"]) else {
            continue;
        };
        if let Some((place, _)) = fields.get("histogram") {
            sheet.refuse(place, "native histograms are not supported; test their float parts".to_owned());
        }
        let labels = match sheet.text(&fields, "labels") {
            Some(text) => labels_of(sheet, &text),
            None => Some(Labels::default()),
        };
        let value = sheet.text(&fields, "value").map_or(Ok(0.0), |text| {
            words::float(&text).map_err(|why| sheet.refuse(text.place, format!("value: {why}")))
        });
        expected.extend(labels.zip(value.ok()));
    }
    Some(ExprTest { place: node.place, at: moment(at), expr: expr?, expected })
}

fn expression(sheet: &mut Sheet<'_>, text: &Text) -> Option<Expr> {
    let refused = |e: promql::ParseError| {
        let place = sheet.locate(text, e.line, e.column);
        sheet.refuse(place, format!("expr: {}", e.message));
    };
    promql::parse(&text.text).map_err(refused).ok()
}

fn labels_of(sheet: &mut Sheet<'_>, text: &Text) -> Option<Labels> {
    let refused = |e: promql::ParseError| {
        let place = sheet.locate(text, e.line, e.column);
        sheet.refuse(place, e.message);
    };
    promql::parse_series(&text.text).map_err(refused).ok()
}

fn label_set(sheet: &mut Sheet<'_>, fields: &Fields, key: &str) -> LabelsBuilder {
    let mut labels = LabelsBuilder::default();
    for (name, value) in sheet.texts(fields, key) {
        labels.set(&name.text, &value.text);
    }
    labels
}

/// A duration above zero, or `default` where there is none.
fn positive(sheet: &mut Sheet<'_>, fields: &Fields, key: &str, default: Duration) -> Duration {
    sheet.duration(fields, key).filter(|found| !found.is_zero()).unwrap_or(default)
}

/// The texts in the list under `key`.
fn texts(sheet: &mut Sheet<'_>, fields: &Fields, key: &str) -> Vec<Text> {
    let mut words = Vec::new();
    for node in sheet.list(fields, key) {
        match &node.data {
            Data::Text(text) => words.push(text.clone()),
            other => sheet.refuse(node.place, format!("an item of {key} is text, not {}", other.kind())),
        }
    }
    words
}

fn moment(since_start: Duration) -> Timestamp {
    Timestamp::from_millis(i64::try_from(since_start.as_millis()).unwrap_or(i64::MAX))
}
