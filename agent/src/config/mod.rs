//! One YAML file, checked whole: every mistake at once, each with its place.
//!
//! Two types: [`Raw`] is the file as written, [`Checked`] what it means (secrets read, rules compiled, paths resolved).

mod checked;
mod deploy;
pub mod docs;
mod drift;
mod experiments;
mod finetune;
mod masking;
mod raw;
mod receivers;
mod schema;
mod shadow;
mod tokens;
mod tree;
mod units;

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;

pub use checked::{Checked, Secret};
pub use deploy::{Engine as DeployEngine, Settings as DeploySettings, Slot as DeploySlot};
pub use drift::{Drift, HourOfWeek, Setting, Signals, Tuning};
pub use experiments::{Experiment, Judge, Split, Tells, UnitSource, Variant};
pub use finetune::{Dataset as DatasetSettings, Finetune, Trainer};
pub use masking::Masking;
pub use raw::{EngineKind, LogFormat, LogLevel, Mode, Numbers, Raw, StoreText};
pub use schema::schema;
pub use shadow::{Reader, ShadowModel, WorkerUrl};
pub use tokens::{Admin, LOCAL, Tokens};
pub use units::{AlarmBudget, ByteSize, Margin, Share, Span};

use tree::{Data, Mistake, Node, Place};

/// Largest configuration file read, in bytes: a limit against a wrong path, not against long configurations.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// One mistake and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// File, or `command line`.
    pub file: String,
    /// 1-based line and column, when there are any.
    pub at: Option<(usize, usize)>,
    /// What was found and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some((line, column)) => write!(f, "{}:{line}:{column}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

/// Every mistake of a configuration, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

/// What the command line says over the file: `(dotted key, value)`.
pub type Overrides = Vec<(&'static str, String)>;

/// Reads, checks and resolves a configuration; without `file`, defaults and `overrides` alone.
///
/// # Errors
/// Every mistake found, at once.
pub fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Checked, Problems> {
    let name = file.map_or_else(|| "command line".to_owned(), |path| path.display().to_string());
    let text = match file {
        Some(path) => {
            read(path).map_err(|message| Problems(vec![Problem { file: name.clone(), at: None, message }]))?
        }
        None => String::new(),
    };
    parse(&name, &text, overrides, file.and_then(Path::parent), &|variable| environment(variable))
}

/// As [`load`], over text and an environment given as arguments.
///
/// # Errors
/// Every mistake found, at once.
pub fn parse(
    name: &str,
    text: &str,
    overrides: &Overrides,
    folder: Option<&Path>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Checked, Problems> {
    let one = |(place, message)| Problems(vec![located(name, place, message)]);
    let mut tree = Node::parse(text).map_err(one)?;
    for (key, value) in overrides {
        insert(&mut tree, key, value);
    }
    let mut found = Vec::new();
    tree.map_strings("", &|text| expand(text, env), &mut found);
    found.extend(schema::mistakes(&tree));
    let mut problems: Vec<Problem> = found.iter().map(|one| located(name, one.place, one.message.clone())).collect();
    let folder = folder.map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    let locate = |path: &str, message: String| {
        located(name, tree.nearest(&path.split('.').collect::<Vec<_>>()), format!("{path}: {message}"))
    };
    match readable(&tree, &found) {
        Ok(raw) => match checked::check(raw, &folder, &locate) {
            Ok(checked) if problems.is_empty() => return Ok(checked),
            Ok(_) => {}
            Err(more) => {
                let follows = |told: &Problem| found.iter().any(|mistake| mistake.may_explain(&told.message));
                problems.extend(more.into_iter().filter(|told| !follows(told)));
            }
        },
        Err(why) if problems.is_empty() => return Err(one((Place::default(), why.to_string()))),
        // what is left does not hold together; the mistakes say why
        Err(_) => {}
    }
    problems.sort_by_key(|p| (p.file != name, p.at));
    Err(Problems(problems))
}

/// The file as written, with the defaults where a value cannot be read.
fn readable(tree: &Node, found: &[Mistake]) -> Result<Raw, serde_json::Error> {
    let mut tree = tree.clone();
    for mistake in found {
        tree.leave_out(&mistake.key.split('.').collect::<Vec<_>>());
    }
    serde_json::from_value(tree.to_json())
}

fn located(name: &str, place: Place, message: String) -> Problem {
    match place {
        Place { line: 0, .. } => Problem { file: "command line".into(), at: None, message },
        Place { line, column } => Problem { file: name.into(), at: Some((line, column)), message },
    }
}

fn read(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|e| format!("cannot be read: {e}"))?.len();
    if size > MAX_FILE_BYTES {
        return Err(format!("is {size} bytes long; a configuration has at most {MAX_FILE_BYTES}"));
    }
    let bytes = std::fs::read(path).map_err(|e| format!("cannot be read: {e}"))?;
    String::from_utf8(bytes).map_err(|e| format!("is not UTF-8 text (byte {})", e.utf8_error().valid_up_to()))
}

#[expect(clippy::disallowed_methods, reason = "the one door through which the environment comes in")]
fn environment(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

/// Replaces every `${NAME}`; `$$` is a plain `$`. `None` when there is nothing to replace.
fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Option<String>, String> {
    if !text.contains('$') {
        return Ok(None);
    }
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let (name, after) = after.split_once('}').ok_or_else(|| format!("{text:?}: ${{ without }}"))?;
            out.push_str(&env(name).ok_or_else(|| format!("the environment variable {name} is not set"))?);
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    Ok(Some(out))
}

/// Puts a scalar at a dotted key, with no place: mistakes in it are the command line's.
fn insert(tree: &mut Node, key: &str, value: &str) {
    let mut node = tree;
    for part in key.split('.') {
        if !matches!(node.data, Data::Map(_)) {
            node.data = Data::Map(Vec::new());
        }
        let Data::Map(entries) = &mut node.data else { return };
        let at = entries.iter().position(|(k, ..)| k == part).unwrap_or_else(|| {
            let empty = Node { place: Place::default(), data: Data::Scalar(Value::Null) };
            entries.push((part.to_owned(), Place::default(), empty));
            entries.len() - 1
        });
        node = &mut entries[at].2;
    }
    *node = Node { place: Place::default(), data: Data::Scalar(Value::String(value.to_owned())) };
}

#[cfg(test)]
mod tests;
