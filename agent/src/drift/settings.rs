//! `drift:` of the configuration, as the detectors take it.

use plimsoll_rules::drift::embedding::MOST_REFERENCE;
use plimsoll_rules::drift::{Calm, DriftError, FalseAlarms};

use super::signal::{Kind, Signal};
use crate::config::{Drift, HourOfWeek, Setting, ShadowModel};

/// The least acceptable mean of ratios, unless the configuration says otherwise.
const FLOOR: f64 = 0.9;

/// Before the shadow model's name in a fingerprint.
const BY: &str = ", by ";

/// How one signal is watched.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tuned {
    /// The change that is too small to matter.
    pub(super) minimum_effect: f64,
    /// Observations to learn from.
    pub(super) reference: usize,
    /// The least acceptable mean, of ratios.
    pub(super) floor: f64,
}

/// How all are.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(super) false_alarms: FalseAlarms,
    pub(super) calm: Calm,
    pub(super) models: usize,
    pub(super) hours: HourOfWeek,
    /// The shadow model that tells some signals; `""` when there is none.
    shadow: String,
    /// In the order of [`Signal::ALL`]; `None` for one that is off.
    signals: Vec<Option<Tuned>>,
}

impl Settings {
    /// What the configuration means.
    ///
    /// # Errors
    /// A budget of false alarms that is none; the configuration refuses it before.
    pub fn new(config: &Drift, shadow: Option<&ShadowModel>) -> Result<Self, DriftError> {
        let tuned = |signal: &Signal| match signal.setting(&config.signals) {
            Setting::Off => None,
            Setting::On(tuning) => {
                let (of_all, most) = match signal.kind() {
                    Kind::Text => (config.reference.texts, MOST_REFERENCE),
                    Kind::Number | Kind::Category | Kind::Ratio => (config.reference.observations, usize::MAX),
                };
                Some(Tuned {
                    floor: tuning.floor.unwrap_or(FLOOR),
                    minimum_effect: tuning.minimum_effect.unwrap_or(config.minimum_effect),
                    reference: usize::try_from(tuning.reference.unwrap_or(of_all))
                        .map_or(most, |wanted| wanted.min(most)),
                })
            }
        };
        Ok(Self {
            false_alarms: FalseAlarms::new(config.false_alarms.count, config.false_alarms.per.0)?,
            calm: Calm { time: config.cool_down.0, ..Calm::default() },
            models: usize::try_from(config.models).unwrap_or(usize::MAX),
            hours: config.hour_of_week,
            shadow: shadow.map(|shadow| shadow.identity.clone()).unwrap_or_default(),
            signals: Signal::ALL.iter().map(tuned).collect(),
        })
    }

    /// How a signal is watched; `None` when it is off.
    pub(super) fn of(&self, signal: Signal) -> Option<&Tuned> {
        self.signals[signal as usize].as_ref()
    }

    /// Changes when a saved detector no longer does what the configuration says.
    pub(super) fn fingerprint(&self, signal: Signal) -> String {
        let Tuned { minimum_effect: effect, floor, .. } = self.of(signal).copied().unwrap_or_default();
        let hours = if self.hours == HourOfWeek::Off { ", no hours" } else { "" };
        let by = if signal.is_shadow() { format!("{BY}{}", self.shadow) } else { String::new() };
        format!("effect {effect}, floor {floor}, calm {:?} and {}{hours}{by}", self.calm.time, self.calm.observations)
    }

    /// Whether a signal saved under `fingerprint` was told by another shadow model: then nothing of it holds.
    pub(super) fn is_of_another_model(&self, signal: Signal, fingerprint: &str) -> bool {
        let by = fingerprint.split_once(BY).map_or("", |(_, by)| by);
        signal.is_shadow() && by != self.shadow
    }
}
