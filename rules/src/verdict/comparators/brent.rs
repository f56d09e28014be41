//! A root as others find it: with Brent's steps and their tolerance, so that what is made of it can be compared.

/// The tolerance that R's `uniroot` has by default: machine precision to the power of 1/4.
pub(super) const UNIROOT: f64 = 1.220_703_125e-4;

/// A root of `f` between `low` and `high` by Brent's method ("Algorithms for Minimization without Derivatives", 1973,
/// section 4): inverse quadratic steps, secants where there are two points only, halving where neither gains enough. The
/// point returned is the last one tried, within `tolerance` of a change of sign. `None` where `f` has the same sign at both
/// ends or is NaN there.
pub(super) fn root(f: impl Fn(f64) -> f64, low: f64, high: f64, tolerance: f64) -> Option<f64> {
    // `best` has the smaller value, the root is between it and `across`, `before` is what was best one step ago.
    let (mut before, mut best) = ((low, f(low)), (high, f(high)));
    let mut across = before;
    if !(before.1 * best.1 <= 0.0 && low < high) {
        return None;
    }
    if before.1 == 0.0 {
        return Some(low);
    }
    for _ in 0..1000 {
        let last = best.0 - before.0;
        if across.1.abs() < best.1.abs() {
            before = best;
            best = across;
            across = before;
        }
        let least = 2.0 * f64::EPSILON * best.0.abs() + tolerance / 2.0;
        let half = (across.0 - best.0) / 2.0;
        if half.abs() <= least || best.1 == 0.0 {
            return Some(best.0);
        }
        let gains = last.abs() >= least && before.1.abs() > best.1.abs();
        let step = gains.then(|| interpolated(before, best, across, last, least)).flatten().unwrap_or(half);
        let step = if step.abs() < least { least.copysign(step) } else { step };
        before = best;
        best = (best.0 + step, f(best.0 + step));
        if best.1 * across.1 > 0.0 {
            across = before;
        }
    }
    Some(best.0)
}

/// The step from `best` to where the curve through the three points is 0; `None` where it goes too far or gains too little.
fn interpolated(before: (f64, f64), best: (f64, f64), across: (f64, f64), last: f64, least: f64) -> Option<f64> {
    let width = across.0 - best.0;
    let to_before = best.1 / before.1;
    let (over, under) = if before.0 == across.0 {
        (width * to_before, 1.0 - to_before)
    } else {
        let (q, to_across) = (before.1 / across.1, best.1 / across.1);
        let over = to_before * (width * q * (q - to_across) - (best.0 - before.0) * (to_across - 1.0));
        (over, (q - 1.0) * (to_across - 1.0) * (to_before - 1.0))
    };
    let (over, under) = if over > 0.0 { (over, -under) } else { (-over, under) };
    let fits = over < 0.75 * width * under - (least * under).abs() / 2.0 && over < (last * under / 2.0).abs();
    fits.then(|| over / under)
}

#[cfg(test)]
mod tests {
    use super::{UNIROOT, root};

    #[test]
    fn a_root_or_none() {
        let found = root(|x| x * x * x - 2.0, 0.0, 2.0, 1e-14).unwrap();
        assert!((found - 2f64.cbrt()).abs() < 1e-13, "{found}");
        assert!((root(|x| x.exp() - 5.0, -3.0, 9.0, UNIROOT).unwrap() - 5f64.ln()).abs() < 2.0 * UNIROOT);
        assert_eq!(root(|x| x, 0.0, 1.0, UNIROOT), Some(0.0));
        assert_eq!(root(|x| x - 1.0, 0.0, 1.0, UNIROOT), Some(1.0));
        assert_eq!(root(|x| x + 1.0, 0.0, 1.0, UNIROOT), None);
        assert_eq!(root(|_| f64::NAN, 0.0, 1.0, UNIROOT), None);
        assert_eq!(root(|x| x - 0.5, 1.0, 0.0, UNIROOT), None);
    }
}
