//! The sequential half of PPI++: a judge scores every unit, labels are sparse with known probability; together they
//! make one unbiased value a unit, for the moments behind E3 (Angelopoulos, Duchi, Zrnic, arXiv 2311.01453).

/// ψ = λf + (R/e)(Y − λf) of one unit: `score` is the judge's f, `label` its Y where it was labelled (R = 1), which
/// happens with known probability e = `label_probability` in (0, 1], decided by chance; `lambda` may only look at
/// earlier units. Its mean is Y's whatever the judge says. `None` for a probability out of range or anything not finite.
#[must_use]
pub fn ppi_value(score: f64, label: Option<f64>, label_probability: f64, lambda: f64) -> Option<f64> {
    if !(label_probability > 0.0 && label_probability <= 1.0) {
        return None;
    }
    let guess = lambda * score;
    let value = label.map_or(guess, |label| guess + (label - guess) / label_probability);
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::ppi_value;

    #[test]
    fn a_value_or_nothing() {
        let cases = [
            ("unlabelled", 0.8, None, 0.1, 1.0, Some(0.8)),
            ("every unit labelled", 0.8, Some(1.0), 1.0, 1.0, Some(1.0)),
            ("half labelled", 0.5, Some(1.0), 0.5, 1.0, Some(1.5)),
            ("probability 0", 0.5, Some(1.0), 0.0, 1.0, None),
            ("probability NaN", 0.5, None, f64::NAN, 1.0, None),
            ("score NaN", f64::NAN, None, 0.5, 1.0, None),
        ];
        for (why, score, label, probability, lambda, expected) in cases {
            assert_eq!(ppi_value(score, label, probability, lambda), expected, "{why}");
        }
    }
}
