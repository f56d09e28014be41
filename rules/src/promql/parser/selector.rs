//! `name{label="value", ...}`.

use super::super::ast::{Node, Shift};
use super::super::lexer::{Refusal, Token, refuse};
use super::super::matcher::{MatchOp, Matcher, Selector};
use super::{Parsed, Parser};
use crate::labels::{Labels, LabelsBuilder, METRIC_NAME};

impl Parser<'_> {
    /// A series' own labels, `name{label="value", ...}`, up to the end of the text.
    pub(super) fn series(&mut self) -> Result<Labels, Refusal> {
        let name = match self.peek() {
            Token::Word(name) => Some((*name).to_owned()),
            _ => None,
        };
        if name.is_some() {
            self.advance();
        }
        let mut selector = Selector { name, matchers: Vec::new() };
        if self.take_mark("{") {
            self.matchers(&mut selector)?;
        }
        if *self.peek() != Token::End {
            return self.unexpected("name{label=\"value\", ...} and nothing after it");
        }
        let mut labels = LabelsBuilder::default();
        if let Some(name) = &selector.name {
            labels.set(METRIC_NAME, name);
        }
        for matcher in &selector.matchers {
            if matcher.op != MatchOp::Equal {
                return refuse(0, format!("{} is a matcher; a series has label=\"value\" only", matcher.label));
            }
            labels.set(&matcher.label, &matcher.value);
        }
        Ok(labels.build())
    }

    /// A selector; `name` is the word at hand, if it begins with one.
    pub(super) fn selector(&mut self, name: Option<String>) -> Result<Parsed, Refusal> {
        let start = self.offset();
        if name.is_some() {
            self.advance();
        }
        let mut selector = Selector { name, matchers: Vec::new() };
        if self.take_mark("{") {
            self.matchers(&mut selector)?;
        }
        if let Some(name) = &selector.name
            && selector.matchers.iter().any(|m| m.label == METRIC_NAME)
        {
            return refuse(start, format!("the metric name is given twice: {name:?} and in a matcher on __name__"));
        }
        if selector.name.is_none() && selector.matchers.iter().all(|matcher| matcher.matches("")) {
            return refuse(start, "name a metric or give a matcher that an empty value does not satisfy");
        }
        self.node(Node::Selector(selector, Shift::default()), start, &[])
    }

    fn matchers(&mut self, selector: &mut Selector) -> Result<(), Refusal> {
        while !self.take_mark("}") {
            let (at, token) = (self.offset(), self.at);
            match self.advance() {
                Token::Word(label) if !label.contains(':') => {
                    let label = label.to_owned();
                    self.matcher(label, selector)?;
                }
                Token::Text(text) if matches!(self.peek(), Token::Mark("," | "}")) => {
                    if text.is_empty() {
                        return refuse(at, "a metric name cannot be empty");
                    }
                    if let Some(first) = selector.name.replace(text) {
                        return refuse(at, format!("the metric name is given twice; the first is {first:?}"));
                    }
                }
                Token::Text(label) => self.matcher(label, selector)?,
                _ => {
                    self.at = token;
                    return self.unexpected("a label matcher such as job=\"api\", or \"}\"");
                }
            }
            if !self.take_mark(",") && !matches!(self.peek(), Token::Mark("}")) {
                return self.unexpected("\",\" or \"}\"");
            }
        }
        Ok(())
    }

    fn matcher(&mut self, label: String, selector: &mut Selector) -> Result<(), Refusal> {
        let op = match self.peek() {
            Token::Mark(mark) => MatchOp::ALL.iter().find(|(_, name)| name == mark).map(|(op, _)| *op),
            _ => None,
        };
        let Some(op) = op else { return self.unexpected("=, !=, =~ or !~") };
        self.advance();
        let at = self.offset();
        let Token::Text(value) = self.peek().clone() else {
            return self.unexpected("a string in quotes");
        };
        self.advance();
        let matcher = Matcher::new(label, op, value).or_else(|why| refuse(at, why))?;
        selector.matchers.push(matcher);
        Ok(())
    }
}
