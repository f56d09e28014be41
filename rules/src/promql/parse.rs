//! Tokens to expression: a Pratt parser that knows its place.

use super::ast::*;
use super::functions;
use super::lex::{Kind, Token, tokens};
use super::{ParseError, check};

/// Longest expression, in bytes, and deepest nesting: bounds on what hostile input can cost.
const LONGEST: usize = 64 << 10;
const DEEPEST: usize = 100;

/// Parses one expression.
///
/// # Errors
/// [`ParseError`] with the position; syntax we do not evaluate is refused here, never evaluated differently.
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    if text.len() > LONGEST {
        return Err(ParseError::at(text, 0, format!("{} bytes are too long; at most {LONGEST}", text.len())));
    }
    let mut parser = Parser { text, tokens: tokens(text)?, next: 0, depth: 0 };
    let expr = parser.expression(0)?;
    match parser.peek() {
        Kind::End => Ok(expr),
        _ => Err(parser.unexpected("an operator or the end")),
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
}

type Parsed<T> = Result<T, ParseError>;

/// Binding power of a binary operator, and whether it binds to the right.
fn power(op: BinaryOp) -> (u8, bool) {
    use BinaryOp::*;
    match op {
        Or => (1, false),
        And | Unless => (2, false),
        Eq | Ne | Gt | Lt | Ge | Le => (3, false),
        Add | Sub => (4, false),
        Mul | Div | Mod | Atan2 => (5, false),
        Pow => (7, true),
    }
}

/// A sign binds like a product, weaker than a power: `-1 ^ 2` is -1.
const SIGN_POWER: u8 = 6;

