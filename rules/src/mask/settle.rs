//! Looking again until nothing is found: what an own pattern matches may depend on what stood beside it, and is a token now.

use std::ops::Range;

use super::{Finding, replaced};

/// Looks after which a piece that still changes is taken as a whole.
const ROUNDS: usize = 8;

/// All that `look` finds in `text` (at first `found`), in what then is left of it, and so on: places are those of `text`.
pub(super) fn settle(text: &str, mut found: Vec<Finding>, look: impl Fn(&str) -> Vec<Finding>) -> Vec<Finding> {
    for round in 0..=ROUNDS {
        let more = look(&replaced(text, &found));
        if more.is_empty() {
            break;
        }
        let pieces = Piece::all(text, &found);
        let mut added: Vec<Finding> = Vec::new();
        for finding in more {
            let piece = &pieces[pieces.partition_point(|piece| piece.masked <= finding.range.start) - 1];
            let place = |at: usize| (piece.text.start + at - piece.masked).min(piece.text.end);
            let range =
                if round < ROUNDS { place(finding.range.start)..place(finding.range.end) } else { piece.text.clone() };
            if added.last().is_none_or(|last| last.range.end <= range.start) {
                added.push(Finding { range, ..finding });
            }
        }
        found.extend(added);
        found.sort_by_key(|finding| finding.range.start);
    }
    found
}

/// What stands between two tokens.
struct Piece {
    /// Where it begins in the masked text.
    masked: usize,
    /// Where it is in the text.
    text: Range<usize>,
}

impl Piece {
    fn all(text: &str, found: &[Finding]) -> Vec<Self> {
        let (mut pieces, mut masked, mut start) = (Vec::with_capacity(found.len() + 1), 0, 0);
        for finding in found {
            pieces.push(Self { masked, text: start..finding.range.start });
            masked += finding.range.start - start + finding.token.len();
            start = finding.range.end;
        }
        pieces.push(Self { masked, text: start..text.len() });
        pieces
    }
}
