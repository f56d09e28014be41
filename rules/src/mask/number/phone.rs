//! Telephone numbers: E.164 with `+` or `00`, and national forms (see `national.rs`).

use super::super::Kind;
use super::super::bytes::{before, is_word, run_start, word_before};
use super::super::span::{Form, Span};
use super::calling::code_len;
use super::chain::{Chain, Sep};
use super::national;

/// Most digits of a number with its exit code (E.164 allows 15).
pub(super) const MOST: usize = 17;

/// Words that say that a telephone number follows; weak forms need one.
const LABELS: [&str; 35] = [
    "tel",
    "phone",
    "telephone",
    "mobile",
    "mob",
    "cell",
    "cellphone",
    "fax",
    "call",
    "calling",
    "text",
    "sms",
    "dial",
    "contact",
    "reach",
    "whatsapp",
    "ring",
    "hotline",
    "voicemail",
    "callback",
    "number is",
    "电话",
    "手机",
    "号码是",
    "联系",
    "致电",
    "拨打",
    "热线",
    "座机",
    "传真",
    "来电",
    "收件人",
    "客户",
    "打",
    "短信",
];

/// Words that say that a number is an amount.
const AMOUNTS: [&str; 16] = [
    "cost", "costs", "total", "charged", "price", "amount", "paid", "balance", "sum", "余额", "价格", "金额", "一共",
    "共计", "合计", "总计",
];

/// How far before a number its label may stand, in bytes.
const LABEL_REACH: usize = 40;

/// A candidate: some groups of a chain as digits.
#[derive(Debug)]
pub(super) struct Candidate<'c> {
    /// The chain.
    pub(super) chain: &'c Chain<'c>,
    /// First group.
    pub(super) from: usize,
    /// Last group.
    pub(super) to: usize,
    digits: [u8; MOST],
    len: usize,
}

impl<'c> Candidate<'c> {
    fn new(chain: &'c Chain<'c>, from: usize, to: usize) -> Option<Self> {
        let mut digits = [0; MOST];
        let len = chain.copy(from, to, &mut digits)?;
        Some(Self { chain, from, to, digits, len })
    }

    /// All digits.
    pub(super) fn digits(&self) -> &[u8] {
        &self.digits[..self.len]
    }

    /// Whether the groups have these lengths.
    pub(super) fn is_grouped(&self, wanted: &[usize]) -> bool {
        self.chain.is_grouped(self.from, self.to, wanted)
    }

    /// Whether all separators are the same, and one of `allowed`.
    pub(super) fn is_uniform(&self, allowed: &[Sep]) -> bool {
        self.chain.is_uniform(self.from, self.to, allowed)
    }

    /// Whether the area stands in parentheses.
    pub(super) fn has_parenthesis(&self) -> bool {
        (self.from + 1..=self.to).any(|group| self.chain.sep(group) == Sep::Paren)
    }

    /// The separator after the first group.
    pub(super) fn first_sep(&self) -> Sep {
        if self.to > self.from { self.chain.sep(self.from + 1) } else { Sep::Start }
    }

    /// Whether a word before the number says what it is, and no other number stands between.
    pub(super) fn is_labelled(&self) -> bool {
        let (bytes, at) = (self.chain.bytes(), self.chain.range(self.from, self.to).start);
        let apart = |byte: u8| byte.is_ascii_digit() || byte == b'>';
        let reach = at - run_start(bytes, at, LABEL_REACH, |byte| !apart(byte));
        word_before(bytes, at, reach, &LABELS)
    }
}

impl Candidate<'_> {
    /// Without a label: an amount or a result, or groups out of the middle of a longer row of groups.
    fn is_something_else(&self) -> bool {
        let bytes = self.chain.bytes();
        let range = self.chain.range(self.from, self.to);
        let money = bytes[range.end..].starts_with("元".as_bytes())
            || bytes[range.start.saturating_sub(2)..].starts_with(b"= ");
        let spaced = self.to > self.from && self.chain.sep(self.to) == Sep::Space;
        let longer = self.chain.is_in_row(self.from)
            || self.to + 1 < self.chain.len() && self.chain.sep(self.to + 1) == Sep::Space;
        (money || spaced && longer && !self.is_grouped(&[3, 4, 4]) || word_before(bytes, range.start, 24, &AMOUNTS))
            && !self.is_labelled()
    }
}

/// The telephone number that begins with `group`, and its last group.
pub(super) fn find(chain: &Chain<'_>, group: usize) -> Option<(usize, Span)> {
    (group..chain.len().min(group + 7)).rev().find_map(|last| {
        let whole = chain.line_ends(group, last) == 0 && chain.closes(last);
        let candidate = Candidate::new(chain, group, last).filter(|c| c.len >= 7 && whole)?;
        let mut range = chain.range(group, last);
        let form = if before(chain.bytes(), range.start) == b'+' {
            range.start -= 1;
            if is_word(before(chain.bytes(), range.start)) {
                return None;
            }
            international(&candidate, 0)?
        } else {
            let form = exit_code(&candidate).or_else(|| national::form(&candidate))?;
            if candidate.is_something_else() {
                return None;
            }
            form
        };
        range.start = with_parenthesis(chain.bytes(), &range);
        Some((last, Span { range, kind: Kind::Phone, form }))
    })
}

/// The opening parenthesis belongs to the number when the closing one is inside it.
fn with_parenthesis(bytes: &[u8], range: &std::ops::Range<usize>) -> usize {
    let inside = &bytes[range.clone()];
    let closes = inside.contains(&b')') && !inside.contains(&b'(');
    if closes && before(bytes, range.start) == b'(' { range.start - 1 } else { range.start }
}

/// `0086 138...`, `011 44 ...`; without a label only where the rest is in the shape of its country.
fn exit_code(candidate: &Candidate<'_>) -> Option<Form> {
    let digits = candidate.digits();
    let skip = if digits.starts_with(b"00") { 2 } else { 3 };
    let written = skip == 2 || digits.starts_with(b"011");
    let known = || digits.starts_with(b"0086") || digits.starts_with(b"0044") || candidate.is_labelled();
    (written && digits.len() >= 11 && known()).then(|| international(candidate, skip))?
}

/// E.164 after `skip` digits of exit code.
fn international(candidate: &Candidate<'_>, skip: usize) -> Option<Form> {
    let digits = candidate.digits().get(skip..)?;
    let code = code_len(digits)?;
    let trunk = digits.get(code) == Some(&b'0') && !digits.starts_with(b"39");
    let subscriber = &digits[code + usize::from(trunk)..];
    let fits = match &digits[..code] {
        b"1" => digits.len() == 11 && national::is_north_american(subscriber),
        b"7" => subscriber.len() == 10,
        b"86" => national::is_chinese(subscriber),
        b"44" => (9..=10).contains(&subscriber.len()) && subscriber[0] != b'0',
        b"33" => subscriber.len() == 9,
        b"91" => subscriber.len() == 10,
        _ => digits.len() >= 9 && digits.len() - usize::from(trunk) <= 15 && subscriber.len() >= 6,
    };
    let trunk = trunk.then(|| u8::try_from(code).unwrap_or(0));
    fits.then(|| canonical("+", skip, digits.len(), trunk))
}

/// The canonical form of `take` digits after `skip`, behind `prefix`.
pub(super) fn canonical(prefix: &'static str, skip: usize, take: usize, trunk: Option<u8>) -> Form {
    let small = |n: usize| u8::try_from(n).unwrap_or(u8::MAX);
    Form::Phone { prefix, skip: small(skip), take: small(take), trunk }
}
