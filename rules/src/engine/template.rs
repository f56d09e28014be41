//! The templates of labels and annotations: Go's text/template with Prometheus' variables and functions.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use gotmpl::parse::{CommandNode, Expr, ListNode, Node, Parser, PipeNode, Pos};
use gotmpl::{TemplateError, Value};

use super::template_fields;
use super::template_functions::{self, functions};
use super::template_scope;
use crate::Labels;
use crate::promql::VectorSample;

/// Put before every text, as Prometheus does.
const VARIABLES: &str = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}\
                         {{$externalURL := .ExternalURL}}{{$value := .Value}}";
/// Put after a text that is checked, to see where the parser thinks it ends.
const END: &str = "\u{1}end";
const OPEN: &str = "this {{if}}, {{range}} or {{with}} has no {{end}}";
/// What `{{range}}` may go round in one expansion: far more than a notification can show.
const MOST_ROUNDS: u64 = 10_000;
/// Queries that one expansion may ask.
const MOST_QUERIES: usize = 32;

/// Why a template does not parse, and where in its text (1-based).
#[derive(Debug, PartialEq)]
pub(super) struct TemplateMistake {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) message: String,
}

/// Whether `text` parses and names only functions and variables that exist.
pub(super) fn check(text: &str) -> Result<(), TemplateMistake> {
    if is_plain(text) {
        return Ok(());
    }
    let full = format!("{VARIABLES}{text}");
    let (tree, defines) = parse(&full).and_then(|_| parse(&format!("{full}{END}"))).map_err(|e| match e {
        TemplateError::Parse { line, col, message, .. } | TemplateError::Lex { line, col, message, .. } => {
            in_text(line, col, message)
        }
        other => in_text(1, 1, other.to_string()),
    })?;
    if let Some((pos, message)) = unbalanced(&tree) {
        return Err(at_pos(&full, pos, message.to_owned()));
    }
    let mut unknown = None;
    for list in std::iter::once(&tree).chain(defines.iter().map(|define| &define.body)) {
        find_unknown(list, &mut unknown);
    }
    if let Some((pos, name)) = unknown {
        return Err(at_pos(&full, pos, format!("function {name:?} not defined")));
    }
    let bodies = std::iter::once(&tree).chain(defines.iter().map(|define| &define.body));
    match bodies.filter_map(template_scope::first_mistake).min_by_key(|(pos, _)| pos.offset) {
        Some((pos, why)) => Err(at_pos(&full, pos, why)),
        None => Ok(()),
    }
}

/// gotmpl ends a template in silence at a stray `{{end}}`, and closes at the end what was left open; Go refuses both.
/// The end mark tells: it must be the last text of the top level.
fn unbalanced(tree: &ListNode) -> Option<(Pos, &'static str)> {
    let (pos, last) = match tree.nodes.last()? {
        Node::Text(text) if text.text.ends_with(END) => return None,
        Node::Text(text) => (text.pos, None),
        Node::If(branch) | Node::Range(branch) | Node::With(branch) => (branch.pos, Some(branch)),
        Node::Action(action) => (action.pos, None),
        Node::Template(call) => (call.pos, None),
        Node::List(list) => (list.pos, None),
        Node::Define(define) => (define.pos, None),
        Node::Break(pos) | Node::Continue(pos) => (*pos, None),
    };
    let ends = |list: &ListNode| matches!(list.nodes.last(), Some(Node::Text(text)) if text.text.ends_with(END));
    let open = last.is_some_and(|branch| {
        let body = branch.else_body.as_ref().unwrap_or(&branch.body);
        ends(body) || unbalanced(body).is_some_and(|(_, why)| why == OPEN)
    });
    Some((pos, if open { OPEN } else { "an {{end}} or {{else}} after this has no beginning, or a {{define}} no end" }))
}

fn at_pos(full: &str, pos: Pos, message: String) -> TemplateMistake {
    let before = &full[..pos.offset.min(full.len())];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    in_text(before.matches('\n').count() + 1, before[start..].chars().count() + 1, message)
}

fn in_text(line: usize, column: usize, message: String) -> TemplateMistake {
    let hidden = if line == 1 { VARIABLES.chars().count() } else { 0 };
    TemplateMistake { line, column: column.saturating_sub(hidden).max(1), message }
}

fn is_plain(text: &str) -> bool {
    !text.contains("{{")
}

