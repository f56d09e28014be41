//! Which half of an experiment a unit was put into, and with what probability: written down, so that a verdict can use it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::verdict::experiment::Arm;

/// In which part of an experiment a unit takes part. The same user in two phases is two units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The A/A check: both halves are served by control.
    Aa,
    /// The treatment's half is served by the treatment.
    Split,
    /// All are served by control; of the treatment's half the treatment gets copies, and its answers to them are judged.
    Mirror,
}

impl Phase {
    /// `aa`, `split` or `mirror`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aa => "aa",
            Self::Split => "split",
            Self::Mirror => "mirror",
        }
    }

    /// The phase of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Aa, Self::Split, Self::Mirror].into_iter().find(|phase| phase.as_str() == name)
    }
}

/// A unit's place in an experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// The experiment's id.
    pub experiment: Arc<str>,
    /// The unit, as [`unit_hash`] names it.
    pub unit: u64,
    /// Its half.
    pub arm: Arm,
    /// The probability, in (0, 1), with which it was put into the treatment's half.
    pub propensity: f64,
    /// The part of the experiment.
    pub phase: Phase,
    /// It was put there by this very request.
    pub first: bool,
}

/// The number by which `unit` goes in a phase of `experiment`: the first eight bytes, big-endian, of SHA-256 over the
/// experiment's id, a zero byte, the phase's name, a zero byte and the unit. The same in every pod, version and process.
#[must_use]
pub fn unit_hash(experiment: &str, phase: Phase, unit: &[u8]) -> u64 {
    let mut hash = Sha256::new();
    for part in [experiment.as_bytes(), b"\0", phase.as_str().as_bytes(), b"\0", unit] {
        hash.update(part);
    }
    hash.finalize().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The half of a unit when the treatment gets `share` (in [0, 1]) of them: treatment where the unit's number, as a
/// fraction of 2^64, is below the share. A unit of the treatment stays there when the share grows.
#[must_use]
pub fn arm_at(unit: u64, share: f64) -> Arm {
    // the upper 53 bits are a double exactly
    let place = (unit >> 11) as f64 / (1_u64 << 53) as f64;
    if place < share { Arm::Treatment } else { Arm::Control }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `python3 -c 'import hashlib; print(int.from_bytes(hashlib.sha256(b"support-v2\0split\0alice").digest()[:8]))'`
    #[test]
    fn a_unit_has_the_same_number_everywhere() {
        assert_eq!(unit_hash("support-v2", Phase::Split, b"alice"), VECTOR);
        assert_ne!(unit_hash("support-v2", Phase::Aa, b"alice"), VECTOR, "another phase, another unit");
        assert_ne!(unit_hash("support-v3", Phase::Split, b"alice"), VECTOR);
    }
    const VECTOR: u64 = 2_896_237_677_583_784_311;

    #[test]
    fn shares_are_kept_and_grow_without_moving_anybody_back() {
        let units: Vec<u64> = (0..20_000_u32).map(|i| unit_hash("e", Phase::Split, &i.to_le_bytes())).collect();
        let mut before = 0;
        for share in [0.01, 0.05, 0.3, 0.5, 0.99] {
            let count = units.iter().filter(|unit| arm_at(**unit, share) == Arm::Treatment).count();
            let (mean, spread) = (20_000.0 * share, (20_000.0 * share * (1.0 - share)).sqrt());
            assert!((count as f64 - mean).abs() < 4.0 * spread, "{share}: {count}");
            assert!(count >= before);
            before = count;
        }
        assert_eq!((arm_at(0, 0.0), arm_at(u64::MAX, 1.0)), (Arm::Control, Arm::Treatment));
    }

    #[test]
    fn phases_print_what_they_read() {
        for phase in [Phase::Aa, Phase::Split, Phase::Mirror] {
            assert_eq!(Phase::named(phase.as_str()), Some(phase));
        }
        assert_eq!(Phase::named("ramp"), None);
    }
}
