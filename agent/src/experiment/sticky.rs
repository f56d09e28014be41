//! Which half each unit was put into, in bounded memory: sixteen bytes a unit.

use std::collections::HashMap;

use plimsoll_rules::verdict::experiment::Arm;

/// Units remembered of one experiment; later ones are not enrolled.
pub(super) const MOST: usize = 262_144;
/// Different shares remembered: steps of the ramp, and those of before a reload.
const MOST_SHARES: usize = 1024;

/// The units that have a half.
#[derive(Debug, Default)]
pub(super) struct Sticky {
    /// Half and place of the propensity in `shares`.
    units: HashMap<u64, (Arm, u16)>,
    shares: Vec<f64>,
}

impl Sticky {
    /// The half of a unit, and the probability with which it was put into the treatment's.
    pub(super) fn find(&self, unit: u64) -> Option<(Arm, f64)> {
        let (arm, share) = self.units.get(&unit)?;
        Some((*arm, *self.shares.get(usize::from(*share))?))
    }

    /// Remembers a unit's half for good; `false` when there is no room.
    pub(super) fn put(&mut self, unit: u64, arm: Arm, propensity: f64) -> bool {
        if self.units.len() >= MOST {
            return self.units.contains_key(&unit);
        }
        let Some(share) = self.place(propensity) else { return false };
        self.units.entry(unit).or_insert((arm, share));
        true
    }

    fn place(&mut self, share: f64) -> Option<u16> {
        let known = self.shares.iter().rposition(|other| other.to_bits() == share.to_bits());
        let place = known.or_else(|| {
            (self.shares.len() < MOST_SHARES).then(|| {
                self.shares.push(share);
                self.shares.len() - 1
            })
        })?;
        u16::try_from(place).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_half_stays_and_the_number_is_bounded() {
        let mut sticky = Sticky::default();
        assert!(sticky.put(1, Arm::Control, 0.05) && sticky.put(1, Arm::Treatment, 0.5));
        assert_eq!((sticky.find(1), sticky.find(2)), (Some((Arm::Control, 0.05)), None));
        (2..=MOST as u64).for_each(|unit| assert!(sticky.put(unit, Arm::Treatment, 0.5)));
        assert!(!sticky.put(0, Arm::Treatment, 0.5), "no room");
        assert!(sticky.put(7, Arm::Treatment, 0.5), "known");
    }
}
