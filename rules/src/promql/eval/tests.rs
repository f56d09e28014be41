//! What expressions give, over one small store; what fails, and that work is bounded.

use std::time::Duration;

use super::super::{EvalOptions, Value, evaluate, evaluate_range, parse, query};
use crate::{Labels, Store, StoreLimits, Timestamp};

fn at(seconds: f64) -> Timestamp {
    Timestamp::from_secs_f64(seconds)
}

/// Every 10 s up to 600 s: `c{x="a"}` counts 0, 10, 20..., `c{x="b"}` twice as fast; `g` is 1..61; `h` is a histogram;
/// `ended` stopped at 590 s.
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
        let ended = Labels::metric("ended", []);
        if n < 60.0 {
            store.append(&ended, now, 1.0)
        } else {
            store.mark_stale(&ended, now)
        };
    }
    store
}

fn shown(value: Value) -> String {
    let number = |v: f64| format!("{}", (v * 1e9).round() / 1e9);
    match value {
        Value::Scalar(v) => number(v),
        Value::String(text) => format!("{text:?}"),
        Value::Vector(samples) => {
            samples.iter().map(|s| format!("{} {}", s.labels, number(s.value))).collect::<Vec<_>>().join("; ")
        }
        Value::Matrix(ranges) => ranges.iter().map(|(l, s)| format!("{l} x{}", s.len())).collect::<Vec<_>>().join("; "),
    }
}

fn check(text: &str, expected: &str) {
    let expr = parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
    let value = evaluate(&expr, &store(), at(600.0)).map(shown).unwrap_or_else(|why| format!("error: {why}"));
    assert_eq!(value, expected, "{text}");
}

