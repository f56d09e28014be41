//! How often the verdicts err, and how soon they are right, by simulation: `make sim-verdicts`. Seeds are fixed.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

mod sim_verdicts {
    pub mod intervals;
    pub mod machine;
    pub mod peeking;
    pub mod runs;
}

use sim_verdicts::{intervals, machine, peeking};

fn main() {
    let runs = std::env::args().nth(1).and_then(|runs| runs.parse().ok()).unwrap_or(4000);
    println!("{runs} runs a line\n");
    peeking::table(runs);
    peeking::sample_sizes(runs);
    peeking::split(runs);
    intervals::table(runs);
    machine::table(runs);
}
