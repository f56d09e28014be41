//! `plimsoll experiment`: judge an A/B test from a file, or plan one.

mod analyze;
mod html;
mod json;
mod metrics;
mod plan;
mod rows;
mod table;

use std::process::ExitCode;

use super::complain;

/// Shown below `--help`.
pub(super) const HELP: &str = "Examples:
  plimsoll experiment analyze outcomes.csv --margin completed=3%
  plimsoll experiment plan --baseline 90% --effect=-3% --margin 3%

See docs/experiments.md";

/// Arguments of `experiment`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Verb {
    /// Judge past outcomes as if they had come one by one: what would have been decided, and when.
    #[command(after_help = analyze::HELP)]
    Analyze(analyze::Args),
    /// How many units it takes to see an effect, or its absence, by simulation.
    #[command(after_help = plan::HELP)]
    Plan(plan::Args),
}

/// Runs the verb; exit code 2 where a file or an argument cannot be used.
pub fn main(args: &Args) -> ExitCode {
    let outcome = match &args.verb {
        Verb::Analyze(args) => analyze::run(args),
        Verb::Plan(args) => plan::run(args),
    };
    outcome.unwrap_or_else(|why| {
        complain(&format!("plimsoll: {why:#}"));
        ExitCode::from(2)
    })
}

/// A share, as `0.03` or `3%`.
fn share(text: &str) -> Result<f64, String> {
    let (digits, scale) = text.strip_suffix('%').map_or((text, 1.0), |digits| (digits, 0.01));
    let value = digits.trim().parse().ok().map(|value: f64| value * scale).filter(|value| value.abs() <= 1.0);
    value.ok_or_else(|| format!("{text:?}: a share such as 0.03 or 3% is wanted"))
}

/// A share above 0 and below 1.
fn inner_share(text: &str) -> Result<f64, String> {
    share(text)
        .ok()
        .filter(|value| *value > 0.0 && *value < 1.0)
        .ok_or_else(|| format!("{text:?}: a share above 0 and below 1 is wanted, such as 0.05 or 5%"))
}
