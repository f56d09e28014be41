//! The other judge of rules: Prometheus' own promtool.

use std::process::Command;

/// The promtool named by `PLIMSOLL_PROMTOOL`, or the installed one, and whether it is 3.x or later. `None`, said loudly,
/// when there is none: the caller returns, its test counts as skipped.
pub fn promtool() -> Option<(String, bool)> {
    #[expect(
        clippy::disallowed_methods,
        reason = "another promtool than the installed one is named through the environment"
    )]
    let program = std::env::var("PLIMSOLL_PROMTOOL").unwrap_or_else(|_| "promtool".into());
    let Ok(said) = Command::new(&program).arg("--version").output() else {
        println!("SKIPPED: {program} does not start; tests/setup.sh installs Debian's prometheus");
        return None;
    };
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let modern = said.split("version ").nth(1).is_some_and(|version| !version.starts_with("2."));
    println!("{}", said.lines().next().unwrap_or(""));
    Some((program, modern))
}
