//! What Go refuses when it parses a template and gotmpl only when it runs it: variables that nobody declared, and
//! `{{break}}` and `{{continue}}` outside `{{range}}`.
//!
//! Scopes as in Go's parser, oddities included: a variable declared in the body of an `{{if}}` is known in its
//! `{{else}}` too, `{{$x = 1}}` declares like `{{$x := 1}}`, and a `{{define}}` sees none but `$`. That a name called
//! with `{{template}}` is defined somewhere is not asked, neither by Go nor by Prometheus.

use gotmpl::parse::{CommandNode, Expr, ListNode, Node, PipeNode, Pos};

/// Said of a name that nobody declared.
const KNOWN: &str = "; a template knows $labels, $externalLabels, $externalURL and $value (in a {{define}} only $) and \
                     what it declares itself";

/// The first mistake in one template's body.
pub(super) fn first_mistake(body: &ListNode) -> Option<(Pos, String)> {
    let mut scope = Scope { variables: vec!["$".to_owned()], ranges: 0, mistake: None };
    scope.list(body);
    scope.mistake
}

struct Scope {
    /// Those that are known here, outer ones first.
    variables: Vec<String>,
    /// How many `{{range}}` are around.
    ranges: usize,
    mistake: Option<(Pos, String)>,
}

impl Scope {
    fn list(&mut self, list: &ListNode) {
        for node in &list.nodes {
            match node {
                Node::List(inner) => self.list(inner),
                Node::Action(action) => self.pipe(&action.pipe),
                Node::If(branch) | Node::With(branch) => {
                    self.branch(&branch.pipe, &branch.body, branch.else_body.as_ref(), 0);
                }
                Node::Range(branch) => self.branch(&branch.pipe, &branch.body, branch.else_body.as_ref(), 1),
                Node::Template(call) => call.pipe.iter().for_each(|pipe| self.pipe(pipe)),
                Node::Break(pos) if self.ranges == 0 => self.note(*pos, "{{break}} outside {{range}}".to_owned()),
                Node::Continue(pos) if self.ranges == 0 => {
                    self.note(*pos, "{{continue}} outside {{range}}".to_owned());
                }
                Node::Text(_) | Node::Define(_) | Node::Break(_) | Node::Continue(_) => {}
            }
        }
    }

    /// `ranges` is how many more are around the body (not around what follows `{{else}}`).
    fn branch(&mut self, pipe: &PipeNode, body: &ListNode, otherwise: Option<&ListNode>, ranges: usize) {
        let outer = self.variables.len();
        self.pipe(pipe);
        self.ranges += ranges;
        self.list(body);
        self.ranges -= ranges;
        otherwise.iter().for_each(|body| self.list(body));
        self.variables.truncate(outer);
    }

    fn pipe(&mut self, pipe: &PipeNode) {
        self.variables.extend(pipe.decl.iter().map(ToString::to_string));
        for CommandNode { args, .. } in &pipe.commands {
            args.iter().for_each(|arg| self.argument(arg));
        }
    }

    fn argument(&mut self, expr: &Expr) {
        match expr {
            Expr::Variable(pos, name, _) if !self.variables.iter().any(|known| **known == **name) => {
                self.note(*pos, format!("undefined variable {name}{KNOWN}"));
            }
            Expr::Pipe(_, pipe) => self.pipe(pipe),
            Expr::Chain(_, inner, _) => self.argument(inner),
            _ => {}
        }
    }

    fn note(&mut self, pos: Pos, why: String) {
        self.mistake.get_or_insert((pos, why));
    }
}

#[cfg(test)]
mod tests {
    use super::super::template::check;

    /// Each as `promtool check rules` of Prometheus 2.42 judges it.
    #[test]
    fn scopes_are_those_of_go() {
        for (text, expected) in [
            ("{{ $labls.foo }}", Err("1:4 undefined variable $labls; a template knows $labels, $externalLabels")),
            ("{{ break }}", Err("1:4 {{break}} outside {{range}}")),
            ("{{ continue }}", Err("1:4 {{continue}} outside {{range}}")),
            ("a\n{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}", Err("2:39 undefined variable $x")),
            ("{{ with $v := $value }}{{ $v }}{{ end }}{{ $v }}", Err("1:44 undefined variable $v")),
            ("{{ humanize (len $nope) }}", Err("1:18 undefined variable $nope")),
            (
                "{{ define \"d\" }}{{ $labels.x }}{{ end }}{{ template \"d\" . }}",
                Err("1:20 undefined variable $labels"),
            ),
            ("{{ block \"b\" . }}{{ $value }}{{ end }}", Err("1:21 undefined variable $value")),
            ("{{ range $i := query \"up\" }}a{{ else }}{{ break }}{{ end }}", Err("1:43 {{break}} outside {{range}}")),
            ("{{ range query \"up\" }}{{ if true }}{{ break }}{{ continue }}{{ end }}{{ end }}", Ok(())),
            ("{{ range $i, $v := $labels }}{{ $i }}{{ $v }}{{ end }}", Ok(())),
            ("{{ if true }}{{ $x := 1 }}{{ else }}{{ $x }}{{ end }}", Ok(())),
            ("{{ $u = 1 }}", Ok(())),
            ("{{ $x := $x }}", Ok(())),
            ("{{ $ }}{{ $.Labels.a }}", Ok(())),
            ("{{ template \"nope\" }}", Ok(())),
            ("{{ $labels.a }}{{ $externalLabels.b }}{{ $externalURL }}{{ $value }}", Ok(())),
        ] {
            let said = check(text).map_err(|wrong| format!("{}:{} {}", wrong.line, wrong.column, wrong.message));
            match expected {
                Ok(()) => assert_eq!(said, Ok(()), "{text}"),
                Err(start) => assert!(said.as_ref().is_err_and(|said| said.starts_with(start)), "{text}: {said:?}"),
            }
        }
    }
}
