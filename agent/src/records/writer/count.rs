//! What stored feedback changes in counters, windows and drift.

use std::sync::PoisonError;

use plimsoll_exporters::Metric;

use super::super::item::Meaning;
use super::{MOST_METRICS, Told, Writer};
use crate::drift::{Outcome, Signal};

impl Writer {
    /// Counters and windows follow what is durable, never ahead of it.
    pub(super) fn count(&mut self, (item, owner, before): Told) {
        let registry = &self.shared.registry;
        let mut window = self.shared.window.lock().unwrap_or_else(PoisonError::into_inner);
        let score = item.score.filter(|_| item.meaning != Meaning::Other);
        if let Some(before) = before {
            // counted already; the window takes the correction
            if let (Some(old), Some(new)) = (before.score, score)
                && before.value != item.value
            {
                window.correct(before.received, item.meaning, old, new);
            }
            return;
        }
        let known = self.metrics.contains(&item.metric) || self.metrics.len() < MOST_METRICS;
        let metric = if known { item.metric.clone() } else { "other".to_owned() };
        registry.add(Metric::Feedback, &[&metric], 1.0);
        self.metrics.insert(metric);
        let Some(score) = score else { return };
        let (model, variant) = owner.unwrap_or_default();
        match item.meaning {
            Meaning::Completion => {
                for (outcome, by) in [("completed", score), ("failed", 1.0 - score)] {
                    registry.add(Metric::Tasks, &[outcome, &model, &variant], by);
                }
            }
            _ => {
                registry.add(Metric::SatisfactionRatings, &[&model, &variant], 1.0);
                registry.add(Metric::SatisfactionScore, &[&model, &variant], score);
            }
        }
        if let Some(outcomes) = &self.shared.options.outcomes {
            let signal = match item.meaning {
                Meaning::Completion => Signal::TaskCompletion,
                _ => Signal::UserSatisfaction,
            };
            outcomes.offer(Outcome { signal, model: model.clone(), variant: variant.clone(), score });
        }
        window.add(crate::clock::wall(), (model, variant), item.meaning, score);
    }
}
