//! What is done with the requests of an experiment at present.

use plimsoll_rules::Phase;
use serde::{Deserialize, Serialize};

use crate::config::{Experiment, Split};

/// What is done with the requests of an experiment at present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Course {
    /// Nothing: as if it were not there.
    #[default]
    Off,
    /// The A/A check: units get a half, all are served by control.
    Aa,
    /// The treatment serves its half.
    Split {
        /// Share of new units that get the treatment.
        share: f64,
    },
    /// Control serves all; the treatment gets copies of its half.
    Mirror {
        /// Share of new units of which the treatment gets copies.
        share: f64,
    },
    /// Control serves all, nobody is enrolled: it was rolled back, kept, or is on hold.
    Control,
    /// The treatment serves all, nobody is enrolled: it was promoted.
    Treatment,
}

impl Course {
    /// Where a new experiment begins.
    pub fn first(experiment: &Experiment) -> Self {
        let share = experiment.spec.ramp.first().map_or(0.0, |step| step.share);
        match experiment.split {
            Split::Outside { propensity, .. } => Self::Split { share: propensity },
            _ if experiment.spec.aa_units > 0 => Self::Aa,
            Split::Route => Self::Split { share },
            Split::Mirror => Self::Mirror { share },
        }
    }

    /// The phase and the share of the treatment while units are enrolled.
    pub fn enrols(self) -> Option<(Phase, f64)> {
        match self {
            Self::Aa => Some((Phase::Aa, 0.5)),
            Self::Split { share } => Some((Phase::Split, share)),
            Self::Mirror { share } => Some((Phase::Mirror, share)),
            Self::Off | Self::Control | Self::Treatment => None,
        }
    }
}
