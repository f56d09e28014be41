//! Collects the values that a baseline is learned from.

use std::collections::VecDeque;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{BaselineKind, Learned};
use crate::Timestamp;

/// Which values to learn from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// So many from the start.
    First(usize),
    /// All within a range of time, but no more than the newest so many.
    Range(Range<Timestamp>, usize),
    /// The newest so many, for when the present is to be accepted.
    Newest(usize),
}

/// Values waiting to become a baseline. `T` is `f64` for a numeric signal, a vector for embeddings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Learner<T> {
    span: Span,
    values: VecDeque<(Timestamp, T)>,
    over: bool,
}

impl<T: Clone> Learner<T> {
    /// Collects over `span`.
    pub fn new(span: Span) -> Self {
        Self { span, values: VecDeque::new(), over: false }
    }

    /// Takes a value if it belongs to the span.
    pub fn observe(&mut self, now: Timestamp, value: T) {
        let most = match &self.span {
            Span::First(most) if self.values.len() >= *most => return,
            Span::Range(range, _) if now >= range.end => {
                self.over = true;
                return;
            }
            Span::Range(range, _) if now < range.start => return,
            Span::First(most) | Span::Range(_, most) | Span::Newest(most) => *most,
        };
        self.values.push_back((now, value));
        if self.values.len() > most {
            self.values.pop_front();
        }
    }

    /// Whether the span is full, or over.
    pub fn is_done(&self) -> bool {
        match &self.span {
            Span::First(most) | Span::Newest(most) => self.values.len() >= *most,
            Span::Range(..) => self.over,
        }
    }

    /// Values so far, and how many there will be at most.
    pub fn progress(&self) -> (usize, usize) {
        let (Span::First(most) | Span::Range(_, most) | Span::Newest(most)) = self.span;
        (self.values.len(), most)
    }

    /// The values in order, and where they come from; `None` of nothing.
    pub fn values(&self) -> Option<(Vec<T>, Learned)> {
        let kind = match self.span {
            Span::First(_) => BaselineKind::First,
            Span::Range(..) => BaselineKind::Range,
            Span::Newest(_) => BaselineKind::Accepted,
        };
        let (from, until) = (self.values.front()?.0, self.values.back()?.0);
        let learned = Learned { kind, values: self.values.len() as u64, from, until };
        Some((self.values.iter().map(|(_, value)| value.clone()).collect(), learned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_keep_what_belongs_to_them() {
        let at = Timestamp::from_millis;
        for (why, span, first, count, done) in [
            ("the first three", Span::First(3), 0, 3, true),
            ("a range, its end excluded", Span::Range(at(4)..at(8), 100), 4, 4, true),
            ("the newest of a range", Span::Range(at(4)..at(8), 2), 6, 2, true),
            ("a range that is not over", Span::Range(at(4)..at(99), 100), 4, 6, false),
            ("the newest two", Span::Newest(2), 8, 2, true),
            ("not enough yet", Span::First(50), 0, 10, false),
        ] {
            let mut learner = Learner::new(span);
            (0..10).for_each(|tick| learner.observe(at(tick), tick));
            let (values, learned) = learner.values().unwrap();
            assert_eq!((values[0], values.len(), learner.is_done()), (first, count, done), "{why}");
            assert_eq!((learned.from, learned.values), (at(first), count as u64), "{why}");
        }
    }
}
