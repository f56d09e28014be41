//! The polynomial stitched boundary: a closed form, near the law of the iterated logarithm (Howard et al. 2021, section
//! 3.1).

use super::super::estimate_error::{EstimateError, inside, level};

/// How the boundary is stitched together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stitching {
    /// Intrinsic time from which the boundary grows, > 0; before it stays as it is there.
    pub v_min: f64,
    /// Scale of the sub-gamma deviations, >= 0; unit of the martingale.
    pub c: f64,
    /// How fast the error probability of later epochs falls, > 1; 1.4 is usual.
    pub s: f64,
    /// Ratio of the epochs' ends, > 1; 2 is usual.
    pub eta: f64,
}

impl Stitching {
    /// The boundary at intrinsic time `v` >= 0: `sqrt(k1² v l + k2² c² l²) + k2 c l`,
    /// `l = s ln ln(eta v / v_min) + ln(zeta(s) / (alpha ln(eta)^s))`, `k1 = (eta^¼ + eta^-¼)/√2`, `k2 = (√eta + 1)/2`.
    ///
    /// # Errors
    /// [`EstimateError::Refused`] for numbers out of range or not finite.
    pub fn bound(&self, v: f64, alpha: f64) -> Result<f64, EstimateError> {
        let alpha = level(alpha)?;
        let v_min = inside("v_min", "positive and finite", (0.0, f64::INFINITY), self.v_min)?;
        let s = inside("s", "above 1 and finite", (1.0, f64::INFINITY), self.s)?;
        let eta = inside("eta", "above 1 and finite", (1.0, f64::INFINITY), self.eta)?;
        let c = inside("c", "finite and not negative", (-f64::MIN_POSITIVE, f64::INFINITY), self.c)?;
        let v = inside("v", "finite and not negative", (-f64::MIN_POSITIVE, f64::INFINITY), v)?.max(v_min);
        let k1_squared = (eta.sqrt() + 1.0 / eta.sqrt() + 2.0) / 2.0;
        let k2 = (eta.sqrt() + 1.0) / 2.0;
        let log = s * (eta * v / v_min).ln().ln() + (zeta(s) / (alpha * eta.ln().powf(s))).ln();
        let linear = k2 * c * log;
        Ok((k1_squared * v * log + linear * linear).sqrt() + linear)
    }
}

/// Riemann's zeta function of s > 1, by Euler and Maclaurin from the 20th term on.
fn zeta(s: f64) -> f64 {
    const FROM: f64 = 20.0;
    let first: f64 = (1..20).map(|n| f64::from(n).powf(-s)).sum();
    let power = FROM.powf(-s);
    let rest = FROM * power / (s - 1.0) + 0.5 * power;
    let mut rising = s / FROM;
    let mut corrected = rising / 12.0;
    for (at, divisor) in [(1.0, -720.0), (3.0, 30240.0), (5.0, -1_209_600.0)] {
        rising *= (s + at) * (s + at + 1.0) / (FROM * FROM);
        corrected += rising / divisor;
    }
    first + rest + power * corrected
}

#[cfg(test)]
mod tests {
    use super::{Stitching, zeta};

    #[test]
    fn zeta_equals_scipy() {
        for (s, value) in [(1.1, 10.584448464950801), (1.4, 3.1055472779775815), (2.0, 1.6449340668482264)] {
            assert!((zeta(s) - value).abs() < 1e-13, "{s}: {}", zeta(s));
        }
    }

    #[test]
    fn edges() {
        let usual = Stitching { v_min: 10.0, c: 1.0, s: 1.4, eta: 2.0 };
        assert_eq!(usual.bound(0.0, 0.05), usual.bound(10.0, 0.05));
        assert!(usual.bound(10.0, 0.05).unwrap() < usual.bound(11.0, 0.05).unwrap());
        assert!(usual.bound(f64::NAN, 0.05).is_err() && usual.bound(1.0, 1.0).is_err());
        for broken in [
            Stitching { v_min: 0.0, ..usual },
            Stitching { c: f64::INFINITY, ..usual },
            Stitching { s: 1.0, ..usual },
            Stitching { eta: f64::NAN, ..usual },
        ] {
            assert!(broken.bound(10.0, 0.05).is_err());
        }
    }
}
