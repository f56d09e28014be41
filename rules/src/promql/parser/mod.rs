//! Tokens to a checked tree: operator precedence by climbing, types checked as each node is made.
//!
//! Hostile text can neither take the stack nor the memory: its length and the height of the tree are bounded.

mod call;
mod operand;
mod selector;
mod span;
#[cfg(test)]
mod tests;

use super::ParseError;
use super::ast::{Binary, BinaryOp, Expr, Group, LabelChoice, Matching, Node, Number, Side, Sign, Type, Written};
use super::lexer::{Refusal, Token, refuse, tokens};
use crate::Labels;

/// Longest expression, in bytes.
const LONGEST: usize = 64 << 10;

/// Most levels of nesting. A chain such as `a + b + c` nests once per operator.
const HIGHEST: usize = 120;

/// Most calls of the parser within one another; a level of nesting in the text takes two or three.
const DEEPEST: usize = 300;

/// Binds tighter than multiplication, looser than `^`: `-2^2` is `-4`.
const UNARY_BINDS: u8 = 6;

/// Parses one expression.
///
/// # Errors
/// [`ParseError`] with the position; syntax we do not evaluate is refused here, never evaluated differently.
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    parse_whole(text).map(Expr).map_err(|refusal| place(text, refusal))
}

/// Parses the labels of one series, as `name{label="value"}`.
///
/// # Errors
/// [`ParseError`] with the position.
pub fn parse_series(text: &str) -> Result<Labels, ParseError> {
    let labels = tokens(text).and_then(|tokens| Parser { tokens, at: 0, depth: 0 }.series());
    labels.map_err(|refusal| place(text, refusal))
}

