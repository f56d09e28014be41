//! The examples of a file: JSON lines, every mistake with its line and key.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context as _, bail};
use plimsoll_shadow_model::train::{Example, Message, Reader, sha256};
use serde::Serialize;
use serde_json::Value;

use crate::cli::jsonl;
use crate::shadow::worker::mistake;

/// A file and what was read from it.
pub(in crate::cli) struct Examples {
    pub all: Vec<Example>,
    pub file: FileFacts,
}

/// What `training.json` says of a file.
#[derive(Clone, Debug, Serialize)]
pub(in crate::cli) struct FileFacts {
    file: String,
    sha256: String,
    examples: usize,
    pub tokens: usize,
    pub answer_tokens: usize,
    truncated: usize,
}

/// Reads all lines of a file.
///
/// # Errors
/// Where it cannot be read, is empty, or a line is no example.
pub(in crate::cli) fn read(path: &Path, reader: &Reader) -> anyhow::Result<Examples> {
    let name = path.display().to_string();
    let all = each(path, |line| example(&object(line)?, reader))?;
    let sum = |of: fn(&Example) -> usize| all.iter().map(of).sum();
    let file = FileFacts {
        sha256: sha256(&[path.to_owned()])?,
        examples: all.len(),
        tokens: sum(Example::tokens),
        answer_tokens: sum(Example::learnt),
        truncated: all.iter().filter(|example| example.truncated()).count(),
        file: name,
    };
    Ok(Examples { all, file })
}

/// Questions with the answer that is wanted and, as `rejected`, one that must not be given; each is read with either.
///
/// # Errors
/// As [`read`].
pub(in crate::cli) fn read_pairs(path: &Path, reader: &Reader) -> anyhow::Result<Vec<[Example; 2]>> {
    each(path, |line| {
        let wanted = object(line)?;
        let rejected = Value::from(text(&wanted, "rejected", "rejected")?);
        let mut other = wanted.clone();
        match other.get_mut("messages").and_then(Value::as_array_mut) {
            Some(messages) => {
                let last = messages.last_mut().and_then(Value::as_object_mut);
                last.and_then(|last| last.insert("content".to_owned(), rejected));
            }
            None => other["response"] = rejected,
        }
        Ok([example(&wanted, reader)?, example(&other, reader)?])
    })
}

/// What every line that is not blank is; at least one.
fn each<T>(path: &Path, one: impl Fn(&str) -> anyhow::Result<T>) -> anyhow::Result<Vec<T>> {
    let name = path.display().to_string();
    let mut input = BufReader::new(File::open(path).with_context(|| format!("{name} cannot be read"))?);
    let (mut number, mut all) = (0, Vec::new());
    while let Some(line) = jsonl::next(&mut input, &name, &mut number)? {
        if !line.trim().is_empty() {
            all.push(one(&line).with_context(|| format!("{name}:{number}"))?);
        }
    }
    if all.is_empty() {
        bail!("{name}: no examples in it");
    }
    Ok(all)
}

fn object(line: &str) -> anyhow::Result<Value> {
    let value: Value = serde_json::from_str(line).map_err(|why| anyhow::anyhow!("{}", mistake(&why)))?;
    if !value.is_object() {
        bail!("found {}, expected an object with messages, or with prompt and response", kind(Some(&value)));
    }
    Ok(value)
}

fn example(value: &Value, reader: &Reader) -> anyhow::Result<Example> {
    match value.get("messages") {
        Some(messages) => Ok(reader.conversation(&conversation(messages)?)?),
        None => Ok(reader.pair(text(value, "prompt", "prompt")?, text(value, "response", "response")?)?),
    }
}

fn conversation(messages: &Value) -> anyhow::Result<Vec<Message>> {
    let Some(messages) = messages.as_array().filter(|messages| !messages.is_empty()) else {
        bail!("key messages: found {}, expected a list of messages", kind(Some(messages)));
    };
    let message = |(at, message): (usize, &Value)| {
        let get = |key: &str| text(message, key, &format!("messages[{at}].{key}")).map(str::to_owned);
        Ok(Message { role: get("role")?, content: get("content")? })
    };
    messages.iter().enumerate().map(message).collect()
}

fn text<'v>(value: &'v Value, key: &str, path: &str) -> anyhow::Result<&'v str> {
    let found = value.get(key);
    let Some(text) = found.and_then(Value::as_str) else {
        bail!("key {path}: found {}, expected a text", kind(found));
    };
    Ok(text)
}

fn kind(value: Option<&Value>) -> &'static str {
    match value {
        None => "nothing",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "true or false",
        Some(Value::Number(_)) => "a number",
        Some(Value::String(_)) => "a text",
        Some(Value::Array(list)) if list.is_empty() => "an empty list",
        Some(Value::Array(_)) => "a list",
        Some(Value::Object(_)) => "an object",
    }
}
