//! E1 and E2, beside the numbers made for this project.

use plimsoll_rules::verdict::{Below, Randomisation, Side, Unit, log_mean_exp};

use crate::suite::{Case, check};

const GRID: [f64; 6] = [0.005, 0.01, 0.02, 0.04, 0.08, 0.16];

fn times(case: &Case) -> Vec<usize> {
    case.numbers("times").iter().map(|time| *time as usize).collect()
}

/// The settings that are built in are those of the case.
fn same_settings(case: &Case) {
    assert_eq!(case.numbers("grid"), GRID, "{case}");
    case.near("cap", 0.9, case.number("cap"), 0.0);
}

#[test]
fn golden_randomisation_eprocess() {
    check("randomisation_eprocess", |case| {
        same_settings(case);
        case.near("vmin", 0.01, case.number("vmin"), 0.0);
        let (outcomes, arms, propensities) = (case.numbers("y"), case.numbers("g"), case.numbers("pi"));
        let centres = (!case.value["mhat"].is_null()).then(|| case.numbers("mhat"));
        assert_eq!(case.numbers("prior"), [1.0, 1.0], "{case}");
        let margin = case.number("margin");
        let (mut harm, mut win) = (Randomisation::new(Side::Lower, margin), Randomisation::new(Side::Higher, margin));
        let (mut harms, mut wins, mut two, mut most) = (Vec::new(), Vec::new(), Vec::new(), f64::NEG_INFINITY);
        for at in 0..outcomes.len() {
            let unit = Unit { outcome: outcomes[at], treated: arms[at] == 1.0, propensity: propensities[at] };
            for process in [&mut harm, &mut win] {
                match &centres {
                    Some(given) => process.add_around(&unit, given[at]),
                    None => process.add(&unit),
                }
            }
            most = most.max(harm.log_e());
            if times(case).contains(&(at + 1)) {
                harms.push(harm.log_e());
                wins.push(win.log_e());
                two.push(log_mean_exp(&[harm.log_e(), win.log_e()]));
            }
        }
        case.all_equal("log_e_harm", &harms);
        case.all_equal("log_e_win", &wins);
        case.all_equal("log_e_two", &two);
        case.equal("max_log_e_harm", most);
    });
}

#[test]
fn golden_drift_eprocess_edetector() {
    check("drift_eprocess_edetector", |case| {
        same_settings(case);
        let mut below = Below::new(case.number("m0"));
        let (mut e, mut sr, mut cusum) = (Vec::new(), Vec::new(), Vec::new());
        let (mut most_sr, mut most_cusum) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
        for (at, outcome) in case.numbers("y").into_iter().enumerate() {
            below.add(outcome);
            most_sr = most_sr.max(below.log_sr());
            most_cusum = most_cusum.max(below.log_cusum());
            if times(case).contains(&(at + 1)) {
                e.push(below.log_e());
                sr.push(below.log_sr());
                cusum.push(below.log_cusum());
            }
        }
        case.all_equal("log_e", &e);
        case.all_equal("log_sr", &sr);
        case.all_equal("log_cusum", &cusum);
        case.equal("max_log_sr", most_sr);
        case.equal("max_log_cusum", most_cusum);
    });
}
