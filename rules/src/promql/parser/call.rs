//! Function calls and aggregations: names, numbers and types of arguments.

use super::super::ast::{Aggregate, AggregateOp, Call, LabelChoice, Node, Type, Written};
use super::super::functions;
use super::super::lexer::{Refusal, Token, refuse};
use super::operand::is_grouping;
use super::{Parsed, Parser};

impl Parser<'_> {
    /// A call; the name is at hand and an opening parenthesis follows.
    pub(super) fn call(&mut self, name: &str) -> Result<Parsed, Refusal> {
        let start = self.offset();
        let Some(function) = functions::find(name) else {
            let hint = functions::nearest(name).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            return refuse(start, format!("there is no function {name:?}{hint}"));
        };
        self.advance();
        let args = self.arguments()?;
        let (least, most) = function.arity();
        if args.len() < least || most.is_some_and(|most| args.len() > most) {
            let wanted = match most {
                Some(most) if most == least => format!("{least}"),
                Some(most) => format!("{least} to {most}"),
                None => format!("at least {least}"),
            };
            return refuse(start, format!("{name} takes {wanted} arguments, found {}", args.len()));
        }
        for (index, arg) in args.iter().enumerate() {
            check_kind(arg, function.arg(index), &format!("argument {} of {name}", index + 1))?;
        }
        let heights: Vec<usize> = args.iter().map(|arg| arg.height).chain([0]).collect();
        let args = args.into_iter().map(|arg| arg.node).collect();
        self.node(Node::Call(Call { function, args }), start, &heights)
    }

    /// An aggregation; its name is at hand.
    pub(super) fn aggregate(&mut self, op: AggregateOp) -> Result<Parsed, Refusal> {
        let start = self.offset();
        self.advance();
        let mut grouping = self.grouping()?;
        let mut args = self.arguments()?;
        if grouping.is_none() {
            grouping = self.grouping()?;
        }
        let name = op.name();
        let wanted = 1 + usize::from(op.parameter().is_some());
        if args.len() != wanted {
            return refuse(start, format!("{name} takes {wanted} arguments, found {}", args.len()));
        }
        let heights: Vec<usize> = args.iter().map(|arg| arg.height).collect();
        let mut parameter = None;
        if let Some(kind) = op.parameter() {
            let first = args.remove(0);
            check_kind(&first, kind, &format!("the first argument of {name}"))?;
            parameter = Some(first.node);
        }
        let inner = args.remove(0);
        check_kind(&inner, Type::Vector, &format!("the operand of {name}"))?;
        let aggregate = Aggregate { op, parameter, inner: inner.node, grouping };
        self.node(Node::Aggregate(Box::new(aggregate)), start, &heights)
    }

    fn grouping(&mut self) -> Result<Option<LabelChoice>, Refusal> {
        let Token::Word(word) = self.peek() else { return Ok(None) };
        if !is_grouping(word) {
            return Ok(None);
        }
        let by = word.eq_ignore_ascii_case("by");
        self.advance();
        let names = self.label_names()?;
        Ok(Some(if by { LabelChoice::Only(names) } else { LabelChoice::Except(names, Written::Yes) }))
    }

    /// `(a, b)`
    fn arguments(&mut self) -> Result<Vec<Parsed>, Refusal> {
        self.expect_mark("(")?;
        let mut args = Vec::new();
        if self.take_mark(")") {
            return Ok(args);
        }
        loop {
            args.push(self.nested(|parser| parser.expression(0))?);
            if self.take_mark(")") {
                return Ok(args);
            }
            if !self.take_mark(",") {
                return self.unexpected("\",\" or \")\"");
            }
        }
    }
}

fn check_kind(arg: &Parsed, wanted: Type, what: &str) -> Result<(), Refusal> {
    let found = arg.node.kind();
    if found == wanted {
        return Ok(());
    }
    refuse(arg.start, format!("{what} must be a {wanted}, found a {found}"))
}