#[test]
fn expressions_give_what_prometheus_gives() {
    for (text, expected) in [
        ("1 + 2 * 3 ^ 2 ^ 0", "7"),
        ("-1 ^ 2", "-1"),
        ("5m + 0x10", "316"),
        ("1 > bool 2", "0"),
        ("\"text\"", "\"text\""),
        ("g", "g{} 61"),
        ("g offset 5m", "g{} 31"),
        ("g offset -4m", "g{} 61"),
        ("g @ 100", "g{} 11"),
        ("-g", "{} -61"),
        ("g > 60", "g{} 61"),
        ("60 < g", "g{} 61"),
        ("g > bool 60", "{} 1"),
        ("g < 60", ""),
        ("g[30s]", "g{} x3"),
        ("c{x=~\"a|z\"}", r#"c{x="a"} 600"#),
        ("ended", ""),
        ("count_over_time(ended[1m])", "{} 5"),
        ("sum(c)", "{} 1800"),
        ("sum by (x) (c) / 10", r#"{x="a"} 60; {x="b"} 120"#),
        ("avg without (x) (c)", "{} 900"),
        ("topk(1, c)", r#"c{x="b"} 1200"#),
        ("count_values(\"v\", c)", r#"{v="600"} 1; {v="1200"} 1"#),
        ("quantile(0.5, c)", "{} 900"),
        ("rate(c[1m])", r#"{x="a"} 1; {x="b"} 2"#),
        ("increase(c{x=\"a\"}[100s])", r#"{x="a"} 100"#),
        ("avg_over_time(g[30s])", "{} 60"),
        ("stddev_over_time(g[30s])", "{} 0.816496581"),
        ("max_over_time(rate(c{x=\"a\"}[1m])[5m:1m])", r#"{x="a"} 1"#),
        ("histogram_quantile(0.5, h_bucket)", "{} 1.5"),
        ("histogram_quantile(0.9, rate(h_bucket[5m]))", "{} 2"),
        ("c / on (x) c", r#"{x="a"} 1; {x="b"} 1"#),
        ("c * on () group_left () g", r#"{x="a"} 36600; {x="b"} 73200"#),
        ("g + on () group_right () c", r#"{x="a"} 661; {x="b"} 1261"#),
        ("c and on (x) c{x=\"a\"}", r#"c{x="a"} 600"#),
        ("c unless c{x=\"a\"}", r#"c{x="b"} 1200"#),
        ("nothing or vector(3)", "{} 3"),
        ("absent(nothing{a=\"b\"})", r#"{a="b"} 1"#),
        ("absent(g)", ""),
        ("label_replace(g, \"y\", \"$1!\", \"__name__\", \"(.*)\")", r#"g{y="g!"} 61"#),
        ("clamp_max(g, 5)", "{} 5"),
        ("predict_linear(g[1m], 100)", "{} 71"),
        ("scalar(g) + time()", "661"),
        ("day_of_week(vector(1709164800))", "{} 4"),
        ("timestamp(ended offset 15s)", "{} 580"),
        ("abs(g - avg_over_time(g[5m] offset 1m)) > 2 * stddev_over_time(g[5m] offset 1m)", "{} 20.5"),
    ] {
        check(text, expected);
    }
}

#[test]
fn what_cannot_be_evaluated_is_an_error() {
    for (text, word) in [
        ("c / on () g", "many-to-one matching must be explicit"),
        ("g / on () c", "found duplicate series"),
        ("abs({__name__=~\"g|nothing|ended_too\"}) or {__name__=~\"c|g\", x=\"\"}", ""),
        ("rate({__name__=~\"g|h_bucket\", le=~\"1|\"}[1m]) and sum by (y) (g)", ""),
        ("abs(label_replace(c, \"x\", \"\", \"\", \"\"))", "same labelset"),
        ("label_replace(g, \"x\", \"$1\", \"y\", \"(\")", "regular expression"),
        ("topk(NaN, g)", "NaN"),
        ("double_exponential_smoothing(g[1m], 2, 0.5)", "smoothing factor"),
        ("max_over_time(g[50y:1ms])", "more than"),
        ("max_over_time(max_over_time(vector(1)[1d:1s])[1d:1s])", "more than"),
    ] {
        let bounded = EvalOptions { max_samples: 1_000_000, ..EvalOptions::default() };
        match query(&parse(text).unwrap(), &store(), at(600.0), &bounded) {
            Ok(_) => assert_eq!(word, "", "{text} gave a value"),
            Err(why) => assert!(!word.is_empty() && why.message.contains(word), "{text}: {why}"),
        }
    }
}

#[test]
fn an_unavailable_source_is_an_error_however_it_is_named() {
    let mut store = store();
    store.set_unavailable("g", Some("gone"));
    for (text, fails) in [
        ("g > 100", true),
        ("absent(g)", true),
        ("rate(g[5m])", true),
        ("{__name__=~\"g|c\"}", true),
        ("c or max_over_time(g[5m:1m])", true),
        ("c", false),
        ("{__name__=~\"c.*\"}", false),
    ] {
        let result = evaluate(&parse(text).unwrap(), &store, at(600.0));
        assert_eq!(result.is_err_and(|why| why.message.contains("gone")), fails, "{text}");
    }
    store.set_unavailable("g", None);
    assert!(evaluate(&parse("g").unwrap(), &store, at(600.0)).is_ok());
}

#[test]
fn a_range_is_evaluated_step_by_step() {
    let range = |text: &str| {
        let minute = Duration::from_secs(60);
        evaluate_range(&parse(text).unwrap(), &store(), at(0.0), at(180.0), minute)
    };
    let values = |text: &str| {
        let series = |(labels, points): (Labels, Vec<(Timestamp, f64)>)| {
            let points: Vec<String> = points.iter().map(|(at, v)| format!("{}:{v}", at.millis() / 1000)).collect();
            format!("{labels} {}", points.join(" "))
        };
        range(text).unwrap().into_iter().map(series).collect::<Vec<_>>()
    };
    assert_eq!(values("g"), ["g{} 0:1 60:7 120:13 180:19"]);
    assert_eq!(values("g > 10"), ["g{} 120:13 180:19"]);
    assert_eq!(values("time() / 60"), ["{} 0:0 60:1 120:2 180:3"]);
    assert_eq!(values("g @ end() - g @ start()"), ["{} 0:18 60:18 120:18 180:18"]);
    assert_eq!(values("sum by (x) (c)").len(), 2);
    assert!(range("g[1m]").is_err() && range("\"a\"").is_err());
    let zero = evaluate_range(&parse("g").unwrap(), &store(), at(0.0), at(1.0), Duration::ZERO);
    assert!(zero.is_err(), "a step of zero never ends");
}

#[test]
fn options_and_remarks() {
    let ask = |text: &str, options: &EvalOptions| query(&parse(text).unwrap(), &store(), at(620.0), options);
    let short = EvalOptions { lookback: Duration::from_secs(20), ..EvalOptions::default() };
    assert_eq!(shown(ask("g", &short).unwrap().value), "", "the lookback is open on the left");
    let longer = EvalOptions { lookback: Duration::from_millis(20_001), ..short };
    assert_eq!(shown(ask("g", &longer).unwrap().value), "g{} 61");
    let few = EvalOptions { max_samples: 40, ..EvalOptions::default() };
    assert!(ask("sum_over_time(g[5m])", &few).is_err());
    let defaults = EvalOptions::default();
    assert_eq!(ask("quantile(2, g)", &defaults).unwrap().warnings.len(), 1);
    assert_eq!(ask("rate(g[1m])", &defaults).unwrap().infos.len(), 1);
    assert_eq!(ask("rate(h_bucket[1m])", &defaults).unwrap().infos, [""; 0]);
}

/// The highest trees that the parser lets through are evaluated on the small stack of a test's thread.
#[test]
fn the_highest_expressions_fit_the_stack() {
    for text in [
        "g+".repeat(119) + "g",
        "-(".repeat(45) + "g" + &")".repeat(45),
        "abs(".repeat(90) + "g" + &")".repeat(90),
        "sum(".repeat(90) + "g" + &")".repeat(90),
    ] {
        let expr = parse(&text).unwrap_or_else(|why| panic!("{text}: {why}"));
        assert!(evaluate(&expr, &store(), at(600.0)).is_ok(), "{text}");
        assert_eq!(expr.clone(), expr);
        assert!(!expr.to_string().is_empty());
    }
}
