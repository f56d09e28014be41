//! Whether what looked strange stays strange: an isolated spike is less of an incident than one that goes on.

use std::f64::consts::LOG10_E;

use serde::{Deserialize, Serialize};

use super::exact;

/// Samples that are waited for before a moment is judged that is not sure by itself.
pub(super) const LATER: usize = 4;
/// Evidence, in powers of ten, that is not waited with: this much is left even if nothing strange follows.
const SURE: f64 = 2.0;
/// Evidence for an incident for each unit of mean strangeness, above the usual, in the samples that follow.
const CONFIRMED: f64 = 1.6;
/// Mean strangeness where nothing is strange: `-log10` of a uniform share is `log10 e` in the mean.
const USUAL: f64 = LOG10_E;

/// One sample: the evidence at it, and how strange it was.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Moment {
    #[serde(with = "exact::number")]
    pub(super) evidence: f64,
    #[serde(with = "exact::number")]
    pub(super) strangeness: f64,
}

impl Moment {
    /// The evidence with the mean strangeness of what followed.
    fn with(self, later: f64) -> f64 {
        self.evidence + CONFIRMED * (later - USUAL)
    }

    fn sure(self) -> bool {
        self.with(0.0) >= SURE
    }
}

/// The last moments; the oldest is the one that is judged.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Confirm([Moment; LATER + 1]);

impl Confirm {
    /// Takes in a moment. The answer is its evidence if it is sure, else that of the one [`LATER`] samples before it, with
    /// what followed. `None` where one that followed had more evidence by itself: that one will be judged in its turn.
    pub(super) fn judge(&mut self, moment: Moment) -> Option<f64> {
        self.0.rotate_left(1);
        let [judged, later @ ..] = &mut self.0;
        if let Some(last) = later.last_mut() {
            *last = moment;
        }
        if moment.sure() {
            return Some(moment.with(0.0));
        }
        let peak = later.iter().all(|other| other.evidence <= judged.evidence);
        let mean = later.iter().map(|other| other.strangeness).sum::<f64>() / LATER as f64;
        (peak && !judged.sure()).then(|| judged.with(mean))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(evidence: f64, strangeness: f64) -> Moment {
        Moment { evidence, strangeness }
    }

    #[test]
    fn a_moment_is_judged_once_by_what_follows() {
        for (why, first, later, expected) in [
            ("nothing follows", 2.0, 0.0, 2.0 - CONFIRMED * USUAL),
            ("as usual", 2.0, USUAL, 2.0),
            ("it goes on", 2.0, USUAL + 1.0, 2.0 + CONFIRMED),
            ("sure at once, whatever follows", 4.0, 3.0, 4.0 - CONFIRMED * USUAL),
        ] {
            let mut confirm = Confirm::default();
            let mut found = vec![confirm.judge(at(first, 2.0))];
            found.extend([at(1.0, later); LATER].map(|moment| confirm.judge(moment)));
            let judged: Vec<f64> = found.into_iter().flatten().filter(|evidence| *evidence > 1.0).collect();
            assert!(judged.len() == 1 && (judged[0] - expected).abs() < 1e-12, "{why}: {judged:?}");
        }
    }

    #[test]
    fn what_followed_with_more_is_judged_in_its_turn() {
        let mut confirm = Confirm::default();
        let found = [2.0, 2.5, 1.0, 1.0, 1.0, 1.0].map(|evidence| confirm.judge(at(evidence, USUAL)));
        assert_eq!((found[4], found[5]), (None, Some(2.5)));
    }
}
