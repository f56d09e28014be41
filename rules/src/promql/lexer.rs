//! Text to tokens, each with its place.
//!
//! Keywords are left to the parser, because PromQL lets most of them be metric or label names as well.

use super::duration::parse_millis;

/// One token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// A name or keyword.
    Word(&'a str),
    /// A number without a unit.
    Number(f64),
    /// A number with units, in milliseconds.
    Duration(i64),
    /// A string, its escapes resolved.
    Text(String),
    /// An operator or bracket.
    Mark(&'static str),
    /// After the last one.
    End,
}

/// Why text was refused: byte offset and sentence.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) at: usize,
    pub(super) message: String,
}

/// Shorthand for a refusal at byte `at`.
pub(super) fn refuse<T>(at: usize, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { at, message: message.into() })
}

/// Longer ones first, so that `==` is not read as two `=`.
const MARKS: [&str; 25] = [
    "==", "!=", "=~", "!~", "<=", ">=", "=", "<", ">", "+", "-", "*", "/", "%", "^", "(", ")", "{", "}", "[", "]", ",",
    ":", "@", "!",
];

/// All tokens of `text` with their byte offsets; the last one is [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<(Token<'_>, usize)>, Refusal> {
    let mut lexer = Lexer { text, at: 0, brackets: 0 };
    let mut found = Vec::new();
    loop {
        lexer.skip_blanks();
        let start = lexer.at;
        let token = lexer.token()?;
        let end = token == Token::End;
        found.push((token, start));
        if end {
            return Ok(found);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// Inside `[]` a colon separates range and step; outside it may begin a name.
    brackets: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_blanks(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r']);
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn token(&mut self) -> Result<Token<'a>, Refusal> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(Token::End) };
        let second_is_digit = rest[first.len_utf8()..].starts_with(|c: char| c.is_ascii_digit());
        match first {
            '0'..='9' => self.number(),
            '.' if second_is_digit => self.number(),
            '"' | '\'' | '`' => self.string(first),
            ':' if self.brackets == 0 => Ok(self.word()),
            'a'..='z' | 'A'..='Z' | '_' => Ok(self.word()),
            _ => self.mark(first),
        }
    }

    fn mark(&mut self, first: char) -> Result<Token<'a>, Refusal> {
        let Some(mark) = MARKS.into_iter().find(|mark| self.rest().starts_with(mark)) else {
            return refuse(self.at, format!("{first:?} means nothing here"));
        };
        match mark {
            "[" => self.brackets += 1,
            "]" => self.brackets = self.brackets.saturating_sub(1),
            _ => {}
        }
        self.at += mark.len();
        Ok(Token::Mark(mark))
    }

    fn word(&mut self) -> Token<'a> {
        let in_name = |c: &char| c.is_ascii_alphanumeric() || *c == '_' || *c == ':' && self.brackets == 0;
        let length = self.rest().chars().take_while(in_name).count();
        let word = &self.rest()[..length];
        self.at += length;
        Token::Word(word)
    }

    /// A decimal, hexadecimal or octal number, or a duration.
    fn number(&mut self) -> Result<Token<'a>, Refusal> {
        let rest = self.rest().as_bytes();
        let hex = rest.len() > 1 && rest[0] == b'0' && rest[1].eq_ignore_ascii_case(&b'x');
        let mut length = 0;
        while let Some(byte) = rest.get(length) {
            let signed_exponent =
                matches!(byte, b'+' | b'-') && !hex && length > 0 && rest[length - 1].eq_ignore_ascii_case(&b'e');
            if !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_') || signed_exponent) {
                break;
            }
            length += 1;
        }
        let text = &self.rest()[..length];
        let start = self.at;
        self.at += length;
        if let Some(number) = parse_number(text, hex) {
            return Ok(Token::Number(number));
        }
        parse_millis(text).map(Token::Duration).or_else(|why| {
            if why.contains("out of range") {
                return refuse(start, why);
            }
            refuse(start, format!("{text:?} is neither a number nor a duration; write 1.5, 1e3, 0x1f, 5m or 1h30m"))
        })
    }

    fn string(&mut self, quote: char) -> Result<Token<'a>, Refusal> {
        let start = self.at;
        self.at += 1;
        let Some(length) = closing(self.rest(), quote) else {
            return refuse(start, format!("this string has no closing {quote} on its line"));
        };
        let body = &self.rest()[..length];
        let text = if quote == '`' { body.to_owned() } else { unescape(body, self.at)? };
        self.at += length + 1;
        Ok(Token::Text(text))
    }
}

