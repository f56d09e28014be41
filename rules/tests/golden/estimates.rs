//! Estimates, the judge and what others use, beside their references.

use std::collections::BTreeMap;

use plimsoll_rules::verdict::comparators::{
    Proportion, Pulls, Restriction, Safe2x2, Stop, clopper_pearson, mann_whitney, msprt_bernoulli, pooled_z,
    tensorzero_stop, wilson,
};
use plimsoll_rules::verdict::{
    ArmSums, BradleyTerry, PpiMean, SampleRatio, SwapLogits, always_valid_p, benjamini_hochberg, e_bh, holm,
    judge_swap, length_control, mean_merge, ratio_difference, srm_chi_squared,
};
use serde_json::Value;

use crate::suite::{Case, check, numbers};

fn counts(case: &Case, key: &str) -> Vec<u64> {
    let list = case.value[key].as_array().unwrap_or_else(|| panic!("{case}: {key}"));
    list.iter().map(|value| value.as_u64().unwrap_or_else(|| panic!("{case}: {key}"))).collect()
}

fn flags(case: &Case, key: &str) -> Vec<bool> {
    let list = case.value[key].as_array().unwrap_or_else(|| panic!("{case}: {key}"));
    list.iter().map(|value| value.as_bool().unwrap_or_else(|| panic!("{case}: {key}"))).collect()
}

fn array<const N: usize, T>(values: Vec<T>) -> [T; N] {
    values.try_into().unwrap_or_else(|_| panic!("a list of {N}"))
}

#[test]
fn golden_srm_chi2() {
    check("srm_chi2", |case| {
        let found = srm_chi_squared(&counts(case, "counts"), &case.numbers("weights")).unwrap();
        case.equal("chi2", found.chi2);
        case.equal("p_value", found.p_value);
        case.equal("scipy_p", found.p_value);
        assert_eq!(found.alarm(), case.number("p_value") < 0.001, "{case}");
    });
}

#[test]
fn golden_srm_sequential() {
    check("srm_sequential", |case| {
        let mut ratio = SampleRatio::new(&case.numbers("weights"), case.number("k")).unwrap();
        let mut log_e = Vec::new();
        for batch in case.value["batches"].as_array().unwrap() {
            for (arm, units) in numbers(batch).unwrap().into_iter().enumerate() {
                assert!(ratio.add(arm, units as u64), "{case}");
            }
            log_e.push(ratio.log_e());
        }
        case.all_equal("log_e", &log_e);
        let most = log_e.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        case.equal("p_always_valid", always_valid_p(most));
    });
}

#[test]
fn golden_multiplicity() {
    check("multiplicity", |case| {
        let (p, alpha) = (case.numbers("p"), case.number("alpha"));
        let log_e: Vec<f64> = case.numbers("e").into_iter().map(f64::ln).collect();
        for (adjusted, name) in [(benjamini_hochberg(&p), "bh"), (holm(&p), "holm")] {
            case.all_equal(&format!("{name}_adj"), &adjusted);
            let rejected: Vec<bool> = adjusted.iter().map(|p| *p <= alpha).collect();
            assert_eq!(rejected, flags(case, &format!("{name}_reject")), "{case}");
        }
        let mut wanted = counts(case, "ebh_reject");
        wanted.sort_unstable();
        let found: Vec<u64> = e_bh(&log_e, alpha).unwrap().into_iter().map(|at| at as u64).collect();
        assert_eq!(found, wanted, "{case}");
        case.equal("e_mean_merge", mean_merge(&log_e).unwrap().exp());
    });
}

#[test]
fn golden_cluster_robust() {
    check("cluster_robust", |case| {
        let mut clusters: BTreeMap<u64, [ArmSums; 2]> = BTreeMap::new();
        let rows = counts(case, "cluster").into_iter().zip(counts(case, "arm"));
        for ((cluster, arm), y) in rows.zip(case.numbers("y")) {
            clusters.entry(cluster).or_default()[arm as usize].add(y, 1.0);
        }
        let found = ratio_difference(&clusters.into_values().collect::<Vec<_>>()).unwrap();
        case.equal("diff", found.difference);
        case.equal("se_cr0", found.se_cr0);
        case.equal("se_cr1", found.se_cr1);
        case.equal("se_hc1", found.se_hc1);
        for (arm, key) in found.arms.iter().zip(["arm0", "arm1"]) {
            case.all_equal(key, &[arm.ratio, arm.variance, arm.clusters as f64]);
        }
    });
}

#[test]
fn golden_ppi_mean() {
    check("ppi_mean", |case| {
        let mut ppi = PpiMean::default();
        for (y, f) in case.numbers("Y").into_iter().zip(case.numbers("Yhat")) {
            ppi.add_labelled(y, f).unwrap();
        }
        for f in case.numbers("Yhat_unlabeled") {
            ppi.add_unlabelled(f).unwrap();
        }
        let alpha = case.number("alpha");
        let tuned = ppi.estimate(alpha).unwrap();
        case.equal("lambda_opt", tuned.lambda);
        case.equal("point", tuned.mean);
        case.all_equal("ci_ppipp", &tuned.interval);
        case.all_equal("ci_lam1", &ppi.with_lambda(1.0, alpha).unwrap().interval);
        case.all_equal("ci_lam0_classical", &ppi.with_lambda(0.0, alpha).unwrap().interval);
    });
}

