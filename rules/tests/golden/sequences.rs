//! E3 and other people's confidence sequences.

use plimsoll_rules::verdict::{AsymptoticSequence, Moments, ppi_value};

use crate::suite::check;

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
