//! Against scipy: numbers from `tests/golden/two_sample/generate.py` over tables that both sides generate.

use serde_json::Value;

use super::kolmogorov::two_sided_sf;
use super::{
    Continuity, Method, Sorted, benjamini_hochberg, chi_squared, cramer_von_mises, g_test, hellinger, jensen_shannon,
    kolmogorov_smirnov, psi, wasserstein,
};

fn golden(part: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../../../tests/golden/two_sample/scipy.json")).unwrap();
    all[part].as_array().unwrap().clone()
}

/// The generator of the Python program.
fn draws(seed: u64, count: u64, modulus: u64) -> impl Iterator<Item = u64> {
    let mut state = seed;
    (0..count).map(move |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % modulus
    })
}

fn whole(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

/// Equal to 1e-9, absolutely; p-values above 1e-200 also to 1e-6 of themselves.
fn near(found: f64, expected: &Value, why: &dyn std::fmt::Debug) {
    let expected = number(expected);
    assert!((found - expected).abs() <= 1e-9, "{found} where scipy has {expected}: {why:?}");
}

fn near_and_relative(found: f64, expected: &Value, why: &dyn std::fmt::Debug) {
    near(found, expected, why);
    let expected = number(expected);
    let relative = (found / expected - 1.0).abs();
    assert!(expected < 1e-200 || relative < 1e-6, "{found} where scipy has {expected}: {why:?}");
}

#[test]
fn samples_against_scipy() {
    let cases = golden("two_samples");
    assert!(cases.len() > 80, "{}", cases.len());
    for case in &cases {
        let sample = |seed: u64, count: u64, shift: f64, scale: f64| {
            let modulus = whole(&case["modulus"]);
            let values = draws(seed, count, modulus).map(|u| shift + scale * (u as f64 / modulus as f64));
            Sorted::new(values.collect()).unwrap()
        };
        let a = sample(whole(&case["seeds"][0]), whole(&case["n"]), 0.0, 1.0);
        let b = sample(whole(&case["seeds"][1]), whole(&case["m"]), number(&case["shift"]), number(&case["scale"]));
        let (auto, limit) = (kolmogorov_smirnov(&a, &b, Method::Auto), kolmogorov_smirnov(&a, &b, Method::Asymptotic));
        near(auto.statistic, &case["ks"][0], case);
        near_and_relative(auto.p_value, &case["ks"][1], case);
        near(limit.p_value, &case["ks"][2], case);
        let (auto, limit) = (cramer_von_mises(&a, &b, Method::Auto), cramer_von_mises(&a, &b, Method::Asymptotic));
        near(auto.as_ref().unwrap().statistic, &case["cvm"][0], case);
        near(auto.unwrap().p_value, &case["cvm"][1], case);
        near(limit.unwrap().p_value, &case["cvm"][2], case);
        near(wasserstein(&a, &b), &case["wasserstein"], case);
    }
}

#[test]
fn kolmogorov_tails_against_scipy() {
    let cases = golden("kolmogorov");
    assert!(cases.len() > 180, "{}", cases.len());
    for case in &cases {
        near(two_sided_sf(whole(&case[0]), number(&case[1])), &case[2], case);
    }
}

#[test]
fn tables_against_scipy() {
    for case in &golden("tables") {
        let count = |seed: u64, size: u64, lean: bool| {
            let bins = whole(&case["bins"]);
            let mut counts = vec![5_u64; bins as usize];
            for (u, v) in draws(seed, size, bins).zip(draws(seed + 1, size, 3)) {
                counts[(if lean && v == 0 { u / 2 } else { u }) as usize] += 1;
            }
            counts
        };
        let a = count(whole(&case["seeds"][0]), whole(&case["n"]), false);
        let b = count(whole(&case["seeds"][1]), whole(&case["m"]), whole(&case["lean"]) == 1);
        let expected = &case["chi2_and_g"];
        for (at, continuity) in [(0, Continuity::Yates), (4, Continuity::None)] {
            let (chi2, g) = (chi_squared(&a, &b, continuity).unwrap(), g_test(&a, &b, continuity).unwrap());
            near(chi2.statistic, &expected[at], case);
            near(chi2.p_value, &expected[at + 1], case);
            near(g.statistic, &expected[at + 2], case);
            near(g.p_value, &expected[at + 3], case);
        }
        near(jensen_shannon(&a, &b).unwrap(), &case["js"], case);
        near(psi(&a, &b).unwrap(), &case["psi"], case);
        near(hellinger(&a, &b).unwrap(), &case["hellinger"], case);
    }
}

#[test]
fn adjusted_p_values_against_scipy() {
    for case in &golden("adjusted") {
        let p: Vec<f64> = case["p"].as_array().unwrap().iter().map(number).collect();
        for (found, expected) in benjamini_hochberg(&p).into_iter().zip(case["adjusted"].as_array().unwrap()) {
            near(found, expected, case);
        }
    }
}
