//! The terms of a text, and which of them set one collection apart from another.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Longer runs of letters are no words.
const LONGEST_WORD: usize = 40;

/// Calls `each` with every term of `text`: words in lower case of two letters or more, pairs of neighbouring words, and for
/// scripts without spaces (Chinese, Japanese) every two neighbouring characters. Numbers are left out.
pub fn for_each_term(text: &str, mut each: impl FnMut(&str)) {
    let (mut last, mut word, mut wide) = (String::new(), String::new(), String::new());
    for sign in text.chars().chain([' ']) {
        if is_wide(sign) {
            finish(&mut word, &mut last, &mut each);
            last.clear();
            wide.push(sign);
            let mut signs = wide.chars();
            if let (Some(first), true) = (signs.next(), signs.next().is_some()) {
                each(&wide);
                wide.drain(..first.len_utf8());
            }
            continue;
        }
        wide.clear();
        if sign.is_alphabetic() || (!word.is_empty() && matches!(sign, '\'' | '_' | '-' | '0'..='9')) {
            word.extend(sign.to_lowercase());
        } else {
            let parts = !sign.is_whitespace();
            finish(&mut word, &mut last, &mut each);
            if parts {
                last.clear();
            }
        }
    }
}

fn finish(word: &mut String, last: &mut String, each: &mut impl FnMut(&str)) {
    while word.ends_with(['\'', '-', '_']) {
        word.pop();
    }
    if word.is_empty() {
        return;
    }
    let usable = (2..=LONGEST_WORD).contains(&word.chars().count());
    if usable {
        each(word);
    }
    if !last.is_empty() && word.len() <= LONGEST_WORD {
        last.push(' ');
        last.push_str(word);
        each(last);
    }
    last.clear();
    if word.len() <= LONGEST_WORD {
        last.push_str(word);
    }
    word.clear();
}

/// Chinese characters, kana, and others written without spaces.
fn is_wide(sign: char) -> bool {
    matches!(sign, '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{323AF}')
}

/// In how many texts each term occurs. Bounded: beyond `most` terms the rare ones are dropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TermCounts {
    most: usize,
    texts: u64,
    counts: HashMap<String, u32>,
}

impl TermCounts {
    /// Keeps about `most` terms, at least 16; up to twice as many for a moment.
    pub fn new(most: usize) -> Self {
        Self { most: most.max(16), texts: 0, counts: HashMap::new() }
    }

    /// Takes one text; a term counts once however often it stands there.
    pub fn add(&mut self, text: &str) {
        let mut seen = std::collections::HashSet::new();
        for_each_term(text, |term| {
            if !seen.contains(term) {
                seen.insert(term.to_owned());
            }
        });
        for term in seen {
            *self.counts.entry(term).or_default() += 1;
        }
        self.texts += 1;
        self.trim();
    }

    /// Adds another collection's counts.
    pub fn merge(&mut self, other: &Self) {
        for (term, count) in &other.counts {
            let own = self.counts.entry(term.clone()).or_default();
            *own = own.saturating_add(*count);
        }
        self.texts += other.texts;
        self.trim();
    }

    /// Texts taken.
    pub fn texts(&self) -> u64 {
        self.texts
    }

    /// Texts with `term`.
    pub fn count(&self, term: &str) -> u32 {
        self.counts.get(term).copied().unwrap_or(0)
    }

    /// Of equally rare terms the later in the alphabet go, so that the same texts leave the same terms.
    fn trim(&mut self) {
        if self.counts.len() <= 2 * self.most {
            return;
        }
        let mut all: Vec<(String, u32)> = self.counts.drain().collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        all.truncate(self.most);
        self.counts = all.into_iter().collect();
    }
}

/// A term that is said more often than it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DistinctiveTerm {
    /// The term.
    pub term: String,
    /// Log-odds ratio over its standard error.
    pub z: f64,
    /// Share of the current texts with it.
    pub current: f64,
    /// Share of the reference texts with it.
    pub reference: f64,
}

