//! `plimsoll check`: every mistake of a configuration and its rule files, without starting anything.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{EXIT_CONFIG, complain, print};
use crate::config;

/// Arguments of `check`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Configuration file (YAML).
    file: PathBuf,
}

/// Says whether the file can be run.
pub fn main(args: &Args) -> ExitCode {
    match config::load(Some(&args.file), &Vec::new()) {
        Ok(config) => {
            let rules: usize = config.groups.len();
            print(&format!("{}: good; {rules} rule groups\n", args.file.display()))
        }
        Err(problems) => {
            complain(&problems);
            ExitCode::from(EXIT_CONFIG)
        }
    }
}