impl Parser<'_> {
    fn peek(&self) -> &Kind {
        &self.tokens[self.next.min(self.tokens.len() - 1)].kind
    }

    fn at(&self) -> usize {
        self.tokens[self.next.min(self.tokens.len() - 1)].at
    }

    fn take(&mut self) -> Kind {
        let kind = self.peek().clone();
        self.next += 1; // may pass the end: every look is clamped, so a token can always be given back
        kind
    }

    fn error<T>(&self, at: usize, message: impl Into<String>) -> Parsed<T> {
        Err(ParseError::at(self.text, at, message.into()))
    }

    fn unexpected(&self, wanted: &str) -> ParseError {
        let found = match self.peek() {
            Kind::End => "the expression ends here".to_owned(),
            Kind::Word(word) => format!("{word:?} stands here"),
            Kind::Number(number) => format!("{number} stands here"),
            Kind::Duration(_) => "a duration stands here".to_owned(),
            Kind::Text(text) => format!("the text {text:?} stands here"),
            Kind::Symbol(symbol) => format!("{symbol:?} stands here"),
        };
        ParseError::at(self.text, self.at(), format!("{found}; {wanted} is expected"))
    }

    fn eat(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Kind::Symbol(s) if *s == symbol);
        if found {
            self.take();
        }
        found
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Kind::Word(w) if w.eq_ignore_ascii_case(word));
        if found {
            self.take();
        }
        found
    }

    fn expect(&mut self, symbol: &str) -> Parsed<()> {
        if self.eat(symbol) { Ok(()) } else { Err(self.unexpected(&format!("{symbol:?}"))) }
    }

    fn expression(&mut self, least: u8) -> Parsed<Expr> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return self.error(self.at(), format!("nested deeper than {DEEPEST} levels"));
        }
        let mut left = self.prefix()?;
        let mut chain = 0;
        while let Some(op) = self.peek_binary() {
            let (power, right_bound) = power(op);
            if power < least {
                break;
            }
            chain += 1;
            if chain > 1000 {
                return self.error(self.at(), "more than 1000 operators in one chain");
            }
            left = self.binary(left, op, if right_bound { power } else { power + 1 })?;
        }
        self.depth -= 1;
        Ok(left)
    }

    fn peek_binary(&self) -> Option<BinaryOp> {
        use BinaryOp::*;
        Some(match self.peek() {
            Kind::Symbol(symbol) => match *symbol {
                "+" => Add,
                "-" => Sub,
                "*" => Mul,
                "/" => Div,
                "%" => Mod,
                "^" => Pow,
                "==" => Eq,
                "!=" => Ne,
                ">" => Gt,
                "<" => Lt,
                ">=" => Ge,
                "<=" => Le,
                _ => return None,
            },
            Kind::Word(word) => match word.to_ascii_lowercase().as_str() {
                "and" => And,
                "or" => Or,
                "unless" => Unless,
                "atan2" => Atan2,
                _ => return None,
            },
            _ => return None,
        })
    }

    fn binary(&mut self, left: Expr, op: BinaryOp, least: u8) -> Parsed<Expr> {
        let at = self.at();
        self.take();
        let bool_modifier = self.eat_word("bool");
        let matching = self.matching()?;
        let right = self.expression(least)?;
        check::binary(op, bool_modifier, matching.as_ref(), &left, &right)
            .map_err(|message| ParseError::at(self.text, at, message))?;
        Ok(Expr::Binary { op, bool_modifier, matching, left: Box::new(left), right: Box::new(right) })
    }

    fn matching(&mut self) -> Parsed<Option<Matching>> {
        let on = self.eat_word("on");
        if !on && !self.eat_word("ignoring") {
            return Ok(None);
        }
        let mut matching = Matching { on, labels: self.label_list()?, ..Matching::default() };
        for (word, cardinality) in [("group_left", Cardinality::ManyToOne), ("group_right", Cardinality::OneToMany)] {
            if self.eat_word(word) {
                matching.cardinality = cardinality;
                if matches!(self.peek(), Kind::Symbol("(")) {
                    matching.include = self.label_list()?;
                }
            }
        }
        if let Some(label) = matching.include.iter().find(|label| on && matching.labels.contains(label)) {
            return self.error(self.at(), format!("label {label:?} must not be in both on and group"));
        }
        Ok(Some(matching))
    }

    fn label_list(&mut self) -> Parsed<Vec<String>> {
        self.expect("(")?;
        let mut labels = Vec::new();
        while !self.eat(")") {
            match self.take() {
                Kind::Word(name) if !name.contains(':') => labels.push(name),
                Kind::Text(name) => labels.push(name),
                _ => {
                    self.next -= 1;
                    return Err(self.unexpected("a label name"));
                }
            }
            if !self.eat(",") && !matches!(self.peek(), Kind::Symbol(")")) {
                return Err(self.unexpected("\",\" or \")\""));
            }
        }
        Ok(labels)
    }

    fn prefix(&mut self) -> Parsed<Expr> {
        let at = self.at();
        for (symbol, negative) in [("-", true), ("+", false)] {
            if self.eat(symbol) {
                let inner = self.expression(SIGN_POWER)?;
                if !matches!(inner.kind(), Type::Scalar | Type::Vector) {
                    return self
                        .error(at, format!("a sign before a {}; only scalars and vectors have one", inner.kind()));
                }
                return Ok(match (negative, inner) {
                    (true, Expr::Number(n)) => Expr::Number(-n),
                    (true, inner) => Expr::Negate(Box::new(inner)),
                    (false, inner) => inner,
                });
            }
        }
        let primary = self.primary()?;
        self.postfix(primary)
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let at = self.at();
        match self.peek().clone() {
            Kind::Number(number) => {
                self.take();
                Ok(Expr::Number(number))
            }
            Kind::Duration(millis) => {
                self.take();
                Ok(Expr::Number(millis as f64 / 1000.0))
            }
            Kind::Text(text) => {
                self.take();
                Ok(Expr::String(text))
            }
            Kind::Symbol("(") => {
                self.take();
                let inner = self.expression(0)?;
                self.expect(")")?;
                Ok(Expr::Paren(Box::new(inner)))
            }
            Kind::Symbol("{") => self.selector(None, at),
            Kind::Word(word) => self.word(&word, at),
            _ => Err(self.unexpected("a number, a metric or a function")),
        }
    }

    fn word(&mut self, word: &str, at: usize) -> Parsed<Expr> {
        self.take();
        let lower = word.to_ascii_lowercase();
        let open = matches!(self.peek(), Kind::Symbol("("));
        let grouping =
            matches!(self.peek(), Kind::Word(w) if ["by", "without"].contains(&w.to_ascii_lowercase().as_str()));
        if let Some(op) = check::aggregate_named(&lower)
            && (open || grouping)
        {
            return self.aggregate(op, at);
        }
        if open {
            return self.call(word, at);
        }
        match lower.as_str() {
            "inf" => Ok(Expr::Number(f64::INFINITY)),
            "nan" => Ok(Expr::Number(f64::NAN)),
            "by" | "without" | "on" | "ignoring" | "bool" | "offset" | "group_left" | "group_right" | "and" | "or"
            | "unless" => {
                self.error(at, format!("{word:?} is a keyword; a number, a metric or a function is expected"))
            }
            _ => self.selector(Some(word.to_owned()), at),
        }
    }

    fn aggregate(&mut self, op: AggregateOp, at: usize) -> Parsed<Expr> {
        let mut grouping = self.grouping()?;
        let mut arguments = self.arguments()?;
        if grouping.is_none() {
            grouping = self.grouping()?;
        }
        let expr = arguments.pop();
        let parameter = arguments.pop();
        let wants = check::parameter_of(op);
        let (Some(expr), true) = (expr, arguments.is_empty() && parameter.is_some() == wants.is_some()) else {
            let count = if wants.is_some() { "a parameter and a vector" } else { "one vector" };
            return self.error(at, format!("{} takes {count}", check::name_of(op)));
        };
        if let (Some(wanted), Some(given)) = (wants, &parameter)
            && given.kind() != wanted
        {
            return self.error(
                at,
                format!("the parameter of {} is a {}; a {wanted} is expected", check::name_of(op), given.kind()),
            );
        }
        if expr.kind() != Type::Vector {
            return self
                .error(at, format!("{} is over a {}; an instant vector is expected", check::name_of(op), expr.kind()));
        }
        Ok(Expr::Aggregate { op, parameter: parameter.map(Box::new), grouping, expr: Box::new(expr) })
    }

    fn grouping(&mut self) -> Parsed<Option<Grouping>> {
        let without = self.eat_word("without");
        if !without && !self.eat_word("by") {
            return Ok(None);
        }
        Ok(Some(Grouping { without, labels: self.label_list()? }))
    }

    fn arguments(&mut self) -> Parsed<Vec<Expr>> {
        self.expect("(")?;
        let mut arguments = Vec::new();
        while !self.eat(")") {
            arguments.push(self.expression(0)?);
            if !self.eat(",") && !matches!(self.peek(), Kind::Symbol(")")) {
                return Err(self.unexpected("\",\" or \")\""));
            }
        }
        Ok(arguments)
    }

    fn call(&mut self, name: &str, at: usize) -> Parsed<Expr> {
        let Some(function) = functions::named(name) else {
            return self.error(at, format!("there is no function {name:?}"));
        };
        let arguments = self.arguments()?;
        check::call(function, &arguments).map_err(|message| ParseError::at(self.text, at, message))?;
        Ok(Expr::Call { function, arguments })
    }

    fn selector(&mut self, name: Option<String>, at: usize) -> Parsed<Expr> {
        let mut matchers = Vec::new();
        if let Some(name) = &name {
            matchers
                .push(check::matcher("__name__", MatchOp::Equal, name).map_err(|m| ParseError::at(self.text, at, m))?);
        }
        if self.eat("{") {
            while !self.eat("}") {
                matchers.push(self.matcher(name.is_some())?);
                if !self.eat(",") && !matches!(self.peek(), Kind::Symbol("}")) {
                    return Err(self.unexpected("\",\" or \"}\""));
                }
            }
        }
        if matchers.iter().all(|matcher| matcher.matches("")) {
            return self.error(at, "this selects every series; name a metric or one label that is not empty");
        }
        Ok(Expr::Vector(Selector { name, matchers, shift: Shift::default() }))
    }

    fn matcher(&mut self, named: bool) -> Parsed<Matcher> {
        let at = self.at();
        let (name, quoted) = match self.take() {
            Kind::Word(name) if !name.contains(':') => (name, false),
            Kind::Text(name) => (name, true),
            _ => {
                self.next -= 1;
                return Err(self.unexpected("a label name"));
            }
        };
        // {"metric.name", ...}: a quoted name without a comparison is the metric
        if quoted && matches!(self.peek(), Kind::Symbol("," | "}")) {
            return check::matcher("__name__", MatchOp::Equal, &name).map_err(|m| ParseError::at(self.text, at, m));
        }
        if named && name == "__name__" {
            return self.error(at, "the metric name is given twice");
        }
        let op = match self.take() {
            Kind::Symbol("=") => MatchOp::Equal,
            Kind::Symbol("!=") => MatchOp::NotEqual,
            Kind::Symbol("=~") => MatchOp::Matches,
            Kind::Symbol("!~") => MatchOp::NotMatches,
            _ => {
                self.next -= 1;
                return Err(self.unexpected("=, !=, =~ or !~"));
            }
        };
        let value_at = self.at();
        let Kind::Text(value) = self.take() else {
            self.next -= 1;
            return Err(self.unexpected("a quoted text"));
        };
        check::matcher(&name, op, &value).map_err(|message| ParseError::at(self.text, value_at, message))
    }

    fn postfix(&mut self, mut expr: Expr) -> Parsed<Expr> {
        loop {
            let at = self.at();
            if self.eat("[") {
                expr = self.range(expr, at)?;
            } else if self.eat_word("offset") {
                let negative = self.eat("-");
                let span = self.span("an offset such as 5m")?;
                let shift = self.shift_of(&mut expr, at)?;
                shift.offset = if negative { -span } else { span };
            } else if self.eat("@") {
                let time = self.at_time()?;
                self.shift_of(&mut expr, at)?.at = Some(time);
            } else {
                return Ok(expr);
            }
        }
    }

    fn shift_of<'e>(&self, expr: &'e mut Expr, at: usize) -> Parsed<&'e mut Shift> {
        match expr {
            Expr::Vector(selector) | Expr::Matrix { selector, .. } => Ok(&mut selector.shift),
            Expr::Subquery { shift, .. } => Ok(shift),
            _ => self.error(at, "offset and @ follow a selector or a subquery"),
        }
    }

    fn at_time(&mut self) -> Parsed<At> {
        let negative = self.eat("-");
        match self.take() {
            Kind::Number(seconds) if seconds.is_finite() => {
                let millis = (seconds * 1000.0).round() as Millis;
                Ok(At::Time(if negative { -millis } else { millis }))
            }
            Kind::Word(word) if word == "start" || word == "end" => {
                self.expect("(")?;
                self.expect(")")?;
                Ok(if word == "start" { At::Start } else { At::End })
            }
            _ => {
                self.next -= 1;
                Err(self.unexpected("a Unix time, start() or end()"))
            }
        }
    }

    /// `[5m]`, `[1h:5m]`, `[1h:]`.
    fn range(&mut self, expr: Expr, at: usize) -> Parsed<Expr> {
        let range = self.span("a range such as 5m")?;
        if range <= 0 {
            return self.error(at, "a range must be longer than zero");
        }
        if self.eat(":") {
            let step = match self.peek() {
                Kind::Symbol("]") => None,
                _ => Some(self.span("a step such as 1m")?).filter(|step| *step > 0),
            };
            self.expect("]")?;
            if expr.kind() != Type::Vector && expr.kind() != Type::Scalar {
                return self.error(at, format!("a subquery over a {}; an instant vector is expected", expr.kind()));
            }
            return Ok(Expr::Subquery { expr: Box::new(expr), range, step, shift: Shift::default() });
        }
        self.expect("]")?;
        match expr {
            Expr::Vector(selector) if selector.shift == Shift::default() => Ok(Expr::Matrix { selector, range }),
            Expr::Vector(_) => self.error(at, "offset and @ come after the range"),
            _ => self.error(at, "a range follows a selector; write [range:step] over other expressions"),
        }
    }

    fn span(&mut self, wanted: &str) -> Parsed<Millis> {
        match self.take() {
            Kind::Duration(millis) => Ok(millis),
            Kind::Number(seconds) if seconds.is_finite() => Ok((seconds * 1000.0).round() as Millis),
            _ => {
                self.next -= 1;
                Err(self.unexpected(wanted))
            }
        }
    }
}
