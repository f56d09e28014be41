//! When a scalar detector alarms: the level of its statistic that is crossed once per average run length.
//!
//! The levels were simulated (`rules/examples/sim_drift_thresholds.rs`, whose output is `thresholds.csv` beside this
//! file); they hold for every signal, because only ranks count. Between the grid's points the logarithm of the level is
//! interpolated linearly in the logarithm of the run length and in the dead zone; beyond the last point it goes on with
//! the last slope, which is how the rate of large deviations of a random walk with negative drift behaves.

use super::budget::ARL_RANGE;
use super::{Burst, DeadZone, MIN_REFERENCE};

mod table;

use table::{FREE_ARLS, FREE_LEVELS, HELD_ARLS, HELD_LEVELS, ZONES};

/// `ln A`: the statistic of a detector with such bursts, this dead zone and a reference of so many `observations`
/// crosses `A` once in `arl` observations while nothing changes.
///
/// `arl` is clamped to 50..1e9.
pub fn threshold(burst: Burst, zone: DeadZone, observations: usize, arl: f64) -> f64 {
    let ln_arl = arl.clamp(ARL_RANGE.0, ARL_RANGE.1).ln();
    match burst {
        Burst::Free => along(&column(&FREE_LEVELS, zone, observations), &FREE_ARLS, ln_arl),
        Burst::Held => along(&column(&HELD_LEVELS, zone, observations), &HELD_ARLS, ln_arl),
    }
}

/// The average run length whose threshold is `level` (the logarithm of the statistic): the inverse of [`threshold`].
///
/// It says on one scale how unusual the state of any detector is. At most e^600.
pub fn arl_of(burst: Burst, zone: DeadZone, observations: usize, level: f64) -> f64 {
    let ln_arl = match burst {
        Burst::Free => along(&FREE_ARLS, &column(&FREE_LEVELS, zone, observations), level),
        Burst::Held => along(&HELD_ARLS, &column(&HELD_LEVELS, zone, observations), level),
    };
    ln_arl.min(600.0).exp()
}

/// The column of a table for this dead zone and reference: between the one simulated for an endless reference and
/// the one for the smallest reference such a dead zone allows, by the share of sampling error.
fn column<const N: usize>(levels: &[[[f64; N]; 2]; ZONES.len()], zone: DeadZone, observations: usize) -> [f64; N] {
    let zone = zone.sigmas().clamp(ZONES[0], ZONES[ZONES.len() - 1]);
    let right = ZONES.partition_point(|edge| *edge < zone).clamp(1, ZONES.len() - 1);
    let to_right = (zone - ZONES[right - 1]) / (ZONES[right] - ZONES[right - 1]);
    let finite = (smallest_reference(zone) / observations.max(1) as f64).min(1.0);
    std::array::from_fn(|index| {
        let at = |zone: usize| levels[zone][0][index] * (1.0 - finite) + levels[zone][1][index] * finite;
        at(right - 1) * (1.0 - to_right) + at(right) * to_right
    })
}

/// The smallest reference whose own error fits into the dead zone.
pub(super) fn smallest_reference(zone: f64) -> f64 {
    (4.0 / (zone * zone)).max(MIN_REFERENCE as f64)
}

/// `ys` at `x`, linear between `xs` and beyond both ends.
fn along(ys: &[f64], xs: &[f64], x: f64) -> f64 {
    let right = xs.partition_point(|edge| *edge < x).clamp(1, xs.len() - 1);
    let slope = (ys[right] - ys[right - 1]) / (xs[right] - xs[right - 1]);
    ys[right - 1] + slope * (x - xs[right - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_output_of_the_simulation() {
        let mut lines = include_str!("thresholds/simulated.csv").lines().filter(|line| !line.starts_with('#'));
        assert_eq!(lines.next(), Some("burst,zone,observations,arl,ln_level,runs"));
        expect(&mut lines, "Free", &FREE_ARLS, &FREE_LEVELS);
        expect(&mut lines, "Held", &HELD_ARLS, &HELD_LEVELS);
        assert_eq!(lines.next(), None);
    }

    fn expect<const N: usize>(
        lines: &mut dyn Iterator<Item = &'static str>,
        burst: &str,
        ln_arls: &[f64; N],
        table: &[[[f64; N]; 2]],
    ) {
        for (zone, levels) in ZONES.iter().zip(table) {
            let smallest = format!("{:.0}", smallest_reference(*zone));
            for (observations, column) in ["inf", &smallest].iter().zip(levels) {
                for (ln_arl, level) in ln_arls.iter().zip(column) {
                    let line = lines.next().unwrap();
                    let start = format!("{burst},{zone},{observations},{:.0},{level:.3},", ln_arl.exp());
                    assert!(line.starts_with(&start), "{line} {start}");
                }
            }
        }
    }

    #[test]
    fn levels_rise_with_the_run_length_and_come_back() {
        let places = [(0.0, 100_000), (0.0, 1000), (0.25, 64), (0.25, 5000), (1.0, 2000)];
        for (burst, (wanted, observations)) in
            [Burst::Free, Burst::Held].into_iter().flat_map(|b| places.map(|p| (b, p)))
        {
            let zone = DeadZone::at_least(wanted, observations);
            let mut before = f64::NEG_INFINITY;
            for arl in [50.0, 77.0, 1e3, 1e4, 2e5, 2.6e6, 1e9] {
                let level = threshold(burst, zone, observations, arl);
                assert!(level > before && level <= f64::ln(arl) + 1.0, "{burst:?} {wanted} {arl} {level}");
                assert!((arl_of(burst, zone, observations, level).ln() - f64::ln(arl)).abs() < 1e-9);
                before = level;
            }
        }
    }
}
