//! What a unit's requests and feedback say of each metric: one number a metric, or none.

use plimsoll_rules::verdict::experiment::{Arm, MetricKind, MetricSpec};
use plimsoll_rules::{ExchangeOutcome, Phase};

use crate::config::Experiment;
use crate::records::{UnitExchange, UnitFacts};

/// A value for each metric of the experiment: the mean over the unit's requests, or over its feedback. `None` is missing.
pub(super) fn values(experiment: &Experiment, phase: Phase, arm: Arm, facts: &UnitFacts) -> Vec<Option<f64>> {
    // Beside a mirrored request stands the treatment's copy; each half is told by its own.
    let own = |one: &&UnitExchange| phase != Phase::Mirror || *one.variant == *experiment.variant(arm).name;
    let exchanges: Vec<&UnitExchange> = facts.exchanges.iter().filter(own).collect();
    experiment.spec.metrics.iter().map(|metric| value(metric, &exchanges, facts)).collect()
}

fn value(metric: &MetricSpec, exchanges: &[&UnitExchange], facts: &UnitFacts) -> Option<f64> {
    let answered = |one: &&&UnitExchange| one.outcome == ExchangeOutcome::Ok.as_str();
    let of = |each: &dyn Fn(&UnitExchange) -> Option<f64>| {
        mean(exchanges.iter().filter(answered).filter_map(|one| each(one)))
    };
    match metric.name.as_str() {
        // A client that went away says nothing of the server.
        "error" => {
            let told = exchanges.iter().filter(|one| one.outcome != ExchangeOutcome::ClientAbort.as_str());
            mean(told.map(|one| if one.outcome == ExchangeOutcome::Ok.as_str() { 0.0 } else { 1.0 }))
        }
        "duration_seconds" => of(&|one| Some(one.duration.as_secs_f64())),
        "time_to_first_token_seconds" => of(&|one| one.time_to_first_token.map(|wait| wait.as_secs_f64())),
        "output_tokens" => of(&|one| one.output_tokens.map(|tokens| tokens as f64)),
        name => {
            let posted = facts.feedback.iter().filter(|one| one.metric == name);
            let share = metric.kind == MetricKind::Binary;
            mean(posted.map(|one| if share { one.score.unwrap_or(one.value) } else { one.value }))
        }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) =
        values.filter(|value| value.is_finite()).fold((0.0, 0.0), |(sum, n), value| (sum + value, n + 1.0));
    (count > 0.0).then(|| sum / count)
}
