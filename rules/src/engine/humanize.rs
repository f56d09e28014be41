//! Numbers for people, digit for digit as Prometheus' template functions write them.

use super::template_functions::go_time;

/// Go's `%.4g`: four significant digits, an exponent below 1e-4 and from 1e4 on.
fn four_digits(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:.3e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value == 0.0 {
        return if value.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    if (-4..4).contains(&exponent) {
        let decimals = usize::try_from(3 - exponent).unwrap_or(0);
        return trimmed(&format!("{value:.decimals$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(digits), exponent.abs())
}

fn trimmed(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

fn small(mut value: f64) -> (f64, &'static str) {
    let mut prefix = "";
    for smaller in ["m", "u", "n", "p", "f", "a", "z", "y"] {
        if value.abs() >= 1.0 {
            break;
        }
        prefix = smaller;
        value *= 1000.0;
    }
    (value, prefix)
}

fn large(mut value: f64, step: f64, prefixes: [&'static str; 8]) -> (f64, &'static str) {
    let mut prefix = "";
    for larger in prefixes {
        if value.abs() < step {
            break;
        }
        prefix = larger;
        value /= step;
    }
    (value, prefix)
}

/// `1234567` is `1.235M`.
pub(super) fn decimal(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return four_digits(value);
    }
    let (value, prefix) =
        if value.abs() >= 1.0 { large(value, 1000.0, ["k", "M", "G", "T", "P", "E", "Z", "Y"]) } else { small(value) };
    format!("{}{prefix}", four_digits(value))
}

/// `1048576` is `1Mi`.
pub(super) fn binary(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return four_digits(value);
    }
    let (value, prefix) = large(value, 1024.0, ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"]);
    format!("{}{prefix}", four_digits(value))
}

/// `0.8512` is `85.12%`.
pub(super) fn percentage(value: f64) -> String {
    format!("{}%", four_digits(value * 100.0))
}

/// Seconds: `3725` is `1h 2m 5s`, `0.0042` is `4.2ms`.
pub(super) fn duration(value: f64) -> String {
    if !value.is_finite() {
        return four_digits(value);
    }
    if value.abs() < 1.0 {
        let (scaled, prefix) = if value == 0.0 { (value, "") } else { small(value) };
        return format!("{}{prefix}s", four_digits(scaled));
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let value = value.abs();
    let whole = value as u64;
    let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60);
    if days > 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours > 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes > 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", four_digits(value))
    }
}

/// Seconds since the epoch as `2015-06-23 13:19:44.128 +0000 UTC`.
pub(super) fn timestamp(value: f64) -> String {
    go_time(value).unwrap_or_else(|| four_digits(value))
}

/// Seconds as Go prints a `time.Duration`: `1h2m3.5s`, `4.2ms`.
pub(super) fn go_duration(value: f64) -> String {
    if value.is_nan() || value.abs() >= 9e9 {
        return four_digits(value);
    }
    let nanos = (value * 1e9).round().abs();
    let sign = if value < 0.0 { "-" } else { "" };
    let seconds = nanos / 1e9;
    match nanos {
        0.0 => "0s".to_owned(),
        n if n < 1e3 => format!("{sign}{n}ns"),
        n if n < 1e6 => format!("{sign}{}µs", n / 1e3),
        n if n < 1e9 => format!("{sign}{}ms", n / 1e6),
        _ if seconds < 60.0 => format!("{sign}{seconds}s"),
        _ => {
            let whole = (nanos / 6e10).floor();
            let rest = (nanos - whole * 6e10) / 1e9;
            let (hours, minutes) = ((whole / 60.0).floor(), whole % 60.0);
            if hours > 0.0 { format!("{sign}{hours}h{minutes}m{rest}s") } else { format!("{sign}{minutes}m{rest}s") }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values: Prometheus' template/template_test.go and util/strutil, and Go's fmt.
    #[test]
    fn numbers_read_as_in_prometheus() {
        type Print = fn(f64) -> String;
        let cases: [(Print, f64, &str); 36] = [
            (decimal, 0.0, "0"),
            (decimal, 1.0, "1"),
            (decimal, 1_234_567.0, "1.235M"),
            (decimal, 0.12, "120m"),
            (decimal, -4_000.0, "-4k"),
            (decimal, 0.000_000_5, "500n"),
            (decimal, 999.96, "1000"),
            (decimal, 1e28, "1e+04Y"),
            (decimal, f64::INFINITY, "+Inf"),
            (decimal, f64::NEG_INFINITY, "-Inf"),
            (decimal, f64::NAN, "NaN"),
            (binary, 0.5, "0.5"),
            (binary, 1024.0, "1ki"),
            (binary, 1_048_576.0, "1Mi"),
            (binary, 1.5e9, "1.397Gi"),
            (percentage, 0.123_456_7, "12.35%"),
            (percentage, 1.0, "100%"),
            (percentage, 0.0, "0%"),
            (percentage, 900.0, "9e+04%"),
            (duration, 0.0, "0s"),
            (duration, 1.0, "1s"),
            (duration, 60.0, "1m 0s"),
            (duration, 3600.0, "1h 0m 0s"),
            (duration, 86_400.0, "1d 0h 0m 0s"),
            (duration, -86_399.0, "-23h 59m 59s"),
            (duration, 899.99, "14m 59s"),
            (duration, 0.1, "100ms"),
            (duration, 0.000_1, "100us"),
            (duration, 1.2345, "1.234s"),
            (timestamp, 0.0, "1970-01-01 00:00:00 +0000 UTC"),
            (timestamp, 1_435_065_584.128, "2015-06-23 13:19:44.128 +0000 UTC"),
            (timestamp, f64::INFINITY, "+Inf"),
            (go_duration, 3723.5, "1h2m3.5s"),
            (go_duration, 0.0042, "4.2ms"),
            (go_duration, 0.0, "0s"),
            (go_duration, 1800.0, "30m0s"),
        ];
        for (print, value, expected) in cases {
            assert_eq!(print(value), expected, "{value}");
        }
    }
}