/// The up to `most` terms that are more frequent in `current` than in `reference`, most telling first.
///
/// Log-odds ratio with an informative prior (Monroe, Colaresi and Quinn, "Fightin' words", 2008, eq. 16 and 22; the prior is
/// the share in both collections, worth ten texts), over its standard error; terms below `z = 2` are left out, and so
/// are words that are part of a better pair of words said equally often.
pub fn distinctive_terms(current: &TermCounts, reference: &TermCounts, most: usize) -> Vec<DistinctiveTerm> {
    let (n, m) = (current.texts as f64, reference.texts as f64);
    if n == 0.0 || m == 0.0 {
        return Vec::new();
    }
    let mut found: Vec<DistinctiveTerm> = current
        .counts
        .iter()
        .filter_map(|(term, count)| {
            let (a, b) = (f64::from(*count), f64::from(reference.count(term)));
            let z = log_odds_z((a, n), (b, m));
            (z >= 2.0 && a >= 2.0).then(|| DistinctiveTerm { term: term.clone(), z, current: a / n, reference: b / m })
        })
        .collect();
    found.sort_by(|a, b| b.z.total_cmp(&a.z).then_with(|| a.term.cmp(&b.term)));
    let mut kept: Vec<DistinctiveTerm> = Vec::new();
    for term in found {
        if kept.len() < most && !kept.iter().any(|better| overlaps(better, &term)) {
            kept.push(term);
        }
    }
    kept
}

/// Counts out of totals, current first.
fn log_odds_z((a, n): (f64, f64), (b, m): (f64, f64)) -> f64 {
    const PRIOR: f64 = 10.0;
    let prior = PRIOR * (a + b) / (n + m);
    let odds = |count: f64, total: f64| (count + prior) / (total + PRIOR - count - prior).max(0.5);
    let log_ratio = odds(a, n).ln() - odds(b, m).ln();
    log_ratio / (1.0 / (a + prior) + 1.0 / (b + prior)).sqrt()
}

fn overlaps(better: &DistinctiveTerm, term: &DistinctiveTerm) -> bool {
    better.term.contains(term.term.as_str()) || term.term.contains(better.term.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(text: &str) -> Vec<String> {
        let mut all = Vec::new();
        for_each_term(text, |term| all.push(term.to_owned()));
        all
    }

    #[test]
    fn words_pairs_and_characters() {
        for (why, text, wanted) in [
            ("words and pairs", "My card", vec!["my", "card", "my card"]),
            ("a stop parts", "card. Where", vec!["card", "where"]),
            ("Chinese", "附近餐馆", vec!["附近", "近餐", "餐馆"]),
            ("mixed", "去KTV玩", vec!["ktv"]),
            ("numbers are none, and part", "pay 300 euros", vec!["pay", "euros"]),
            ("apostrophe", "it's '", vec!["it's"]),
            ("empty", "", vec![]),
        ] {
            assert_eq!(terms(text), wanted, "{why}");
        }
    }

    #[test]
    fn new_terms_are_found() {
        let (mut current, mut reference) = (TermCounts::new(1000), TermCounts::new(1000));
        for at in 0..200 {
            reference.add(["where is my card", "the payment failed", "你好，请推荐餐馆"][at % 3]);
            current
                .add(["where is my card", "the payment failed", "refund my crypto wallet", "我要买加密货币"][at % 4]);
        }
        let found: Vec<String> =
            distinctive_terms(&current, &reference, 20).into_iter().map(|term| term.term).collect();
        assert!(found.iter().any(|term| term.contains("crypto")), "{found:?}");
        assert!(found.iter().any(|term| term.contains("加密")), "{found:?}");
        assert!(!found.iter().any(|term| term.contains("payment") || term.contains("餐馆")), "{found:?}");
        assert!(distinctive_terms(&reference, &reference, 5).is_empty());
        assert!(distinctive_terms(&TermCounts::new(9), &reference, 5).is_empty());
    }

    #[test]
    fn counts_are_bounded_and_merge() {
        let (mut all, mut left, mut right) = (TermCounts::new(1000), TermCounts::new(1000), TermCounts::new(1000));
        for at in 0..100 {
            let text = format!("card number {}", ["one", "two", "three"][at % 3]);
            all.add(&text);
            if at % 2 == 0 { left.add(&text) } else { right.add(&text) }
        }
        left.merge(&right);
        assert_eq!(left, all);
        let mut small = TermCounts::new(16);
        for at in 0..1000_u32 {
            small.add(&format!("common x{}", char::from_u32(0x3B1 + at % 500).unwrap_or('a')));
        }
        assert!(small.counts.len() <= 32);
        assert_eq!(small.count("common"), 1000);
    }
}