fn parse(full: &str) -> Result<(ListNode, Vec<gotmpl::parse::DefineNode>), TemplateError> {
    Parser::new(full, "{{", "}}")?.parse()
}

/// Finds the first call of a function that nobody defined; Go refuses it when it parses, gotmpl when it runs.
fn find_unknown(list: &ListNode, found: &mut Option<(Pos, String)>) {
    for node in &list.nodes {
        match node {
            Node::List(inner) => find_unknown(inner, found),
            Node::Action(action) => in_pipe(&action.pipe, found),
            Node::If(branch) | Node::Range(branch) | Node::With(branch) => {
                in_pipe(&branch.pipe, found);
                find_unknown(&branch.body, found);
                branch.else_body.iter().for_each(|body| find_unknown(body, found));
            }
            Node::Template(call) => call.pipe.iter().for_each(|pipe| in_pipe(pipe, found)),
            Node::Define(define) => find_unknown(&define.body, found),
            Node::Text(_) | Node::Break(_) | Node::Continue(_) => {}
        }
    }
}

fn in_pipe(pipe: &PipeNode, found: &mut Option<(Pos, String)>) {
    for CommandNode { args, .. } in &pipe.commands {
        args.iter().for_each(|arg| in_argument(arg, found));
    }
}

fn in_argument(expr: &Expr, found: &mut Option<(Pos, String)>) {
    match expr {
        Expr::Identifier(pos, name) if found.is_none() && !template_functions::is_known(name) => {
            *found = Some((*pos, name.to_string()));
        }
        Expr::Pipe(_, pipe) => in_pipe(pipe, found),
        Expr::Chain(_, inner, _) => in_argument(inner, found),
        _ => {}
    }
}

/// What functions need besides their arguments; shared with their closures.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) external_url: String,
    /// Answers to queries asked so far in this expansion.
    pub(super) answers: HashMap<String, Result<Value, String>>,
    /// The query that could not be answered, which ended the last attempt.
    pub(super) asked: Option<String>,
}

/// Every template of an engine, parsed once, with one set of functions.
pub(super) struct Templates {
    shared: gotmpl::Template,
    /// Those with `{{define}}`: its names belong to one text alone.
    own: HashMap<String, gotmpl::Template>,
    desk: Arc<Mutex<Desk>>,
    external_labels: Value,
    external_url: Value,
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Templates").field("own", &self.own.len()).finish_non_exhaustive()
    }
}

/// What a template can show.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    /// The alert's name, for messages.
    pub(super) alert: &'a str,
    /// The element's labels, metric name included.
    pub(super) labels: &'a Labels,
    /// Its value.
    pub(super) value: f64,
}

/// How a template's `query` is answered.
pub(super) type Ask<'a> = dyn Fn(&str) -> Result<Vec<VectorSample>, String> + 'a;

