//! The difference of two arms' ratios where the rows of one unit go together: errors from units, not from rows.
//!
//! A user who asks ten questions is one unit with ten rows. Each unit (cluster) is brought as its sums.

use super::estimate_error::{EstimateError, finite};

/// One unit's sums in one arm.
///
/// The metric is `Σ numerator / Σ denominator`; for a plain mean each row's denominator is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ArmSums {
    /// Rows.
    pub rows: u64,
    /// `Σ y`.
    pub numerator: f64,
    /// `Σ d`.
    pub denominator: f64,
    /// `Σ y²`.
    pub numerator_squares: f64,
    /// `Σ y·d`.
    pub products: f64,
    /// `Σ d²`.
    pub denominator_squares: f64,
}

impl ArmSums {
    /// Takes one row; the caller keeps NaN and infinities away.
    pub fn add(&mut self, numerator: f64, denominator: f64) {
        self.rows += 1;
        self.numerator += numerator;
        self.denominator += denominator;
        self.numerator_squares += numerator * numerator;
        self.products += numerator * denominator;
        self.denominator_squares += denominator * denominator;
    }

    /// Takes the rows of another part.
    pub fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.numerator += other.numerator;
        self.denominator += other.denominator;
        self.numerator_squares += other.numerator_squares;
        self.products += other.products;
        self.denominator_squares += other.denominator_squares;
    }

    /// `Σ (y - ratio·d)` over the rows.
    fn residual(&self, ratio: f64) -> f64 {
        self.numerator - ratio * self.denominator
    }

    /// `Σ (y - ratio·d)²` over the rows.
    fn residual_squares(&self, ratio: f64) -> f64 {
        let cross = self.denominator_squares * ratio - 2.0 * self.products;
        (self.numerator_squares + ratio * cross).max(0.0)
    }
}

/// One arm's ratio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ArmRatio {
    /// `Σ y / Σ d`.
    pub ratio: f64,
    /// Its variance by the delta method: `G/(G-1) · Σ_g (Y_g - ratio·D_g)² / D²` over its G units.
    pub variance: f64,
    /// G, units with a row in the arm.
    pub clusters: u64,
}

/// Treatment less control.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RatioDifference {
    /// Ratio of arm 1 less ratio of arm 0.
    pub difference: f64,
    /// Standard error from clusters, uncorrected (Liang and Zeger 1986).
    pub se_cr0: f64,
    /// The same with `G/(G-1) · (n-1)/(n-2)`, the one to use.
    pub se_cr1: f64,
    /// As if rows were independent (White 1980, with `n/(n-2)`): what clustering costs is CR1 beside it.
    pub se_hc1: f64,
    /// Control and treatment.
    pub arms: [ArmRatio; 2],
}

/// The difference of ratios with its errors, from the sums of each cluster in `[control, treatment]`.
///
/// A cluster may have rows in both arms. Equals ordinary least squares on the arm with clustered covariance where every
/// denominator is 1; otherwise the delta method's linearisation of the ratio.
///
/// # Errors
/// [`EstimateError`] where an arm has fewer than two clusters, there are fewer than three rows, a sum is not finite or an
/// arm's denominator is not positive.
pub fn ratio_difference(clusters: &[[ArmSums; 2]]) -> Result<RatioDifference, EstimateError> {
    let control = totals(clusters, 0)?;
    let treatment = totals(clusters, 1)?;
    let totals = [control, treatment];
    let ratios = totals.map(|arm| arm.numerator / arm.denominator);
    let rows = (control.rows + treatment.rows) as f64;
    if rows < 3.0 {
        return Err(EstimateError::TooFew { what: "rows", have: rows as u64, need: 3 });
    }
    let influence = |sums: &ArmSums, arm: usize| sums.residual(ratios[arm]) / totals[arm].denominator;
    let pushes = |cluster: &[ArmSums; 2]| influence(&cluster[1], 1) - influence(&cluster[0], 0);
    let clustered: f64 = clusters.iter().map(|cluster| pushes(cluster).powi(2)).sum();
    let of_rows: f64 =
        (0..2).map(|arm| totals[arm].residual_squares(ratios[arm]) / totals[arm].denominator.powi(2)).sum();
    let count = clusters.iter().filter(|cluster| cluster.iter().any(|arm| arm.rows > 0)).count() as f64;
    let correction = count / (count - 1.0) * (rows - 1.0) / (rows - 2.0);
    let found = RatioDifference {
        difference: finite("the difference", ratios[1] - ratios[0])?,
        se_cr0: clustered.sqrt(),
        se_cr1: finite("the error", (clustered * correction).sqrt())?,
        se_hc1: finite("the error", (of_rows * rows / (rows - 2.0)).sqrt())?,
        arms: [arm_ratio(clusters, 0, &totals), arm_ratio(clusters, 1, &totals)],
    };
    Ok(found)
}

