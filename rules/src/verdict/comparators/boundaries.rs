//! Uniform boundaries: how far a martingale strays, at all times together, with probability alpha.
//!
//! Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences", Annals of
//! Statistics 49 (2021), sections 3 and A. `s` is the martingale (a sum of deviations), `v` its intrinsic time (their
//! variance); a mixture over the bets starts at 1 and is the martingale that must not reach `1/alpha`.

use super::super::estimate_error::{EstimateError, finite, inside, level};
use super::super::special::ln_front;
use super::super::special_log::{ln_gamma_front, ln_gamma_p, ln_gamma_q, ln_normal_cdf, ln_regularised_beta};

/// Which deviations, and over which bets the mixture goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Family {
    /// Sub-Gaussian deviations, a normal mixture over bets of both signs.
    NormalTwoSided,
    /// Sub-Gaussian deviations, a half-normal mixture over positive bets.
    NormalOneSided,
    /// Sub-exponential deviations of scale `c` > 0, a gamma mixture.
    GammaExponential {
        /// The scale; unit of `s`.
        c: f64,
    },
    /// Sub-Poisson deviations of scale `c` > 0, a gamma mixture.
    GammaPoisson {
        /// The scale; unit of `s`.
        c: f64,
    },
    /// Deviations between `-g` and `h`, a beta mixture over positive bets.
    BetaBinomialOneSided {
        /// How far down one step can go, > 0; unit of `s`.
        g: f64,
        /// How far up one step can go, > 0; unit of `s`.
        h: f64,
    },
    /// Deviations between `-g` and `h`, a beta mixture over bets of both signs.
    BetaBinomialTwoSided {
        /// How far down one step can go, > 0; unit of `s`.
        g: f64,
        /// How far up one step can go, > 0; unit of `s`.
        h: f64,
    },
}

/// A mixture tuned for one intrinsic time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mixture {
    family: Family,
    rho: f64,
}

/// What is refused where `s` is beyond what the family can reach.
const REACH: &str = "a shape of the mixture at s";

/// The precision at which the two-sided normal boundary is narrowest at `v`: `v / (L + ln(1 + L))`, `L = 2 ln(1/alpha)`.
fn best_rho(v: f64, alpha: f64) -> f64 {
    let doubled = -2.0 * alpha.ln();
    v / (doubled + doubled.ln_1p())
}

impl Mixture {
    /// The mixture whose boundary at level `alpha_opt` is about narrowest at intrinsic time `v_opt`.
    ///
    /// # Errors
    /// [`EstimateError::Refused`] for a `v_opt`, `c`, `g` or `h` that is not positive and finite, an `alpha_opt` outside of
    /// (0, 1), or of (0, 1/2) for a one-sided family.
    pub fn new(family: Family, v_opt: f64, alpha_opt: f64) -> Result<Self, EstimateError> {
        let v_opt = positive("v_opt", v_opt)?;
        let alpha_opt = level(alpha_opt)?;
        let one_sided = || Ok(best_rho(v_opt, 2.0 * inside("alpha", "in (0, 1/2)", (0.0, 0.5), alpha_opt)?));
        let rho = match family {
            Family::NormalTwoSided => best_rho(v_opt, alpha_opt),
            Family::NormalOneSided => one_sided()?,
            Family::GammaExponential { c } | Family::GammaPoisson { c } => {
                positive("c", c)?;
                one_sided()?
            }
            Family::BetaBinomialOneSided { g, h } => less_product(one_sided()?, g, h)?,
            Family::BetaBinomialTwoSided { g, h } => less_product(best_rho(v_opt, alpha_opt), g, h)?,
        };
        Ok(Self { family, rho })
    }

