//! Uniform boundaries and confidence sequences of bounded means, beside `confseq`.

use plimsoll_rules::verdict::Interval;
use plimsoll_rules::verdict::comparators::{
    Family, Hedge, Mixture, Stitching, conjmix_bernoulli, conjmix_empirical_bernstein,
    conjmix_empirical_bernstein_lower, predmix_empirical_bernstein, predmix_hoeffding, running_intersection,
};

use crate::suite::{Case, check};

/// The number under `key` and `part`.
fn nested(case: &Case, key: &str, part: &str) -> f64 {
    case.value[key][part].as_f64().unwrap_or_else(|| panic!("{case}: {key}: {part}"))
}

#[test]
fn golden_boundaries() {
    check("boundaries", |case| {
        let [v, alpha, v_opt, s] = ["v", "alpha", "v_opt", "s"].map(|key| case.number(key));
        let [c, g, h] = ["c", "g", "h"].map(|key| case.number(key));
        let of = |family| Mixture::new(family, v_opt, alpha).unwrap();
        for (name, family) in [("1s", Family::NormalOneSided), ("2s", Family::NormalTwoSided)] {
            case.equal(&format!("normal_mixture_bound_{name}"), of(family).bound(v, alpha).unwrap());
            case.equal(&format!("normal_log_mixture_{name}"), of(family).log_value(s, v).unwrap());
        }
        let exponential = of(Family::GammaExponential { c });
        case.equal("gamma_exponential_mixture_bound", exponential.bound(v, alpha).unwrap());
        case.equal("gamma_exponential_log_mixture", exponential.log_value(s, v).unwrap());
        case.equal("gamma_poisson_mixture_bound", of(Family::GammaPoisson { c }).bound(v, alpha).unwrap());
        let stitching = Stitching { v_min: v_opt, c, s: 1.4, eta: 2.0 };
        case.equal("poly_stitching_bound", stitching.bound(v, alpha).unwrap());
        let one_sided = of(Family::BetaBinomialOneSided { g, h });
        case.equal("beta_binomial_mixture_bound_1s", one_sided.bound(v, alpha).unwrap());
        for (key, mixture) in [
            ("beta_binomial_log_mixture_1s", one_sided),
            ("beta_binomial_log_mixture_2s", of(Family::BetaBinomialTwoSided { g, h })),
        ] {
            let found = mixture.log_value(nested(case, key, "s"), v).unwrap();
            case.near(key, found, nested(case, key, "value"), case.tolerance());
        }
    });
}

/// What `all` has at the case's times, which count from 1.
fn at_times<T: Copy>(case: &Case, all: &[T]) -> Vec<T> {
    case.numbers("times").into_iter().map(|time| all[time as usize - 1]).collect()
}

/// `sequence` is the case's `lower` and `upper`.
fn bounds(case: &Case, sequence: &[Interval]) {
    let found = at_times(case, sequence);
    case.all_equal("lower", &found.iter().map(|interval| interval.lower).collect::<Vec<_>>());
    case.all_equal("upper", &found.iter().map(|interval| interval.upper).collect::<Vec<_>>());
}

/// `sequence`, intersected over time where the case says so.
fn as_asked(case: &Case, sequence: Vec<Interval>) -> Vec<Interval> {
    match case.value["running_intersection"].as_bool() {
        Some(true) => running_intersection(sequence),
        Some(false) => sequence,
        None => panic!("{case}: running_intersection"),
    }
}

#[test]
fn golden_predmix_hoeffding_cs() {
    check("predmix_hoeffding_cs", |case| {
        let found = predmix_hoeffding(&case.numbers("x"), case.number("alpha")).unwrap();
        bounds(case, &as_asked(case, found));
    });
}

#[test]
fn golden_predmix_eb_cs() {
    check("predmix_eb_cs", |case| {
        let [alpha, most] = ["alpha", "truncation"].map(|key| case.number(key));
        let found = predmix_empirical_bernstein(&case.numbers("x"), alpha, most).unwrap();
        bounds(case, &as_asked(case, found));
    });
}

fn hedge(case: &Case) -> Hedge {
    let [alpha, theta, most_lost] = ["alpha", "theta", "trunc_scale"].map(|key| case.number(key));
    Hedge { alpha, theta, most_lost }
}

#[test]
fn golden_betting_mart() {
    check("betting_mart", |case| {
        let found = hedge(case).log_wealth(&case.numbers("x"), case.number("m")).unwrap();
        // The file writes wealth under 1e-300 as 1e-300.
        let floored: Vec<f64> = found.into_iter().map(|log| log.max(1e-300_f64.ln())).collect();
        case.all_equal("log_wealth", &at_times(case, &floored));
    });
}

#[test]
fn golden_betting_hedged_cs() {
    check("betting_hedged_cs", |case| {
        let found = hedge(case).sequence(&case.numbers("x"), case.count("breaks") as usize).unwrap();
        bounds(case, &as_asked(case, found));
    });
}

#[test]
fn golden_conjmix_bernoulli_cs() {
    check("conjmix_bernoulli_cs", |case| {
        let (values, breaks) = (case.numbers("x"), case.count("breaks") as usize);
        let found = conjmix_bernoulli(&values, case.number("t_opt"), case.number("alpha"), breaks).unwrap();
        // This file's sequences, and the two-sided ones of the next, are intersected over time without saying so.
        bounds(case, &running_intersection(found));
    });
}

#[test]
fn golden_conjmix_empbern_cs() {
    check("conjmix_empbern_cs", |case| {
        let (values, v_opt, alpha) = (case.numbers("x"), case.number("v_opt"), case.number("alpha"));
        bounds(case, &running_intersection(conjmix_empirical_bernstein(&values, v_opt, alpha).unwrap()));
        let lower = conjmix_empirical_bernstein_lower(&values, v_opt, alpha).unwrap();
        case.all_equal("one_sided_lower_alpha_half", &at_times(case, &lower));
    });
}
