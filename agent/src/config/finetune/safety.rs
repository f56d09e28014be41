//! The file of `finetune.gate.safety`: whether its first lines are what the gate reads, long before a gate does.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use serde_json::Value;

/// Lines that are looked at.
const LINES: usize = 100;

/// The first mistake, with its line.
pub(super) fn mistake(path: &Path) -> Option<String> {
    let name = path.display();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(why) => return Some(format!("{name} cannot be read: {why}")),
    };
    let mut is_empty = true;
    for (at, line) in BufReader::new(file).lines().take(LINES).enumerate() {
        let why = match line {
            Ok(line) if line.trim().is_empty() => continue,
            Ok(line) => wrong(line.trim_start_matches('\u{feff}')),
            Err(why) => Some(format!("cannot be read: {why}")),
        };
        if let Some(why) = why {
            return Some(format!("{name}:{}: {why}", at + 1));
        }
        is_empty = false;
    }
    is_empty.then(|| format!("{name} has no question in it"))
}

/// What a line lacks.
fn wrong(line: &str) -> Option<String> {
    let value: Value = match serde_json::from_str(line) {
        Ok(value) => value,
        Err(why) => return Some(format!("not JSON: {why}")),
    };
    let is_question = value["messages"].is_array() || (value["prompt"].is_string() && value["response"].is_string());
    if !is_question {
        return Some("no messages, nor prompt and response; write one object a line (plimsoll gate --help)".to_owned());
    }
    let lacks = !value["rejected"].is_string();
    lacks.then(|| "no text as rejected; write there the answer that must not be given".to_owned())
}
