//! `plimsoll demo`: a scene that plays calm, longer prompts, falling completion, CPU load and recovery in front of the
//! real agent, and says what it found.
//!
//! The agent is a child process watched from outside (`agent_child`, `watch`); the engine behind it is a stand-in
//! (`engine`) or a real one; the people in front of it are `traffic`. The scene itself is `scene` (what) and `play`
//! (when). What was seen stands on the `board`; `report` judges it; `view`, `table` and `svg` show it.

mod agent_child;
mod answer;
mod board;
mod draw;
mod engine;
mod engine_metrics;
mod load;
mod panel;
mod pen;
mod play;
mod quantiles;
mod report;
mod scene;
mod scrape;
mod svg;
mod table;
mod traffic;
mod view;
mod watch;
mod words;

pub use play::{Ended, Options, engine_only, play};
