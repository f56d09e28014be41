//! The language as a table: what parses, what is refused where, what expressions give.

use std::time::Duration;

use super::*;
use crate::{StoreLimits, labels::METRIC_NAME};

fn at(seconds: f64) -> Timestamp {
    Timestamp::from_secs_f64(seconds)
}

/// `c{x="a"}` counts 0, 10, 20... every 10 s to 600 s; `c{x="b"}` twice as fast; `g` is 1..61; `h` is a histogram.
fn store() -> Store {
    let mut store = Store::new(StoreLimits { series: 1000, retention: Duration::from_secs(86_400) });
    for n in 0..=60_i32 {
        let (now, n) = (at(f64::from(n) * 10.0), f64::from(n));
        store.append(&Labels::metric("c", [("x", "a")]), now, n * 10.0);
        store.append(&Labels::metric("c", [("x", "b")]), now, n * 20.0);
        store.append(&Labels::metric("g", []), now, n + 1.0);
        for (le, count) in [("1", n), ("2", 3.0 * n), ("+Inf", 4.0 * n)] {
            store.append(&Labels::metric("h_bucket", [("le", le)]), now, count);
        }
    }
    store
}

fn shown(value: Value) -> String {
    let number = |v: f64| format!("{}", (v * 1e9).round() / 1e9);
    match value {
        Value::Scalar(v) => number(v),
        Value::String(text) => format!("{text:?}"),
        Value::Vector(mut samples) => {
            samples.sort_by(|a, b| a.labels.cmp(&b.labels));
            samples.iter().map(|s| format!("{} {}", s.labels, number(s.value))).collect::<Vec<_>>().join("; ")
        }
        Value::Matrix(ranges) => ranges.iter().map(|(l, s)| format!("{l} x{}", s.len())).collect::<Vec<_>>().join("; "),
    }
}

fn check(query: &str, expected: &str) {
    let expr = parse(query).unwrap_or_else(|e| panic!("{query}: {e}"));
    let again = parse(&expr.to_string()).unwrap_or_else(|e| panic!("{query} printed as {expr}: {e}"));
    assert_eq!(again.to_string(), expr.to_string(), "{query} prints to a fixed point");
    let value = evaluate(&expr, &store(), at(600.0)).map(shown).unwrap_or_else(|e| format!("error: {e}"));
    assert_eq!(value, expected, "{query}");
}

