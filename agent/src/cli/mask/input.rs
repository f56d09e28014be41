//! Where the texts are: a whole file, or fields of the lines of a JSONL file.

use std::fs::File;
use std::io::{BufRead, BufReader, Error, Read as _, Result};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

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

/// Where a text stands in a line of JSONL.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'p> {
    /// Its dotted path.
    pub(super) at: &'p str,
    /// The nearest key above it, which may say what it is; `""` where there is none.
    pub(super) label: &'p str,
}

/// Takes a text and gives what is to stand there instead.
pub(super) type Each<'f> = dyn FnMut(Place<'_>, &str) -> Option<String> + 'f;

/// Calls `each` with every text at the dotted `path` of `value`; lists on the way are gone through. A path that ends before
/// the texts do means all of them below it, and the keys there. A number is the text it is written as. Says whether there is
/// anything at `path`.
pub(super) fn texts(value: &mut Value, path: &[&str], place: Place<'_>, each: &mut Each<'_>) -> bool {
    let Place { at, label } = place;
    let below = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
    match value {
        Value::Array(items) => {
            let mut there = path.is_empty();
            for (n, item) in items.iter_mut().enumerate() {
                there |= texts(item, path, Place { at: &below(&n.to_string()), label }, each);
            }
            there
        }
        Value::Object(map) => match path.split_first() {
            Some((key, rest)) => {
                map.get_mut(*key).is_some_and(|inner| texts(inner, rest, Place { at: &below(key), label: key }, each))
            }
            None => {
                for (key, inner) in map.iter_mut() {
                    texts(inner, path, Place { at: &below(key), label: key }, each);
                }
                keys(map, at, each);
                true
            }
        },
        _ if !path.is_empty() => false,
        Value::String(text) => {
            if let Some(new) = each(place, text) {
                *text = new;
            }
            true
        }
        Value::Number(number) => {
            if let Some(new) = each(place, &number.to_string()) {
                *value = Value::String(new);
            }
            true
        }
        Value::Null | Value::Bool(_) => true,
    }
}

/// Renames the keys that `each` gives another text. Where two become the same, the later ones are numbered.
fn keys(map: &mut Map<String, Value>, at: &str, each: &mut Each<'_>) {
    let place = if at.is_empty() { "(key)".to_owned() } else { format!("{at} (key)") };
    let new: Vec<Option<String>> = map.keys().map(|key| each(Place { at: &place, label: "" }, key)).collect();
    if new.iter().all(Option::is_none) {
        return;
    }
    let old = std::mem::take(map);
    for ((key, value), new) in old.into_iter().zip(new) {
        let name = new.unwrap_or(key);
        let taken = |name: &String| map.contains_key(name);
        let numbered = (2..).map(|n| format!("{name} ({n})"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| !taken(name));
        map.insert(free.unwrap_or(name), value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TOP: Place<'static> = Place { at: "", label: "" };

    fn keys_of(path: &str) -> Vec<&str> {
        path.split('.').filter(|key| !key.is_empty()).collect()
    }

    #[test]
    fn a_path_finds_its_texts() {
        let line =
            json!({"id": "a", "messages": [{"content": "b"}, {"content": [{"text": "c"}, 4]}], "n": 1, "t": true});
        for (path, there, expected) in [
            (
                "messages.content",
                true,
                "messages.0.content=b messages.1.content.0.text=c messages.1.content.0 (key)=text messages.1.content.1=4",
            ),
            ("messages.content.text", true, "messages.1.content.0.text=c"),
            ("id", true, "id=a"),
            ("n", true, "n=1"),
            ("t", true, ""),
            ("nowhere", false, ""),
            ("id.deeper", false, ""),
        ] {
            let mut found = Vec::new();
            let is_there = texts(&mut line.clone(), &keys_of(path), TOP, &mut |place, text| {
                found.push(format!("{}={text}", place.at));
                None
            });
            assert_eq!((found.join(" "), is_there), (expected.to_owned(), there), "{path}");
        }
    }

    #[test]
    fn numbers_and_keys_are_replaced_and_none_is_lost() {
        let mut line = json!({"a": {"x1": 1, "x2": [2.5, "y"], "z": null}});
        texts(&mut line, &["a"], TOP, &mut |_, text| (text != "z").then(|| "m".to_owned()));
        assert_eq!(line, json!({"a": {"m": "m", "m (2)": ["m", "m"], "z": null}}));
    }
}
