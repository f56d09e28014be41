//! `plimsoll rules`: the built-in rule file.

use std::process::ExitCode;

use plimsoll_rules::BUILTIN_RULES;

use super::print;

/// Arguments of `rules`: none.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {}

/// Prints the file.
pub fn main(_args: &Args) -> ExitCode {
    print(BUILTIN_RULES)
}
