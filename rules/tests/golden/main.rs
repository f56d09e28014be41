//! `rules::verdict` beside other programs' numbers. The folder is `PLIMSOLL_GOLDEN`, else `../shared/data/golden`.
#![expect(clippy::panic, reason = "a test says what is wrong by failing")]
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a test reads its data and says what it ran")]

mod estimates;
mod mixtures;
mod ours;
mod sequences;
mod suite;

/// The suites that a test of this program checks; each test's name is `golden_` and the suite's.
const CHECKED: &[&str] = &[
    "randomisation_eprocess",
    "drift_eprocess_edetector",
    "ppi_aipw_asympcs",
    "srm_chi2",
    "srm_sequential",
    "multiplicity",
    "cluster_robust",
    "ppi_mean",
    "bradley_terry",
    "judge_swap",
    "length_control",
    "mannwhitney",
    "msprt_bernoulli",
    "proportions_fixed",
    "safe2x2",
    "tensorzero_stop",
    "growthbook_asympcs",
    "quantile_cs",
    "bernoulli_cs_point",
    "boundaries",
    "predmix_hoeffding_cs",
    "predmix_eb_cs",
    "betting_mart",
    "betting_hedged_cs",
    "conjmix_bernoulli_cs",
    "conjmix_empbern_cs",
];

#[test]
fn golden_every_suite_found_is_checked() {
    let missing: Vec<String> = suite::names().into_iter().filter(|name| !CHECKED.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "no test checks {missing:?}");
}
