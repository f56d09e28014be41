//! What current texts say that the reference does not: terms that stand out, and the texts that share one.
//!
//! A verdict about text is of no use without this. A term's strength is the difference of its two shares in standard
//! errors (pooled two-proportion z). Groups are the texts that contain the strongest term, then those of the remaining
//! texts that contain the strongest of theirs, and so on: every group has a name that people can read.

use std::collections::{HashMap, HashSet};

/// Current texts that a term must be in to be looked at, and that a group holds at least.
const FEWEST: usize = 3;
/// Characters of a text that are looked at.
const LOOKED_AT: usize = 4_000;
/// A term must be this many standard errors from equal: thousands are tried.
const CLEAR: f64 = 4.0;
/// A group's terms that are shown beside its first.
const BESIDE: usize = 4;

/// A term and how many texts have it.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// In lower case; two characters of a script without spaces.
    pub term: String,
    /// Share of the reference texts, `0` to `1`.
    pub reference: f64,
    /// Share of the current texts, or of a group's.
    pub current: f64,
    /// Standard errors by which the current share is larger.
    pub z: f64,
}

/// Current texts that share a term.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The term that they share first, then what else stands out among them.
    pub terms: Vec<Term>,
    /// Share of the current texts in the group, `0` to `1`.
    pub share: f64,
    /// Their places among the current texts, most current-looking first.
    pub members: Vec<usize>,
}

/// What is new in the current texts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Novelty {
    /// Terms that current texts have more often than reference texts, strongest first.
    pub terms: Vec<Term>,
    /// Groups of current texts that the reference lacks, largest evidence first.
    pub groups: Vec<Group>,
}

/// Finds at most `most` terms and `most` groups.
///
/// `margins` say how current each current text looks (the domain classifier's, same order); they order a group's
/// members. A group's first term has at least twice the reference's share.
#[must_use]
pub fn novelty(reference: &[&str], current: &[&str], margins: &[f32], most: usize) -> Novelty {
    let mut names = Names::default();
    let before = Counts::of(reference.iter().map(|text| names.terms(text)));
    let sets: Vec<Vec<u32>> = current.iter().map(|text| names.terms(text)).collect();
    let now = Counts::of(sets.iter().cloned());
    let words = &names.words;
    let mut terms = scored(&before, &now, words);
    terms.truncate(most);
    let (mut left, mut groups): (Vec<usize>, Vec<Group>) = ((0..sets.len()).collect(), Vec::new());
    while groups.len() < most {
        let standing = Counts { texts: sets.len(), ..Counts::of(left.iter().map(|at| sets[*at].clone())) };
        let mut all = scored(&before, &standing, words).into_iter();
        let Some(first) = all.find(|term| term.current >= 2.0 * term.reference) else { break };
        let own = names.numbers.get(&first.term).copied().unwrap_or(u32::MAX);
        let (members, rest): (Vec<usize>, Vec<usize>) = left.iter().partition(|at| sets[**at].contains(&own));
        if members.len() < FEWEST {
            break;
        }
        groups.push(group(&first, members, &sets, &before, words, margins));
        left = rest;
    }
    Novelty { terms, groups }
}

fn group(
    first: &Term,
    mut members: Vec<usize>,
    sets: &[Vec<u32>],
    before: &Counts,
    words: &[String],
    margins: &[f32],
) -> Group {
    let margin = |at: &usize| margins.get(*at).copied().unwrap_or(0.0);
    members.sort_by(|a, b| margin(b).total_cmp(&margin(a)).then(a.cmp(b)));
    let inside = Counts::of(members.iter().map(|at| sets[*at].clone()));
    let beside = scored(before, &inside, words).into_iter();
    let beside = beside.filter(|term| term.term != first.term && term.current >= 0.2).take(BESIDE);
    let terms = std::iter::once(first.clone()).chain(beside).collect();
    Group { terms, share: members.len() as f64 / sets.len() as f64, members }
}

