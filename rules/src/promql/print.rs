//! Expressions back to text that parses to the same expression.

use std::fmt::{self, Display, Formatter};

use super::ast::*;
use super::check::name_of;

struct Span(Millis);

impl Display for Span {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0.unsigned_abs();
        for (unit, millis) in units {
            if rest >= millis {
                write!(f, "{}{unit}", rest / millis)?;
                rest %= millis;
            }
        }
        Ok(())
    }
}

struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                c if c.is_control() => write!(f, "\\U{:08x}", u32::from(c))?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

fn is_plain(label: &str) -> bool {
    label.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

struct Label<'a>(&'a str);

impl Display for Label<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if is_plain(self.0) { f.write_str(self.0) } else { write!(f, "{}", Quoted(self.0)) }
    }
}

fn list<T: Display>(f: &mut Formatter<'_>, items: impl Iterator<Item = T>) -> fmt::Result {
    for (i, item) in items.enumerate() {
        write!(f, "{}{item}", if i > 0 { ", " } else { "" })?;
    }
    Ok(())
}

impl Display for Matcher {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let op = match self.op {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Matches => "=~",
            MatchOp::NotMatches => "!~",
        };
        write!(f, "{}{op}{}", Label(&self.name), Quoted(&self.value))
    }
}

impl Display for Shift {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(At::Time(millis)) => write!(f, " @ {:.3}", millis as f64 / 1000.0)?,
            Some(At::Start) => f.write_str(" @ start()")?,
            Some(At::End) => f.write_str(" @ end()")?,
            None => {}
        }
        match self.offset {
            0 => Ok(()),
            offset => write!(f, " offset {}{}", if offset < 0 { "-" } else { "" }, Span(offset)),
        }
    }
}

impl Selector {
    fn head(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut matchers = self.matchers.as_slice();
        if let (Some(name), [_, rest @ ..]) = (&self.name, matchers) {
            f.write_str(name)?;
            matchers = rest;
        }
        if !matchers.is_empty() {
            f.write_str("{")?;
            list(f, matchers.iter())?;
            f.write_str("}")?;
        }
        Ok(())
    }
}

impl Display for BinaryOp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        use BinaryOp::*;
        f.write_str(match self {
            Add => "+",
            Sub => "-",
            Mul => "*",
            Div => "/",
            Mod => "%",
            Pow => "^",
            Atan2 => "atan2",
            Eq => "==",
            Ne => "!=",
            Gt => ">",
            Lt => "<",
            Ge => ">=",
            Le => "<=",
            And => "and",
            Or => "or",
            Unless => "unless",
        })
    }
}

impl Display for Matching {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.on { " on (" } else { " ignoring (" })?;
        list(f, self.labels.iter().map(|l| Label(l)))?;
        f.write_str(")")?;
        let word = match self.cardinality {
            Cardinality::OneToOne => return Ok(()),
            Cardinality::ManyToOne => " group_left (",
            Cardinality::OneToMany => " group_right (",
        };
        f.write_str(word)?;
        list(f, self.include.iter().map(|l| Label(l)))?;
        f.write_str(")")
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(n) if n.is_nan() => f.write_str("NaN"),
            Self::Number(n) if n.is_infinite() => f.write_str(if *n > 0.0 { "Inf" } else { "-Inf" }),
            Self::Number(n) => write!(f, "{n}"),
            Self::String(text) => write!(f, "{}", Quoted(text)),
            Self::Vector(selector) => {
                selector.head(f)?;
                write!(f, "{}", selector.shift)
            }
            Self::Matrix { selector, range } => {
                selector.head(f)?;
                write!(f, "[{}]{}", Span(*range), selector.shift)
            }
            Self::Subquery { expr, range, step, shift } => {
                write!(f, "{expr}[{}:", Span(*range))?;
                if let Some(step) = step {
                    write!(f, "{}", Span(*step))?;
                }
                write!(f, "]{shift}")
            }
            Self::Negate(inner) => write!(f, "-{inner}"),
            Self::Paren(inner) => write!(f, "({inner})"),
            Self::Binary { op, bool_modifier, matching, left, right } => {
                write!(f, "{left} {op}{}", if *bool_modifier { " bool" } else { "" })?;
                if let Some(matching) = matching {
                    write!(f, "{matching}")?;
                }
                write!(f, " {right}")
            }
            Self::Aggregate { op, parameter, grouping, expr } => {
                f.write_str(name_of(*op))?;
                if let Some(grouping) = grouping {
                    f.write_str(if grouping.without { " without (" } else { " by (" })?;
                    list(f, grouping.labels.iter().map(|l| Label(l)))?;
                    f.write_str(") ")?;
                }
                f.write_str("(")?;
                if let Some(parameter) = parameter {
                    write!(f, "{parameter}, ")?;
                }
                write!(f, "{expr})")
            }
            Self::Call { function, arguments } => {
                write!(f, "{}(", function.name)?;
                list(f, arguments.iter())?;
                f.write_str(")")
            }
        }
    }
}
