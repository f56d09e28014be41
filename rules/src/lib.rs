//! Decides: samples and `now` in, verdicts out.
//!
//! Called by `agent` (which owns the clock, the sockets and the files), and by `exporters` and `alerts` for the words
//! they share. This crate does no I/O, reads no clock, starts no task: whatever it needs to know is an argument, so a
//! day of judging plays back in a millisecond.

pub mod anomaly;
mod assignment;
mod capacity;
pub mod dataset;
pub mod drift;
mod engine;
mod exchange;
mod exchange_text;
mod kahan;
mod labels;
pub mod mask;
pub mod promql;
pub mod ranks;
pub mod retrain;
mod store;
mod summary;
pub mod text;
pub mod two_sample;
mod units;
pub mod verdict;

pub use assignment::{Assignment, Phase, arm_at, unit_hash};
pub use capacity::{Capacity, CapacitySettings, LEAST_WINDOW, Look, MOST_WINDOW, Need};
pub use engine::{
    Action, ActiveAlert, AlertStanding, AlertState, BUILTIN_RULES, Backtest, BacktestReport, EngineOptions, Episode,
    Failure, Group, GroupReport, GroupStanding, LastRun, Remark, Rule, RuleEngine, RuleOutcome, RuleProblem,
    RuleStanding, UnitTests, builtin_scaled, load_rules, load_tests, text_functions, warm_up,
};
pub use exchange::{Endpoint, Exchange, ExchangeOutcome, Source, TokenCount};
pub use exchange_text::{ExchangeText, MaskedText};
pub use labels::{Labels, LabelsBuilder, METRIC_NAME};
pub use store::{Append, Excerpt, STALE_NAN_BITS, Store, StoreLimits, StoreStats, is_stale};
pub use units::Timestamp;
