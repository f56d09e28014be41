//! Some series of a store as they are now, to be worked on elsewhere while the store goes on.

use std::collections::HashSet;

use super::{Series, Store, StoreLimits};

/// Series taken out of a store. Full chunks are shared, so that taking one copies few bytes; the store goes on and the
/// excerpt stays as it is.
#[derive(Clone, Debug)]
pub struct Excerpt {
    series: Vec<Series>,
    unavailable: Vec<(String, String)>,
    limits: StoreLimits,
}

impl Excerpt {
    /// How many series it holds.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// `name: why` of the selected metrics whose source has failed. The store made of this excerpt knows nothing of
    /// it: what was seen before may be asked for.
    pub fn unavailable(&self) -> impl Iterator<Item = (&str, &str)> {
        self.unavailable.iter().map(|(name, why)| (name.as_str(), why.as_str()))
    }

    /// A store of these series.
    pub fn into_store(self) -> Store {
        let mut store = Store::new(self.limits);
        self.series.into_iter().for_each(|series| store.enter(series));
        store
    }
}

impl Store {
    /// Copies `selected` (a series named twice comes once) and what is known of their sources.
    pub(crate) fn excerpt<'s>(
        &self,
        selected: impl Iterator<Item = &'s Series>,
        unavailable: Vec<(String, String)>,
    ) -> Excerpt {
        let mut seen: HashSet<*const Series> = HashSet::new();
        let series = selected.filter(|series| seen.insert(std::ptr::from_ref(*series))).cloned().collect();
        Excerpt { series, unavailable, limits: self.limits }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::promql::{evaluate, parse};
    use crate::{Labels, Timestamp};

    #[test]
    fn an_excerpt_stays_while_its_store_goes_on() {
        let at = |second: i64| Timestamp::from_millis(second * 1000);
        let mut store = Store::new(StoreLimits { series: 10, retention: Duration::from_secs(600) });
        for second in 0..400 {
            for name in ["a", "b", "c"] {
                store.append(&Labels::metric(name, [("l", "x")]), at(second), second as f64);
            }
        }
        store.set_unavailable("a", Some("it fell over"));
        let expr = parse("sum_over_time(a[6m]) + b + a").unwrap();
        let excerpt = expr.excerpt(&store);
        assert_eq!((excerpt.len(), excerpt.unavailable().next()), (2, Some(("a", "it fell over"))));
        store.set_unavailable("a", None);
        let before = evaluate(&expr, &store, at(399)).unwrap();
        for second in 400..5000 {
            store.append(&Labels::metric("a", [("l", "x")]), at(second), -1.0);
        }
        store.expire(at(5000));
        let kept = excerpt.into_store();
        assert_eq!(evaluate(&expr, &kept, at(399)).unwrap(), before);
        assert_ne!(evaluate(&expr, &store, at(399)).unwrap(), before);
    }
}
