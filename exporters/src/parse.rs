//! Reads an exposition (text format 0.0.4, OpenMetrics) of somebody else: tolerant, bounded, never in doubt about a line.

/// One sample line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Metric name, suffixes included.
    pub name: String,
    /// Labels in the order written.
    pub labels: Vec<(String, String)>,
    /// Value; may be NaN or infinite.
    pub value: f64,
    /// The number after it, if there is one: milliseconds in text format 0.0.4, seconds in OpenMetrics.
    pub time: Option<f64>,
}

impl Line {
    /// The value of a label, or `""`.
    pub fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }
}

/// What an exposition held.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exposition {
    /// Sample lines, in order.
    pub lines: Vec<Line>,
    /// Lines that are neither samples nor comments.
    pub garbage: usize,
    /// Sample lines beyond the bound.
    pub over: usize,
}

/// Reads `text`, keeping at most `most` sample lines. Invalid UTF-8 makes its line garbage, no more.
pub fn parse(text: &[u8], most: usize) -> Exposition {
    let mut found = Exposition::default();
    for line in text.split(|byte| *byte == b'\n') {
        let Ok(line) = std::str::from_utf8(line) else {
            found.garbage += 1;
            continue;
        };
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match sample(line) {
            None => found.garbage += 1,
            Some(_) if found.lines.len() >= most => found.over += 1,
            Some(sample) => found.lines.push(sample),
        }
    }
    found
}

/// Reads one sample line, without the blanks around it; `None` where it is none.
pub fn sample(line: &str) -> Option<Line> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let end = line.find(|c| !is_name(c)).unwrap_or(line.len());
    let name = &line[..end];
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (labels, rest) = match line[end..].trim_start().strip_prefix('{') {
        Some(inner) => labels(inner)?,
        None => (Vec::new(), &line[end..]),
    };
    let mut rest = rest.split_ascii_whitespace();
    let value = number(rest.next()?)?;
    // an exemplar may follow instead, after a #
    let time = rest.next().and_then(|text| text.parse().ok());
    Some(Line { name: name.to_owned(), labels, value, time })
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" | "Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" | "Nan" | "nan" => Some(f64::NAN),
        _ => text.parse().ok().filter(|_| !text.starts_with(|c: char| c.is_ascii_alphabetic())),
    }
}

type Labels = Vec<(String, String)>;

/// Labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Option<(Labels, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, after) = rest.split_once('=')?;
        let (value, after) = quoted(after.trim_start().strip_prefix('"')?)?;
        labels.push((name.trim().to_owned(), value));
        rest = after.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

/// Text up to the closing quote, unescaped, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => out.push('\n'),
                other => out.push(other),
            },
            _ => out.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_read_or_counted() {
        for (why, line, expected) in [
            ("plain", "up 1", Some(("up", "", 1.0))),
            ("labels", r#"a:b_c{x="1",y="p\"q\\r\ns"} 2.5"#, Some(("a:b_c", "p\"q\\r\ns", 2.5))),
            ("blanks and a last comma", r#"a { y = "v" , } 3e2 1700000000"#, Some(("a", "v", 300.0))),
            ("an exemplar", r#"a_bucket{y="v"} 4 # {trace_id="x"} 0.5"#, Some(("a_bucket", "v", 4.0))),
            ("infinite", "a +Inf", Some(("a", "", f64::INFINITY))),
            ("no value", "a", None),
            ("words", "this is no sample", None),
            ("open braces", r#"a{x="1" 2"#, None),
            ("open quote", r#"a{x="1} 2"#, None),
            ("markup", "<html>", None),
        ] {
            let found = parse(line.as_bytes(), 10);
            let seen = found.lines.first().map(|l| (l.name.as_str(), l.label("y"), l.value));
            assert_eq!(seen, expected, "{why}");
            assert_eq!(found.garbage, usize::from(expected.is_none()), "{why}");
        }
        assert!(parse(b"a NaN", 10).lines[0].value.is_nan());
        let bounded = parse("a 1\n".repeat(100).as_bytes(), 10);
        assert_eq!((bounded.lines.len(), bounded.over), (10, 90));
        assert_eq!(parse(b"a{x=\"\xff\"} 1\nb 2", 10).garbage, 1, "invalid UTF-8 costs its line only");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes, 5);
        }

        #[test]
        fn what_we_write_we_read(value in any::<f64>().prop_filter("finite", |v| v.is_finite()), label in ".{0,20}") {
            let registry = crate::Registry::new(10);
            registry.set(crate::Metric::MemoryUsed, &[], value);
            registry.add(crate::Metric::Dropped, &[&label], 1.0);
            for format in [crate::TextFormat::Prometheus, crate::TextFormat::OpenMetrics] {
                let text = format.encode(&registry.gather());
                let found = parse(text.as_bytes(), 100);
                prop_assert_eq!(found.garbage, 0, "{}", text);
                let seen = |name: &str| found.lines.iter().find(|l| l.name == name).cloned();
                prop_assert_eq!(seen("plimsoll_memory_used_bytes").map(|l| l.value), Some(value));
                prop_assert_eq!(seen("plimsoll_dropped_total").map(|l| l.label("what").to_owned()), Some(label.clone()));
            }
        }
    }
}
