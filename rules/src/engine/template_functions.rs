//! The functions a template may call: those of Prometheus, over the values of `gotmpl`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use gotmpl::{FuncMap, Result, TemplateError, Value, url_encode};
use regex::Regex;

use super::humanize;
use super::template::{Desk, label_map};
use super::template_fields::{FIELD, field};
use crate::Timestamp;
use crate::promql::{VectorSample, parse_duration};

/// Those of Go's text/template.
const GO: &[&str] = &[
    "and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or", "print", "printf",
    "println", "slice", "urlquery",
];

/// Whether a template may call `name`.
pub(super) fn is_known(name: &str) -> bool {
    static OURS: LazyLock<FuncMap> = LazyLock::new(|| functions(&Arc::default()));
    GO.contains(&name) || OURS.contains_key(name) && name != FIELD
}

/// Every function; `desk` answers queries.
pub(super) fn functions(desk: &Arc<Mutex<Desk>>) -> FuncMap {
    let mut map = FuncMap::new();
    numbers(&mut map);
    texts(&mut map);
    results(&mut map, desk);
    map
}

/// The functions that need no store: those over numbers and texts, for templates outside of rules.
pub fn text_functions() -> FuncMap {
    let mut map = FuncMap::new();
    numbers(&mut map);
    texts(&mut map);
    map
}

fn numbers(map: &mut FuncMap) {
    let mut show = |name: &'static str, print: fn(f64) -> String| {
        add(map, name, 1, move |args| Ok(text(print(number(name, &args[0])?))));
    };
    show("humanize", humanize::decimal);
    show("humanize1024", humanize::binary);
    show("humanizeDuration", humanize::duration);
    show("humanizePercentage", humanize::percentage);
    show("humanizeTimestamp", humanize::timestamp);
    show("toTime", humanize::timestamp);
    show("toDuration", humanize::go_duration);
    add(map, "parseDuration", 1, |args| {
        let seconds = parse_duration(string("parseDuration", &args[0])?).map_err(TemplateError::Exec)?;
        Ok(Value::Float(seconds.as_secs_f64()))
    });
}

fn texts(map: &mut FuncMap) {
    let mut change = |name: &'static str, work: fn(&str) -> String| {
        add(map, name, 1, move |args| Ok(text(work(string(name, &args[0])?))));
    };
    change("title", title);
    change("toUpper", str::to_uppercase);
    change("toLower", str::to_lowercase);
    change("safeHtml", str::to_owned);
    change("urlQueryEscape", url_encode);
    change("stripPort", strip_port);
    change("stripDomain", strip_domain);
    change("graphLink", |expr| format!("/graph?g0.expr={}&g0.tab=0", url_encode(expr)));
    change("tableLink", |expr| format!("/graph?g0.expr={}&g0.tab=1", url_encode(expr)));
    add(map, "match", 2, |args| {
        let (pattern, on) = (regex("match", &args[0])?, string("match", &args[1])?);
        Ok(Value::Bool(pattern.is_match(on)))
    });
    add(map, "reReplaceAll", 3, |args| {
        let name = "reReplaceAll";
        let (pattern, by, on) = (regex(name, &args[0])?, string(name, &args[1])?, string(name, &args[2])?);
        Ok(text(pattern.replace_all(on, by).into_owned()))
    });
}

fn results(map: &mut FuncMap, desk: &Arc<Mutex<Desk>>) {
    let shared = desk.clone();
    add(map, "query", 1, move |args| {
        let query = string("query", &args[0])?;
        let mut desk = shared.lock().unwrap_or_else(PoisonError::into_inner);
        match desk.answers.get(query) {
            Some(answer) => answer.clone().map_err(|why| TemplateError::Exec(format!("query: {why}"))),
            None => {
                desk.asked = Some(query.to_owned());
                fail("query", "not answered yet")
            }
        }
    });
    let url = move |desk: &Mutex<Desk>| desk.lock().unwrap_or_else(PoisonError::into_inner).external_url.clone();
    let shared = desk.clone();
    add(map, "externalURL", 0, move |_| Ok(text(url(&shared))));
    let shared = desk.clone();
    add(map, "pathPrefix", 0, move |_| Ok(text(path_of(&url(&shared)))));
    add(map, "first", 1, |args| match &args[0] {
        Value::List(items) if !items.is_empty() => Ok(items[0].clone()),
        Value::List(_) => fail("first", "the query gave no elements"),
        other => fail("first", &format!("takes a query's result, not {}", other.type_name())),
    });
    add(map, FIELD, 2, |args| field(&args[0], string(FIELD, &args[1])?));
    add(map, "label", 2, |args| Ok(label_of(&args[1], string("label", &args[0])?)));
    add(map, "value", 1, |args| args[0].field("Value").cloned().map_or_else(|| fail("value", "takes an element"), Ok));
    add(map, "strvalue", 1, |args| Ok(label_of(&args[0], "__value__")));
    add(map, "sortByLabel", 2, |args| {
        let (name, Value::List(items)) = (string("sortByLabel", &args[0])?, &args[1]) else {
            return fail("sortByLabel", "takes a label and a query's result");
        };
        let mut sorted = items.to_vec();
        sorted.sort_by_key(|item| label_of(item, name).to_string());
        Ok(Value::List(sorted.into()))
    });
    map.insert(
        "args".to_owned(),
        Arc::new(|args: &[Value]| {
            let named = args.iter().enumerate().map(|(n, value)| (format!("arg{n}").into(), value.clone()));
            Ok(Value::Map(Arc::new(named.collect())))
        }),
    );
}

