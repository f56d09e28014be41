//! A chain of digit groups with single separators between them, such as `4111 1111 1111 1111` or `(010) 6552-9988`.

use std::ops::Range;

use super::super::bytes::{before, byte, run_end};
use super::ends;

/// Most groups of a chain; what follows is a new chain.
const GROUPS: usize = 12;

/// What stands between two groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sep {
    /// Nothing: the first group.
    Start,
    /// One space of any width.
    Space,
    /// Two spaces: groups of a card stand so in tables; other numbers are two numbers then.
    Wide,
    /// A line end.
    Line,
    /// A dash.
    Dash,
    /// A full stop.
    Dot,
    /// A slash.
    Slash,
    /// Something with a parenthesis in it.
    Paren,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    sep: Sep,
    start: usize,
    end: usize,
}

/// Digit groups of a text, in order.
#[derive(Debug)]
pub(super) struct Chain<'t> {
    bytes: &'t [u8],
    groups: [Group; GROUPS],
    len: usize,
    digits: usize,
    full: bool,
}

impl<'t> Chain<'t> {
    /// The chain that begins with the digit at `at`.
    pub(super) fn read(bytes: &'t [u8], at: usize) -> Self {
        let none = Group { sep: Sep::Start, start: at, end: at };
        let mut chain = Self { bytes, groups: [none; GROUPS], len: 0, digits: 0, full: false };
        let (mut start, mut sep) = (at, Sep::Start);
        while chain.len < GROUPS {
            let end = run_end(bytes, start, |b| b.is_ascii_digit());
            chain.groups[chain.len] = Group { sep, start, end };
            chain.len += 1;
            chain.digits += end - start;
            match separator(bytes, end) {
                Some((next, length)) => (sep, start) = (next, end + length),
                None => return chain,
            }
        }
        chain.full = true;
        chain
    }

    /// The text.
    pub(super) fn bytes(&self) -> &'t [u8] {
        self.bytes
    }

    /// Number of groups, at least 1.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Digits of all groups.
    pub(super) fn digits(&self) -> usize {
        self.digits
    }

    /// Where the first group begins.
    pub(super) fn start(&self) -> usize {
        self.groups[0].start
    }

    /// Where the last group ends.
    pub(super) fn end(&self) -> usize {
        self.groups[self.len - 1].end
    }

    /// Whether more groups follow the last one.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// Whether a group stands in a row of numbers with single spaces between them.
    pub(super) fn is_in_row(&self, group: usize) -> bool {
        let (start, sep) = (self.groups[group].start, self.sep(group));
        let spaced = sep == Sep::Start && before(self.bytes, start) == b' ' && start >= 2;
        sep == Sep::Space || spaced && self.bytes[start - 2].is_ascii_digit()
    }

    /// Number of line ends inside `from..=to`.
    pub(super) fn line_ends(&self, from: usize, to: usize) -> usize {
        self.groups[from..=to][1..].iter().filter(|group| group.sep == Sep::Line).count()
    }

    /// What stands before a group.
    pub(super) fn sep(&self, group: usize) -> Sep {
        self.groups[group].sep
    }

    /// The digits of a group.
    pub(super) fn group(&self, group: usize) -> &'t [u8] {
        &self.bytes[self.groups[group].start..self.groups[group].end]
    }

    /// Lengths of the groups `from..=to`.
    pub(super) fn lengths(&self, from: usize, to: usize) -> impl Iterator<Item = usize> + Clone {
        self.groups[from..=to].iter().map(|group| group.end - group.start)
    }

    /// Whether the lengths of the groups `from..=to` are `wanted`.
    pub(super) fn is_grouped(&self, from: usize, to: usize, wanted: &[usize]) -> bool {
        self.lengths(from, to).eq(wanted.iter().copied())
    }

    /// Bytes from the start of one group to the end of another.
    pub(super) fn range(&self, from: usize, to: usize) -> Range<usize> {
        self.groups[from].start..self.groups[to].end
    }

    /// Copies the digits of the groups `from..=to` into `out`; their number, `None` when they do not fit.
    pub(super) fn copy(&self, from: usize, to: usize, out: &mut [u8]) -> Option<usize> {
        let mut length = 0;
        for group in from..=to {
            let digits = self.group(group);
            out.get_mut(length..length + digits.len())?.copy_from_slice(digits);
            length += digits.len();
        }
        Some(length)
    }

    /// Whether all separators inside `from..=to` are one of `allowed`, and the same.
    pub(super) fn is_uniform(&self, from: usize, to: usize, allowed: &[Sep]) -> bool {
        let seps = &self.groups[from..=to][1..];
        seps.iter().all(|group| allowed.contains(&group.sep) && group.sep == seps[0].sep)
    }

    /// As [`Chain::is_uniform`], where a line was broken in the middle too.
    pub(super) fn is_uniform_but_broken(&self, from: usize, to: usize, allowed: &[Sep]) -> bool {
        let mut seps = self.groups[from..=to][1..].iter().map(|group| group.sep).filter(|sep| *sep != Sep::Line);
        let first = seps.next();
        first.is_none_or(|first| allowed.contains(&first) && seps.all(|sep| sep == first))
            && self.line_ends(from, to) <= 1
    }

    /// Whether a value may end with group `last`.
    pub(super) fn closes(&self, last: usize) -> bool {
        match self.groups.get(last + 1).filter(|_| last + 1 < self.len) {
            Some(next) => {
                matches!(next.sep, Sep::Space | Sep::Wide | Sep::Slash | Sep::Line)
                    || (next.sep == Sep::Paren && byte(self.bytes, self.groups[last].end) != b')')
            }
            None => ends(self.bytes, self.groups[last].end),
        }
    }
}

