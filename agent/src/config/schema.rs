//! Checks a document against the JSON Schema of [`Raw`]: every unknown key, wrong type and malformed quantity at once.

use schemars::Schema;
use serde_json::Value;

use super::Raw;
use super::tree::{Data, Mistake, Node, Place, dotted};
use super::units::{AlarmBudget, ByteSize, Share, Span};

/// The JSON Schema of the configuration file.
pub fn schema() -> Schema {
    schemars::schema_for!(Raw)
}

/// Everything in `node` that the schema does not allow, in the order of the file.
pub fn mistakes(node: &Node) -> Vec<Mistake> {
    let root = schema().to_value();
    let mut walk = Walk { root: &root, found: Vec::new() };
    walk.visit(node, &root, "");
    walk.found
}

struct Walk<'a> {
    root: &'a Value,
    found: Vec<Mistake>,
}

impl<'a> Walk<'a> {
    fn visit(&mut self, node: &Node, schema: &'a Value, path: &str) {
        let schema = self.resolve(schema, &node.data);
        if let Data::Scalar(Value::Null) = node.data {
            return; // a key without a value means its default
        }
        let expected = expected_type(schema);
        match (&node.data, expected) {
            (Data::Map(entries), "object") => {
                for (key, at, value) in entries {
                    self.visit_key(key, *at, value, schema, path);
                }
            }
            (Data::List(items), "array") => {
                for (i, item) in items.iter().enumerate() {
                    self.visit(item, &schema["items"], &format!("{path}[{i}]"));
                }
            }
            (Data::Scalar(value), _) if types(schema, expected).any(|one| type_fits(value, one)) => {
                self.check_scalar(value, schema, path, node.place);
            }
            _ => {
                let found = describe(&node.data);
                self.note(node.place, path, format!("{} is {found}; {} is expected", name(path), wanted(schema)));
            }
        }
    }

    fn visit_key(&mut self, key: &str, at: Place, value: &Node, schema: &'a Value, path: &str) {
        let full = dotted(path, key);
        if schema["additionalProperties"].is_object() {
            return self.visit(value, &schema["additionalProperties"], &full);
        }
        let Some(properties) = schema["properties"].as_object() else { return };
        if let Some(property) = properties.get(key) {
            return self.visit(value, property, &full);
        }
        let close = nearest(key, properties.keys().map(String::as_str));
        let hint = close.map_or_else(
            || format!("known keys here: {}", properties.keys().cloned().collect::<Vec<_>>().join(", ")),
            |close| format!("did you mean {}?", full.replace(key, close)),
        );
        self.note(at, &full, format!("unknown key {full}; {hint}"));
        let meant = close.map_or_else(|| path.to_owned(), |close| dotted(path, close));
        if let Some(mistake) = self.found.last_mut().filter(|_| !meant.is_empty()) {
            mistake.meant = numbered(&meant);
        }
    }

    fn note(&mut self, place: Place, path: &str, message: String) {
        self.found.push(Mistake::at(place, numbered(path), message));
    }

    fn check_scalar(&mut self, value: &Value, schema: &Value, path: &str, at: Place) {
        if let Some(message) = scalar_mistake(value, schema) {
            self.note(at, path, format!("{}: {message}", name(path)));
        }
    }

    /// Follows `$ref` and picks the arm that `data` has the form of, else the first one that is not null.
    fn resolve(&self, mut schema: &'a Value, data: &Data) -> &'a Value {
        loop {
            if let Some(reference) = schema["$ref"].as_str() {
                schema = self.root.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null);
            } else if let Some(arms) = schema["anyOf"].as_array() {
                let mut fitting = arms.iter().filter(|arm| arm["type"] != "null");
                let mapping = matches!(data, Data::Map(_));
                let meant = fitting.clone().find(|arm| (arm["type"] == "object") == mapping);
                let Some(arm) = meant.or_else(|| fitting.next()) else { return schema };
                schema = arm;
            } else {
                return schema;
            }
        }
    }
}

/// `a[0].b` as the dotted key `a.0.b`.
fn numbered(path: &str) -> String {
    path.replace('[', ".").replace(']', "")
}

fn expected_type(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(name) => name,
        Value::Array(names) => names.iter().filter_map(Value::as_str).find(|n| *n != "null").unwrap_or("string"),
        _ => "string", // an enum of words
    }
}

