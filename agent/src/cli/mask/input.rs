//! Where the texts are: a whole file, or fields of the lines of a JSONL file.

use std::fs::File;
use std::io::{BufRead, BufReader, Error, Read as _, Result};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Longest text, and longest line of JSONL.
const LONGEST: u64 = 256 << 20;

/// A file, or standard input.
pub(super) struct Input {
    name: String,
    reader: Box<dyn BufRead>,
}

impl Input {
    /// Opens `file`; standard input when absent or `-`.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn open(file: Option<&PathBuf>) -> Result<Self> {
        match file.filter(|path| path.as_path() != Path::new("-")) {
            None => Ok(Self { name: "standard input".into(), reader: Box::new(BufReader::new(std::io::stdin())) }),
            Some(path) => {
                let name = path.display().to_string();
                let file = File::open(path).map_err(|why| named(&name, &why))?;
                Ok(Self { name, reader: Box::new(BufReader::new(file)) })
            }
        }
    }

    /// The whole text.
    ///
    /// # Errors
    /// It cannot be read, is too long, or no UTF-8.
    pub(super) fn text(mut self) -> Result<String> {
        let mut bytes = Vec::new();
        let read = self.reader.by_ref().take(LONGEST + 1).read_to_end(&mut bytes);
        read.map_err(|why| named(&self.name, &why))?;
        self.bounded(bytes.len())?;
        String::from_utf8(bytes).map_err(|why| {
            let at = why.utf8_error().valid_up_to();
            Error::other(format!("{} is not UTF-8 text (byte {at})", self.name))
        })
    }

    /// Calls `each` with every line of a JSONL file and its number; empty lines are passed over.
    ///
    /// # Errors
    /// It cannot be read, a line is no JSON, or `each` fails.
    pub(super) fn lines(mut self, mut each: impl FnMut(usize, Value) -> Result<()>) -> Result<()> {
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let read = self.reader.by_ref().take(LONGEST + 1).read_until(b'\n', &mut line);
            if read.map_err(|why| named(&self.name, &why))? == 0 {
                break;
            }
            self.bounded(line.len())?;
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let value = serde_json::from_slice(&line)
                .map_err(|why| Error::other(format!("{}:{number}:{}: is no JSON: {why}", self.name, why.column())))?;
            each(number, value)?;
        }
        Ok(())
    }

    fn bounded(&self, length: usize) -> Result<()> {
        if length as u64 > LONGEST {
            return Err(Error::other(format!("{} has more than {LONGEST} bytes in one text; split it", self.name)));
        }
        Ok(())
    }
}

fn named(name: &str, why: &Error) -> Error {
    Error::new(why.kind(), format!("{name}: {why}"))
}

/// Calls `each` with every text at the dotted `path` of `value` and where it is; lists on the way are gone through. A path
/// that ends before the texts do means all of them below it.
pub(super) fn texts(value: &mut Value, path: &[&str], at: &str, each: &mut impl FnMut(&str, &mut String)) {
    let below = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
    match value {
        Value::String(text) if path.is_empty() => each(at, text),
        Value::Array(items) => {
            for (n, item) in items.iter_mut().enumerate() {
                texts(item, path, &below(&n.to_string()), each);
            }
        }
        Value::Object(map) => match path.split_first() {
            Some((key, rest)) => {
                if let Some(inner) = map.get_mut(*key) {
                    texts(inner, rest, &below(key), each);
                }
            }
            None => map.iter_mut().for_each(|(key, inner)| texts(inner, path, &below(key), each)),
        },
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_finds_its_texts() {
        let line = json!({"id": "a", "messages": [{"content": "b"}, {"content": [{"text": "c"}, 4]}], "n": 1});
        for (path, expected) in [
            ("messages.content", "messages.0.content=b messages.1.content.0.text=c"),
            ("messages.content.text", "messages.1.content.0.text=c"),
            ("id", "id=a"),
            ("", "id=a messages.0.content=b messages.1.content.0.text=c"),
            ("n", ""),
            ("nowhere", ""),
        ] {
            let keys: Vec<&str> = path.split('.').filter(|key| !key.is_empty()).collect();
            let mut found = Vec::new();
            texts(&mut line.clone(), &keys, "", &mut |at, text| found.push(format!("{at}={text}")));
            assert_eq!(found.join(" "), expected, "{path}");
        }
    }
}
