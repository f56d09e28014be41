//! The e-processes alone, looked at after every unit, beside what is usually done.

use fastrand::Rng;
use plimsoll_rules::verdict::{Below, Randomisation, SRM_PRIOR, SampleRatio, Side, Unit};

use super::runs::{all, coin, share};

/// Evidence at which alpha = 5 % acts.
const ENOUGH: f64 = 2.995_732_273_553_991;

/// What is told of a run: whether E1 for harm acted, whether it did for gain, and whether a z-test ever did.
struct Peeked {
    harm: bool,
    gain: bool,
    z: bool,
}

/// Looks after each of `units` units; `draw` gives the propensity and the outcome, which do not depend on the arm.
fn peek(rng: &mut Rng, units: u32, draw: impl Fn(&mut Rng, f64) -> (f64, f64)) -> Peeked {
    let (mut harm, mut gain) = (Randomisation::new(Side::Lower, 0.0), Randomisation::new(Side::Higher, 0.0));
    let mut arms = [(0.0_f64, 0.0_f64); 2];
    let mut seen = Peeked { harm: false, gain: false, z: false };
    for at in 0..units {
        let (propensity, outcome) = draw(rng, f64::from(at) / f64::from(units));
        let treated = rng.f64() < propensity;
        let unit = Unit { outcome, treated, propensity };
        harm.add(&unit);
        gain.add(&unit);
        seen.harm |= harm.log_e() >= ENOUGH;
        seen.gain |= gain.log_e() >= ENOUGH;
        let arm = &mut arms[usize::from(treated)];
        *arm = (arm.0 + 1.0, arm.1 + outcome);
        seen.z |= at >= 100 && z(&arms).abs() > 1.96;
        if seen.harm && seen.gain && seen.z {
            break;
        }
    }
    seen
}

/// The pooled z statistic of two shares; 0 while an arm is empty or nothing varies.
fn z(arms: &[(f64, f64); 2]) -> f64 {
    let [(n, x), (m, y)] = *arms;
    let p = (x + y) / (n + m);
    let error = (p * (1.0 - p) * (1.0 / n + 1.0 / m)).sqrt();
    if error > 0.0 && error.is_finite() { (y / m - x / n) / error } else { 0.0 }
}

/// Type I errors at alpha = 5 %.
pub fn table(runs: u64) {
    println!("no effect, a look after every unit, alpha 5 %: share of runs that ever act, in per cent");
    println!("| setting | units | E1 harm | E1 gain | E2 below | z-test, |z| > 1.96 |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let line = |name: &str, units: u32, draw: &(dyn Fn(&mut Rng, f64) -> (f64, f64) + Sync), below: Option<f64>| {
        let seen = all(runs, |rng| peek(rng, units, draw));
        let rate = |of: fn(&Peeked) -> bool| 100.0 * share(&seen.iter().map(of).collect::<Vec<_>>());
        let e2 = below.map_or("".to_owned(), |mean| {
            let acts = all(runs, |rng| {
                let mut below = Below::new(mean);
                (0..units).any(|_| {
                    below.add(coin(rng, mean));
                    below.log_e() >= ENOUGH
                })
            });
            format!("{:.2}", 100.0 * share(&acts))
        });
        println!(
            "| {name} | {units} | {:.2} | {:.2} | {e2} | {:.1} |",
            rate(|s| s.harm),
            rate(|s| s.gain),
            rate(|s| s.z)
        );
    };
    line("A = B = .90, half and half", 100_000, &|rng, _| (0.5, coin(rng, 0.9)), Some(0.9));
    line("A = B = .50, half and half", 20_000, &|rng, _| (0.5, coin(rng, 0.5)), Some(0.5));
    line("A = B = .99, 5 % treated", 20_000, &|rng, _| (0.05, coin(rng, 0.99)), Some(0.99));
    line("ramp 5 -> 50 %, .95 -> .85", 20_000, &|rng, at| (0.05 + 0.45 * at, coin(rng, 0.95 - 0.1 * at)), None);
    line(
        "ramp in steps 5, 10, 25, 50 %, .95 -> .85",
        20_000,
        &|rng, at| ([0.05, 0.1, 0.25, 0.5][(at * 4.0) as usize], coin(rng, 0.95 - 0.1 * at)),
        None,
    );
    line("10 requests a user, ICC .3, the unit is the user", 10_000, &|rng, _| (0.5, user(rng)), None);
    let requests = all(runs, |rng| sticky_requests(rng, 10_000));
    println!("| the same, the unit wrongly a request | 100000 | | | | {:.1} |\n", 100.0 * share(&requests));
}

