//! What a template sees of a label that is not there: the empty string, as in Go a map of strings gives.
//!
//! gotmpl's maps have no type, so a missing key is nil, which prints as `<no value>`. Every access to a field, and to an
//! index that is a word, is rewritten to a call of [`FIELD`], which knows label sets by their values.

use gotmpl::parse::{CommandNode, Expr, ListNode, Node, PipeNode, Pos};
use gotmpl::{Result, TemplateError, Value};

/// Name of the function; no text can call it, for `check` does not know it.
pub(super) const FIELD: &str = "__field";

/// Rewrites `list`.
pub(super) fn rewrite(list: &mut ListNode) {
    for node in &mut list.nodes {
        match node {
            Node::List(inner) => rewrite(inner),
            Node::Action(action) => in_pipe(&mut action.pipe),
            Node::If(branch) | Node::Range(branch) | Node::With(branch) => {
                in_pipe(&mut branch.pipe);
                rewrite(&mut branch.body);
                branch.else_body.iter_mut().for_each(rewrite);
            }
            Node::Template(call) => call.pipe.iter_mut().for_each(in_pipe),
            Node::Define(define) => rewrite(&mut define.body),
            Node::Text(_) | Node::Break(_) | Node::Continue(_) => {}
        }
    }
}

fn in_pipe(pipe: &mut PipeNode) {
    for CommandNode { args, .. } in &mut pipe.commands {
        args.iter_mut().for_each(in_argument);
        if let [Expr::Identifier(_, name), _, Expr::String(..)] = &mut args[..]
            && name == "index"
        {
            *name = FIELD.into();
        }
    }
}

fn in_argument(expr: &mut Expr) {
    let pos = expr.pos();
    let (base, fields) = match expr {
        Expr::Pipe(_, pipe) => return in_pipe(pipe),
        Expr::Field(_, fields) => (Expr::Dot(pos), std::mem::take(fields)),
        Expr::Variable(_, name, fields) if !fields.is_empty() => {
            (Expr::Variable(pos, name.clone(), Vec::new()), std::mem::take(fields))
        }
        Expr::Chain(_, inner, fields) => {
            in_argument(inner);
            (std::mem::replace(&mut **inner, Expr::Nil(pos)), std::mem::take(fields))
        }
        _ => return,
    };
    *expr = fields.iter().fold(base, |base, field| call(pos, base, field));
}

fn call(pos: Pos, base: Expr, field: &str) -> Expr {
    let args = vec![Expr::Identifier(pos, FIELD.into()), base, Expr::String(pos, field.into())];
    let commands = vec![CommandNode { pos, args }];
    Expr::Pipe(pos, PipeNode { pos, decl: Vec::new(), commands, is_assign: false })
}

/// The value of a field; of label sets, which hold nothing but text, an absent one is empty.
///
/// # Errors
/// The value has no fields.
pub(super) fn field(of: &Value, name: &str) -> Result<Value> {
    match (of, of.field(name)) {
        (_, Some(value)) => Ok(value.clone()),
        (Value::Map(map), None) if map.values().all(|value| matches!(value, Value::String(_))) => {
            Ok(Value::String("".into()))
        }
        (Value::Map(_) | Value::Nil, None) => Ok(Value::Nil),
        (other, None) => Err(TemplateError::Exec(format!("can't evaluate field {name} in type {}", other.type_name()))),
    }
}
