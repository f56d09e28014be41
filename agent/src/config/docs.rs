//! Prints `docs/config.md` from the schema, so that the manual is the field docs.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Raw, schema};

/// The whole manual of the configuration file, in Markdown.
pub fn markdown() -> String {
    let root = schema().to_value();
    let defaults = serde_json::to_value(Raw::default()).unwrap_or_default();
    let mut out = String::from(
        "# Configuration\n\nOne YAML file, `plimsoll run --config FILE`; every key is optional. `plimsoll check FILE` \
         names every mistake at once, `plimsoll schema` prints the JSON Schema for editors. `${NAME}` anywhere in a \
         value is an environment variable; `$$` is a plain `$`. Printed from the field docs by `plimsoll schema --markdown`.\n\n\
         | key | default | meaning |\n| --- | --- | --- |\n",
    );
    rows(&mut out, &root, &root, &defaults, "");
    out
}

fn rows(out: &mut String, root: &Value, schema: &Value, defaults: &Value, path: &str) {
    let Some(properties) = schema["properties"].as_object() else { return };
    for (key, property) in properties {
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let target = target(root, property);
        let text = property["description"].as_str().or(target["description"].as_str()).unwrap_or("").replace('\n', " ");
        if target["properties"].is_object() {
            let _ = writeln!(out, "| **`{full}`** | | **{text}** |");
            rows(out, root, target, &defaults[key], &full);
            continue;
        }
        let _ = writeln!(out, "| `{full}` | {} | {text}{} |", shown(&defaults[key]), words(target));
        let items = super::docs::target(root, &target["items"]);
        if items["properties"].is_object() {
            rows(out, root, items, &items["default"], &format!("{full}[]"));
        }
    }
}

fn target<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let optional = schema["anyOf"].as_array().and_then(|arms| arms.iter().find_map(|arm| arm["$ref"].as_str()));
    let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str()).or(optional);
    reference.and_then(|r| root.pointer(r.trim_start_matches('#'))).unwrap_or(schema)
}

fn shown(default: &Value) -> String {
    match default {
        Value::Null => "-".into(),
        Value::String(text) if text.is_empty() => "-".into(),
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

fn words(schema: &Value) -> String {
    let Some(arms) = schema["oneOf"].as_array() else { return String::new() };
    let list: Vec<String> = arms
        .iter()
        .filter_map(|arm| Some(format!("`{}` {}", arm["const"].as_str()?, arm["description"].as_str().unwrap_or(""))))
        .collect();
    format!(" {}", list.join(" "))
}
