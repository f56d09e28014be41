//! From a character of a scalar's text back to its place in the file.
//!
//! An expression's mistake has a line and a column within the expression; the user needs those of the file. Quoting,
//! indentation and folding change where white space stands but not the order of the other characters, so the n-th
//! character that is no white space is the same on both sides.

use saphyr_parser::ScalarStyle;

use super::yaml::{Place, Text};

/// The place in `source` of `scalar`'s character at `line` and `column` (both 1-based); a place beyond its end is the
/// end.
pub(super) fn locate(source: &str, scalar: &Text, line: usize, column: usize) -> Place {
    let wanted = marks_before(&scalar.text, line, column);
    let all = marks(&scalar.text);
    let mut reader = Reader::new(source, scalar);
    let found =
        std::iter::from_fn(|| reader.next_unit()).filter(|(_, mark)| *mark).nth(wanted.min(all.saturating_sub(1)));
    match found {
        Some((place, _)) if wanted < all => place,
        Some((place, _)) => Place { column: place.column + 1, ..place },
        None => scalar.place,
    }
}

fn marks(text: &str) -> usize {
    text.chars().filter(|c| !c.is_whitespace()).count()
}

/// Characters other than white space before `line`:`column` of `text`.
fn marks_before(text: &str, line: usize, column: usize) -> usize {
    let mut lines = text.split('\n');
    let before: usize = lines.by_ref().take(line.saturating_sub(1)).map(marks).sum();
    let within: String = lines.next().unwrap_or("").chars().take(column.saturating_sub(1)).collect();
    before + marks(&within)
}

/// Walks the scalar's raw text, one unit (a character, or an escape that stands for one) at a time.
struct Reader<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    place: Place,
    style: ScalarStyle,
}

impl<'a> Reader<'a> {
    fn new(source: &'a str, scalar: &Text) -> Self {
        let from = source.char_indices().nth(scalar.start).map_or(source.len(), |(at, _)| at);
        let rest = source[from..].chars().peekable();
        let mut reader = Self { rest, place: scalar.place, style: scalar.style };
        if matches!(scalar.style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted) {
            reader.step();
        }
        reader
    }

    fn step(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        self.place = match c {
            '\n' => Place { line: self.place.line + 1, column: 1 },
            _ => Place { column: self.place.column + 1, ..self.place },
        };
        Some(c)
    }

    /// The next unit's place, and whether it is anything but white space.
    fn next_unit(&mut self) -> Option<(Place, bool)> {
        let place = self.place;
        let c = self.step()?;
        let mark = match (self.style, c) {
            (ScalarStyle::DoubleQuoted, '\\') => self.escape()?,
            (ScalarStyle::SingleQuoted, '\'') => {
                self.step();
                true
            }
            _ => !c.is_whitespace(),
        };
        Some((place, mark))
    }

    fn escape(&mut self) -> Option<bool> {
        let kind = self.step()?;
        let digits = match kind {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        for _ in 0..digits {
            self.step();
        }
        Some(!matches!(kind, 'n' | 't' | 'r' | 'v' | 'f' | ' ' | '\n' | '_' | 'N' | 'L' | 'P'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::yaml::{Data, parse};

    /// Looks for `!` in the scalar under the first key and expects its place in the file.
    fn check(why: &str, source: &str, expected: (usize, usize)) {
        let root = parse(source, &mut Vec::new()).unwrap();
        let Data::Map(entries) = &root.data else { panic!("{why}: no mapping") };
        let Data::Text(scalar) = &entries[0].1.data else { panic!("{why}: no scalar") };
        let before = &scalar.text[..scalar.text.find('!').unwrap_or(scalar.text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
        let place = locate(source, scalar, line, column);
        assert_eq!((place.line, place.column), expected, "{why}");
    }

    #[test]
    fn characters_are_found_again_in_the_file() {
        for (why, source, expected) in [
            ("plain", "e: a +!b\n", (1, 7)),
            ("plain over two lines", "e: a +\n   b !c\n", (2, 6)),
            ("single quotes", "e: 'a ''x'' !b'\n", (1, 13)),
            ("double quotes", "e: \"a \\\"x\\\" \\u00e9 \\n !b\"\n", (1, 23)),
            ("literal block", "e: |\n  a\n    + !b\n", (3, 7)),
            ("literal block with a header and a blank line", "e: |2-   # why\n\n  a\n\n  é !b\n", (5, 5)),
            ("folded block", "e: >-\n  a\n  + b\n  + !c\n", (4, 5)),
            ("the end", "e: ab\nf: x\n", (1, 6)),
        ] {
            check(why, source, expected);
        }
    }
}
