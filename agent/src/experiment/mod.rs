//! Experiments in the agent: who gets which variant, stickily and with a logged probability; where that is kept.
//!
//! The tap asks the [`Splitter`] at every request; whoever decides sets each experiment's [`Course`].

mod course;
mod desk;
mod judged;
mod splitter;
mod sticky;
mod values;
mod view;

pub use course::Course;
pub use desk::{Denied, Experiments, start};
pub use splitter::{Running, Splitter, Unenrolled};
pub use view::{MetricView, View};

use crate::config::Experiment;
use crate::records::{Records, Refused};

/// Gives a new experiment its place in the records back: the course it was on, and the units that have a half.
///
/// Where the records cannot be read its course stays off, which serves everybody as if there were no experiment: a unit
/// could be moved to the other half, and what was rolled back could be served again.
pub async fn restore(splitter: &Splitter, records: &Records) {
    for running in splitter.all().iter() {
        if running.is_restored() {
            continue;
        }
        let id = &running.experiment().spec.id;
        match read(records, running.experiment()).await {
            Ok((course, assigned)) => {
                assigned.iter().for_each(|one| running.remember(one.unit, one.arm, one.propensity));
                tracing::info!(experiment = id, ?course, units = assigned.len(), "experiment");
                running.begin(course);
            }
            Err(why) => tracing::warn!(experiment = id, %why, "experiment: off, for its records cannot be read"),
        }
    }
}

async fn read(
    records: &Records,
    experiment: &Experiment,
) -> Result<(Course, Vec<plimsoll_rules::Assignment>), Refused> {
    let id = &experiment.spec.id;
    let saved = records.experiment_state(id).await?;
    let assigned = records.assignments(id, sticky::MOST).await?;
    Ok((saved.map_or_else(|| Course::first(experiment), |saved| saved.course), assigned))
}
