//! Reading the store: instant lookups, ranges, subqueries.

use super::super::EvalError;
use super::super::ast::{At, Node, Shift, Subquery};
use super::super::matcher::Selector;
use super::over_time::Fold;
use super::tracks::{Track, Tracks};
use super::{Evaluator, NODE_COST, Sample, fail};
use crate::{Labels, is_stale};

/// What a function sees of one series of a range vector: samples in `(from, until]`.
#[derive(Debug)]
pub(in crate::promql) struct Window<'w> {
    /// Time in milliseconds and value, oldest first, never empty.
    pub(super) points: &'w [(i64, f64)],
    pub(super) from_ms: i64,
    pub(super) until_ms: i64,
}

impl Window<'_> {
    pub(super) fn values(&self) -> impl Iterator<Item = f64> + Clone {
        self.points.iter().map(|(_, value)| *value)
    }

    /// Seconds from end to end.
    pub(super) fn range_s(&self) -> f64 {
        (self.until_ms - self.from_ms) as f64 / 1000.0
    }
}

/// Takes labels, whether their name is to be dropped, and the window.
pub(super) type EachWindow<'f> = dyn FnMut(&Labels, bool, &Window<'_>) + 'f;

impl Evaluator<'_> {
    /// The moment a selector means, after `@` and `offset`.
    fn shifted(&self, shift: Shift, now: i64) -> i64 {
        let moment = match shift.at {
            Some(At::Millis(millis)) => millis,
            Some(At::Start) => self.start_ms,
            Some(At::End) => self.end_ms,
            None => now,
        };
        moment.saturating_sub(shift.offset_ms)
    }

    /// A failed source is an error, so that an alert neither fires nor resolves for lack of data.
    fn refuse_unavailable(&self, selector: &Selector) -> Result<(), EvalError> {
        match selector.unavailable(self.store) {
            Some((name, why)) => fail(format!("the source of {name} is unavailable: {why}")),
            None => Ok(()),
        }
    }

    pub(super) fn instant(&mut self, selector: &Selector, shift: Shift, now: i64) -> Result<Vec<Sample>, EvalError> {
        let mut vector = Vec::new();
        self.instants(selector, shift, now, &mut |labels, _, value| {
            vector.push(Sample { labels: labels.clone(), drop_name: false, value });
        })?;
        Ok(vector)
    }

    /// Calls `each` with labels, time and value of every current sample.
    pub(super) fn instants(
        &mut self,
        selector: &Selector,
        shift: Shift,
        now: i64,
        each: &mut dyn FnMut(&Labels, i64, f64),
    ) -> Result<(), EvalError> {
        self.refuse_unavailable(selector)?;
        let until = self.shifted(shift, now);
        let after = until.saturating_sub(self.lookback_ms);
        let mut found = 0;
        for series in selector.select(self.store) {
            if let Some((at, value)) = series.last_in(after, until).filter(|(_, value)| !is_stale(*value)) {
                each(&series.labels, at, value);
                found += 1;
            }
        }
        self.spend(found)
    }

    /// Calls `each` with every series of a range vector that has samples.
    pub(super) fn windows(&mut self, node: &Node, now: i64, each: &mut EachWindow<'_>) -> Result<(), EvalError> {
        match node.bare() {
            Node::Range(selector, shift, range_ms) => {
                let until_ms = self.shifted(*shift, now);
                self.ranges(selector, until_ms.saturating_sub(*range_ms), until_ms, each)
            }
            Node::Subquery(subquery) => {
                let until_ms = self.shifted(subquery.shift, now);
                let from_ms = until_ms.saturating_sub(subquery.range_ms);
                for track in self.subquery(subquery, from_ms, until_ms)? {
                    each(&track.labels, track.drop_name, &Window { points: &track.points, from_ms, until_ms });
                }
                Ok(())
            }
            _ => fail("a range vector was expected here"),
        }
    }

    /// Calls `each` with the fold of every series of a range vector.
    pub(super) fn folds<F: Fold>(
        &mut self,
        node: &Node,
        now: i64,
        each: &mut dyn FnMut(&Labels, F),
    ) -> Result<(), EvalError> {
        let Node::Range(selector, shift, range_ms) = node.bare() else {
            return self.windows(node, now, &mut |labels, _, window| {
                let mut fold = F::default();
                window.values().for_each(|value| fold.add(value));
                each(labels, fold);
            });
        };
        self.refuse_unavailable(selector)?;
        let until_ms = self.shifted(*shift, now);
        let range = (until_ms.saturating_sub(*range_ms), until_ms);
        for series in selector.select(self.store) {
            let mut fold = F::default();
            let read = series.fold(range, &mut fold, F::merge, F::add);
            self.spend(read + NODE_COST)?;
            each(&series.labels, fold);
        }
        Ok(())
    }

    fn ranges(
        &mut self,
        selector: &Selector,
        from_ms: i64,
        until_ms: i64,
        each: &mut EachWindow<'_>,
    ) -> Result<(), EvalError> {
        self.refuse_unavailable(selector)?;
        let mut points = std::mem::take(&mut self.points);
        let mut spent = Ok(());
        for series in selector.select(self.store) {
            points.clear();
            series.read(from_ms, until_ms, &mut points);
            spent = self.spend(points.len());
            if spent.is_err() {
                break;
            }
            if !points.is_empty() {
                each(&series.labels, false, &Window { points: &points, from_ms, until_ms });
            }
        }
        self.points = points;
        spent
    }

    /// Steps lie on multiples of the step, whatever the moment of the evaluation.
    fn subquery(
        &mut self,
        subquery: &Subquery,
        from_ms: i64,
        until_ms: i64,
    ) -> Result<impl Iterator<Item = Track> + use<>, EvalError> {
        let step = subquery.step_ms.unwrap_or(self.default_step_ms);
        let mut tracks = Tracks::default();
        let held = self.held;
        let mut at = (from_ms.div_euclid(step) + 1).saturating_mul(step);
        while at <= until_ms {
            let vector = self.vector(&subquery.inner, at)?;
            self.hold(vector.len())?;
            for sample in vector {
                tracks.push(at, sample);
            }
            tracks.end_step();
            at = at.saturating_add(step);
        }
        self.held = held;
        Ok(tracks.into_iter())
    }

    /// A range vector as it is.
    pub(super) fn matrix(&mut self, node: &Node, now: i64) -> Result<Vec<Track>, EvalError> {
        let (mut tracks, mut held) = (Vec::new(), 0_usize);
        let room = usize::try_from(self.max_points.saturating_sub(self.held)).unwrap_or(usize::MAX);
        self.windows(node, now, &mut |labels, drop_name, window| {
            held += window.points.len();
            if held <= room {
                tracks.push(Track { labels: labels.clone(), drop_name, points: window.points.to_vec() });
            }
        })?;
        self.hold(held)?;
        Ok(tracks)
    }
}
