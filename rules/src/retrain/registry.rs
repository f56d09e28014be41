//! The versions that are kept: the newest twelve or so, and whatever serves, is tried, or is pinned.

use serde::{Deserialize, Serialize};

/// Where a version stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The gate refused it.
    Refused,
    /// The gate passed it; it is tried or about to be.
    Candidate,
    /// It serves.
    Live,
    /// The experiment, or a person, sent it back.
    RolledBack,
    /// The experiment found no reason to change.
    Kept,
    /// It served, and another one serves now.
    Retired,
}

impl Status {
    /// As it is stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Candidate => "candidate",
            Self::Live => "live",
            Self::RolledBack => "rolled_back",
            Self::Kept => "kept",
            Self::Retired => "retired",
        }
    }

    /// The status of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Refused, Self::Candidate, Self::Live, Self::RolledBack, Self::Kept, Self::Retired];
        all.into_iter().find(|status| status.as_str() == name)
    }
}

/// What pruning looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its number: later ones are larger.
    pub number: u32,
    /// Where it stands.
    pub status: Status,
    /// Somebody wants it kept.
    pub pinned: bool,
}

impl Version {
    fn is_needed(self) -> bool {
        self.pinned || matches!(self.status, Status::Live | Status::Candidate)
    }
}

/// The numbers of versions that go where `keep` may stay: refused ones before those that served, older before newer; never
/// one that serves, is tried or is pinned, even if that leaves more than `keep`.
#[must_use]
pub fn to_prune(versions: &[Version], keep: usize) -> Vec<u32> {
    let served = |version: &Version| matches!(version.status, Status::Retired);
    let mut free: Vec<&Version> = versions.iter().filter(|version| !version.is_needed()).collect();
    free.sort_by_key(|version| (served(version), version.number));
    free.iter().take(versions.len().saturating_sub(keep)).map(|version| version.number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: u32, status: Status) -> Version {
        Version { number, status, pinned: false }
    }

    #[test]
    fn the_oldest_that_nobody_needs_go_first() {
        let mut all = vec![
            version(1, Status::Retired),
            version(2, Status::Refused),
            version(3, Status::Live),
            version(4, Status::RolledBack),
            version(5, Status::Candidate),
        ];
        assert_eq!(to_prune(&all, 12), Vec::<u32>::new());
        assert_eq!(to_prune(&all, 3), [2, 4]);
        assert_eq!(to_prune(&all, 2), [2, 4, 1]);
        all[0].pinned = true;
        assert_eq!(to_prune(&all, 0), [2, 4], "what is needed stays");
    }

    #[test]
    fn names_are_read_back() {
        for status in
            [Status::Refused, Status::Candidate, Status::Live, Status::RolledBack, Status::Kept, Status::Retired]
        {
            assert_eq!(Status::named(status.as_str()), Some(status));
        }
        assert_eq!(Status::named("x"), None);
    }
}
