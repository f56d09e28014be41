//! Which names Prometheus accepts, and which known word an unknown one was meant to be.

/// Whether `name` may be a label: a letter or `_`, then letters, digits and `_`.
pub(super) fn is_label(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Whether `name` may be a metric: like a label, `:` allowed.
pub(super) fn is_metric(name: &str) -> bool {
    is_label(&name.replace(':', "_"))
}

/// `; did you mean X?` for the known word nearest to `word`, or a list of all known words.
pub(super) fn suggestion(word: &str, known: &[&str]) -> String {
    let nearest = known.iter().min_by_key(|candidate| distance(word, candidate));
    match nearest {
        Some(candidate) if distance(word, candidate) <= 1 + word.chars().count() / 4 => {
            format!("; did you mean {candidate}?")
        }
        _ => format!("; known here: {}", known.join(", ")),
    }
}

/// Levenshtein's distance, a swap of neighbours counting as one step.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let step = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + step);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_prometheus_wants_them() {
        for (name, label, metric) in [
            ("severity", true, true),
            ("_x9", true, true),
            ("a:b", false, true),
            (":a", false, true),
            ("9a", false, false),
            ("a-b", false, false),
            ("", false, false),
            ("é", false, false),
        ] {
            assert_eq!((is_label(name), is_metric(name)), (label, metric), "{name}");
        }
    }

    #[test]
    fn slips_are_recognised() {
        let known = ["alert", "expr", "for", "keep_firing_for"];
        for (word, expected) in [
            ("exrp", "; did you mean expr?"),
            ("Alert", "; did you mean alert?"),
            ("keepFiringFor", "; did you mean keep_firing_for?"),
            ("colour", "; known here: alert, expr, for, keep_firing_for"),
        ] {
            assert_eq!(suggestion(word, &known), expected, "{word}");
        }
    }
}
