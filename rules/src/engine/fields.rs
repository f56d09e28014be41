//! Typed reading of a YAML mapping: each getter either gives the value or notes the mistake with its place.

use std::rc::Rc;
use std::time::Duration;

use super::locate::locate;
use super::names::suggestion;
use super::rule_file::RuleProblem;
use super::yaml::{Data, Mistake, Node, Place, Text};
use crate::promql;

/// The file being read and what was wrong so far.
pub(super) struct Sheet<'a> {
    pub(super) source: &'a str,
    pub(super) mistakes: Vec<Mistake>,
}

/// The entries of one mapping.
pub(super) struct Fields {
    place: Place,
    entries: Vec<(Text, Rc<Node>)>,
}

impl Fields {
    /// Where `key` stands, and its value unless that is null.
    pub(super) fn get(&self, key: &str) -> Option<(Place, &Node)> {
        let (name, node) = self.entries.iter().find(|(name, _)| name.text == key)?;
        (!matches!(node.data, Data::Null)).then_some((name.place, node))
    }
}

impl Sheet<'_> {
    /// Every mistake once, in the order of the file; `file` as the user named it.
    pub(super) fn into_problems(mut self, file: &str) -> Vec<RuleProblem> {
        self.mistakes.sort();
        self.mistakes.dedup();
        let problem =
            |(at, message): Mistake| RuleProblem { file: file.to_owned(), line: at.line, column: at.column, message };
        self.mistakes.into_iter().map(problem).collect()
    }

    pub(super) fn refuse(&mut self, place: Place, why: String) {
        self.mistakes.push((place, why));
    }

    /// The place in the file of `line`:`column` within `text`.
    pub(super) fn locate(&self, text: &Text, line: usize, column: usize) -> Place {
        locate(self.source, text, line, column)
    }

    /// `node` as a mapping that knows only the keys in `known`.
    pub(super) fn mapping(&mut self, node: &Node, what: &str, known: &[&str]) -> Option<Fields> {
        let Data::Map(entries) = &node.data else {
            self.refuse(node.place, format!("{what} is a mapping (key: value), not {}", node.data.kind()));
            return None;
        };
        for (key, _) in entries.iter().filter(|(key, _)| !known.contains(&&*key.text)) {
            self.refuse(key.place, format!("unknown key {} in {what}{}", key.text, suggestion(&key.text, known)));
        }
        Some(Fields { place: node.place, entries: entries.clone() })
    }

    /// The list under `key`; none is empty.
    pub(super) fn list(&mut self, fields: &Fields, key: &str) -> Vec<Rc<Node>> {
        match fields.get(key) {
            None => Vec::new(),
            Some((_, Node { data: Data::List(items), .. })) => items.clone(),
            Some((_, node)) => {
                self.refuse(node.place, format!("{key} is a list (- item), not {}", node.data.kind()));
                Vec::new()
            }
        }
    }

    /// The scalar under `key`, as it was written.
    pub(super) fn text(&mut self, fields: &Fields, key: &str) -> Option<Text> {
        match fields.get(key)? {
            (_, Node { data: Data::Text(text), .. }) => Some(text.clone()),
            (_, node) => {
                self.refuse(node.place, format!("{key} is text, not {}", node.data.kind()));
                None
            }
        }
    }

    /// The scalar under `key`, which `what` cannot do without.
    pub(super) fn required(&mut self, fields: &Fields, key: &str, what: &str) -> Option<Text> {
        let written = fields.get(key).is_some();
        match self.text(fields, key) {
            Some(text) if !text.text.trim().is_empty() => Some(text),
            Some(text) => {
                self.refuse(text.place, format!("{key} is empty; {what} needs it"));
                None
            }
            None if written => None,
            None => {
                self.refuse(fields.place, format!("{what} needs {key}"));
                None
            }
        }
    }

    /// The duration under `key`.
    pub(super) fn duration(&mut self, fields: &Fields, key: &str) -> Option<Duration> {
        let text = self.text(fields, key)?;
        promql::parse_duration(&text.text).map_err(|why| self.refuse(text.place, format!("{key}: {why}"))).ok()
    }

    /// The number under `key`.
    pub(super) fn count(&mut self, fields: &Fields, key: &str) -> Option<usize> {
        let text = self.text(fields, key)?;
        let why = || format!("{key}: {:?} is not a whole number from 0 up", text.text);
        text.text.parse().map_err(|_| self.refuse(text.place, why())).ok()
    }

    /// The names and texts under `key`; what is no text is noted and left out.
    pub(super) fn texts(&mut self, fields: &Fields, key: &str) -> Vec<(Text, Text)> {
        let Some((_, node)) = fields.get(key) else { return Vec::new() };
        let Data::Map(entries) = &node.data else {
            self.refuse(node.place, format!("{key} is a mapping (name: text), not {}", node.data.kind()));
            return Vec::new();
        };
        let mut texts = Vec::new();
        for (name, node) in entries {
            match &node.data {
                Data::Text(text) => texts.push((name.clone(), text.clone())),
                Data::Null => {
                    let empty = Text { text: String::new(), ..name.clone() };
                    texts.push((name.clone(), empty));
                }
                other => self.refuse(node.place, format!("{} in {key} is text, not {}", name.text, other.kind())),
            }
        }
        texts
    }
}
