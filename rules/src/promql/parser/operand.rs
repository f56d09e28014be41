//! What an operator stands between: literals, selectors, calls, parentheses, each with its `[]`, `offset` and `@`.

use super::super::ast::{AggregateOp, Node, Number, Subquery, Type};
use super::super::lexer::{Refusal, Token, refuse};
use super::super::print::plain_metric_name;
use super::{Parsed, Parser};

impl Parser<'_> {
    /// One operand with everything that follows and belongs to it.
    pub(super) fn operand(&mut self) -> Result<Parsed, Refusal> {
        let mut operand = self.primary()?;
        loop {
            let at = self.offset();
            if self.take_mark("[") {
                operand = self.bracket(operand, at)?;
            } else if self.take_word("offset") {
                let offset_ms = self.offset_value()?;
                let Some(shift) = shift_of(&mut operand.node) else {
                    return refuse(at, "offset follows a selector or a subquery");
                };
                if shift.offset_ms != 0 {
                    return refuse(at, "offset stands here twice");
                }
                shift.offset_ms = offset_ms;
            } else if self.take_mark("@") {
                let moment = self.at_value()?;
                let Some(shift) = shift_of(&mut operand.node) else {
                    return refuse(at, "@ follows a selector or a subquery");
                };
                if shift.at.replace(moment).is_some() {
                    return refuse(at, "@ stands here twice");
                }
            } else {
                return Ok(operand);
            }
        }
    }

    fn primary(&mut self) -> Result<Parsed, Refusal> {
        let start = self.offset();
        match self.peek().clone() {
            Token::Number(value) => self.literal(Node::Number(Number { value, duration: false })),
            Token::Duration(millis) => {
                self.literal(Node::Number(Number { value: millis as f64 / 1000.0, duration: true }))
            }
            Token::Text(text) => self.literal(Node::Text(text)),
            Token::Mark("(") => {
                self.advance();
                let inner = self.nested(|parser| parser.expression(0))?;
                self.expect_mark(")")?;
                self.node(Node::Paren(Box::new(inner.node)), start, &[inner.height])
            }
            Token::Mark("{") => self.selector(None),
            Token::Word(word) => self.named(word),
            _ => self.unexpected("an expression"),
        }
    }

    fn literal(&mut self, node: Node) -> Result<Parsed, Refusal> {
        let start = self.offset();
        self.advance();
        self.node(node, start, &[])
    }

    /// What begins with a word: a number, an aggregation, a call or a selector.
    fn named(&mut self, word: &str) -> Result<Parsed, Refusal> {
        if word.eq_ignore_ascii_case("inf") {
            return self.literal(Node::Number(Number { value: f64::INFINITY, duration: false }));
        }
        if word.eq_ignore_ascii_case("nan") {
            return self.literal(Node::Number(Number { value: f64::NAN, duration: false }));
        }
        let opens = matches!(self.peek_second(), Token::Mark("("));
        let grouped = matches!(self.peek_second(), Token::Word(w) if is_grouping(w));
        if let Some(op) = AggregateOp::of(word).filter(|_| opens || grouped) {
            return self.nested(|parser| parser.aggregate(op));
        }
        if opens {
            return self.nested(|parser| parser.call(word));
        }
        if !plain_metric_name(word) {
            return self.unexpected("an expression");
        }
        self.selector(Some(word.to_owned()))
    }

    /// `[range]` or `[range:step]`, after the opening bracket.
    fn bracket(&mut self, of: Parsed, at: usize) -> Result<Parsed, Refusal> {
        let range_ms = self.span_value("a range")?;
        if !self.take_mark(":") {
            self.expect_mark("]")?;
            let Node::Selector(selector, shift) = of.node else {
                return refuse(at, "a range goes only with a selector; a subquery is written [5m:1m] or [5m:]");
            };
            if shift != super::super::ast::Shift::default() {
                return refuse(at, "offset and @ stand after the range");
            }
            return self.node(Node::Range(selector, shift, range_ms), of.start, &[]);
        }
        let step_ms = if self.take_mark("]") {
            None
        } else {
            let step = self.span_value("a step")?;
            self.expect_mark("]")?;
            Some(step)
        };
        if of.node.kind() != Type::Vector {
            let kind = of.node.kind();
            return refuse(at, format!("a subquery goes only with an instant vector, not a {kind}"));
        }
        let subquery = Subquery { inner: of.node, range_ms, step_ms, shift: Default::default() };
        self.node(Node::Subquery(Box::new(subquery)), of.start, &[of.height])
    }
}

pub(super) fn is_grouping(word: &str) -> bool {
    word.eq_ignore_ascii_case("by") || word.eq_ignore_ascii_case("without")
}

fn shift_of(node: &mut Node) -> Option<&mut super::super::ast::Shift> {
    match node {
        Node::Selector(_, shift) | Node::Range(_, shift, _) => Some(shift),
        Node::Subquery(subquery) => Some(&mut subquery.shift),
        _ => None,
    }
}