/// Whether what stands at `at` may be a separator; the cheapest question, asked first.
pub(super) fn may_go_on(bytes: &[u8], at: usize) -> bool {
    match byte(bytes, at) {
        b' ' if byte(bytes, at + 1) == b' ' => byte(bytes, at + 2).is_ascii_digit(),
        b' ' | b'-' | b'.' | b'/' => byte(bytes, at + 1).is_ascii_digit() || matches!(byte(bytes, at + 1), b'(' | b')'),
        b'\n' | b'\r' => true,
        b'(' | b')' | 0xc2 | 0xe2 => true,
        0xe3 => byte(bytes, at + 1) == 0x80,
        _ => false,
    }
}

/// The separator at `at` and its length, when a digit follows it.
fn separator(bytes: &[u8], at: usize) -> Option<(Sep, usize)> {
    let digit = |length: usize| byte(bytes, at + length).is_ascii_digit();
    match byte(bytes, at) {
        b' ' if digit(1) => Some((Sep::Space, 1)),
        b' ' if byte(bytes, at + 1) == b' ' && digit(2) => Some((Sep::Wide, 2)),
        b'\n' if digit(1) => Some((Sep::Line, 1)),
        b'\r' if byte(bytes, at + 1) == b'\n' && digit(2) => Some((Sep::Line, 2)),
        b'-' if digit(1) => Some((Sep::Dash, 1)),
        b'.' if digit(1) => Some((Sep::Dot, 1)),
        b'/' if digit(1) => Some((Sep::Slash, 1)),
        b' ' | b')' | b'(' | b'-' | b'.' => parenthesis(bytes, at),
        0xc2 if byte(bytes, at + 1) == 0xa0 && digit(2) => Some((Sep::Space, 2)),
        0xe2 if byte(bytes, at + 1) == 0x80 && digit(3) => match byte(bytes, at + 2) {
            0x90..=0x93 => Some((Sep::Dash, 3)),
            0x80..=0x8a | 0xaf => Some((Sep::Space, 3)),
            _ => None,
        },
        0xe3 if bytes[at..].starts_with(b"\xe3\x80\x80") && digit(3) => Some((Sep::Space, 3)),
        _ => None,
    }
}

/// `) `, `)-`, ` (`, `(`, `)`: one parenthesis, a space or dash beside it at most.
fn parenthesis(bytes: &[u8], at: usize) -> Option<(Sep, usize)> {
    let length = bytes[at..].iter().take(4).take_while(|b| matches!(b, b' ' | b'(' | b')' | b'-' | b'.')).count();
    let text = &bytes[at..at + length];
    let signs = text.iter().filter(|b| matches!(b, b'(' | b')')).count();
    let fits = signs == 1 && length <= 3 || signs == 2 && length <= 2;
    (fits && byte(bytes, at + length).is_ascii_digit()).then_some((Sep::Paren, length))
}
