//! Which rule goes on with which state, over a reload and over a restart, and whose end is no news any more.
//!
//! A rule whose group or file was renamed is the same rule to people: its alerts go on. And an end is told only while
//! no other rule says that the same alert is on, because receivers know alerts by their labels alone.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::group::{GroupRun, RuleRun};
use super::state::{AlertState, Tracked};
use super::{Group, Rule};
use crate::Labels;

/// States by what made them the same rule (`key`: where it stood, a line break, [`Rule::identity`]), in the order of
/// the rules.
pub(super) type Known<T> = HashMap<String, VecDeque<T>>;

/// Gives each rule of `groups` the state it had at its place; one that had none there takes over that of a rule that
/// is the same but for its place and is there no longer. What nobody took stays in `known`.
pub(super) fn hand_over<T>(
    known: &mut Known<T>,
    groups: &mut [GroupRun],
    key: impl Fn(&Group, &Rule) -> String,
    mut give: impl FnMut(&mut RuleRun, T),
) {
    let mut newcomers = Vec::new();
    for GroupRun { group, rules, .. } in groups {
        for (rule, run) in group.rules.iter().zip(rules) {
            match known.get_mut(&key(group, rule)).and_then(VecDeque::pop_front) {
                Some(state) => give(run, state),
                None => newcomers.push((format!("\n{}", rule.identity()), run)),
            }
        }
    }
    known.retain(|_, left| !left.is_empty());
    for (identity, run) in newcomers {
        let moved = known.keys().filter(|key| key.ends_with(&identity)).min().cloned();
        let Some(left) = moved.as_ref().and_then(|key| known.get_mut(key)) else { continue };
        if let Some(state) = left.pop_front() {
            give(run, state);
        }
        known.retain(|_, left| !left.is_empty());
    }
}

/// The labels, as receivers see them, of every alert that fires.
pub(super) fn firing(groups: &[GroupRun]) -> BTreeSet<Labels> {
    let live = groups.iter().flat_map(|group| &group.rules).flat_map(|run| run.alerts.0.values());
    live.filter(|tracked| tracked.alert.state == AlertState::Firing)
        .map(|tracked| tracked.alert.labels.clone())
        .collect()
}

/// Forgets the ends of alerts that fire again for another rule.
pub(super) fn forget_refuted(gone: &mut Vec<Tracked>, groups: &[GroupRun]) {
    if gone.is_empty() {
        return;
    }
    let firing = firing(groups);
    gone.retain(|tracked| !firing.contains(&tracked.alert.labels));
}
