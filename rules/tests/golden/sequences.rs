//! E3 and other people's confidence sequences.
#![expect(clippy::unwrap_used, reason = "a case that cannot be read or computed fails its test")]

use plimsoll_rules::verdict::comparators::{Proportion, bernoulli_sequence};
use plimsoll_rules::verdict::{
    ArmEstimate, ArmSums, AsymptoticSequence, DoubleStitching, EmpiricalLil, EstimateError, Moments, QuantileBounds,
    Scale, Sums, TwoArms, cuped, ppi_value, quantile_ab_p_value,
};
use serde_json::Value;

use crate::suite::{self, Case, check};

#[test]
fn golden_ppi_aipw_asympcs() {
    check("ppi_aipw_asympcs", |case| {
        let (scores, labelled) = (case.numbers("f"), case.numbers("labelled"));
        let labels = case.value["y_if_labelled"].as_array().unwrap();
        let times: Vec<u64> =
            case.value["times"].as_array().unwrap().iter().map(|time| time.as_u64().unwrap()).collect();
        let sequence = AsymptoticSequence::new(case.number("alpha"), case.number("tstar")).unwrap();
        let (mut means, mut variances, mut halves) = (Vec::new(), Vec::new(), Vec::new());
        let mut moments = Moments::default();
        for ((score, labelled), label) in scores.iter().zip(&labelled).zip(labels) {
            let label = (*labelled == 1.0).then(|| label.as_f64().unwrap());
            moments.add(ppi_value(*score, label, case.number("label_prob"), case.number("lam")).unwrap());
            if times.contains(&moments.count()) {
                means.push(moments.mean());
                variances.push(moments.variance());
                halves.push(sequence.half_width(moments.count(), moments.variance()).unwrap());
            }
        }
        case.all_equal("mean", &means);
        case.all_equal("var_pop", &variances);
        case.all_equal("halfwidth", &halves);
    });
}

#[test]
fn golden_growthbook_asympcs() {
    suite::check("growthbook_asympcs", two_arms);
}

fn two_arms(case: &Case) {
    let found = difference(case);
    if !case.value["error"].is_null() {
        assert!(found.is_err(), "{case}: {} is no error", case.value["error"]);
        return;
    }
    let found = found.unwrap_or_else(|error| panic!("{case}: {error}"));
    let alpha = case.number("alpha");
    let sequence = AsymptoticSequence::new(alpha, case.number("tuning")).unwrap();
    let (always, fixed) = (found.raw_interval(&sequence).unwrap(), found.fixed(alpha).unwrap());
    case.equal("diff", found.difference());
    case.all_equal("seq_ci", &[always.lower, always.upper]);
    case.equal("seq_p", found.p_value(&sequence));
    case.all_equal("fixed_ci", &[fixed.interval.lower, fixed.interval.upper]);
    case.equal("fixed_p", fixed.p_value);
}

fn difference(case: &Case) -> Result<TwoArms, EstimateError> {
    let scale = match case.text("difference") {
        "absolute" => Scale::Absolute,
        "relative" => Scale::Relative,
        other => panic!("{case}: a difference {other}"),
    };
    let (a, b) = (&case.value["a"], &case.value["b"]);
    assert_eq!([a["n"].as_u64(), b["n"].as_u64()], [Some(case.count("na")), Some(case.count("nb"))], "{case}");
    let [control, treatment] = match case.text("kind") {
        "proportion" => [share(a)?, share(b)?],
        "mean" => [ArmEstimate::mean(sums(a, a))?, ArmEstimate::mean(sums(b, b))?],
        "ratio" => {
            [ArmEstimate::ratio(&pair(a, "num", "den", "prod"))?, ArmEstimate::ratio(&pair(b, "num", "den", "prod"))?]
        }
        "cuped" => {
            let (arms, theta) = cuped([&pair(a, "post", "pre", "post_pre"), &pair(b, "post", "pre", "post_pre")])?;
            if case.value["error"].is_null() {
                case.equal("theta", theta);
            }
            arms
        }
        "quantile" => [ArmEstimate::quantile(&bounds(a))?, ArmEstimate::quantile(&bounds(b))?],
        other => panic!("{case}: a kind {other}"),
    };
    TwoArms::new([&control, &treatment], scale)
}

fn share(arm: &Value) -> Result<ArmEstimate, EstimateError> {
    ArmEstimate::proportion(arm["sum"].as_f64().unwrap() as u64, arm["n"].as_u64().unwrap())
}

fn sums(arm: &Value, of: &Value) -> Sums {
    Sums {
        count: arm["n"].as_u64().unwrap(),
        sum: of["sum"].as_f64().unwrap(),
        squares: of["sum_squares"].as_f64().unwrap(),
    }
}

fn pair(arm: &Value, first: &str, second: &str, products: &str) -> ArmSums {
    let [first, second] = [sums(arm, &arm[first]), sums(arm, &arm[second])];
    ArmSums {
        rows: first.count,
        numerator: first.sum,
        denominator: second.sum,
        numerator_squares: first.squares,
        products: arm[products].as_f64().unwrap(),
        denominator_squares: second.squares,
    }
}

fn bounds(arm: &Value) -> QuantileBounds {
    let number = |key: &str| arm[key].as_f64().unwrap();
    QuantileBounds {
        count: arm["n"].as_u64().unwrap(),
        bounds_count: arm["n_star"].as_u64().unwrap(),
        quantile: number("nu"),
        value: number("quantile_hat"),
        lower: number("quantile_lower"),
        upper: number("quantile_upper"),
    }
}

#[test]
fn golden_quantile_cs() {
    suite::check("quantile_cs", quantile);
}

fn quantile(case: &Case) {
    let found = match case.text("kind") {
        "double_stitching_bound" => {
            let [tuned_for, delta, s, eta] = ["t_opt", "delta", "s", "eta"].map(|key| case.number(key));
            let bound = DoubleStitching { tuned_for, delta, s, eta };
            bound.bound(case.number("quantile_p"), case.number("t"), case.number("alpha")).unwrap()
        }
        "empirical_process_lil_bound" => {
            let bound = EmpiricalLil::new(case.number("alpha"), case.number("t_min"), case.number("A")).unwrap();
            // the reference says infinity before t_min
            bound.bound(case.number("t")).unwrap_or(f64::INFINITY)
        }
        "quantile_ab_p_value" => {
            let (a, b) = (case.numbers("a"), case.numbers("b"));
            let [p, tuned_for, tuned_level] = ["quantile_p", "t_opt", "alpha_opt"].map(|key| case.number(key));
            quantile_ab_p_value([&a, &b], p, tuned_for, tuned_level).unwrap()
        }
        other => panic!("{case}: a kind {other}"),
    };
    case.equal("value", found);
}

#[test]
fn golden_bernoulli_cs_point() {
    suite::check("bernoulli_cs_point", bernoulli);
}

fn bernoulli(case: &Case) {
    let proportion = Proportion { successes: case.count("successes"), trials: case.count("n") };
    let [lower, upper] = bernoulli_sequence(proportion, case.number("alpha"), case.number("t_opt")).unwrap();
    case.equal("lower", lower);
    case.equal("upper", upper);
}
