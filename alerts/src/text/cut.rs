//! Shortens texts to what a service takes, at the boundary of a character and with a mark that says so.

/// How a service counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Bytes of UTF-8.
    Bytes,
    /// UTF-16 units: never fewer than characters, so it is safe wherever a service says "characters".
    Units,
}

impl Measure {
    /// The length of `text`.
    pub(crate) fn of(self, text: &str) -> usize {
        match self {
            Self::Bytes => text.len(),
            Self::Units => text.chars().map(char::len_utf16).sum(),
        }
    }

    fn of_char(self, c: char) -> usize {
        match self {
            Self::Bytes => c.len_utf8(),
            Self::Units => c.len_utf16(),
        }
    }
}

/// `text`, or as much of its beginning as fits into `most` together with `mark`.
pub(crate) fn cut(text: &str, most: usize, measure: Measure, mark: &str) -> String {
    if measure.of(text) <= most {
        return text.to_owned();
    }
    // A mark longer than the room for everything would say nothing but itself.
    let mark = if measure.of(mark) <= most { mark } else { "" };
    let mut room = most - measure.of(mark);
    let kept = text.chars().take_while(|c| {
        let size = measure.of_char(*c);
        let fits = size <= room;
        room = room.saturating_sub(size);
        fits
    });
    let kept: String = kept.collect();
    format!("{}{mark}", kept.trim_end())
}

/// Cuts the longest of `texts` so that all of them together fit into `most`: short ones stay whole.
pub(crate) fn share(texts: &[String], most: usize, measure: Measure, mark: &str) -> Vec<String> {
    let mut sizes: Vec<usize> = texts.iter().map(|text| measure.of(text)).collect();
    sizes.sort_unstable();
    let (mut room, mut left, mut each) = (most, sizes.len(), usize::MAX);
    for size in sizes {
        if size > room / left.max(1) {
            each = room / left.max(1);
            break;
        }
        (room, left) = (room - size, left - 1);
    }
    texts.iter().map(|text| cut(text, each, measure, mark)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_cut_between_characters_and_say_so() {
        for (why, text, most, measure, expected) in [
            ("fits", "short", 5, Measure::Bytes, "short"),
            ("cut", "a long text", 9, Measure::Bytes, "a lon[..]"),
            ("not in a character", "警告警告警告", 12, Measure::Bytes, "警告[..]"),
            ("units", "警告警告警告", 5, Measure::Units, "警[..]"),
            ("two units", "🔥🔥🔥🔥", 7, Measure::Units, "🔥[..]"),
            ("no room for the mark", "abcdef", 3, Measure::Bytes, "abc"),
            ("no room", "abcdef", 0, Measure::Bytes, ""),
            ("no space before the mark", "one two three", 8, Measure::Bytes, "one[..]"),
        ] {
            assert_eq!(cut(text, most, measure, "[..]"), expected, "{why}");
        }
    }

    #[test]
    fn the_long_ones_pay_for_the_short_ones() {
        let texts = ["abc".to_owned(), "x".repeat(50), "y".repeat(50)];
        let shared = share(&texts, 23, Measure::Bytes, "+");
        assert_eq!(shared, ["abc".to_owned(), format!("{}+", "x".repeat(9)), format!("{}+", "y".repeat(9))]);
        assert_eq!(share(&texts, 103, Measure::Bytes, "+"), texts);
        assert_eq!(share(&[], 3, Measure::Bytes, "+"), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn whatever_is_cut_fits(texts in prop::collection::vec("\\PC{0,40}", 0..8), most in 0..200_usize) {
            for measure in [Measure::Bytes, Measure::Units] {
                let shared = share(&texts, most, measure, "…(cut)");
                prop_assert!(shared.iter().map(|text| measure.of(text)).sum::<usize>() <= most);
                prop_assert_eq!(shared.len(), texts.len());
            }
        }
    }
}
