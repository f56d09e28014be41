//! A YAML document as a tree that still knows where each key and value stood.

use saphyr::{LoadableYamlNode as _, MarkedYaml, Scalar, YamlData};
use serde_json::{Map, Value};

/// A place in a file, 1-based.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// 1-based line.
    pub line: usize,
    /// 1-based column, in characters.
    pub column: usize,
}

/// What is wrong with a value or a key, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it stands.
    pub place: Place,
    /// The dotted key that it stands at; items of lists by number.
    pub key: String,
    /// What may have been meant: that key, or one that the writer slipped from.
    pub meant: String,
    /// What was found and what would be right.
    pub message: String,
}

impl Mistake {
    /// In the value of a key; in an item of a list the whole list is left out.
    pub fn at(place: Place, key: String, message: String) -> Self {
        let mut meant = key.as_str();
        while let Some((list, item)) = meant.rsplit_once('.')
            && item.parse::<usize>().is_ok()
        {
            meant = list;
        }
        Self { place, meant: meant.to_owned(), key, message }
    }

    /// Whether `told`, which begins with its key, may only be so because this value was left out.
    pub fn may_explain(&self, told: &str) -> bool {
        let below =
            |key: &str, of: &str| key.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let key = told.split(": ").next().unwrap_or_default();
        below(key, &self.meant) || below(&self.meant, key) || told.contains(&self.meant)
    }
}

/// `key` below `path`.
pub fn dotted(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A node with its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where the value begins.
    pub place: Place,
    /// What it is.
    pub data: Data,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Data {
    /// Null, boolean, number or string.
    Scalar(Value),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping: key, where the key stood, value.
    Map(Vec<(String, Place, Node)>),
}

impl Node {
    /// Parses one document; an empty one is an empty mapping.
    ///
    /// # Errors
    /// Where the YAML breaks and why.
    pub fn parse(text: &str) -> Result<Self, (Place, String)> {
        let documents = MarkedYaml::load_from_str(text).map_err(|e| {
            let at = e.marker();
            (Place { line: at.line(), column: at.col() + 1 }, e.info().to_owned())
        })?;
        match documents.as_slice() {
            [] => Ok(Self { place: Place { line: 1, column: 1 }, data: Data::Map(Vec::new()) }),
            [one] => convert(one),
            [_, second, ..] => Err((place(second), "a second YAML document; write one".to_owned())),
        }
    }

    /// The node at `path` (keys, or indices as decimal text), or the deepest one that exists on the way.
    pub fn nearest(&self, path: &[&str]) -> Place {
        let Some((first, rest)) = path.split_first() else { return self.place };
        match &self.data {
            Data::Map(entries) => match entries.iter().find(|(key, ..)| key == first) {
                Some((_, at, node)) if rest.is_empty() => {
                    if node.place == Place::default() {
                        *at
                    } else {
                        node.place
                    }
                }
                Some((_, _, node)) => node.nearest(rest),
                None => self.place,
            },
            Data::List(items) => {
                first.parse::<usize>().ok().and_then(|i| items.get(i)).map_or(self.place, |node| node.nearest(rest))
            }
            Data::Scalar(_) => self.place,
        }
    }

    /// Calls `change` on every string; its `Err` is collected with the place. `path` is this node's own.
    pub fn map_strings(
        &mut self,
        path: &str,
        change: &impl Fn(&str) -> Result<Option<String>, String>,
        problems: &mut Vec<Mistake>,
    ) {
        match &mut self.data {
            Data::Scalar(Value::String(text)) => match change(text) {
                Ok(Some(new)) => *text = new,
                Ok(None) => {}
                Err(message) => problems.push(Mistake::at(self.place, path.to_owned(), message)),
            },
            Data::Scalar(_) => {}
            Data::List(items) => {
                for (at, node) in items.iter_mut().enumerate() {
                    node.map_strings(&dotted(path, &at.to_string()), change, problems);
                }
            }
            Data::Map(entries) => {
                for (key, _, node) in entries {
                    node.map_strings(&dotted(path, key), change, problems);
                }
            }
        }
    }

    /// Leaves out what stands at `path`, so that its default holds; of a list, which has none for an item, the whole. Whether
    /// something here could be left out.
    pub fn leave_out(&mut self, path: &[&str]) -> bool {
        let Some((first, rest)) = path.split_first() else { return false };
        match &mut self.data {
            Data::Map(entries) => {
                if let Some(at) = entries.iter().position(|(key, ..)| key == first)
                    && !entries[at].2.leave_out(rest)
                {
                    entries.remove(at);
                }
                true
            }
            Data::List(items) => {
                let item = first.parse().ok().and_then(|at: usize| items.get_mut(at));
                item.is_some_and(|item| item.leave_out(rest))
            }
            Data::Scalar(_) => false,
        }
    }

    /// The tree as JSON, places forgotten. Nulls are left out: a key without a value means its default.
    pub fn to_json(&self) -> Value {
        match &self.data {
            Data::Scalar(value) => value.clone(),
            Data::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Data::Map(entries) => Value::Object(
                entries
                    .iter()
                    .filter(|(_, _, node)| !matches!(node.data, Data::Scalar(Value::Null)))
                    .map(|(key, _, node)| (key.clone(), node.to_json()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }
}

fn place(node: &MarkedYaml<'_>) -> Place {
    Place { line: node.span.start.line(), column: node.span.start.col() + 1 }
}

fn convert(node: &MarkedYaml<'_>) -> Result<Node, (Place, String)> {
    let at = place(node);
    let data = match &node.data {
        YamlData::Value(scalar) => Data::Scalar(scalar_json(scalar)),
        YamlData::Sequence(items) => Data::List(items.iter().map(convert).collect::<Result<_, _>>()?),
        YamlData::Mapping(entries) => {
            let mut map = Vec::with_capacity(entries.len());
            for (key, value) in entries {
                let YamlData::Value(name) = &key.data else {
                    return Err((place(key), "a key must be a plain word".to_owned()));
                };
                let name = match scalar_json(name) {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                map.push((name, place(key), convert(value)?));
            }
            Data::Map(map)
        }
        YamlData::Tagged(..) => return Err((at, "YAML tags are not used here; write the value alone".to_owned())),
        YamlData::Alias(_) | YamlData::BadValue | YamlData::Representation(..) => {
            return Err((at, "this value cannot be read; write it as a plain or quoted scalar".to_owned()));
        }
    };
    Ok(Node { place: at, data })
}

fn scalar_json(scalar: &Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(b) => Value::Bool(*b),
        Scalar::Integer(i) => Value::from(*i),
        // NaN and infinities have no JSON form; as text they meet the type check and are refused there.
        Scalar::FloatingPoint(f) => {
            serde_json::Number::from_f64(f.into_inner()).map_or_else(|| Value::String(f.to_string()), Value::Number)
        }
        Scalar::String(text) => Value::String(text.clone().into_owned()),
    }
}
