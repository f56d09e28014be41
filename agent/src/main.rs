//! The binary `plimsoll`: arguments in, exit code out. The only place that ends the process.

use std::process::ExitCode;

fn main() -> ExitCode {
    plimsoll_agent::cli::main()
}
