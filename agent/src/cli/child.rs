//! How a child of the agent behaves.

use rustix::process::{Signal, nice, set_parent_process_death_signal};

/// What can be done without rights: an agent's child never competes with the pod it sits in, and does not outlive the agent.
pub(super) fn yield_to_others() {
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let _ = nice(19);
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
}
