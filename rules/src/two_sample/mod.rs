//! Two samples, one question: did they come from the same distribution, and by how much not?
//!
//! Called by `plimsoll drift` with whole columns. One test per file; [`mod@column`] puts them together and [`mod@verdict`] says
//! *drift* only where an effect is beyond its floor **and** the evidence is: with much data every column differs
//! "significantly", with little data every column differs "by much" (evidently#50). Nothing here reads a file or starts
//! a thread; what is random takes a seed.

mod bins;
pub mod column;
mod cramer_von_mises;
mod domain_classifier;
#[cfg(test)]
mod golden_tests;
mod hashing;
mod hellinger;
mod homogeneity;
mod jensen_shannon;
mod kolmogorov;
mod ks;
mod mmd;
mod multiplicity;
mod novelty;
mod pmf;
mod psi;
mod sorted;
pub mod verdict;
mod wasserstein;

pub use bins::{Bins, Cut};
pub use cramer_von_mises::cramer_von_mises;
pub use domain_classifier::{DomainClassifier, Side, domain_classifier};
pub use hellinger::hellinger;
pub use homogeneity::{Continuity, Homogeneity, chi_squared, g_test};
pub use jensen_shannon::jensen_shannon;
pub use ks::{KolmogorovSmirnov, Leans, kolmogorov_smirnov};
pub use mmd::{MaximumMeanDiscrepancy, Rows, mmd};
pub use multiplicity::benjamini_hochberg;
pub use novelty::{Group, Novelty, Term, novelty};
pub use psi::{psi, psi_by_chance};
pub use sorted::Sorted;
pub use wasserstein::wasserstein;

/// Why a test cannot be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TestError {
    /// A sample is too small for the test to mean anything.
    #[error("too few values: {have}, the test needs {need}")]
    TooFew {
        /// Values there are.
        have: usize,
        /// Values there must be.
        need: usize,
    },
    /// A value is NaN or infinite.
    #[error("value {at} (counted from 0) is not a finite number")]
    NotFinite {
        /// Its place in the sample.
        at: usize,
    },
    /// The two sides are not of the same shape.
    #[error("the reference has {reference} columns or bins, the current sample {current}")]
    Mismatch {
        /// Bins or columns of the reference.
        reference: usize,
        /// Bins or columns of the current sample.
        current: usize,
    },
}

/// A test's statistic and its p-value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// The statistic, in the unit its test names.
    pub statistic: f64,
    /// Probability of a statistic at least as extreme when both samples share one distribution, in `[0, 1]`.
    pub p_value: f64,
}

/// How a p-value is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// Exact while that is cheap, as scipy's `auto`.
    #[default]
    Auto,
    /// By counting, whatever it costs.
    Exact,
    /// By the limit distribution.
    Asymptotic,
}
