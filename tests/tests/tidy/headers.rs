//! Every Rust file says what it is for, and none has grown too long to read.

use crate::{files, root, short};

/// Longest Rust file: a reader wants about 400 lines; this is where it is refused.
const LONGEST: usize = 500;

#[test]
fn every_rust_file_has_a_header_and_a_readable_length() {
    let mut wrong = Vec::new();
    for path in files().into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let first = text.lines().next().unwrap_or("");
        if !first.starts_with("//! ") && short(&path) != "agent/build.rs" {
            wrong.push(format!("{}: begin with a //! line that says what it is for", short(&path)));
        }
        let lines = text.lines().count();
        if lines > LONGEST {
            wrong.push(format!("{}: {lines} lines; split it below {LONGEST}", short(&path)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_of_one_machine_is_committed() {
    let home = root().canonicalize().unwrap();
    let parent = home.parent().unwrap().display().to_string();
    let mut wrong = Vec::new();
    for path in files() {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        if parent.len() > 1 && text.contains(&format!("{parent}/")) {
            wrong.push(short(&path));
        }
    }
    assert!(wrong.is_empty(), "paths of this machine stand in: {}", wrong.join(", "));
}
