//! Values as Prometheus' JSON has them: times as seconds with up to three digits, values as text.

use std::fmt::Write as _;

use plimsoll_rules::promql::{Value, format_float};
use plimsoll_rules::{Labels, Timestamp};

/// `{"resultType": ..., "result": ...}`. An instant value carries `at`.
pub(super) fn value(value: &Value, at: Timestamp) -> String {
    let mut out = String::new();
    match value {
        Value::Scalar(number) => {
            // the one number that never takes a power of ten
            let number = format_float(*number);
            let _ = write!(out, r#"{{"resultType":"scalar","result":[{at},"{number}"]"#);
        }
        Value::String(text) => {
            let _ = write!(out, r#"{{"resultType":"string","result":[{at},"#);
            string(&mut out, text);
            out.push(']');
        }
        Value::Vector(samples) => {
            out.push_str(r#"{"resultType":"vector","result":"#);
            list(&mut out, samples, |out, sample| {
                metric(out, &sample.labels);
                out.push_str(r#","value":"#);
                point(out, at, sample.value);
                out.push('}');
            });
        }
        Value::Matrix(series) => {
            out.push_str(r#"{"resultType":"matrix","result":"#);
            list(&mut out, series, |out, (labels, points)| {
                metric(out, labels);
                out.push_str(r#","values":"#);
                list(out, points, |out, (at, value)| point(out, *at, *value));
                out.push('}');
            });
        }
    }
    out.push('}');
    out
}

fn list<T>(out: &mut String, items: &[T], mut each: impl FnMut(&mut String, &T)) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        each(out, item);
    }
    out.push(']');
}

fn metric(out: &mut String, labels: &Labels) {
    out.push_str(r#"{"metric":{"#);
    for (index, (name, text)) in labels.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        string(out, name);
        out.push(':');
        string(out, text);
    }
    out.push('}');
}

fn string(out: &mut String, text: &str) {
    // a string always has a JSON form
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

fn point(out: &mut String, at: Timestamp, value: f64) {
    out.push('[');
    time(out, at);
    out.push_str(",\"");
    float(out, value);
    out.push_str("\"]");
}

fn time(out: &mut String, at: Timestamp) {
    let millis = at.millis();
    let (seconds, rest) = (millis.unsigned_abs() / 1000, millis.unsigned_abs() % 1000);
    let sign = if millis < 0 { "-" } else { "" };
    let _ = match rest {
        0 => write!(out, "{sign}{seconds}"),
        _ => write!(out, "{sign}{seconds}.{rest:03}"),
    };
}

/// The shortest decimal that reads back; in powers of ten below 1e-6 and from 1e21 on.
fn float(out: &mut String, value: f64) {
    let size = value.abs();
    if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else if size != 0.0 && !(1e-6..1e21).contains(&size) && !value.is_nan() {
        out.push_str(&exponent(value));
    } else {
        let _ = write!(out, "{value}");
    }
}

/// As Go's `%e` with as many digits as needed: `8.5e-01`, `1e+00`.
pub(super) fn exponent(value: f64) -> String {
    if !value.is_finite() {
        let mut out = String::new();
        float(&mut out, value);
        return out;
    }
    let short = format!("{value:e}");
    let Some((digits, power)) = short.split_once('e') else { return short };
    let (sign, power) = power.strip_prefix('-').map_or(('+', power), |power| ('-', power));
    format!("{digits}e{sign}{power:0>2}")
}

#[cfg(test)]
mod tests {
    use plimsoll_rules::promql::VectorSample;

    use super::*;

    #[test]
    fn floats_are_written_as_prometheus_writes_them() {
        for (number, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1 + 0.2, "0.30000000000000004"),
            (123_456_789.125, "123456789.125"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-2.5e300, "-2.5e+300"),
            (1e-6, "0.000001"),
            (9.5e-7, "9.5e-07"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            let mut out = String::new();
            float(&mut out, number);
            assert_eq!(out, expected);
        }
        for (number, expected) in [(1.0, "1e+00"), (0.85, "8.5e-01"), (-1e100, "-1e+100"), (f64::INFINITY, "+Inf")] {
            assert_eq!(exponent(number), expected);
        }
    }

    #[test]
    fn values_have_prometheus_shapes() {
        let at = Timestamp::from_millis;
        let labels = Labels::metric("up", [("a", "quote \" and \u{e9}")]);
        let vector = Value::Vector(vec![VectorSample { labels: labels.clone(), value: 1.5 }]);
        let matrix = Value::Matrix(vec![(labels, vec![(at(1000), 1.0), (at(-1050), f64::NAN)])]);
        for (given, expected) in [
            (Value::Scalar(-1e-7), r#"{"resultType":"scalar","result":[1.05,"-0.0000001"]}"#),
            (Value::String("x".into()), r#"{"resultType":"string","result":[1.05,"x"]}"#),
            (Value::Vector(Vec::new()), r#"{"resultType":"vector","result":[]}"#),
            (
                vector,
                r#"{"resultType":"vector","result":[{"metric":{"__name__":"up","a":"quote \" and é"},"value":[1.050,"1.5"]}]}"#,
            ),
            (
                matrix,
                r#"{"resultType":"matrix","result":[{"metric":{"__name__":"up","a":"quote \" and é"},"values":[[1,"1"],[-1.050,"NaN"]]}]}"#,
            ),
        ] {
            let text = value(&given, at(1050));
            assert_eq!(text, expected);
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
        }
    }
}
