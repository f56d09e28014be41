//! One incident raises one high score: what follows it closely is quiet, unless it is much stranger still.

use serde::{Deserialize, Serialize};

use super::exact;

/// Longest quiet, in samples.
const LONGEST: f64 = 150.0;
/// While little is known the quiet is this share of all samples so far.
const SHARE: f64 = 0.15;
/// How much more evidence (a factor of sixteen) breaks the quiet.
const STRANGER: f64 = 1.2;

/// The last incident.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Refractory {
    last: Option<Incident>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Incident {
    at: u64,
    #[serde(with = "exact::number")]
    evidence: f64,
}

impl Refractory {
    /// `evidence` where sample number `at` begins an incident, else nothing.
    pub(super) fn pass(&mut self, at: u64, evidence: f64) -> f64 {
        let quiet = self.last.is_some_and(|last| {
            let near = at.saturating_sub(last.at) as f64 <= LONGEST.min(SHARE * at as f64);
            near && evidence <= last.evidence + STRANGER
        });
        if quiet || evidence <= 0.0 {
            return 0.0;
        }
        self.last = Some(Incident { at, evidence });
        evidence
    }
}
