//! Overlaps of own patterns with built-in recognisers: the longest wins, and takes what sticks out of the others.

use super::span::Span;

/// One ordered list of disjoint spans from two such lists. Of spans that overlap, the longest gives the kind (an own
/// pattern wins a tie), and the range covers all of them, so that no part of a value stays behind.
pub(super) fn resolve(builtin: Vec<Span>, own: Vec<Span>) -> Vec<Span> {
    let mut all: Vec<(Span, bool)> = own.into_iter().map(|span| (span, true)).collect();
    all.extend(builtin.into_iter().map(|span| (span, false)));
    all.sort_by_key(|(span, own)| (span.range.start, std::cmp::Reverse(*own)));
    let mut out: Vec<Span> = Vec::with_capacity(all.len());
    let mut best = 0;
    for (span, own) in all {
        match out.last_mut() {
            Some(last) if span.range.start < last.range.end => {
                if span.range.len() > best || (span.range.len() == best && own) {
                    best = span.range.len();
                    (last.kind, last.form) = (span.kind, span.form);
                }
                last.range.end = last.range.end.max(span.range.end);
            }
            _ => {
                best = span.range.len();
                out.push(span);
            }
        }
    }
    out
}
