//! What is understood, what is refused and where, and that no text does harm.

use std::time::Duration;

use proptest::prelude::*;

use super::super::{EvalOptions, parse, query};
use crate::{Labels, Store, StoreLimits, Timestamp};

#[test]
fn what_is_parsed_prints_back() {
    for (text, printed) in [
        ("avg_over_time(x[5m]) > 0.85", None),
        ("rate(a_sum[5m]) / rate(a_count[5m])", None),
        ("abs(m - avg_over_time(m[1h] offset 5m)) > 2 * stddev_over_time(m[1h] offset 5m)", None),
        (r#"sum by (model) (increase(t{outcome="completed"}[5m])) / sum by (model) (increase(t[5m])) < 0.9"#, None),
        (r#"SUM(x) BY (a,b,)"#, Some("sum by (a, b) (x)")),
        ("sum without () (x)", None),
        ("topk(3, x)", None),
        (r#"count_values("v", x)"#, None),
        ("a AND on (x) b or c unless ignoring (y) d", Some("a and on (x) b or c unless ignoring (y) d")),
        ("a * on (x) group_left (y, z) b", None),
        ("a / ignoring (x) group_right () b", None),
        ("a > bool 1", None),
        ("-x ^ 2", None),
        ("2 ^ 3 ^ 2", None),
        ("- 1", Some("-1")),
        ("(1 + 2) * 3", None),
        (r#"{__name__="a", b!="c", d=~"e.*", f!~"g|h"}"#, None),
        (r#"{"a.b", "c d"="e"}"#, None),
        (r#"{"plain"}"#, Some("plain")),
        (r#"{"on", a="b"}"#, None),
        (r#"x{a="\n\"\\\t\x07é"}"#, None),
        ("x[5m] @ 1.5 offset -1m30s", None),
        ("x offset 5m @ end()", Some("x @ end() offset 5m")),
        ("max_over_time(rate(x[1m])[1h:30s] offset 1d)", None),
        ("x[90:]", None),
        ("x[2m*(10+5)]", Some("x[30m]")),
        ("x offset -(1h / 2)", Some("x offset -30m")),
        ("5m", None),
        ("+Inf", Some("+Inf")),
        ("nan", Some("NaN")),
        ("0x1f", Some("31")),
        ("sum", None),
        ("offset offset 5m", None),
        ("a # comment\n + b", Some("a + b")),
        ("vector(time())", None),
        ("hour()", None),
        ("round(x)", None),
        (r#"label_join(x, "a", ",", "b", "c")"#, None),
    ] {
        let expr = parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
        let printed = printed.unwrap_or(if text == "x[90:]" { "x[1m30s:]" } else { text });
        assert_eq!(expr.to_string(), printed);
        assert_eq!(parse(printed).unwrap().to_string(), printed, "again");
    }
}

#[test]
fn mistakes_are_named_with_their_place() {
    for (text, line, column, word) in [
        ("", 1, 1, "an expression"),
        ("a +", 1, 4, "the end"),
        ("a\n  + * b", 2, 5, "\"*\""),
        ("é", 1, 1, "means nothing"),
        ("x{a=\"é\"} $", 1, 10, "means nothing"),
        ("rates(x[5m])", 1, 1, "did you mean rate?"),
        ("Rate(x[5m])", 1, 1, "did you mean rate?"),
        ("rate(x)", 1, 6, "range vector"),
        ("rate(x[5m], 1)", 1, 1, "takes 1 arguments, found 2"),
        ("sum(x[5m])", 1, 5, "instant vector"),
        ("topk(x)", 1, 1, "takes 2"),
        ("x[5m] + 1", 1, 1, "range vector"),
        ("x[0s]", 1, 3, "longer than zero"),
        ("x[5m/0]", 1, 5, "divided by zero"),
        ("(x)[5m]", 1, 4, "selector"),
        ("x offset 5m[5m]", 1, 12, "after the range"),
        ("x offset 5m offset 5m", 1, 13, "twice"),
        ("sum(x) offset 5m", 1, 8, "offset follows"),
        ("x @ 1 @ 2", 1, 7, "twice"),
        ("1 > 2", 1, 5, "bool"),
        ("a + bool b", 1, 5, "bool"),
        ("1 and 2", 1, 7, "instant vectors"),
        ("a and on (x) group_left () b", 1, 7, "group_left"),
        ("a + on (x) group_left (x) b", 1, 12, "at once"),
        ("a + on (x) 1", 1, 5, "between instant vectors"),
        ("{}", 1, 1, "name a metric"),
        ("{a=~\".*\"}", 1, 1, "name a metric"),
        ("x{__name__=\"y\"}", 1, 1, "twice"),
        ("x{a=~\"(\"}", 1, 6, "regular expression"),
        ("x{a=b}", 1, 5, "quotes"),
        ("x{,}", 1, 3, "label matcher"),
        ("-\"a\"", 1, 1, "a sign"),
        ("a b", 1, 3, "an operator or the end"),
        ("on", 1, 1, "an expression"),
        ("holt_winters(x[5m], 0.5, 0.5)", 1, 1, "no function"),
        ("x[5m", 1, 5, "\"]\""),
        ("x[99999999999y]", 1, 3, "out of range; durations go up to 292y"),
        ("x[9999999y]", 1, 3, "out of range"),
        ("x[5m:300y]", 1, 6, "out of range"),
        ("x offset 300y", 1, 10, "out of range"),
        ("x offset -300y", 1, 11, "out of range"),
        ("x[200y + 200y]", 1, 3, "out of range"),
        ("300y", 1, 1, "out of range"),
        ("x[1e300]", 1, 3, "out of range"),
    ] {
        let why = parse(text).map(|e| panic!("{text} gave {e}")).unwrap_err();
        assert_eq!((why.line, why.column), (line, column), "{text}: {why}");
        assert!(why.message.contains(word), "{text}: {why}");
    }
}

#[test]
fn depth_and_length_are_bounded() {
    let deep = |open: &str, inner: &str, close: &str, n: usize| open.repeat(n) + inner + &close.repeat(n);
    for (why, text) in [
        ("parentheses", deep("(", "x", ")", 20_000)),
        ("signs", "-".repeat(60_000) + "x"),
        ("calls", deep("abs(", "x", ")", 10_000)),
        ("subqueries", "x".to_owned() + &"[5m:]".repeat(10_000)),
        ("a chain", "x+".repeat(30_000) + "x"),
        ("a chain to the right", "2^".repeat(30_000) + "2"),
        ("powers in a span", format!("x[{}2]", "2^".repeat(30_000))),
        ("signs in a span", format!("x[{}2]", "-".repeat(60_000))),
        ("parentheses in a span", format!("x[{}]", deep("(", "2", ")", 20_000))),
        ("too long", "x".repeat(70_000)),
    ] {
        assert!(parse(&text).is_err(), "{why}");
    }
    for text in [deep("(", "x", ")", 50), "x+".repeat(100) + "x", deep("abs(", "x", ")", 50)] {
        assert!(parse(&text).is_ok());
    }
}

#[test]
fn names_and_durations_are_found_and_scaled() {
    let mut expr = parse(r#"a + rate(b[5m] offset 1m) / {__name__="c"} + max_over_time(a[1h:10s])"#).unwrap();
    assert_eq!(expr.metric_names(), ["a", "b", "c"]);
    expr.scale_durations(0.1);
    let scaled = r#"a + rate(b[30s] offset 6s) / {__name__="c"} + max_over_time(a[6m:1s])"#;
    assert_eq!(expr.to_string(), scaled);
    expr.scale_durations(1e-9);
    assert!(parse(&expr.to_string()).is_ok(), "ranges never become zero");
}

/// Pieces of the language, strung together at random: mostly wrong, often nearly right.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "x",
        "{",
        "}",
        "a=\"b\"",
        "[5m]",
        "[1h:]",
        "offset",
        "-",
        "+",
        "*",
        "^",
        "(",
        ")",
        ",",
        "sum",
        "by",
        "rate(",
        "and",
        "or",
        "on",
        "group_left",
        "bool",
        ">",
        "==",
        "5m",
        "1",
        "@",
        "start()",
        "\"s\"",
        "#",
        "0x",
        "é",
        "'",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.join(" "))
}

/// Expressions that are right, built from the inside out.
fn expressions() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "x",
        "y{a=\"b\", c!~\"d.*\"}",
        "{\"u.v\"}",
        "x offset 5m",
        "x @ 10",
        "deriv(x[292y] @ 1e15 offset -292y)",
        "predict_linear(y[1y:100d], 1e300)",
        "year(vector(1e300))",
        "increase(x[1h] offset 9y)",
        "rate(z_total[5m])",
        "vector(1.5)",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(5, 40, 3, |inner| {
        let operator = prop::sample::select(vec![
            "+",
            "-",
            "*",
            "/",
            "%",
            "^",
            "atan2",
            "==",
            "> bool",
            "and",
            "or",
            "unless",
            "+ on (a)",
            "* on (a) group_left (c)",
            "and ignoring (b)",
        ]);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
            inner.clone().prop_map(|a| format!("({a})")),
            inner.clone().prop_map(|a| format!("-{a}")),
            inner.clone().prop_map(|a| format!("abs({a})")),
            inner.clone().prop_map(|a| format!("sum by (a) ({a})")),
            inner.clone().prop_map(|a| format!("topk without (a) (3, {a})")),
            inner.clone().prop_map(|a| format!("(({a}) > 2.5)")),
            inner.prop_map(|a| format!("max_over_time(({a})[1h:5m] offset 1m)")),
        ]
    })
}

proptest! {
    #[test]
    fn random_text_is_refused_or_understood(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn random_bytes_too(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn strings_of_pieces_are_refused_within_the_text_or_print_back(text in pieces()) {
        match parse(&text) {
            Ok(expr) => prop_assert_eq!(parse(&expr.to_string()), Ok(expr)),
            Err(why) => prop_assert!(why.column <= text.chars().count() + 1),
        }
    }

    /// Errors are fine, panics and overflows are not; nor is taking for ever.
    #[test]
    fn what_is_right_is_evaluated_without_a_panic(text in expressions(), now in any::<i64>()) {
        let limits = StoreLimits { series: 10, retention: Duration::from_secs(3600) };
        let mut store = Store::new(limits);
        for (name, value) in [("x", 1.0), ("y", f64::NAN), ("z_total", -0.0)] {
            for n in 0..5 {
                store.append(&Labels::metric(name, [("a", "b")]), Timestamp::from_millis(n * 5000), value * n as f64);
            }
        }
        let options = EvalOptions { max_samples: 20_000, ..EvalOptions::default() };
        for now in [now, 20_000] {
            let _ = query(&parse(&text).unwrap(), &store, Timestamp::from_millis(now), &options);
        }
    }

    #[test]
    fn what_is_right_prints_back_as_the_same_tree(text in expressions()) {
        let expr = parse(&text).unwrap();
        prop_assert_eq!(parse(&expr.to_string()), Ok(expr));
    }
}
