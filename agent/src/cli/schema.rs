//! `plimsoll schema`: the configuration's JSON Schema, for editors, or its manual.

use std::process::ExitCode;

use super::print;
use crate::config;

/// Arguments of `schema`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Print the manual (docs/config.md) instead.
    #[arg(long)]
    markdown: bool,
    /// Print the list of metrics (docs/metrics.md) instead.
    #[arg(long, conflicts_with = "markdown")]
    metrics: bool,
}

/// Prints the schema.
pub fn main(args: &Args) -> ExitCode {
    if args.markdown {
        return print(&config::docs::markdown());
    }
    if args.metrics {
        return print(&plimsoll_exporters::markdown());
    }
    print(&format!("{:#}\n", config::schema().to_value()))
}