#[test]
fn golden_bradley_terry() {
    check("bradley_terry", |case| {
        let mut table = BradleyTerry::new(case.count("models") as usize);
        let pairs = counts(case, "a").into_iter().zip(counts(case, "b"));
        for ((a, b), outcome) in pairs.zip(case.numbers("outcome_a")) {
            table.add(a as usize, b as usize, outcome).unwrap();
        }
        let found = table.strengths().unwrap();
        case.all_equal("theta", &found.theta);
        case.all_equal("se_model", &found.se_model);
        case.all_equal("se_sandwich", &found.se_sandwich);
    });
}

#[test]
fn golden_judge_swap() {
    check("judge_swap", |case| {
        let [a_first, b_first] = ["logits_ab", "logits_ba"].map(|key| array(case.numbers(key)));
        let found = judge_swap(&SwapLogits { a_first, b_first }, case.number("temperature")).unwrap();
        case.equal("p_a", found.p_a);
        case.equal("p_b", found.p_b);
        case.equal("p_tie", found.p_tie);
        case.equal("score_b", found.score_b);
        case.equal("position_gap", found.position_gap);
        assert_eq!(Some(found.consistent), case.value["consistent"].as_bool(), "{case}");
    });
}

#[test]
fn golden_length_control() {
    check("length_control", |case| {
        let found = length_control(&case.numbers("len_b_minus_a"), &case.numbers("pref_b")).unwrap();
        case.equal("raw_win_rate", found.raw_win_rate);
        case.equal("beta0", found.beta);
        case.equal("beta_len", found.beta_length);
        case.equal("lc_win_rate", found.win_rate);
    });
}

#[test]
fn golden_mannwhitney() {
    check("mannwhitney", |case| {
        let found = mann_whitney(&case.numbers("a"), &case.numbers("b")).unwrap();
        case.equal("U_a", found.u_a);
        case.equal("p", found.p_value);
        case.equal("hodges_lehmann_b_minus_a", found.shift);
    });
}

#[test]
fn golden_msprt_bernoulli() {
    check("msprt_bernoulli", |case| {
        let successes = ["successes_a", "successes_b"].map(|key| case.count(key));
        let found = msprt_bernoulli(case.count("n_pairs"), successes, case.number("tau")).unwrap().unwrap();
        case.equal("log_lambda", found);
        case.equal("p_instant", always_valid_p(found));
    });
}

#[test]
fn golden_proportions_fixed() {
    check("proportions_fixed", |case| {
        let of = |k, n| Proportion { successes: case.count(k), trials: case.count(n) };
        let (control, treatment) = (of("k1", "n1"), of("k2", "n2"));
        let z = pooled_z(control, treatment).unwrap();
        case.equal("z", z.statistic);
        case.equal("p", z.p_value);
        case.all_equal("wilson1", &wilson(control, 0.05).unwrap());
        case.all_equal("clopper_pearson1", &clopper_pearson(control, 0.05).unwrap());
    });
}

#[test]
fn golden_tensorzero_stop() {
    check("tensorzero_stop", |case| {
        let (count, mean, variance) = (counts(case, "count"), case.numbers("mean"), case.numbers("var"));
        let variants = [0, 1].map(|at| Pulls { count: count[at], mean: mean[at], variance: variance[at] });
        let (epsilon, delta) = (case.number("epsilon"), case.number("delta"));
        let found = tensorzero_stop(&variants, &Stop { epsilon, delta, min_pulls: case.count("min_pulls") }).unwrap();
        case.equal("glr", found.glr);
        case.equal("threshold", found.threshold);
        assert_eq!(Some(found.stopped), case.value["stopped"].as_bool(), "{case}");
        assert_eq!(found.leader as u64, case.count("leader"), "{case}");
    });
}

fn restriction(case: &Case) -> Restriction {
    let grid = case.count("gridSize") as usize;
    match case.text("restriction") {
        "none" => Restriction::None,
        "difference" => Restriction::Difference { delta: case.number("delta"), grid },
        "logOddsRatio" => Restriction::LogOddsRatio { delta: case.number("delta"), grid },
        other => panic!("{case}: restriction {other}"),
    }
}

#[test]
fn golden_safe2x2() {
    // What the file's doc allows the grid of differences: absolute, in log E.
    const GRID_TOLERANCE: f64 = 1e-2;
    check("safe2x2", |case| {
        let test = Safe2x2 {
            sizes: ["na", "nb"].map(|key| case.count(key) as u32),
            prior_a: array(case.numbers("betaA")),
            prior_b: array(case.numbers("betaB")),
            restriction: restriction(case),
        };
        let blocks: Vec<[u32; 2]> =
            counts(case, "ya").into_iter().zip(counts(case, "yb")).map(|(a, b)| [a as u32, b as u32]).collect();
        let path = test.log_e(&blocks).unwrap();
        let log_e: Vec<f64> = counts(case, "at").into_iter().map(|at| path[at as usize - 1]).collect();
        case.all_equal("log_e", &log_e);
        case.all_equal("e_value", &log_e.iter().map(|log| log.exp()).collect::<Vec<_>>());
        for point in case.value["delta_grid"].as_array().map_or(&[] as &[Value], Vec::as_slice) {
            let [delta, e]: [f64; 2] = array(numbers(point).unwrap_or_else(|| panic!("{case}: {point}")));
            let found = test.log_e_against(delta, &blocks).unwrap();
            assert!((found - e.ln()).abs() <= GRID_TOLERANCE, "{case}: log E at {delta}: {found}, golden {}", e.ln());
        }
    });
}
