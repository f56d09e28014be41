//! The life of one rule's alerts: inactive -> pending -> firing -> resolved.
//!
//! No store, no clock, no templates: a result vector and `now` go in, states come out, so that every promise about
//! `for`, `keep_firing_for` and resolving is tested on vectors.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::RuleError;
use crate::{Labels, LabelsBuilder, METRIC_NAME, Timestamp};

/// How long a resolved alert is kept and repeated, so that receivers that were away hear of it.
const KEEP_RESOLVED: Duration = Duration::from_secs(15 * 60);

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// The expression holds, `for` not yet.
    Pending,
    /// It is on.
    Firing,
    /// It was on and is over; kept for 15 minutes so that receivers hear of it.
    Resolved,
}

/// One alert: one rule, one label set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActiveAlert {
    /// All labels, `alertname` included.
    pub labels: Labels,
    /// Rendered annotations.
    pub annotations: BTreeMap<String, String>,
    /// Where it stands.
    pub state: AlertState,
    /// The expression's value at the last evaluation.
    pub value: f64,
    /// When the expression began to hold.
    pub active_at: Timestamp,
    /// When it began to fire.
    pub fired_at: Option<Timestamp>,
    /// When it was over.
    pub resolved_at: Option<Timestamp>,
    /// Until when receivers may take it as firing without hearing more (`now + 4 * max(interval, resend)`).
    pub valid_until: Timestamp,
    /// The expression, as text.
    pub expr: String,
    /// Its group.
    pub group: String,
}

/// An alert and what receivers were told of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tracked {
    pub(super) alert: ActiveAlert,
    /// Since when it fires only because of `keep_firing_for`.
    pub(super) kept_since: Option<Timestamp>,
    /// The state receivers were last told, and when.
    pub(super) told: Option<(AlertState, Timestamp)>,
    /// It comes from a saved state and no evaluation has found it again yet.
    pub(super) unconfirmed: bool,
}

/// What the rule says about its alerts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms<'a> {
    pub(super) hold: Duration,
    pub(super) keep_firing: Duration,
    /// Most alerts; 0 is no limit.
    pub(super) limit: usize,
    pub(super) group: &'a str,
    /// As text; may be empty when nothing was found.
    pub(super) expr: &'a str,
    /// Added to what receivers see, never to `ALERTS`.
    pub(super) external: &'a Labels,
}

/// One element of the rule's result, its templates filled in.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    /// The alert's labels, `alertname` included, external ones not.
    pub(super) labels: Labels,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) value: f64,
}

/// Whether an empty result means anything yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// The rule's series have samples.
    Clear,
    /// Just restarted, the rule's series have no new samples: what is not found may still be there.
    Blind,
}

/// The alerts of one rule, by their own labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Alerts(pub(super) BTreeMap<Labels, Tracked>);

impl Alerts {
    /// One evaluation at `now`. On an error nothing has changed.
    ///
    /// # Errors
    /// Two elements with the same labels, or more alerts than the limit. (Prometheus forgets all alerts of a rule that
    /// exceeds its limit, and receivers never hear of their end; here they stay as they are.)
    pub(super) fn step(
        &mut self,
        terms: &Terms<'_>,
        found: Vec<Found>,
        now: Timestamp,
        sight: Sight,
    ) -> Result<(), RuleError> {
        self.refuse_excess(terms, &found, now)?;
        let mut seen = BTreeSet::new();
        for element in found {
            seen.insert(element.labels.clone());
            self.take(terms, element, now);
        }
        self.0.retain(|labels, tracked| seen.contains(labels) || tracked.outlives(terms, now, sight));
        for labels in &seen {
            if let Some(tracked) = self.0.get_mut(labels) {
                tracked.fire_when_due(terms.hold, now);
            }
        }
        Ok(())
    }

    fn refuse_excess(&self, terms: &Terms<'_>, found: &[Found], now: Timestamp) -> Result<(), RuleError> {
        let mut seen = BTreeSet::new();
        for element in found {
            if !seen.insert(&element.labels) {
                return Err(RuleError::SameLabels(element.labels.clone()));
            }
        }
        let kept = self.0.iter().filter(|(labels, t)| !seen.contains(labels) && t.is_kept(terms, now)).count();
        let have = seen.len() + kept;
        if terms.limit > 0 && have > terms.limit {
            return Err(RuleError::Limit { limit: terms.limit, have });
        }
        Ok(())
    }

