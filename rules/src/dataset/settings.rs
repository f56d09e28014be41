//! What is asked for when examples are chosen.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// All that the choice depends on besides the exchanges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Parts new from old: when quality fell, or when the last training ended. Exchanges that began then are new.
    #[serde(rename = "since_ms")]
    pub since: Timestamp,
    /// Exchanges that began at this moment or later are not looked at, nor is feedback that came then.
    #[serde(rename = "until_ms")]
    pub until: Timestamp,
    /// The share of new examples that is held out, the newest ones; from 0 to below 1.
    pub holdout_share: f64,
    /// Anchors to draw where none are given; at most a third of the old good examples are.
    pub anchors: usize,
    /// Old examples are kept up to this share of what there is to learn, theirs included; from 0 to below 1.
    pub replay_share: f64,
    /// Prompts whose shingles have this Jaccard index or more are nearly the same; above 0.5, up to 1.
    pub near_duplicate: f64,
    /// A prompt that is so much likelier among new than among old ones is over-weighted; above 1.
    pub drift_odds: f64,
    /// How often such an example is learnt; 1 is no over-weighting, at most 16.
    pub drift_weight: u32,
    /// What the choice of anchors, replay and the comparison of new with old follow from.
    pub seed: u64,
    /// Only exchanges of this model, as it is served.
    pub model: Option<String>,
    /// Only exchanges of this variant of an experiment.
    pub variant: Option<String>,
    /// Old corrections of exchanges that began then are not repeated: what was learnt of them did harm. Milliseconds since 1970,
    /// from the first up to before the second.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub distrusted_ms: Vec<(i64, i64)>,
}

impl Settings {
    /// The usual choice: a fifth held out, 200 anchors, as many old examples as new ones.
    #[must_use]
    pub fn between(since: Timestamp, until: Timestamp) -> Self {
        Self {
            since,
            until,
            holdout_share: 0.2,
            anchors: 200,
            replay_share: 0.5,
            near_duplicate: 0.8,
            drift_odds: 2.0,
            drift_weight: 2,
            seed: 0,
            model: None,
            variant: None,
            distrusted_ms: Vec::new(),
        }
    }

    /// Every setting that makes no sense.
    ///
    /// # Errors
    /// Each as `key: what was found; what would be right`.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let mut wrong = Vec::new();
        let mut refuse = |bad: bool, key: &str, found: &dyn std::fmt::Display, right: &str| {
            if bad {
                wrong.push(format!("{key}: {found} found; {right}"));
            }
        };
        let share = |value: f64| (0.0..1.0).contains(&value);
        let late = self.since >= self.until;
        refuse(late, "since", &self.since.rfc3339(), &format!("before until ({})", self.until.rfc3339()));
        refuse(!share(self.holdout_share), "holdout_share", &self.holdout_share, "from 0 to below 1");
        refuse(!share(self.replay_share), "replay_share", &self.replay_share, "from 0 to below 1");
        let near = self.near_duplicate > 0.5 && self.near_duplicate <= 1.0;
        refuse(!near, "near_duplicate", &self.near_duplicate, "above 0.5, up to 1");
        let odds = self.drift_odds > 1.0 && self.drift_odds.is_finite();
        refuse(!odds, "drift_odds", &self.drift_odds, "above 1");
        refuse(!(1..=16).contains(&self.drift_weight), "drift_weight", &self.drift_weight, "from 1 to 16");
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_told() {
        let good = Settings::between(Timestamp::from_millis(1), Timestamp::from_millis(2));
        assert_eq!(good.check(), Ok(()));
        let nan = Settings { holdout_share: f64::NAN, replay_share: 1.0, near_duplicate: 0.5, ..good.clone() };
        let bad = Settings { drift_odds: f64::INFINITY, drift_weight: 0, until: good.since, ..nan };
        let wrong = bad.check().unwrap_err();
        let keys: Vec<_> = wrong.iter().filter_map(|one| one.split(':').next()).collect();
        assert_eq!(
            keys,
            ["since", "holdout_share", "replay_share", "near_duplicate", "drift_odds", "drift_weight"],
            "{wrong:?}"
        );
        assert!(wrong[1].contains("NaN found; from 0 to below 1"), "{wrong:?}");
    }
}
