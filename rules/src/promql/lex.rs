//! Text to tokens, each with its place.

use super::ParseError;

/// A token and the byte at which it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) at: usize,
    pub(super) kind: Kind,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// A name, keyword or operator word.
    Word(String),
    /// A number.
    Number(f64),
    /// A duration, in milliseconds.
    Duration(i64),
    /// A quoted text, unescaped.
    Text(String),
    /// Punctuation and operators.
    Symbol(&'static str),
    /// The end.
    End,
}

/// Longest first, so that `<=` is not `<` and `=`.
const SYMBOLS: [&str; 25] = [
    "==", "!=", "<=", ">=", "=~", "!~", "{", "}", "(", ")", "[", "]", ",", ":", "=", "<", ">", "+", "-", "*", "/", "%",
    "^", "@", "\u{0}",
];

/// Splits `text` into tokens; the last one is [`Kind::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, ParseError> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        }
        if c == '#' {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        }
        let (kind, length) = one(text, at, c)?;
        out.push(Token { at, kind });
        at += length;
    }
    out.push(Token { at: text.len(), kind: Kind::End });
    Ok(out)
}

fn one(text: &str, at: usize, c: char) -> Result<(Kind, usize), ParseError> {
    let rest = &text[at..];
    if c.is_ascii_digit() || (c == '.' && rest[1..].starts_with(|n: char| n.is_ascii_digit())) {
        return number(text, at);
    }
    if c.is_ascii_alphabetic() || c == '_' {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        let length = rest.find(|c| !word(c)).unwrap_or(rest.len());
        return Ok((Kind::Word(rest[..length].to_owned()), length));
    }
    if matches!(c, '"' | '\'' | '`') {
        return quoted(text, at, c);
    }
    SYMBOLS
        .iter()
        .find(|symbol| rest.starts_with(**symbol) && **symbol != "\u{0}")
        .map(|symbol| (Kind::Symbol(symbol), symbol.len()))
        .ok_or_else(|| ParseError::at(text, at, format!("{c:?} does not belong in an expression")))
}

fn number(text: &str, at: usize) -> Result<(Kind, usize), ParseError> {
    let rest = &text[at..];
    let length = number_length(rest);
    let word = &rest[..length];
    let wrong = || ParseError::at(text, at, format!("{word:?} is neither a number nor a duration such as 5m"));
    if let Some(hex) = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        return i64::from_str_radix(hex, 16).map(|n| (Kind::Number(n as f64), length)).map_err(|_| wrong());
    }
    if let Some(millis) = duration_millis(word) {
        return Ok((Kind::Duration(millis), length));
    }
    word.parse().map(|n| (Kind::Number(n), length)).map_err(|_| wrong())
}

/// Digits, letters and points, and the sign of an exponent.
fn number_length(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let hex = rest.starts_with("0x") || rest.starts_with("0X");
    let mut end = 0;
    while end < bytes.len() {
        let sign = matches!(bytes[end], b'+' | b'-') && end > 0 && matches!(bytes[end - 1], b'e' | b'E') && !hex;
        if !(bytes[end].is_ascii_alphanumeric() || bytes[end] == b'.' || sign) {
            break;
        }
        end += 1;
    }
    end
}

/// Milliseconds of `1h30m`, `500ms`...; units in falling order, each once.
pub(super) fn duration_millis(word: &str) -> Option<i64> {
    const UNITS: [(&str, i64); 7] = [
        ("y", 365 * 86_400_000),
        ("w", 7 * 86_400_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        ("ms", 1),
    ];
    let (mut rest, mut total, mut next) = (word, 0_i64, 0);
    if word == "0" {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|n| *n > 0)?;
        let unit_end = rest[digits..].find(|c: char| !c.is_ascii_alphabetic()).map_or(rest.len(), |n| digits + n);
        let unit = UNITS.iter().position(|(name, _)| *name == &rest[digits..unit_end]).filter(|unit| *unit >= next)?;
        let number: i64 = rest[..digits].parse().ok()?;
        total = total.checked_add(number.checked_mul(UNITS[unit].1)?)?;
        (next, rest) = (unit + 1, &rest[unit_end..]);
    }
    Some(total)
}

fn quoted(text: &str, at: usize, quote: char) -> Result<(Kind, usize), ParseError> {
    let body = &text[at + 1..];
    let mut out = String::new();
    let mut chars = body.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            _ if c == quote => return Ok((Kind::Text(out), i + 2)),
            '\\' if quote != '`' => {
                let escape_at = at + 1 + i;
                out.push(unescape(&mut chars, quote).ok_or_else(|| {
                    ParseError::at(text, escape_at, "this escape is not known; write \\\\ for a backslash".into())
                })?);
            }
            '\n' if quote != '`' => break,
            _ => out.push(c),
        }
    }
    Err(ParseError::at(text, at, format!("this text has no closing {quote}")))
}

fn unescape(chars: &mut std::str::CharIndices<'_>, quote: char) -> Option<char> {
    let (_, c) = chars.next()?;
    let mut code = |digits: usize, radix: u32| {
        let mut value = 0;
        for _ in 0..digits {
            value = value * radix + chars.next()?.1.to_digit(radix)?;
        }
        char::from_u32(value)
    };
    Some(match c {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' => '\\',
        'x' => code(2, 16)?,
        'u' => code(4, 16)?,
        'U' => code(8, 16)?,
        '0'..='7' => {
            let high = c.to_digit(8)?;
            let (middle, low) = (chars.next()?.1.to_digit(8)?, chars.next()?.1.to_digit(8)?);
            char::from_u32(high * 64 + middle * 8 + low)?
        }
        _ if c == quote => c,
        _ => return None,
    })
}