/// Where the closing quote stands; raw strings may span lines, the others not.
fn closing(body: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            '\n' if quote != '`' => return None,
            c if c == quote => return Some(at),
            _ => {}
        }
    }
    None
}

/// As Go's `ParseInt` with base 0, then as a float: a leading zero means octal where the digits allow it.
pub(crate) fn parse_number(text: &str, hex: bool) -> Option<f64> {
    if text.starts_with('_') && !hex || text.ends_with('_') || text.contains("__") {
        return None;
    }
    let digits = text.replace('_', "");
    if hex {
        return u64::from_str_radix(&digits[2..], 16).ok().map(|n| n as f64);
    }
    let octal = digits.len() > 1 && digits.starts_with('0');
    if octal && let Ok(number) = u64::from_str_radix(&digits, 8) {
        return Some(number as f64);
    }
    // Rust's parser also takes words such as `infinity`; those begin with a letter and never come here.
    digits.parse().ok()
}

/// Resolves Go's escapes; `offset` is where `body` begins, for messages.
fn unescape(body: &str, offset: usize) -> Result<String, Refusal> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let place = offset + body.len() - rest.len() + at;
        rest = escape(&rest[at + 1..], &mut out)
            .ok_or_else(|| Refusal { at: place, message: "unknown escape; a backslash is written \\\\".into() })?;
    }
    out.extend_from_slice(rest.as_bytes());
    String::from_utf8(out).or_else(|_| refuse(offset, "this string is not valid UTF-8"))
}

/// Appends what the escape at the front of `rest` stands for; gives what follows it.
fn escape<'b>(rest: &'b str, out: &mut Vec<u8>) -> Option<&'b str> {
    let first = rest.chars().next()?;
    let simple = match first {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' | '\'' | '"' => first as u8,
        _ => 0,
    };
    if simple != 0 {
        out.push(simple);
        return Some(&rest[1..]);
    }
    let (skip, length, radix) = match first {
        'x' => (1, 2, 16),
        'u' => (1, 4, 16),
        'U' => (1, 8, 16),
        '0'..='7' => (0, 3, 8),
        _ => return None,
    };
    let digits = rest.get(skip..skip + length).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
    let code = u32::from_str_radix(digits, radix).ok()?;
    if matches!(first, 'u' | 'U') {
        out.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes());
    } else {
        out.push(u8::try_from(code).ok()?);
    }
    Some(&rest[skip + length..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_token_each() {
        let text = |s: &str| Token::Text(s.to_owned());
        for (input, expected) in [
            ("foo:bar_1", Token::Word("foo:bar_1")),
            (":x", Token::Word(":x")),
            ("12.34e-6", Token::Number(12.34e-6)),
            ("2.", Token::Number(2.0)),
            (".2", Token::Number(0.2)),
            ("0x1F", Token::Number(31.0)),
            ("0755", Token::Number(493.0)),
            ("089", Token::Number(89.0)),
            ("1_000", Token::Number(1000.0)),
            ("1h30m", Token::Duration(5_400_000)),
            ("5ms", Token::Duration(5)),
            (r#""a\"\n\x41\u00e9\101""#, text("a\"\nAéA")),
            (r#""\xe2\x82\xac""#, text("€")),
            (r"'it\'s'", text("it's")),
            ("`a\\n\nb`", text("a\\n\nb")),
            ("=~", Token::Mark("=~")),
        ] {
            let found = tokens(input).unwrap();
            assert_eq!(found, [(expected, 0), (Token::End, input.len())], "{input}");
        }
    }

    #[test]
    fn what_is_no_token_is_refused_at_its_place() {
        for (input, at) in [
            ("  $", 2),
            ("1 + 5mm", 4),
            ("5x", 0),
            ("\"abc", 0),
            ("'a\nb'", 0),
            (r#""a\q""#, 2),
            (r#"x + "\xff""#, 5),
            ("1__0", 0),
            ("ä", 0),
        ] {
            assert_eq!(tokens(input).unwrap_err().at, at, "{input}");
        }
    }

    #[test]
    fn colons_separate_only_in_brackets() {
        let marks: Vec<Token<'_>> = tokens("a:b[5m:1m] # comment").unwrap().into_iter().map(|(t, _)| t).collect();
        let expected = [
            Token::Word("a:b"),
            Token::Mark("["),
            Token::Duration(300_000),
            Token::Mark(":"),
            Token::Duration(60_000),
            Token::Mark("]"),
            Token::End,
        ];
        assert_eq!(marks, expected);
    }
}
