//! Cells of a numeric column that are no finite numbers: counted as missing, said with their place, refused when they are many.

use serde_json::{Value, json};

/// One in so many cells of a numeric column may be odd.
pub(super) const ONE_IN: u64 = 20;

/// Whether a column with so many numbers and odd cells is one of numbers.
pub(super) fn is_numeric(numbers: u64, odd: u64) -> bool {
    odd * ONE_IN <= numbers + odd && numbers > 0
}

/// The odd cells of one column of one file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct OddCells {
    pub(super) count: u64,
    /// What is wrong with the first.
    found: String,
    /// Where it stands: `FILE:LINE`.
    place: String,
}

impl OddCells {
    /// Takes one; `found` says what it is instead of a number.
    pub(super) fn note(&mut self, found: String) {
        if self.count == 0 {
            self.found = found;
        }
        self.count += 1;
    }

    /// Says where the first stands; later places are left out. `true` when it was the first.
    pub(super) fn stands_at(&mut self, place: &str) -> bool {
        let first = self.count > 0 && self.place.is_empty();
        if first {
            place.clone_into(&mut self.place);
        }
        first
    }

    /// With `mask` laid over what was found.
    pub(super) fn masked(self, mask: impl Fn(&str) -> String) -> Self {
        Self { found: mask(&self.found), ..self }
    }

    /// Refuses a column `name` of `numbers` numbers in which more than one cell in twenty is odd.
    ///
    /// # Errors
    /// Says where the first stands, what it is and what would be right.
    pub(super) fn check(&self, name: &str, numbers: u64) -> anyhow::Result<()> {
        if self.count == 0 || is_numeric(numbers, self.count) {
            return Ok(());
        }
        let (Self { count, found, place }, all) = (self, numbers + self.count);
        let tip = format!("leave such cells empty, or say --columns {name}=categorical (or text)");
        anyhow::bail!("{place}: column {name:?}: {found}; {count} of {all} cells are none, more than 5 %: {tip}")
    }

    /// For people; `None` where there are none.
    pub(super) fn said(&self, name: &str) -> Option<String> {
        let Self { count, found, place } = self;
        let more = match count {
            0 => return None,
            1 => String::new(),
            count => format!(", and {} more such cells", count - 1),
        };
        Some(format!("{place}: column {name:?}: {found}: counted as missing{more}"))
    }

    /// For programs; `None` where there are none.
    pub(super) fn value(&self) -> Option<Value> {
        (self.count > 0).then(|| json!({"count": self.count, "first": self.place, "found": self.found}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_said_and_many_are_refused() {
        let mut odd = OddCells::default();
        assert_eq!((odd.said("x"), odd.value(), odd.stands_at("a.csv:1")), (None, None, false));
        odd.note("\"oops\" is no number".into());
        assert!(odd.stands_at("a.csv:7") && !odd.stands_at("a.csv:8"));
        assert_eq!(odd.said("x").unwrap(), "a.csv:7: column \"x\": \"oops\" is no number: counted as missing");
        odd.note("other".into());
        assert!(odd.said("x").unwrap().ends_with("missing, and 1 more such cells"));
        assert!(odd.check("x", 38).is_ok());
        let said = odd.check("x", 37).unwrap_err().to_string();
        assert!(said.starts_with("a.csv:7: column \"x\": \"oops\" is no number; 2 of 39 cells are none"), "{said}");
        for (numbers, odd, expected) in [(19, 1, true), (18, 1, false), (0, 0, false), (5, 0, true)] {
            assert_eq!(is_numeric(numbers, odd), expected, "{numbers} {odd}");
        }
    }
}