/// Mean of ten requests of a user with intraclass correlation .3 and mean .9: three users in ten always get the same.
fn user(rng: &mut Rng) -> f64 {
    if rng.f64() < 0.3 { coin(rng, 0.9) } else { (0..10).map(|_| coin(rng, 0.9)).sum::<f64>() / 10.0 }
}

/// Whether a z-test over requests ever acts, looked at after every user.
fn sticky_requests(rng: &mut Rng, users: u32) -> bool {
    let mut arms = [(0.0_f64, 0.0_f64); 2];
    (0..users).any(|at| {
        let arm = &mut arms[usize::from(rng.bool())];
        *arm = (arm.0 + 10.0, arm.1 + 10.0 * user(rng));
        at >= 100 && z(&arms).abs() > 1.96
    })
}

/// How many units it takes to see what is there.
pub fn sample_sizes(runs: u64) {
    let e1 = all(runs, |rng| {
        let mut harm = Randomisation::new(Side::Lower, 0.0);
        let mut units = 0.0;
        while harm.log_e() < ENOUGH && units < 1e6 {
            let treated = rng.bool();
            let outcome = coin(rng, if treated { 0.87 } else { 0.9 });
            harm.add(&Unit { outcome, treated, propensity: 0.5 });
            units += 1.0;
        }
        units
    });
    let e2 = all(runs, |rng| {
        let mut below = Below::new(0.9);
        let mut units = 0.0;
        while below.log_e() < ENOUGH && units < 1e6 {
            below.add(coin(rng, 0.87));
            units += 1.0;
        }
        units
    });
    println!("units until harm is seen, .90 against .87, alpha 5 %");
    println!("| process | mean | 90 % within |\n| --- | --- | --- |");
    for (name, mut units) in [("E1, both arms together", e1), ("E2, below .90", e2)] {
        units.sort_by(f64::total_cmp);
        let mean = units.iter().sum::<f64>() / units.len().max(1) as f64;
        println!("| {name} | {mean:.0} | {:.0} |", units.get(units.len() * 9 / 10).copied().unwrap_or(0.0));
    }
    println!();
}

/// The sample ratio test.
pub fn split(runs: u64) {
    let alarm = |rng: &mut Rng, share: f64| {
        let mut test = SampleRatio::new(&[0.5, 0.5], SRM_PRIOR).ok()?;
        (1..=100_000_u32).find(|_| {
            test.add(usize::from(rng.f64() < share), 1);
            test.log_e() >= 1000_f64.ln()
        })
    };
    let no = all(runs, |rng| alarm(rng, 0.5).is_some());
    let yes = all(runs, |rng| alarm(rng, 0.52));
    let found: Vec<f64> = yes.iter().flatten().map(|at| f64::from(*at)).collect();
    println!("sample ratio, Bayes factor 1000, a look after every unit to 100000");
    println!("| split | alarms, per cent | after, mean units |\n| --- | --- | --- |");
    println!("| 50/50 | {:.3} | |", 100.0 * share(&no));
    let mean = found.iter().sum::<f64>() / found.len().max(1) as f64;
    println!("| 52/48 | {:.1} | {mean:.0} |\n", 100.0 * found.len() as f64 / yes.len().max(1) as f64);
}