fn add(
    map: &mut FuncMap,
    name: &'static str,
    expected: usize,
    work: impl Fn(&[Value]) -> Result<Value> + Send + Sync + 'static,
) {
    let counted = move |args: &[Value]| match args.len() {
        got if got == expected => work(args),
        got => Err(TemplateError::ArgCount { name: name.to_owned(), expected, got }),
    };
    map.insert(name.to_owned(), Arc::new(counted));
}

/// A query's result as templates see it: a list of elements with `Labels` and `Value`.
pub(super) fn query_result(vector: &[VectorSample]) -> Value {
    let element = |sample: &VectorSample| {
        let fields = [("Labels", label_map(&sample.labels)), ("Value", Value::Float(sample.value))];
        let map: BTreeMap<Arc<str>, Value> = fields.into_iter().map(|(name, value)| (name.into(), value)).collect();
        Value::Map(Arc::new(map))
    };
    Value::List(vector.iter().map(element).collect())
}

fn fail<T>(name: &str, why: &str) -> Result<T> {
    Err(TemplateError::Exec(format!("{name}: {why}")))
}

fn text(content: String) -> Value {
    Value::String(content.into())
}

fn string<'a>(name: &str, value: &'a Value) -> Result<&'a str> {
    value.as_str().map_or_else(|| fail(name, &format!("takes a string, not {}", value.type_name())), Ok)
}

/// Numbers, and strings that hold one.
fn number(name: &str, value: &Value) -> Result<f64> {
    match value {
        Value::String(s) => s.trim().parse().or_else(|_| fail(name, &format!("{s:?} is not a number"))),
        other => other.as_float().map_or_else(|| fail(name, &format!("{} is not a number", other.type_name())), Ok),
    }
}

fn regex(name: &str, pattern: &Value) -> Result<Regex> {
    let pattern = string(name, pattern)?;
    Regex::new(pattern).or_else(|_| fail(name, &format!("{pattern:?} is not a regular expression")))
}

fn label_of(element: &Value, name: &str) -> Value {
    element.field("Labels").and_then(|labels| labels.field(name)).cloned().unwrap_or(Value::String("".into()))
}

/// Go's `strings.Title`: the first letter of each word in upper case.
fn title(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    let mut inside = false;
    for c in words.chars() {
        if inside {
            out.push(c);
        } else {
            out.extend(c.to_uppercase());
        }
        inside = c.is_alphanumeric() || c == '_' || c == '\'';
    }
    out
}

/// Host and port of `host:port` or `[v6]:port`.
fn split_port(address: &str) -> Option<(&str, &str)> {
    let (host, port) = address.rsplit_once(':')?;
    let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    match bracketed {
        Some(host) => Some((host, port)),
        None if host.contains([':', '[', ']']) => None,
        None => Some((host, port)),
    }
}

fn strip_port(address: &str) -> String {
    split_port(address).map_or(address, |(host, _)| host).to_owned()
}

fn strip_domain(address: &str) -> String {
    let (host, port) = split_port(address).map_or((address, None), |(host, port)| (host, Some(port)));
    if host.parse::<IpAddr>().is_ok() {
        return address.to_owned();
    }
    let name = host.split('.').next().unwrap_or("");
    port.map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

fn path_of(url: &str) -> String {
    let after = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = after.find('/').map_or("", |at| &after[at..]);
    path.split(['?', '#']).next().unwrap_or("").to_owned()
}

/// Seconds since the epoch as Go prints a time in UTC; `None` when no calendar holds it.
pub(super) fn go_time(seconds: f64) -> Option<String> {
    if seconds.is_nan() || seconds.abs() >= 9e10 {
        return None;
    }
    let text = Timestamp::from_secs_f64(seconds).rfc3339();
    let (date, time) = text.trim_end_matches('Z').split_once('T')?;
    let time = if time.contains('.') { time.trim_end_matches('0').trim_end_matches('.') } else { time };
    Some(format!("{date} {time} +0000 UTC"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, args: &[&str]) -> String {
        let args: Vec<Value> = args.iter().map(|arg| Value::String((*arg).into())).collect();
        match functions(&Arc::default())[name](&args) {
            Ok(value) => value.to_string(),
            Err(e) => format!("error: {e}"),
        }
    }

    /// Expected values: Prometheus' template/template_test.go for what it covers.
    #[test]
    fn functions_do_what_prometheus_does() {
        for (name, args, expected) in [
            ("title", &["aa bb CC"][..], "Aa Bb CC"),
            ("toUpper", &["aa bb CC"], "AA BB CC"),
            ("toLower", &["aA bB CC"], "aa bb cc"),
            ("match", &["a+", "aa"], "true"),
            ("match", &["a+", "b"], "false"),
            ("match", &["(", "b"], "error: execution error: match: \"(\" is not a regular expression"),
            ("reReplaceAll", &["(a)b", "x$1", "ab"], "xa"),
            ("stripPort", &["[::1]:6543"], "::1"),
            ("stripPort", &["host.example:80"], "host.example"),
            ("stripPort", &["::1"], "::1"),
            ("stripDomain", &["foo.example.com:8080"], "foo:8080"),
            ("stripDomain", &["foo.example.com"], "foo"),
            ("stripDomain", &["192.0.2.1:8080"], "192.0.2.1:8080"),
            ("stripDomain", &["[2001:0DB8::1]:8080"], "[2001:0DB8::1]:8080"),
            ("parseDuration", &["1h2m10ms"], "3720.01"),
            ("graphLink", &["up{a=\"b\"}"], "/graph?g0.expr=up%7Ba%3D%22b%22%7D&g0.tab=0"),
            ("humanize", &["1234567"], "1.235M"),
            ("humanize", &[], "error: wrong number of arguments: humanize expects 1, got 0"),
            ("toTime", &["1435065584.128"], "2015-06-23 13:19:44.128 +0000 UTC"),
        ] {
            assert_eq!(call(name, args), expected, "{name} {args:?}");
        }
    }
}
