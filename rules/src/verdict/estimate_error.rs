//! Why an estimate of `rules::verdict` cannot be made.

/// What stands in the way; every number that was refused is told.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EstimateError {
    /// There is too little to estimate from.
    #[error("too few {what}: {have}, {need} are needed")]
    TooFew {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        have: u64,
        /// How many there must be.
        need: u64,
    },
    /// A number is NaN, infinite or outside of its range.
    #[error("{what} must be {must}, not {found}")]
    Refused {
        /// Which number.
        what: &'static str,
        /// What it must be.
        must: &'static str,
        /// What it is.
        found: f64,
    },
    /// Two lists that belong together have different lengths.
    #[error("{what}: {left} and {right}")]
    Mismatch {
        /// What is counted.
        what: &'static str,
        /// In the first.
        left: usize,
        /// In the second.
        right: usize,
    },
    /// The values do not differ, so nothing can be said of what their differences do.
    #[error("{0} do not differ")]
    Constant(&'static str),
    /// The likelihood has no maximum: some parameter would have to be infinite.
    #[error("no finite estimate: {0}")]
    Separated(&'static str),
}

/// `value` where it is finite and in `(low, high)`.
///
/// # Errors
/// [`EstimateError::Refused`], for NaN too.
pub(super) fn inside(
    what: &'static str,
    must: &'static str,
    (low, high): (f64, f64),
    value: f64,
) -> Result<f64, EstimateError> {
    // NaN compares false, so it is refused
    if value > low && value < high { Ok(value) } else { Err(EstimateError::Refused { what, must, found: value }) }
}

/// A level in (0, 1).
pub(super) fn level(alpha: f64) -> Result<f64, EstimateError> {
    inside("alpha", "in (0, 1)", (0.0, 1.0), alpha)
}

/// A finite number.
pub(super) fn finite(what: &'static str, value: f64) -> Result<f64, EstimateError> {
    inside(what, "finite", (f64::NEG_INFINITY, f64::INFINITY), value)
}

#[cfg(test)]
mod tests {
    use super::{finite, level};

    #[test]
    fn nan_and_the_ends_are_refused() {
        for alpha in [f64::NAN, 0.0, 1.0, -0.1, f64::INFINITY] {
            assert!(level(alpha).is_err(), "{alpha}");
        }
        assert_eq!(level(0.05), Ok(0.05));
        assert!(finite("x", f64::NAN).is_err() && finite("x", f64::NEG_INFINITY).is_err());
    }
}