/// Every type that a schema allows.
fn types<'a>(schema: &'a Value, expected: &'a str) -> impl Iterator<Item = &'a str> {
    let list = schema["type"].as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).chain([expected])
}

fn type_fits(value: &Value, expected: &str) -> bool {
    match expected {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => false,
    }
}

fn scalar_mistake(value: &Value, schema: &Value) -> Option<String> {
    let words = words_of(schema);
    if let Value::String(text) = value {
        if !words.is_empty() && !words.contains(&text.as_str()) {
            return Some(format!("{text:?} is not one of {}", words.join(", ")));
        }
        return match schema["format"].as_str() {
            Some("duration") => Span::parse(text).err(),
            Some("size") => ByteSize::parse(text).err(),
            Some("share") => Share::parse(text).err(),
            Some("false_alarms") => AlarmBudget::parse(text).err(),
            Some("address") => address_mistake(text),
            Some("url") => url_mistake(text),
            _ => None,
        };
    }
    let number = value.as_f64()?;
    let (low, high) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
    let outside = low.is_some_and(|low| number < low) || high.is_some_and(|high| number > high);
    outside.then(|| match (low, high) {
        (Some(low), Some(high)) => format!("{number} is outside {low} to {high}"),
        (Some(low), None) => format!("{number} is below {low}"),
        _ => format!("{number} is above {}", high.unwrap_or(f64::INFINITY)),
    })
}

fn words_of(schema: &Value) -> Vec<&str> {
    let arms = schema["oneOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    let consts = arms.iter().filter_map(|arm| arm["const"].as_str());
    let plain = schema["enum"].as_array().map(Vec::as_slice).unwrap_or_default().iter().filter_map(Value::as_str);
    consts.chain(plain).collect()
}

fn address_mistake(text: &str) -> Option<String> {
    let right = "write HOST:PORT, such as 0.0.0.0:8080, [::1]:8080 or localhost:8080";
    let Some((host, port)) = text.rsplit_once(':') else { return Some(format!("{text:?} has no port; {right}")) };
    let host_fits = !host.is_empty() && !host.contains('/') && (!host.contains(':') || host.starts_with('['));
    (port.parse::<u16>().is_err() || !host_fits).then(|| format!("{text:?} is not an address; {right}"))
}

fn url_mistake(text: &str) -> Option<String> {
    let right = "write http://HOST:PORT or https://HOST";
    match reqwest::Url::parse(text) {
        Err(e) => Some(format!("{text:?} is not a URL ({e}); {right}")),
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            Some(format!("{text:?} has the scheme {:?}; {right}", url.scheme()))
        }
        Ok(_) => None,
    }
}

fn name(path: &str) -> &str {
    if path.is_empty() { "the document" } else { path }
}

fn describe(data: &Data) -> String {
    match data {
        Data::Map(_) => "a mapping".to_owned(),
        Data::List(_) => "a list".to_owned(),
        Data::Scalar(Value::String(text)) => format!("the text {text:?}"),
        Data::Scalar(value) => value.to_string(),
    }
}

fn wanted(schema: &Value) -> String {
    match (expected_type(schema), schema["format"].as_str()) {
        ("object", _) => "a mapping of keys".into(),
        ("array", _) => "a list".into(),
        ("boolean", _) => "true or false".into(),
        ("integer", _) => "a whole number".into(),
        ("number", Some("share")) => "a share such as 5%, or a number".into(),
        ("number", _) => "a number".into(),
        (_, Some("duration")) => "a duration such as 5s or 10m".into(),
        (_, Some("size")) => "a size such as 64MiB".into(),
        (_, Some("false_alarms")) => "a rate such as 1 per 30d".into(),
        (_, Some("address")) => "an address such as 0.0.0.0:8080".into(),
        _ if !words_of(schema).is_empty() => format!("one of {}", words_of(schema).join(", ")),
        _ => "text".into(),
    }
}

/// The known word closest to `key`, if a slip of the fingers explains the difference.
fn nearest<'w>(key: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    known.map(|word| (edits(key, word), word)).min().filter(|(d, word)| *d <= 1 + word.len() / 4).map(|(_, word)| word)
}

/// Optimal string alignment distance: Levenshtein with swaps of neighbours.
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
