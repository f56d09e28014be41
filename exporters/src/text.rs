//! Families to text: the Prometheus format 0.0.4, OpenMetrics 1.0, and which of the two a client asked for.

use std::fmt::Write as _;

use prometheus::TextEncoder;
use prometheus::proto::{Metric as Sample, MetricFamily, MetricType};

/// A text format of `/metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFormat {
    /// Prometheus text format 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl TextFormat {
    /// What an `Accept` header prefers; Prometheus' format when it does not care.
    pub fn negotiate(accept: Option<&str>) -> Self {
        let (mut open, mut plain) = (0.0, 0.0);
        for range in accept.unwrap_or("").split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or("").to_ascii_lowercase();
            let (mut weight, mut version_fits) = (1.0_f64, true);
            for part in parts {
                let (name, value) = part.split_once('=').unwrap_or((part, ""));
                match name.trim().to_ascii_lowercase().as_str() {
                    "q" => weight = value.trim().parse().unwrap_or(0.0),
                    "version" => version_fits = matches!(value.trim().trim_matches('"'), "1.0.0" | "0.0.1" | "0.0.4"),
                    _ => {}
                }
            }
            match media.as_str() {
                "application/openmetrics-text" if version_fits => open = weight.max(open),
                "text/plain" | "text/*" | "*/*" if version_fits => plain = weight.max(plain),
                _ => {}
            }
        }
        if open > 0.0 && open >= plain { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The `Content-Type` to answer with.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The text of `families`, which [`crate::Registry::gather`] gave.
    pub fn encode(self, families: &[MetricFamily]) -> String {
        match self {
            Self::Prometheus => prometheus_text(families),
            Self::OpenMetrics => openmetrics_text(families),
        }
    }
}

fn prometheus_text(families: &[MetricFamily]) -> String {
    let mut out = String::with_capacity(64 << 10);
    for family in families {
        // The encoder refuses a family without name or series and knows no untyped ones; the catalog has neither. One
        // that it refuses all the same must not take the others with it.
        let whole = out.len();
        if TextEncoder::new().encode_utf8(std::slice::from_ref(family), &mut out).is_err() {
            out.truncate(whole);
        }
    }
    out
}

fn openmetrics_text(families: &[MetricFamily]) -> String {
    let mut out = String::with_capacity(64 << 10);
    for family in families {
        let (kind, base) = match family.get_field_type() {
            MetricType::COUNTER => ("counter", family.name().strip_suffix("_total").unwrap_or(family.name())),
            MetricType::HISTOGRAM => ("histogram", family.name()),
            _ => ("gauge", family.name()),
        };
        let _ = writeln!(out, "# TYPE {base} {kind}");
        if let Some(unit) = UNITS.iter().find(|unit| base.strip_suffix(**unit).is_some_and(|s| s.ends_with('_'))) {
            let _ = writeln!(out, "# UNIT {base} {unit}");
        }
        let _ = writeln!(out, "# HELP {base} {}", escaped(family.help()));
        for metric in family.get_metric() {
            write_metric(&mut out, base, kind, metric);
        }
    }
    out.push_str("# EOF\n");
    out
}

/// Units that may end a metric name.
const UNITS: [&str; 7] = ["seconds", "bytes", "ratio", "celsius", "watts", "hertz", "cores"];

fn write_metric(out: &mut String, base: &str, kind: &str, metric: &Sample) {
    match kind {
        "counter" => write_line(out, base, "_total", metric, None, metric.get_counter().get_value()),
        "histogram" => {
            let histogram = metric.get_histogram();
            for bucket in histogram.get_bucket() {
                let le = float(bucket.upper_bound());
                write_line(out, base, "_bucket", metric, Some(&le), bucket.cumulative_count() as f64);
            }
            let count = histogram.get_sample_count() as f64;
            write_line(out, base, "_bucket", metric, Some("+Inf"), count);
            write_line(out, base, "_count", metric, None, count);
            write_line(out, base, "_sum", metric, None, histogram.get_sample_sum());
        }
        _ => write_line(out, base, "", metric, None, metric.get_gauge().get_value()),
    }
}

fn write_line(out: &mut String, base: &str, suffix: &str, metric: &Sample, le: Option<&str>, value: f64) {
    out.push_str(base);
    out.push_str(suffix);
    let pairs = metric.get_label().iter().map(|pair| (pair.name(), pair.value())).chain(le.map(|le| ("le", le)));
    let mut open = '{';
    for (name, text) in pairs {
        let _ = write!(out, "{open}{name}=\"{}\"", escaped(text));
        open = ',';
    }
    if open == ',' {
        out.push('}');
    }
    let _ = writeln!(out, " {value}");
}

/// OpenMetrics writes bucket bounds as canonical floats: `1.0`, not `1`.
fn float(value: f64) -> String {
    format!("{value:?}")
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Metric, Registry};

    #[test]
    fn the_accept_header_decides() {
        use TextFormat::{OpenMetrics, Prometheus};
        let prometheus_server = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;\
            version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (why, accept, expected) in [
            ("nothing said", None, Prometheus),
            ("a browser", Some("text/html,*/*;q=0.8"), Prometheus),
            ("Prometheus", Some(prometheus_server), OpenMetrics),
            ("plain preferred", Some("application/openmetrics-text;q=0.1, text/plain;q=0.9"), Prometheus),
            ("refused", Some("application/openmetrics-text;q=0"), Prometheus),
            ("an unknown version", Some("application/openmetrics-text;version=9.0"), Prometheus),
            ("garbage", Some(";;q==,"), Prometheus),
        ] {
            assert_eq!(TextFormat::negotiate(accept), expected, "{why}");
        }
    }

    #[test]
    fn both_formats_show_the_same_series() {
        let registry = Registry::new(100);
        registry.add(Metric::Dropped, &["a\"b\\c\nd"], 2.0);
        registry.observe(Metric::QueueTime, &["m", "", "tap"], &[0.3]);
        let families = registry.gather();
        let plain = TextFormat::Prometheus.encode(&families);
        let open = TextFormat::OpenMetrics.encode(&families);
        assert!(plain.contains("plimsoll_dropped_total{what=\"a\\\"b\\\\c\\nd\"} 2\n"), "{plain}");
        assert!(open.contains("# TYPE plimsoll_dropped counter\n"), "{open}");
        assert!(open.contains("plimsoll_dropped_total{what=\"a\\\"b\\\\c\\nd\"} 2\n"), "{open}");
        assert!(open.contains("# UNIT plimsoll_queue_time_seconds seconds\n"), "{open}");
        assert!(open.contains("le=\"0.5\"} 1\n") && open.ends_with("# EOF\n"), "{open}");
    }
}