#[test]
fn expressions_give_what_prometheus_gives() {
    check("1 + 2 * 3 ^ 2 ^ 0", "7");
    check("-1 ^ 2", "-1");
    check("5m + 0x10", "316");
    check("1 > bool 2", "0");
    check("g", "g{} 61");
    check("g offset 5m", "g{} 31");
    check("g @ 100", "g{} 11");
    check("-g", "{} -61");
    check("g > 60", "g{} 61");
    check("g > bool 60", "{} 1");
    check("g < 60", "");
    check("g[30s]", "g{} x3");
    check("c{x=~\"a|z\"}", r#"c{x="a"} 600"#);
    check("sum(c)", "{} 1800");
    check("sum by (x) (c) / 10", r#"{x="a"} 60; {x="b"} 120"#);
    check("avg without (x) (c)", "{} 900");
    check("topk(1, c)", r#"c{x="b"} 1200"#);
    check("count_values(\"v\", c)", r#"{v="1200"} 1; {v="600"} 1"#);
    check("quantile(0.5, c)", "{} 900");
    check("rate(c[1m])", r#"{x="a"} 1; {x="b"} 2"#);
    check("increase(c{x=\"a\"}[100s])", r#"{x="a"} 100"#);
    check("avg_over_time(g[30s])", "{} 60");
    check("stddev_over_time(g[30s])", "{} 0.816496581");
    check("max_over_time(rate(c{x=\"a\"}[1m])[5m:1m])", r#"{x="a"} 1"#);
    check("histogram_quantile(0.5, h_bucket)", "{} 1.5");
    check("histogram_quantile(0.9, rate(h_bucket[5m]))", "{} 2");
    check("c / on (x) c", r#"{x="a"} 1; {x="b"} 1"#);
    check("c * on () group_left () g", r#"{x="a"} 36600; {x="b"} 73200"#);
    check("c and on (x) c{x=\"a\"}", r#"c{x="a"} 600"#);
    check("c unless c{x=\"a\"}", r#"c{x="b"} 1200"#);
    check("nothing or vector(3)", "{} 3");
    check("absent(nothing{a=\"b\"})", r#"{a="b"} 1"#);
    check("absent(g)", "");
    check("label_replace(g, \"y\", \"$1!\", \"__name__\", \"(.*)\")", r#"g{y="g!"} 61"#);
    check("clamp_max(g, 5)", "{} 5");
    check("predict_linear(g[1m], 100)", "{} 71");
    check("scalar(g) + time()", "661");
    check("day_of_week(vector(1709164800))", "{} 4");
    check("abs(g - avg_over_time(g[5m] offset 1m)) > 2 * stddev_over_time(g[5m] offset 1m)", "{} 20.5");
    check(
        "c / on () g",
        "error: multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
    );
}

#[test]
fn what_is_wrong_is_refused_with_its_place() {
    for (query, place, message) in [
        ("", (1, 1), "the expression ends here"),
        ("1 +", (1, 4), "the expression ends here"),
        ("foo(1)", (1, 1), "there is no function \"foo\""),
        ("rate(g)", (1, 1), "argument 1 of rate is a instant vector; a range vector is expected"),
        ("sum(1)", (1, 1), "sum is over a scalar"),
        ("1 > 2", (1, 3), "must use bool"),
        ("g and 1", (1, 3), "both must be instant vectors"),
        ("{x=\"\"}", (1, 1), "this selects every series"),
        ("g{x=~\"(\"}", (1, 6), "is not a regular expression"),
        ("g[5x]", (1, 3), "neither a number nor a duration"),
        ("g\n  + ]", (2, 5), "\"]\" stands here"),
        ("\"abc", (1, 1), "no closing"),
        ("g offset", (1, 9), "an offset such as 5m is expected"),
        ("(g)[5m]", (1, 4), "write [range:step]"),
        ("g $ 1", (1, 3), "does not belong"),
    ] {
        let error = parse(query).expect_err(query);
        assert_eq!((error.line, error.column), place, "{query}: {error}");
        assert!(error.message.contains(message), "{query}: {error}");
    }
    assert!(parse(&"(".repeat(100_000)).is_err());
    assert!(parse(&"-".repeat(60_000)).is_err());
}

#[test]
fn an_unavailable_source_is_an_error() {
    let mut store = store();
    store.set_unavailable("g", Some("gone"));
    assert!(evaluate(&parse("g > 100").unwrap(), &store, at(600.0)).unwrap_err().message.contains("gone"));
    store.set_unavailable("g", None);
    assert!(evaluate(&parse("g > 100").unwrap(), &store, at(600.0)).is_ok());
}

#[test]
fn spans_scale_and_names_are_listed() {
    let mut expr = parse("rate(a_total[5m] offset 1h) / max_over_time(b[1h:1m]) > {__name__=\"c\"}").unwrap();
    assert_eq!(expr.metric_names(), ["a_total", "b", "c"]);
    expr.scale_durations(1.0 / 30.0);
    let expected = format!("rate(a_total[10s] offset 2m) / max_over_time(b[2m:2s]) > {{{METRIC_NAME}=\"c\"}}");
    assert_eq!(expr.to_string(), expected);
}

#[test]
fn any_text_parses_or_is_refused_without_a_panic() {
    let mut rng = fastrand::Rng::with_seed(11);
    let words = [
        "sum", "by", "(", ")", "g", "[", "5m", "]", "{", "}", "x", "=~", "\"a\"", ",", "+", "-", "^", "offset", "@",
        "start", ":", "bool", "on", "1", "é", "'", "\\",
    ];
    for _ in 0..20_000 {
        let text: String = (0..rng.usize(..14))
            .map(|_| words[rng.usize(..words.len())].to_owned() + [" ", ""][rng.usize(..2)])
            .collect();
        if let Ok(expr) = parse(&text) {
            let printed = expr.to_string();
            assert_eq!(parse(&printed).map(|e| e.to_string()), Ok(printed), "{text}");
        }
    }
}
