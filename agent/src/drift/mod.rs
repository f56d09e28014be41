//! Drift in the agent: one task owns every detector, hears of every exchange, and says what left its baseline.
//!
//! It works beside the traffic: what does not fit into its queue is dropped and counted. What must survive a restart is
//! written down at once when an alarm or a baseline changes, and every minute otherwise. `plimsoll_rules::drift` decides.

mod act;
mod audit;
mod bench;
mod category;
mod course;
mod desk;
mod finding;
mod hold;
mod method;
mod number;
mod outcomes;
mod rate;
mod ratio;
mod ring;
mod settings;
mod signal;
mod store;
mod task;
mod text;
mod view;
mod watch;
mod weeks;

pub use act::{Act, ActError};
pub use audit::{By, Door};
pub use desk::{Ask, Drift, Refusal, Snapshot, Which};
pub use finding::{Standing, Top};
pub use outcomes::{Outcome, OutcomeFeed, outcome_feed};
pub use settings::Settings;
pub use signal::{Kind, Signal, SignalId};
pub use task::DriftTask;
pub use view::{Annotations, Explanation, SignalView, State};

#[cfg(test)]
mod tests;
