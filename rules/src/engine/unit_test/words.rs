//! Numbers and truth values as promtool's YAML library reads them: quoted ones are text, `010` is eight.

use saphyr_parser::ScalarStyle;

use super::super::yaml::Text;

/// A plain YAML number: `1e3`, `0x1f`, `0b1`, `010`, `1_000`, `.inf`, `.nan`.
pub(super) fn float(text: &Text) -> Result<f64, String> {
    let written = text.text.as_str();
    if text.style != ScalarStyle::Plain {
        return Err(format!("{written:?} in quotes is text; write it without"));
    }
    match written {
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Ok(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Ok(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Ok(f64::NAN),
        _ => {}
    }
    let hint = match written.trim_start_matches(['+', '-', '.']).to_ascii_lowercase().as_str() {
        "inf" | "infinity" => "; YAML writes infinity .inf",
        "nan" => "; YAML writes it .nan, and it equals nothing: test x != x instead",
        _ => "",
    };
    number(&written.replace('_', "")).ok_or_else(|| format!("{written:?} is not a number{hint}"))
}

fn number(plain: &str) -> Option<f64> {
    let (sign, digits) = match plain.as_bytes().first()? {
        b'-' => (-1.0, &plain[1..]),
        b'+' => (1.0, &plain[1..]),
        _ => (1.0, plain),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let whole = |from: usize, radix: u32| {
        let rest = digits.get(from..).filter(|rest| rest.bytes().all(|b| b.is_ascii_alphanumeric()))?;
        u64::from_str_radix(rest, radix).ok().map(|n| n as f64)
    };
    let value = match digits.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => whole(2, 16)?,
        Some("0b") => whole(2, 2)?,
        Some("0o") => whole(2, 8)?,
        _ if digits.len() > 1 && digits.starts_with('0') && whole(1, 8).is_some() => whole(1, 8)?,
        // beyond the largest float is text as well
        _ => digits.parse::<f64>().ok().filter(|value| value.is_finite())?,
    };
    Some(sign * value)
}

/// A plain YAML 1.1 truth value.
pub(super) fn flag(text: &Text) -> Result<bool, String> {
    let plain = text.style == ScalarStyle::Plain;
    match text.text.as_str() {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" if plain => Ok(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" if plain => Ok(false),
        other => {
            Err(format!("{other:?} is neither true nor false{}", if plain { "" } else { "; write it without quotes" }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::yaml::Place;

    fn text(written: &str) -> Text {
        let quoted = written.starts_with('"');
        let style = if quoted { ScalarStyle::DoubleQuoted } else { ScalarStyle::Plain };
        let text = written.trim_matches('"').to_owned();
        Text { place: Place { line: 1, column: 1 }, style, start: 0, text }
    }

    /// Expected values: what promtool 2.42 and 3.5 make of them.
    #[test]
    fn numbers_are_those_of_yaml() {
        for (written, expected) in [
            ("3", Some(3.0)),
            ("+3.0", Some(3.0)),
            ("-.5", Some(-0.5)),
            ("3.", Some(3.0)),
            (".3e1", Some(3.0)),
            ("30e-1", Some(3.0)),
            ("0x10", Some(16.0)),
            ("-0x10", Some(-16.0)),
            ("0b11", Some(3.0)),
            ("0o10", Some(8.0)),
            ("010", Some(8.0)),
            ("+010", Some(8.0)),
            ("08", Some(8.0)),
            ("0", Some(0.0)),
            ("1_000", Some(1000.0)),
            (".inf", Some(f64::INFINITY)),
            ("-.INF", Some(f64::NEG_INFINITY)),
            ("Inf", None),
            ("infinity", None),
            ("NaN", None),
            ("\"3\"", None),
            ("3m", None),
            ("1e400", None),
            ("0x", None),
            ("0x1p4", None),
            ("1:05", None),
            (".", None),
            ("--3", None),
            ("", None),
        ] {
            assert_eq!(float(&text(written)).ok(), expected, "{written}");
        }
        assert!(float(&text(".nan")).is_ok_and(f64::is_nan));
    }

    #[test]
    fn truth_is_that_of_yaml() {
        for (written, expected) in
            [("true", Some(true)), ("yes", Some(true)), ("OFF", Some(false)), ("\"true\"", None), ("1", None)]
        {
            assert_eq!(flag(&text(written)).ok(), expected, "{written}");
        }
    }
}
