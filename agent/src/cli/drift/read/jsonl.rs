//! JSONL: one flat object a line.

use std::collections::HashMap;
use std::fmt;
use std::io::BufRead;

use anyhow::{anyhow, bail};
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::Value;

use super::{Cell, Each, MOST_COLUMNS, Table, read_line};

/// A JSONL file, read line by line.
pub(super) struct Jsonl {
    text: Box<dyn BufRead + Send>,
    file: String,
    names: Vec<String>,
    columns: HashMap<String, usize>,
    line: usize,
    record: Vec<u8>,
}

impl Jsonl {
    pub(super) fn open(text: Box<dyn BufRead + Send>, file: String) -> Self {
        Self { text, file, names: Vec::new(), columns: HashMap::new(), line: 0, record: Vec::new() }
    }

    fn column(&mut self, key: &str) -> anyhow::Result<usize> {
        if let Some(column) = self.columns.get(key) {
            return Ok(*column);
        }
        if self.names.len() == MOST_COLUMNS {
            bail!("{}:{}: more than {MOST_COLUMNS} different keys", self.file, self.line);
        }
        self.names.push(key.to_owned());
        self.columns.insert(key.to_owned(), self.names.len() - 1);
        Ok(self.names.len() - 1)
    }
}

impl Table for Jsonl {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn next(&mut self, each: &mut Each<'_>) -> anyhow::Result<bool> {
        loop {
            self.record.clear();
            self.line += 1;
            let (file, line) = (&self.file, self.line);
            if !read_line(&mut self.text, &mut self.record, || format!("{file}:{line}"))? {
                return Ok(false);
            }
            if !self.record.trim_ascii().is_empty() {
                break;
            }
        }
        let record = std::mem::take(&mut self.record);
        let outcome = self.give(&record, each);
        self.record = record;
        outcome.map(|()| true)
    }

    fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }
}

impl Jsonl {
    fn give(&mut self, record: &[u8], each: &mut Each<'_>) -> anyhow::Result<()> {
        let place = format!("{}:{}", self.file, self.line);
        let text =
            std::str::from_utf8(record).map_err(|_| anyhow!("{place}: not UTF-8 text; save the file as UTF-8"))?;
        let text = text.trim_start_matches('\u{feff}');
        if !text.trim_start().starts_with('{') {
            let found: String = text.trim().chars().take(40).collect();
            bail!("{place}: {found} where an object is wanted");
        }
        let mut parser = serde_json::Deserializer::from_str(text);
        let pairs = parser.deserialize_map(Pairs).and_then(|pairs| parser.end().map(|()| pairs));
        let pairs = pairs.map_err(|why| {
            let said = why.to_string();
            let said = said.split(" at line ").next().unwrap_or_default().to_owned();
            anyhow!("{place}: column {}: {said}", why.column())
        })?;
        for (key, value) in pairs {
            let column = self.column(&key)?;
            match value {
                Value::Null => each(column, Cell::Missing)?,
                Value::Bool(truth) => each(column, Cell::Text(if truth { "true" } else { "false" }))?,
                Value::Number(number) => {
                    let number =
                        number.as_f64().ok_or_else(|| anyhow!("{place}: key {key:?}: {number} is too large"))?;
                    each(column, Cell::Number(number))?;
                }
                Value::String(text) if text.is_empty() => each(column, Cell::Missing)?,
                Value::String(text) => each(column, Cell::Text(&text))?,
                Value::Array(_) | Value::Object(_) => {
                    let what = if value.is_array() { "an array" } else { "an object" };
                    bail!("{place}: key {key:?} holds {what}; one value is wanted");
                }
            }
        }
        Ok(())
    }
}

/// The pairs of an object, in their order.
struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}
