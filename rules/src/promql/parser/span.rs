//! Spans and moments: the inside of `[]`, and what follows `offset` and `@`. Spans may be calculated from literals
//! (`[2 * 5m]`, `offset (1h - 30m)`); the result is all that the tree keeps.

use super::super::ast::At;
use super::super::duration::LONGEST;
use super::super::lexer::{Refusal, Token, refuse};
use super::Parser;

impl Parser<'_> {
    /// A positive span in milliseconds.
    pub(super) fn span_value(&mut self, what: &str) -> Result<i64, Refusal> {
        let at = self.offset();
        let millis = span_millis(self.span_sum()?, at)?;
        if millis <= 0 {
            return refuse(at, format!("{what} must be longer than zero"));
        }
        Ok(millis)
    }

    /// What follows `offset`: a literal with a sign, or a calculation in parentheses.
    pub(super) fn offset_value(&mut self) -> Result<i64, Refusal> {
        let at = self.offset();
        let negative = self.take_mark("-");
        if !negative {
            self.take_mark("+");
        }
        let seconds = self.span_atom()?;
        span_millis(if negative { -seconds } else { seconds }, at)
    }

    /// What follows `@`: seconds since the epoch, `start()` or `end()`.
    pub(super) fn at_value(&mut self) -> Result<At, Refusal> {
        for (word, moment) in [("start", At::Start), ("end", At::End)] {
            if self.take_word(word) {
                self.expect_mark("(")?;
                self.expect_mark(")")?;
                return Ok(moment);
            }
        }
        let at = self.offset();
        let negative = self.take_mark("-");
        if !negative {
            self.take_mark("+");
        }
        let seconds = match self.peek() {
            Token::Number(seconds) => *seconds,
            Token::Duration(millis) => *millis as f64 / 1000.0,
            _ => return self.unexpected("a time in seconds since the epoch, start() or end()"),
        };
        self.advance();
        to_millis(if negative { -seconds } else { seconds }, at).map(At::Millis)
    }

    fn span_sum(&mut self) -> Result<f64, Refusal> {
        let mut sum = self.span_product()?;
        loop {
            if self.take_mark("+") {
                sum += self.span_product()?;
            } else if self.take_mark("-") {
                sum -= self.span_product()?;
            } else {
                return Ok(sum);
            }
        }
    }

    fn span_product(&mut self) -> Result<f64, Refusal> {
        let mut product = self.span_signed()?;
        loop {
            let at = self.offset();
            if self.take_mark("*") {
                product *= self.span_signed()?;
                continue;
            }
            let divides = self.take_mark("/");
            if !divides && !self.take_mark("%") {
                return Ok(product);
            }
            let by = self.span_signed()?;
            if by == 0.0 {
                return refuse(at, "a span cannot be divided by zero");
            }
            product = if divides { product / by } else { product % by };
        }
    }

    /// A sign binds tighter than `*` and looser than `^`.
    fn span_signed(&mut self) -> Result<f64, Refusal> {
        if self.take_mark("-") {
            return Ok(-self.nested(Self::span_signed)?);
        }
        if self.take_mark("+") {
            return self.nested(Self::span_signed);
        }
        let base = self.span_atom()?;
        if self.take_mark("^") {
            return Ok(base.powf(self.nested(Self::span_signed)?));
        }
        Ok(base)
    }

    fn span_atom(&mut self) -> Result<f64, Refusal> {
        let seconds = match self.peek() {
            Token::Number(seconds) => *seconds,
            Token::Duration(millis) => *millis as f64 / 1000.0,
            Token::Mark("(") => {
                self.advance();
                let inner = self.nested(Self::span_sum)?;
                self.expect_mark(")")?;
                return Ok(inner);
            }
            _ => return self.unexpected("a duration such as 5m"),
        };
        self.advance();
        Ok(seconds)
    }
}

/// A span or an offset: as long as a duration may be.
fn span_millis(seconds: f64, at: usize) -> Result<i64, Refusal> {
    to_millis(seconds, at)
        .ok()
        .filter(|millis| (-LONGEST..=LONGEST).contains(millis))
        .map_or_else(|| refuse(at, format!("a span of {seconds} seconds is out of range; durations go up to 292y")), Ok)
}

fn to_millis(seconds: f64, at: usize) -> Result<i64, Refusal> {
    let millis = (seconds * 1000.0).round();
    // A quarter of the range of i64, so that later sums of a few of them cannot overflow.
    let most = (i64::MAX / 4) as f64;
    if !(-most..=most).contains(&millis) {
        return refuse(at, format!("{seconds} seconds is out of range"));
    }
    Ok(millis as i64)
}