    /// ln of the mixture martingale at `s` and intrinsic time `v` >= 0.
    ///
    /// # Errors
    /// [`EstimateError::Refused`] for numbers that are not finite, a negative `v`, an `s` beyond what the family can reach.
    pub fn log_value(&self, s: f64, v: f64) -> Result<f64, EstimateError> {
        let (s, v) = (finite("s", s)?, not_negative("v", v)?);
        let total = v + self.rho;
        match self.family {
            Family::NormalTwoSided => Ok(0.5 * (self.rho / total).ln() + s * s / (2.0 * total)),
            Family::NormalOneSided => {
                let tail = ln_normal_cdf(s / total.sqrt());
                Ok(0.5 * (4.0 * self.rho / total).ln() + s * s / (2.0 * total) + tail)
            }
            Family::GammaExponential { c } => self.gamma(c, total / (c * c), (c * s + total) / (c * c), ln_gamma_p),
            Family::GammaPoisson { c } => self.gamma(c, (c * s + total) / (c * c), total / (c * c), ln_gamma_q),
            Family::BetaBinomialOneSided { g, h } => self.beta(s, v, g, h, ln_regularised_beta),
            Family::BetaBinomialTwoSided { g, h } => self.beta(s, v, g, h, |_, _, _| 0.0),
        }
    }

    /// The boundary at intrinsic time `v` >= 0: the `s` at which the mixture is worth `1/alpha`; where the family cannot get
    /// that far, the farthest that it can get.
    ///
    /// # Errors
    /// [`EstimateError::Refused`] for a `v` that is negative or not finite, an `alpha` outside of (0, 1).
    pub fn bound(&self, v: f64, alpha: f64) -> Result<f64, EstimateError> {
        let (v, threshold) = (not_negative("v", v)?, -level(alpha)?.ln());
        let reached = |s: f64| Ok(self.log_value(s, v)? >= threshold);
        let farthest = match self.family {
            Family::NormalTwoSided => {
                return Ok(((v + self.rho) * ((v / self.rho).ln_1p() + 2.0 * threshold)).sqrt());
            }
            Family::BetaBinomialOneSided { g, .. } | Family::BetaBinomialTwoSided { g, .. } => v / g,
            _ => first_doubling(v + self.rho, reached)?,
        };
        if !reached(farthest)? {
            return Ok(farthest);
        }
        let (mut low, mut high) = (0.0, farthest);
        for _ in 0..200 {
            let middle = 0.5 * (low + high);
            if middle == low || middle == high {
                break;
            }
            if reached(middle)? { high = middle } else { low = middle }
        }
        Ok(0.5 * (low + high))
    }

    /// Both gamma mixtures: with `F(a, x) = x^a e^(-x) / Γ(a)` and `P` the function that `ln_part` is the logarithm of,
    /// `[F(ρ, ρ)/P(ρ, ρ)] / [F(a, x)/P(a, x)]`, ρ in units of c².
    fn gamma(&self, c: f64, a: f64, x: f64, ln_part: fn(f64, f64) -> f64) -> Result<f64, EstimateError> {
        let (a, x) = (positive(REACH, a)?, positive(REACH, x)?);
        let start = self.rho / (c * c);
        let log = |a: f64, x: f64| ln_gamma_front(a, x) - ln_part(a, x);
        Ok(log(start, start) - log(a, x))
    }

    /// Both beta mixtures: with `F(a, b) = p^a q^b / B(a, b)`, `p = h/(g + h)`, `q = g/(g + h)`,
    /// `[F(a0, b0)/P(a0, b0)] / [F(a, b)/P(a, b)]`, where P is the part of the beta distribution that the bets may use.
    fn beta(&self, s: f64, v: f64, g: f64, h: f64, ln_part: fn(f64, f64, f64) -> f64) -> Result<f64, EstimateError> {
        let (p, q) = (h / (g + h), g / (g + h));
        let log = |a: f64, b: f64| ln_front(a, b, p, q) - ln_part(a, b, p);
        let of = |down: f64, up: f64| (down / (g * (g + h)), up / (h * (g + h)));
        let (a, b) = of(self.rho + v - g * s, self.rho + v + h * s);
        let (a, b) = (positive(REACH, a)?, positive(REACH, b)?);
        let (first_a, first_b) = of(self.rho, self.rho);
        Ok(log(first_a, first_b) - log(a, b))
    }
}