fn parse_whole(text: &str) -> Result<Node, Refusal> {
    if text.len() > LONGEST {
        return refuse(0, format!("this expression has {} bytes; at most {LONGEST} are allowed", text.len()));
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
    let whole = parser.expression(0)?;
    match parser.peek() {
        Token::End => Ok(whole.node),
        _ => parser.unexpected("an operator or the end"),
    }
}

/// Byte offset to line and column.
fn place(text: &str, refusal: Refusal) -> ParseError {
    let before = text.get(..refusal.at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    ParseError {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        message: refusal.message,
    }
}

/// A subtree, where it began and how high it is.
#[derive(Debug)]
struct Parsed {
    node: Node,
    start: usize,
    height: usize,
}

struct Parser<'a> {
    tokens: Vec<(Token<'a>, usize)>,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    /// The last token is `End`, which is never passed.
    fn peek(&self) -> &Token<'a> {
        &self.tokens[self.at].0
    }

    fn peek_second(&self) -> &Token<'a> {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].0
    }

    fn offset(&self) -> usize {
        self.tokens[self.at].1
    }

    fn advance(&mut self) -> Token<'a> {
        let token = self.peek().clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    fn take_mark(&mut self, mark: &str) -> bool {
        let found = matches!(self.peek(), Token::Mark(m) if *m == mark);
        if found {
            self.advance();
        }
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Word(w) if w.eq_ignore_ascii_case(word));
        if found {
            self.advance();
        }
        found
    }

    fn expect_mark(&mut self, mark: &'static str) -> Result<(), Refusal> {
        if self.take_mark(mark) { Ok(()) } else { self.unexpected(&format!("{mark:?}")) }
    }

    fn unexpected<T>(&self, wanted: &str) -> Result<T, Refusal> {
        let found = match self.peek() {
            Token::Word(word) => format!("{word:?}"),
            Token::Number(number) => format!("the number {number}"),
            Token::Duration(_) => "a duration".into(),
            Token::Text(text) => format!("the string {text:?}"),
            Token::Mark(mark) => format!("{mark:?}"),
            Token::End => "the end".into(),
        };
        refuse(self.offset(), format!("found {found}, expected {wanted}"))
    }

    /// Runs `inner` one level deeper, so that nesting in the text cannot take the stack.
    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Refusal>) -> Result<T, Refusal> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return refuse(self.offset(), "this is nested too deeply");
        }
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// Makes a node above children of the given heights, unless the tree grows too high.
    fn node(&self, node: Node, start: usize, heights: &[usize]) -> Result<Parsed, Refusal> {
        let height = heights.iter().max().map_or(0, |highest| highest + 1);
        if height > HIGHEST {
            return refuse(start, format!("more than {HIGHEST} operators or calls build on one another"));
        }
        Ok(Parsed { node, start, height })
    }

    /// An expression of operators that bind at least as tightly as `least`.
    fn expression(&mut self, least: u8) -> Result<Parsed, Refusal> {
        let mut left = self.nested(Self::unary)?;
        while let Some((op, binds)) = self.peek_operator().filter(|(_, binds)| *binds >= least) {
            self.advance();
            let (returns_bool, matching, at) = self.modifiers()?;
            let right_least = if op == BinaryOp::Power { binds } else { binds + 1 };
            let right = self.nested(|parser| parser.expression(right_least))?;
            check_operands(op, returns_bool, &matching, at, &left, &right)?;
            let (start, heights) = (left.start, [left.height, right.height]);
            let binary = Binary { op, left: left.node, right: right.node, returns_bool, matching };
            left = self.node(Node::Binary(Box::new(binary)), start, &heights)?;
        }
        Ok(left)
    }

    fn peek_operator(&self) -> Option<(BinaryOp, u8)> {
        let name = match self.peek() {
            Token::Word(word) => *word,
            Token::Mark(mark) => *mark,
            _ => return None,
        };
        let same = |spelling: &str| spelling.eq_ignore_ascii_case(name);
        BinaryOp::ALL.iter().find(|(_, spelling, _)| same(spelling)).map(|(op, _, binds)| (*op, *binds))
    }

    /// What stands between an operator and its right side; also where the first of it began.
    fn modifiers(&mut self) -> Result<(bool, Matching, usize), Refusal> {
        let at = self.offset();
        let returns_bool = self.take_word("bool");
        let mut matching = Matching::default();
        if self.take_word("on") {
            matching.labels = LabelChoice::Only(self.label_names()?);
        } else if self.take_word("ignoring") {
            matching.labels = LabelChoice::Except(self.label_names()?, Written::Yes);
        } else {
            return Ok((returns_bool, matching, at));
        }
        let group_at = self.offset();
        let many = match () {
            () if self.take_word("group_left") => Side::Left,
            () if self.take_word("group_right") => Side::Right,
            () => return Ok((returns_bool, matching, at)),
        };
        let include = if matches!(self.peek(), Token::Mark("(")) { self.label_names()? } else { Vec::new() };
        if let LabelChoice::Only(names) = &matching.labels
            && let Some(twice) = names.iter().find(|name| include.contains(name))
        {
            return refuse(
                group_at,
                format!("label {twice:?} must not stand in on and group_left/group_right at once"),
            );
        }
        matching.group = Some(Group { many, include });
        Ok((returns_bool, matching, at))
    }

    fn unary(&mut self) -> Result<Parsed, Refusal> {
        let start = self.offset();
        let sign = match () {
            () if self.take_mark("-") => Sign::Minus,
            () if self.take_mark("+") => Sign::Plus,
            () => return self.operand(),
        };
        let inner = self.nested(|parser| parser.expression(UNARY_BINDS))?;
        if !matches!(inner.node.kind(), Type::Scalar | Type::Vector) {
            let kind = inner.node.kind();
            return refuse(start, format!("a sign needs a scalar or an instant vector, not a {kind}"));
        }
        if let Node::Number(Number { value, duration: false }) = inner.node {
            let value = if sign == Sign::Minus { -value } else { value };
            return self.node(Node::Number(Number { value, duration: false }), start, &[]);
        }
        self.node(Node::Unary(sign, Box::new(inner.node)), start, &[inner.height])
    }

    /// `(a, b,)`
    fn label_names(&mut self) -> Result<Vec<String>, Refusal> {
        self.expect_mark("(")?;
        let mut names = Vec::new();
        while !self.take_mark(")") {
            match self.peek() {
                Token::Word(word) if !word.contains(':') => names.push((*word).to_owned()),
                Token::Text(text) if !text.is_empty() => names.push(text.clone()),
                _ => return self.unexpected("a label name"),
            }
            self.advance();
            if !self.take_mark(",") && !matches!(self.peek(), Token::Mark(")")) {
                return self.unexpected("\",\" or \")\"");
            }
        }
        Ok(names)
    }
}

/// What the grammar alone does not say about a binary operation.
fn check_operands(
    op: BinaryOp,
    returns_bool: bool,
    matching: &Matching,
    modifiers_at: usize,
    left: &Parsed,
    right: &Parsed,
) -> Result<(), Refusal> {
    for side in [left, right] {
        let kind = side.node.kind();
        if !matches!(kind, Type::Scalar | Type::Vector) {
            let name = op.name();
            return refuse(side.start, format!("{name:?} takes scalars and instant vectors, not a {kind}"));
        }
    }
    let vectors = left.node.kind() == Type::Vector && right.node.kind() == Type::Vector;
    let scalars = left.node.kind() == Type::Scalar && right.node.kind() == Type::Scalar;
    if returns_bool && !op.is_comparison() {
        return refuse(modifiers_at, "bool goes only with a comparison");
    }
    if scalars && op.is_comparison() && !returns_bool {
        return refuse(modifiers_at, format!("a comparison between scalars needs bool: {} bool", op.name()));
    }
    if !vectors && op.is_set() {
        return refuse(modifiers_at, format!("{:?} takes instant vectors, not scalars", op.name()));
    }
    if !vectors && *matching != Matching::default() {
        return refuse(modifiers_at, "on and ignoring go only between instant vectors");
    }
    if op.is_set() && matching.group.is_some() {
        return refuse(modifiers_at, format!("{:?} takes no group_left or group_right", op.name()));
    }
    Ok(())
}
