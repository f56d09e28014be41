//! What is missing and what is there instead, line by line.

/// Most lines of a side that are compared one with all of the other side: the work grows with their product.
const MOST: usize = 1000;

/// The lines of both lists: `-` expected and missing, `+` found and not expected, blank for both. Items may have several
/// lines, so that of two alerts that differ in one annotation only that one is marked.
pub(super) fn lines<'a>(expected: &'a [String], got: &'a [String]) -> Vec<(char, &'a str)> {
    let split = |items: &'a [String]| items.iter().flat_map(|item| item.lines()).collect::<Vec<&str>>();
    let (left, right) = (split(expected), split(got));
    if left.len().max(right.len()) > MOST {
        let all = |mark, lines: Vec<&'a str>| lines.into_iter().map(move |line| (mark, line)).collect::<Vec<_>>();
        return [all('-', left), all('+', right)].concat();
    }
    let common = common(&left, &right);
    let (mut out, mut i, mut j) = (Vec::new(), 0, 0);
    loop {
        match (left.get(i), right.get(j)) {
            (Some(a), Some(b)) if a == b => {
                out.push((' ', *a));
                (i, j) = (i + 1, j + 1);
            }
            (Some(a), other) if other.is_none() || common[i + 1][j] >= common[i][j + 1] => {
                out.push(('-', *a));
                i += 1;
            }
            (_, Some(b)) => {
                out.push(('+', *b));
                j += 1;
            }
            (Some(_), None) | (None, None) => return out,
        }
    }
}

/// `[i][j]`: the length of the longest common subsequence of `left[i..]` and `right[j..]`.
fn common(left: &[&str], right: &[&str]) -> Vec<Vec<u16>> {
    let mut table = vec![vec![0; right.len() + 1]; left.len() + 1];
    for (i, a) in left.iter().enumerate().rev() {
        for (j, b) in right.iter().enumerate().rev() {
            table[i][j] = if a == b { table[i + 1][j + 1] + 1 } else { table[i + 1][j].max(table[i][j + 1]) };
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_names_what_is_missing_and_what_is_there_instead() {
        let list = |text: &str| text.split_whitespace().map(|item| item.replace('/', "\n")).collect::<Vec<_>>();
        for (why, expected, got, shown) in [
            ("one differs", "a b", "a c", " a -b +c"),
            ("nothing expected", "", "a", "+a"),
            ("nothing found", "a", "", "-a"),
            ("around what is common", "a b d", "b c d", "-a  b +c  d"),
            ("both empty", "", "", ""),
            ("one annotation of two", "x/s=1/t=2 y/s=3", "x/s=1/t=9 y/s=3", " x  s=1 -t=2 +t=9  y  s=3"),
            ("the shorter way", "a b c d", "b c d a", "-a  b  c  d +a"),
        ] {
            let (expected, got) = (list(expected), list(got));
            let lines: Vec<String> =
                lines(&expected, &got).iter().map(|(mark, text)| format!("{mark}{text}")).collect();
            assert_eq!(lines.join(" "), shown, "{why}");
        }
        let many: Vec<String> = (0..2 * MOST).map(|n| n.to_string()).collect();
        assert_eq!(lines(&many, &many[1..]).len(), 4 * MOST - 1, "too many to compare: both are shown whole");
    }
}