    fn take(&mut self, terms: &Terms<'_>, element: Found, now: Timestamp) {
        let (labels, annotations, value) = (element.labels, element.annotations, element.value);
        let (expr, group) = (terms.expr.to_owned(), terms.group.to_owned());
        match self.0.get_mut(&labels).filter(|tracked| tracked.alert.state != AlertState::Resolved) {
            Some(tracked) => {
                (tracked.kept_since, tracked.unconfirmed) = (None, false);
                let alert = &mut tracked.alert;
                (alert.annotations, alert.value, alert.expr, alert.group) = (annotations, value, expr, group);
            }
            None => {
                let alert = ActiveAlert {
                    labels: with_external(&labels, terms.external),
                    annotations,
                    state: AlertState::Pending,
                    value,
                    active_at: now,
                    fired_at: None,
                    resolved_at: None,
                    valid_until: now,
                    expr,
                    group,
                };
                self.0.insert(labels, Tracked { alert, kept_since: None, told: None, unconfirmed: false });
            }
        }
    }

    /// `ALERTS` and `ALERTS_FOR_STATE` of every alert that is on, as Prometheus writes them.
    pub(super) fn series(&self) -> Vec<(Labels, f64)> {
        let mut out = Vec::new();
        for (labels, tracked) in &self.0 {
            let state = match tracked.alert.state {
                AlertState::Pending => "pending",
                AlertState::Firing => "firing",
                AlertState::Resolved => continue,
            };
            let mut alerts = labels.to_builder();
            alerts.set(METRIC_NAME, "ALERTS").set("alertstate", state);
            out.push((alerts.build(), 1.0));
            let mut since = labels.to_builder();
            since.set(METRIC_NAME, "ALERTS_FOR_STATE");
            out.push((since.build(), tracked.alert.active_at.millis().div_euclid(1000) as f64));
        }
        out
    }

    /// Ends everything because the rule is gone; what was firing is over, pending ones are forgotten.
    pub(super) fn end(self, now: Timestamp) -> Vec<Tracked> {
        let mut ended: Vec<Tracked> =
            self.0.into_values().filter(|tracked| tracked.alert.state != AlertState::Pending).collect();
        ended.iter_mut().for_each(|tracked| tracked.resolve(now));
        ended
    }
}

impl Tracked {
    fn is_firing(&self) -> bool {
        self.alert.state == AlertState::Firing
    }

    /// Whether `keep_firing_for` keeps it on, not found at `now`.
    fn is_kept(&self, terms: &Terms<'_>, now: Timestamp) -> bool {
        self.is_firing() && now.since(self.kept_since.unwrap_or(now)) < terms.keep_firing
    }

    /// Not found at `now`: whether it stays on the list.
    fn outlives(&mut self, terms: &Terms<'_>, now: Timestamp, sight: Sight) -> bool {
        if self.unconfirmed && sight == Sight::Blind && self.alert.state != AlertState::Resolved {
            return true;
        }
        match self.alert.state {
            AlertState::Pending => false,
            AlertState::Firing if self.is_kept(terms, now) => {
                self.kept_since.get_or_insert(now);
                true
            }
            AlertState::Firing => {
                self.resolve(now);
                true
            }
            AlertState::Resolved => !self.is_forgotten(now),
        }
    }

    fn fire_when_due(&mut self, hold: Duration, now: Timestamp) {
        if self.alert.state == AlertState::Pending && now.since(self.alert.active_at) >= hold {
            (self.alert.state, self.alert.fired_at) = (AlertState::Firing, Some(now));
        }
    }

    fn resolve(&mut self, now: Timestamp) {
        if self.is_firing() {
            (self.alert.state, self.alert.resolved_at) = (AlertState::Resolved, Some(now));
            self.kept_since = None;
        }
    }

    /// Whether its end is so long ago that nobody needs to hear of it any more.
    pub(super) fn is_forgotten(&self, now: Timestamp) -> bool {
        self.alert.resolved_at.is_some_and(|at| now.since(at) > KEEP_RESOLVED)
    }

    /// The alert, if receivers must hear of it now: its state is news, or its repeat is due. Marks it as told.
    pub(super) fn tell(&mut self, now: Timestamp, resend: Duration, interval: Duration) -> Option<ActiveAlert> {
        if self.alert.state == AlertState::Pending || self.is_forgotten(now) {
            return None;
        }
        let old_news = self.told.is_some_and(|(state, at)| state == self.alert.state && now.since(at) < resend);
        if old_news {
            return None;
        }
        self.told = Some((self.alert.state, now));
        self.alert.valid_until = now + resend.max(interval).saturating_mul(4);
        Some(self.alert.clone())
    }
}

/// `labels` and those external ones whose names are not taken.
fn with_external(labels: &Labels, external: &Labels) -> Labels {
    let mut builder: LabelsBuilder = labels.to_builder();
    for (name, value) in external.iter().filter(|(name, _)| labels.get(name).is_none()) {
        builder.set(name, value);
    }
    builder.build()
}
