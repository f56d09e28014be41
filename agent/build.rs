//! Tells the binary which commit and compiler made it, for `plimsoll_build_info`.

use std::process::Command;

fn main() {
    let revision = said(Command::new("git").args(["rev-parse", "--short=12", "HEAD"]));
    let rustc = said(Command::new(rustc()).arg("--version"));
    println!("cargo::rustc-env=PLIMSOLL_REVISION={revision}");
    println!("cargo::rustc-env=PLIMSOLL_RUSTC={rustc}");
    println!("cargo::rerun-if-changed=build.rs");
}

#[expect(clippy::disallowed_methods, reason = "cargo tells build scripts through the environment")]
fn rustc() -> String {
    std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into())
}

/// First line of what a command prints, or `unknown` (a source archive has no git).
fn said(command: &mut Command) -> String {
    let output = command.output().ok().filter(|output| output.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().map_or_else(|| "unknown".to_owned(), ToOwned::to_owned)
}
