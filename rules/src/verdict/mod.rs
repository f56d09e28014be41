//! Is the other version better, worse, or can nobody say yet? Answers that stay valid however often one looks.
//!
//! An e-process starts at 1, is multiplied by a fair bet at every unit and, where nothing is the matter, hardly ever gets
//! large: it reaches `1/alpha` with probability at most alpha, over all of time (Ville's inequality). So it may be read
//! at every unit, and the first time it is large enough decides. All evidence is kept as its natural logarithm.

mod asymptotic;
mod below;
mod beta_binomial;
mod bets;
mod bradley_terry;
mod cluster_robust;
pub mod comparators;
mod estimate_error;
pub mod experiment;
mod judge;
mod judged;
mod length_control;
mod linear;
mod moments;
mod multiplicity;
mod paired;
mod ppi;
mod ppi_mean;
mod quantile_sequence;
mod randomisation;
mod special;
mod special_log;
mod srm;
mod two_arms;

pub use asymptotic::{Answer, AsymptoticSequence, FEWEST_MINORITY, FEWEST_UNITS, Interval, too_few};
pub use below::Below;
pub use bradley_terry::{BradleyTerry, Strengths};
pub use cluster_robust::{ArmRatio, ArmSums, RatioDifference, ratio_difference};
pub use estimate_error::EstimateError;
pub use judge::{
    FEWEST_COMPARISONS, JudgeHealth, JudgeRecord, Label, MOST_FLIPS, MOST_POSITION_GAP, SwapLogits, SwapVerdict,
    fit_temperature, judge_swap,
};
pub use judged::{JudgeReport, JudgedPair, judge_report};
pub use length_control::{LengthControlled, length_control};
pub use moments::Moments;
pub use multiplicity::{benjamini_hochberg, e_bh, holm, mean_merge};
pub use paired::Paired;
pub use ppi::ppi_value;
pub use ppi_mean::{PpiEstimate, PpiMean};
pub use quantile_sequence::{DoubleStitching, EmpiricalLil, quantile_ab_p_value};
pub use randomisation::{Randomisation, Side, Unit};
pub use special::{
    beta_quantile, ln_beta, log_mean_exp, log_sum_exp, normal_quantile, regularised_beta, student_quantile,
    student_two_sided,
};
pub use srm::{RatioTest, SRM_BAYES_FACTOR, SRM_P_VALUE, SRM_PRIOR, SampleRatio, always_valid_p, srm_chi_squared};
pub use two_arms::{ArmEstimate, FixedTest, QuantileBounds, Scale, Sums, TwoArms, cuped};
