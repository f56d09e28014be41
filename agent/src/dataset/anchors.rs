//! Anchors that were drawn before: read, and kept as they are.

use std::path::Path;

use anyhow::{Context as _, bail};
use plimsoll_rules::Timestamp;
use plimsoll_rules::dataset::{Example, Origin};
use serde::Deserialize;

/// Most bytes of a file of anchors.
const MOST: u64 = 64 << 20;

/// A file of anchors, and what is in it.
#[derive(Clone)]
pub(super) struct Anchors {
    pub(super) bytes: Vec<u8>,
    pub(super) examples: Vec<Example>,
}

/// One line; other keys are left alone. No `Debug`: it holds text.
#[derive(Deserialize)]
struct Line {
    messages: Vec<Message>,
    #[serde(default)]
    id: String,
    #[serde(default)]
    started_ms: Timestamp,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: String,
}

impl Anchors {
    /// # Errors
    /// The file cannot be read, is too long, or a line is no example.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let length = std::fs::metadata(path).with_context(|| format!("{shown} cannot be read"))?.len();
        if length > MOST {
            bail!("{shown}: {length} bytes; anchors are few, at most {MOST} bytes of them");
        }
        let bytes = std::fs::read(path).with_context(|| format!("{shown} cannot be read"))?;
        let text = std::str::from_utf8(&bytes).with_context(|| format!("{shown} is not UTF-8"))?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let read = |(at, line)| example(line, at + 1).with_context(|| format!("{shown}:{}", at + 1));
        let examples = lines.map(read).collect::<anyhow::Result<_>>()?;
        Ok(Self { examples, bytes })
    }
}

fn example(line: &str, number: usize) -> anyhow::Result<Example> {
    // what serde says of a value would quote it
    let line: Line = serde_json::from_str(line).map_err(|why| {
        let expected = r#"expected {"messages": [{"role": "user", "content": ...}, {"role": "assistant", ...}], ...}"#;
        anyhow::anyhow!("column {}: no such example; {expected}", why.column())
    })?;
    let [.., user, assistant] = line.messages.as_slice() else {
        bail!("key messages: {} found; a user's and the assistant's are expected", line.messages.len());
    };
    if user.role != "user" || assistant.role != "assistant" {
        bail!("key messages: the last two are not a user's and the assistant's");
    }
    Ok(Example {
        id: if line.id.is_empty() { format!("anchor-{number}") } else { line.id },
        prompt: user.content.clone(),
        response: assistant.content.clone(),
        origin: Origin::Good,
        started: line.started_ms,
        known: line.started_ms,
        weight: 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_told_with_their_line_and_without_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let good = r#"{"messages":[{"role":"user","content":"secret"},{"role":"assistant","content":"b"}]}"#;
        for (text, expected) in [
            (good.replace("\"secret\"", "[\"secret\"]"), "a.jsonl:2: column"),
            (good.replace("user", "system"), "a.jsonl:2: key messages: the last two"),
            ("{\"messages\":[]}".to_owned(), "a.jsonl:2: key messages: 0 found"),
        ] {
            std::fs::write(&path, format!("{good}\n{text}\n")).unwrap();
            let said = format!("{:#}", Anchors::read(&path).err().unwrap());
            assert!(said.contains(expected) && !said.contains("secret"), "{said}");
        }
        std::fs::write(&path, format!("{good}\n\n{good}\n")).unwrap();
        let read = Anchors::read(&path).unwrap();
        assert_eq!(read.examples.iter().map(|one| &one.id[..]).collect::<Vec<_>>(), ["anchor-1", "anchor-3"]);
    }
}