/// The precision of a beta mixture, at least a thousandth of `g h`.
fn less_product(rho: f64, g: f64, h: f64) -> Result<f64, EstimateError> {
    let product = positive("g", g)? * positive("h", h)?;
    Ok((rho - product).max(1e-3 * product))
}

/// `start` doubled until it is `reached`.
fn first_doubling(start: f64, reached: impl Fn(f64) -> Result<bool, EstimateError>) -> Result<f64, EstimateError> {
    let mut trial = start;
    while !reached(trial)? {
        trial *= 2.0;
    }
    Ok(trial)
}

fn positive(what: &'static str, value: f64) -> Result<f64, EstimateError> {
    inside(what, "positive and finite", (0.0, f64::INFINITY), value)
}

fn not_negative(what: &'static str, value: f64) -> Result<f64, EstimateError> {
    if value >= 0.0 && value.is_finite() {
        return Ok(value);
    }
    Err(EstimateError::Refused { what, must: "finite and not negative", found: value })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILIES: [Family; 6] = [
        Family::NormalTwoSided,
        Family::NormalOneSided,
        Family::GammaExponential { c: 0.7 },
        Family::GammaPoisson { c: 0.7 },
        Family::BetaBinomialOneSided { g: 0.3, h: 0.7 },
        Family::BetaBinomialTwoSided { g: 0.3, h: 0.7 },
    ];

    #[test]
    fn every_mixture_starts_at_one_and_is_worth_the_threshold_at_its_bound() {
        for family in FAMILIES {
            let mixture = Mixture::new(family, 100.0, 0.05).unwrap();
            assert!(mixture.log_value(0.0, 0.0).unwrap().abs() < 1e-12, "{family:?}");
            for v in [20.0, 1e3, 1e6] {
                let at = mixture.log_value(mixture.bound(v, 0.05).unwrap(), v).unwrap();
                assert!((at - 20f64.ln()).abs() < 1e-8, "{family:?} {v} {at}");
            }
            assert!(mixture.bound(0.0, 0.05).unwrap().is_finite(), "{family:?}");
        }
    }

    #[test]
    fn a_bound_out_of_reach_is_the_farthest_that_there_is() {
        let mixture = Mixture::new(Family::BetaBinomialTwoSided { g: 0.5, h: 0.5 }, 100.0, 0.05).unwrap();
        assert_eq!(mixture.bound(0.5, 0.05), Ok(1.0));
    }

    #[test]
    fn edges() {
        for family in FAMILIES {
            for (v_opt, alpha) in [(0.0, 0.05), (f64::NAN, 0.05), (1.0, 0.0), (1.0, 1.0), (1.0, f64::NAN)] {
                assert!(Mixture::new(family, v_opt, alpha).is_err(), "{family:?}");
            }
            let mixture = Mixture::new(family, 100.0, 0.05).unwrap();
            assert!(mixture.log_value(f64::NAN, 1.0).is_err() && mixture.log_value(1.0, -1.0).is_err());
            assert!(mixture.bound(f64::INFINITY, 0.05).is_err() && mixture.bound(1.0, 1.0).is_err());
        }
        assert!(Mixture::new(Family::NormalOneSided, 1.0, 0.5).is_err());
        assert!(Mixture::new(Family::GammaPoisson { c: 0.0 }, 1.0, 0.05).is_err());
        assert!(Mixture::new(Family::BetaBinomialOneSided { g: 0.0, h: 1.0 }, 1.0, 0.05).is_err());
        for family in &FAMILIES[2..] {
            assert!(Mixture::new(*family, 100.0, 0.05).unwrap().log_value(-1e6, 1.0).is_err());
        }
    }
}