impl Templates {
    /// Parses `texts`; one that does not parse is left out and says so when it is expanded.
    pub(super) fn new<'t>(texts: impl Iterator<Item = &'t str>, external_labels: &Labels, external_url: &str) -> Self {
        let desk = Arc::new(Mutex::new(Desk { external_url: external_url.to_owned(), ..Desk::default() }));
        let fresh = || gotmpl::Template::new("").max_range_iters(MOST_ROUNDS).funcs(functions(&desk));
        let (mut shared, mut own) = (fresh(), HashMap::new());
        for text in texts.filter(|text| !is_plain(text)) {
            let full = format!("{VARIABLES}{text}");
            let Ok((mut tree, defines)) = parse(&full) else { continue };
            template_fields::rewrite(&mut tree);
            if defines.is_empty() {
                shared = shared.add_parse_tree(text, tree);
                continue;
            }
            let mut with_defines = fresh().add_parse_tree(text, tree);
            for mut define in defines {
                template_fields::rewrite(&mut define.body);
                with_defines = with_defines.add_parse_tree(&define.name, define.body);
            }
            own.insert(text.to_owned(), with_defines);
        }
        let (external_labels, external_url) = (label_map(external_labels), Value::String(external_url.into()));
        Self { shared, own, desk, external_labels, external_url }
    }

    /// `text` filled in. Never fails: as in Prometheus the mistake becomes the text, because an alert with a bad
    /// annotation is better than none.
    pub(super) fn expand(&self, text: &str, subject: Subject<'_>, ask: &Ask<'_>) -> String {
        if is_plain(text) {
            return text.to_owned();
        }
        let data = self.data(subject);
        self.desk(|desk| desk.answers.clear());
        for _ in 0..=MOST_QUERIES {
            self.desk(|desk| desk.asked = None);
            let outcome = self.own.get(text).unwrap_or(&self.shared).execute_template_to_string(text, &data);
            let Some(query) = self.desk(|desk| desk.asked.take()) else {
                return outcome.unwrap_or_else(|e| {
                    let name = format!("__alert_{}", subject.alert);
                    format!("<error expanding template: error executing template {name}: {e}>")
                });
            };
            let answer = ask(&query).map(|vector| template_functions::query_result(&vector));
            self.desk(|desk| desk.answers.insert(query, answer));
        }
        format!("<error expanding template: more than {MOST_QUERIES} queries>")
    }

    fn desk<T>(&self, work: impl FnOnce(&mut Desk) -> T) -> T {
        work(&mut self.desk.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn data(&self, subject: Subject<'_>) -> Value {
        let entries = [
            ("Labels", label_map(subject.labels)),
            ("ExternalLabels", self.external_labels.clone()),
            ("ExternalURL", self.external_url.clone()),
            ("Value", Value::Float(subject.value)),
        ];
        Value::Map(Arc::new(entries.into_iter().map(|(name, value)| (name.into(), value)).collect()))
    }
}

/// Labels as a template sees them.
pub(super) fn label_map(labels: &Labels) -> Value {
    let map: BTreeMap<Arc<str>, Value> =
        labels.iter().map(|(name, value)| (name.into(), Value::String(value.into()))).collect();
    Value::Map(Arc::new(map))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_expand(why: &str, text: &str, expected: &str) {
        let labels = Labels::metric("m", [("gpu", "0"), ("host", "a.b.c:80")]);
        let external = [("cluster", "x")].into_iter().collect();
        let templates = Templates::new([text].into_iter(), &external, "http://pod:9465/a/");
        let ask = |query: &str| match query {
            "two" => Ok(["z", "b"]
                .iter()
                .zip([1.5, 2.0])
                .map(|(name, value)| VectorSample { labels: Labels::metric("up", [("job", *name)]), value })
                .collect()),
            "none" => Ok(Vec::new()),
            other => Err(format!("cannot answer {other}")),
        };
        let subject = Subject { alert: "A", labels: &labels, value: 0.9312 };
        assert_eq!(templates.expand(text, subject, &ask), expected, "{why}");
        if !expected.contains("error parsing") {
            assert_eq!(check(text), Ok(()), "{why}");
        }
    }

    #[test]
    fn templates_are_filled_in_as_prometheus_does() {
        for (why, text, expected) in [
            ("plain", "no braces", "no braces"),
            ("value and labels", "{{ $labels.gpu }} is {{ $value }} of {{ .Value }}", "0 is 0.9312 of 0.9312"),
            ("missing label", "{{ $labels.nope }}{{ .Labels.nope }}{{ index $labels \"nope\" }}", ""),
            (
                "missing label compared",
                "{{ if eq $labels.nope \"\" }}none{{ end }} {{ printf \"%q\" $labels.nope }}",
                "none \"\"",
            ),
            ("missing label of another name", "{{ $l := $labels }}{{ with $l }}{{ .nope }}{{ .gpu }}{{ end }}", "0"),
            (
                "missing label in a define",
                "{{ define \"d\" }}{{ .Labels.nope }}{{ .Labels.gpu }}{{ end }}{{ template \"d\" . }}",
                "0",
            ),
            (
                "missing label of a result",
                "{{ range query \"two\" }}{{ .Labels.nope }}{{ .Labels.job }}{{ end }}",
                "zb",
            ),
            (
                "external",
                "{{ $externalLabels.cluster }} {{ $externalURL }} {{ externalURL }} {{ pathPrefix }}",
                "x http://pod:9465/a/ http://pod:9465/a/ /a/",
            ),
            ("percentage", "{{ $value | humanizePercentage }}", "93.12%"),
            ("query", "{{ range query \"two\" }}{{ .Labels.job }}={{ .Value }} {{ end }}", "z=1.5 b=2 "),
            ("sorted", "{{ range query \"two\" | sortByLabel \"job\" }}{{ label \"job\" . }}{{ end }}", "bz"),
            (
                "first",
                "{{ query \"two\" | first | value }} {{ with query \"none\" }}x{{ else }}none{{ end }}",
                "1.5 none",
            ),
            ("two queries", "{{ len (query \"two\") }}{{ len (query \"none\") }}", "20"),
            (
                "first of nothing",
                "{{ query \"none\" | first | value }}",
                "<error expanding template: error executing template __alert_A: execution error: first: the query gave no elements>",
            ),
            (
                "bad query",
                "{{ query \"bad\" }}",
                "<error expanding template: error executing template __alert_A: execution error: query: cannot answer bad>",
            ),
            (
                "bad type",
                "{{ humanize \"abc\" }}",
                "<error expanding template: error executing template __alert_A: execution error: humanize: \"abc\" is not a number>",
            ),
            (
                "a selector from all labels",
                "{{ $of := \"a=\\\"b\\\"\" }}{{ range $k, $v := $labels }}{{ if ne $k \"__name__\" }}{{ $of = printf \"%s,%s=%q\" $of $k $v }}{{ end }}{{ end }}{{ $of }}",
                "a=\"b\",gpu=\"0\",host=\"a.b.c:80\"",
            ),
            (
                "defines stay in their text",
                "{{ define \"x\" }}<{{ . }}>{{ end }}{{ template \"x\" $value }}",
                "<0.9312>",
            ),
            ("args", "{{ with args 1 \"b\" }}{{ .arg0 }}{{ .arg1 }}{{ end }}", "1b"),
        ] {
            check_expand(why, text, expected);
        }
    }

    #[test]
    fn what_grows_without_end_is_stopped() {
        for text in [
            "{{ range $i := 100000000 }}x{{ end }}",
            "{{ define \"x\" }}{{ template \"x\" }}{{ end }}{{ template \"x\" }}",
            "{{ range $i := 50 }}{{ query (printf \"q%d\" $i) }}{{ end }}",
        ] {
            let templates = Templates::new([text].into_iter(), &Labels::default(), "");
            let subject = Subject { alert: "A", labels: &Labels::default(), value: 1.0 };
            let expanded = templates.expand(text, subject, &|_| Ok(Vec::new()));
            assert!(expanded.starts_with("<error expanding template: "), "{text}: {expanded}");
        }
        let wide = "{{ printf \"%999999999d|%.999999999f|%*d\" 1 1.5 999999999 1 }}";
        let templates = Templates::new([wide].into_iter(), &Labels::default(), "");
        let subject = Subject { alert: "A", labels: &Labels::default(), value: 1.0 };
        assert!(templates.expand(wide, subject, &|_| Ok(Vec::new())).len() < 10_000_000);
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_it(text in "(\\{\\{|\\}\\}| |-|if|else|end|range|with|define|template|\\$labels|\\$value|\\$|\\.|x|\"|\\(|\\)|\\||:=|printf|query|first|0|\n){0,40}") {
            let templates = Templates::new([&*text].into_iter(), &Labels::default(), "");
            let subject = Subject { alert: "A", labels: &Labels::default(), value: 1.0 };
            templates.expand(&text, subject, &|_| Ok(Vec::new()));
            let _ = check(&text);
        }
    }

    #[test]
    fn mistakes_have_a_place() {
        for (why, text, line, column, part) in [
            ("unclosed", "a {{ $value", 1, 12, "unclosed"),
            ("unknown function", "{{ $value | humanise }}", 1, 13, "\"humanise\" not defined"),
            ("in the second line", "a\n b {{ if foo 1 }}x{{ end }}", 2, 10, "\"foo\" not defined"),
            ("end without if", "a {{ end }} b", 1, 1, "has no beginning"),
            ("end after if", "{{ if $value }}a{{ end }}{{ end }} b", 1, 4, "has no beginning"),
            ("else without if", "{{ $value }} {{ else }}", 1, 13, "has no beginning"),
            ("if without end", "a\n{{ if $value }}b", 2, 4, "has no {{end}}"),
            ("within a block", "{{ range query \"x\" }}{{ if .Value }}b{{ else }}c{{ end }}", 1, 4, "has no {{end}}"),
        ] {
            let Err(wrong) = check(text) else { panic!("{why}: {text} parses") };
            assert!(wrong.message.contains(part), "{why}: {wrong:?}");
            assert_eq!((wrong.line, wrong.column), (line, column), "{why}: {wrong:?}");
        }
    }
}