/// Numbers for terms.
#[derive(Default)]
struct Names {
    numbers: HashMap<String, u32>,
    words: Vec<String>,
}

impl Names {
    /// Different words of a text, and pairs of neighbouring characters of scripts without spaces, as numbers.
    fn terms(&mut self, text: &str) -> Vec<u32> {
        let end = text.char_indices().nth(LOOKED_AT).map_or(text.len(), |(at, _)| at);
        let lower = text[..end].to_lowercase();
        let mut found = HashSet::new();
        for run in lower.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|run| !run.is_empty()) {
            if run.chars().any(is_dense) {
                let letters: Vec<char> = run.chars().collect();
                letters.windows(2).for_each(|pair| _ = found.insert(self.number(&pair.iter().collect::<String>())));
            } else if run.chars().nth(1).is_some() {
                found.insert(self.number(run.trim_matches('\'')));
            }
        }
        found.into_iter().collect()
    }

    fn number(&mut self, term: &str) -> u32 {
        if let Some(number) = self.numbers.get(term) {
            return *number;
        }
        let number = self.words.len() as u32;
        self.words.push(term.to_owned());
        self.numbers.insert(term.to_owned(), number);
        number
    }
}

/// Whether a character belongs to a script that is written without spaces.
fn is_dense(c: char) -> bool {
    matches!(c, '\u{0e00}'..='\u{0eff}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}')
}

/// In how many texts each term is.
struct Counts {
    texts: usize,
    of: HashMap<u32, usize>,
}

impl Counts {
    fn of(texts: impl Iterator<Item = Vec<u32>>) -> Self {
        let mut counts = Self { texts: 0, of: HashMap::new() };
        for terms in texts {
            counts.texts += 1;
            terms.into_iter().for_each(|term| *counts.of.entry(term).or_default() += 1);
        }
        counts
    }
}

/// Terms that are clearly more frequent now, strongest first.
fn scored(before: &Counts, now: &Counts, words: &[String]) -> Vec<Term> {
    let (n, m) = (before.texts as f64, now.texts as f64);
    let term = |(number, count): (&u32, &usize)| {
        let (old, new) = (before.of.get(number).copied().unwrap_or(0) as f64, *count as f64);
        let pooled = (old + new) / (n + m);
        let error = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
        let (reference, current) = (old / n, new / m);
        let z = if error > 0.0 { (current - reference) / error } else { 0.0 };
        Term { term: words[*number as usize].clone(), reference, current, z }
    };
    let mut all: Vec<Term> = now.of.iter().filter(|(_, count)| **count >= FEWEST).map(term).collect();
    all.retain(|term| term.z >= CLEAR);
    all.sort_by(|a, b| b.z.total_cmp(&a.z).then_with(|| a.term.cmp(&b.term)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_subjects_become_groups_with_names() {
        let old: Vec<String> = (0..200).map(|n| format!("where is my card number {n}, please help me")).collect();
        let mut new = old[..120].to_vec();
        new.extend((0..50).map(|n| format!("can I buy bitcoin with account {n}")));
        new.extend((0..30).map(|n| format!("我想找一家餐馆{n}")));
        let (old, new): (Vec<&str>, Vec<&str>) =
            (old.iter().map(String::as_str).collect(), new.iter().map(String::as_str).collect());
        let margins: Vec<f32> = (0..200_u8).map(f32::from).collect();
        let found = novelty(&old, &new, &margins, 5);
        assert_eq!(found.groups.len(), 2, "{:?}", found.groups);
        let first = &found.groups[0];
        assert!(first.terms.iter().any(|term| term.term == "bitcoin") && first.members.len() == 50, "{first:?}");
        assert_eq!((first.share, first.members[0]), (0.25, 169));
        assert!(found.groups[1].terms.iter().any(|term| term.term.contains('餐')), "{:?}", found.groups[1]);
        assert_eq!(novelty(&old, &old, &[], 5), Novelty::default());
        assert_eq!(novelty(&[], &["a"], &[], 5), Novelty::default());
    }
}
