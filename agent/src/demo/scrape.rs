//! Reads single figures out of the agent's `/metrics` page.

/// The samples of metric `name` whose labels contain every pair of `labels`; a page cut short gives what it has.
fn samples<'a>(page: &'a str, name: &'a str, labels: &'a [(&'a str, &'a str)]) -> impl Iterator<Item = f64> + 'a {
    page.lines().filter_map(move |line| {
        let rest = line.strip_prefix(name)?;
        let (set, value) = match rest.as_bytes().first()? {
            b' ' => ("", rest),
            b'{' => rest.rsplit_once('}')?,
            _ => return None,
        };
        let wanted = labels.iter().all(|(label, value)| has(set, label, value));
        wanted.then(|| value.split_whitespace().next()?.parse().ok()).flatten()
    })
}

/// Whether `{a="b",c="d"` (without its end) contains the pair.
fn has(set: &str, label: &str, value: &str) -> bool {
    let pair = format!("{label}=\"{value}\"");
    set.match_indices(&pair).any(|(at, _)| at > 0 && matches!(set.as_bytes()[at - 1], b'{' | b',' | b' '))
}

/// The sum of all matching samples, or `None` when there is none.
pub(crate) fn sum(page: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    samples(page, name, labels).fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

/// The largest matching sample.
pub(crate) fn largest(page: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    samples(page, name, labels).fold(None, |most: Option<f64>, value| Some(most.map_or(value, |most| most.max(value))))
}

/// The smallest matching sample.
pub(crate) fn smallest(page: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    samples(page, name, labels).fold(None, |least: Option<f64>, value| Some(least.map_or(value, |l| l.min(value))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# HELP a b\n# TYPE a counter\na{source=\"tap\",model=\"x\"} 2\n\
        a{source=\"engine\",model=\"x\"} 3\n\
        a_sum{source=\"tap\"} 40.5\nplain 0.25\nstamped{le=\"+Inf\"} 7 1700000000\n\
        odd{model=\"a}b\",source=\"tap\"} 1\nbroken{";

    #[test]
    fn figures_are_found_by_name_and_labels() {
        for (why, name, labels, expected) in [
            ("sum over all", "a", &[][..], Some(5.0)),
            ("one source", "a", &[("source", "tap")], Some(2.0)),
            ("two labels", "a", &[("source", "engine"), ("model", "x")], Some(3.0)),
            ("a longer name is another metric", "a_s", &[], None),
            ("no labels", "plain", &[], Some(0.25)),
            ("a label it has not", "plain", &[("source", "tap")], None),
            ("with a timestamp", "stamped", &[("le", "+Inf")], Some(7.0)),
            ("a brace in a value", "odd", &[("source", "tap")], Some(1.0)),
            ("cut short", "broken", &[], None),
            ("not there", "none", &[], None),
        ] {
            assert_eq!(sum(PAGE, name, labels), expected, "{why}");
        }
        assert_eq!((smallest(PAGE, "a", &[]), largest(PAGE, "a", &[])), (Some(2.0), Some(3.0)));
    }
}