/// One arm's sums over all clusters, checked.
fn totals(clusters: &[[ArmSums; 2]], arm: usize) -> Result<ArmSums, EstimateError> {
    let mut total = ArmSums::default();
    clusters.iter().for_each(|cluster| total.merge(&cluster[arm]));
    let have = units(clusters, arm);
    if have < 2 {
        return Err(EstimateError::TooFew { what: "clusters in an arm", have, need: 2 });
    }
    finite("a numerator", total.numerator)?;
    finite("a sum of squares", total.numerator_squares + total.products + total.denominator_squares)?;
    if !(total.denominator > 0.0 && total.denominator.is_finite()) {
        return Err(EstimateError::Refused {
            what: "the denominator of an arm",
            must: "positive and finite",
            found: total.denominator,
        });
    }
    Ok(total)
}

fn units(clusters: &[[ArmSums; 2]], arm: usize) -> u64 {
    clusters.iter().filter(|cluster| cluster[arm].rows > 0).count() as u64
}

fn arm_ratio(clusters: &[[ArmSums; 2]], arm: usize, totals: &[ArmSums; 2]) -> ArmRatio {
    let ratio = totals[arm].numerator / totals[arm].denominator;
    let count = units(clusters, arm);
    let squares: f64 =
        clusters.iter().map(|cluster| (cluster[arm].residual(ratio) / totals[arm].denominator).powi(2)).sum();
    ArmRatio { ratio, variance: squares * count as f64 / (count as f64 - 1.0), clusters: count }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(arm: usize, rows: &[f64]) -> [ArmSums; 2] {
        let mut sums = [ArmSums::default(); 2];
        rows.iter().for_each(|y| sums[arm].add(*y, 1.0));
        sums
    }

    #[test]
    fn what_cannot_be_estimated_is_refused() {
        let good = [unit(0, &[1.0]), unit(0, &[0.0]), unit(1, &[1.0]), unit(1, &[0.0, 1.0])];
        assert!(ratio_difference(&good).is_ok());
        assert!(ratio_difference(&[]).is_err());
        assert!(ratio_difference(&good[..2]).is_err());
        assert!(ratio_difference(&good[..3]).is_err());
        let broken = [good[0], good[1], good[2], unit(1, &[f64::NAN])];
        assert!(ratio_difference(&broken).is_err());
        let mut nothing = good;
        nothing[0][0].denominator = 0.0;
        nothing[1][0].denominator = 0.0;
        assert!(ratio_difference(&nothing).is_err());
    }

    #[test]
    fn constant_outcomes_have_no_error() {
        let same = [unit(0, &[1.0]), unit(0, &[1.0, 1.0]), unit(1, &[1.0]), unit(1, &[1.0])];
        let found = ratio_difference(&same).unwrap();
        assert_eq!((found.difference, found.se_cr1, found.se_hc1), (0.0, 0.0, 0.0));
    }

    #[test]
    fn a_unit_in_both_arms_counts_once() {
        let mut both = unit(0, &[1.0, 0.0]);
        both[1] = unit(1, &[1.0])[1];
        let found = ratio_difference(&[both, unit(0, &[0.0]), unit(1, &[0.0])]).unwrap();
        assert_eq!(found.arms.map(|arm| arm.clusters), [2, 2]);
        assert!(found.se_cr1 > found.se_cr0 && found.se_cr1.is_finite());
    }
}
