//! Go's regular expressions (RE2) for the `regex` crate: the same pattern must select the same series as in Prometheus.
//!
//! The two differ in few places: `\d`, `\w`, `\s`, `\b` are ASCII in Go, and character classes know neither nesting
//! nor set operations there.

use regex::{Regex, RegexBuilder};

/// Bytes a compiled pattern may take; a counted repetition such as `(a{1000}){1000}` is refused instead of built.
const SIZE_LIMIT: usize = 1 << 20;

/// Compiles `pattern` so that it must match the whole text; the dot matches newlines, as in Prometheus 3.
pub(super) fn anchored(pattern: &str) -> Result<Regex, String> {
    // Alone first: an unbalanced `)` must not close the group that anchors.
    let translated = translate(pattern);
    compile(&translated, pattern)?;
    compile(&format!("^(?:{translated})$"), pattern)
}

/// `pattern` is for messages only.
fn compile(translated: &str, pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(translated)
        .dot_matches_new_line(true)
        .size_limit(SIZE_LIMIT)
        .dfa_size_limit(SIZE_LIMIT)
        .nest_limit(100)
        .build()
        .map_err(|why| match why {
            regex::Error::CompiledTooBig(_) => format!("{pattern:?} is too large a pattern"),
            _ => format!("{pattern:?} is not a valid regular expression (RE2 syntax)"),
        })
}

/// Rewrites what the two dialects read differently.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    let mut class: Option<usize> = None;
    while let Some(c) = chars.next() {
        match (c, class) {
            ('\\', _) => escape(chars.next(), class.is_some(), &mut out),
            ('[', None) => {
                class = Some(0);
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                // Directly after the bracket, `]` is a member and not the end.
                if chars.next_if_eq(&']').is_some() {
                    out.push_str("\\]");
                }
            }
            ('[', Some(_)) if chars.peek() == Some(&':') => {
                out.push('[');
                for inner in chars.by_ref() {
                    out.push(inner);
                    if inner == ']' {
                        break;
                    }
                }
            }
            ('[' | '&' | '~', Some(_)) => out.extend(['\\', c]),
            (']', Some(_)) => {
                class = None;
                out.push(']');
            }
            _ => out.push(c),
        }
    }
    out
}

fn escape(escaped: Option<char>, in_class: bool, out: &mut String) {
    let ascii = match (escaped, in_class) {
        (Some('d'), true) => "0-9",
        (Some('w'), true) => "0-9A-Za-z_",
        (Some('s'), true) => r"\t\n\f\r ",
        (Some('d'), false) => "[0-9]",
        (Some('w'), false) => "[0-9A-Za-z_]",
        (Some('s'), false) => r"[\t\n\f\r ]",
        (Some('D'), _) => "[^0-9]",
        (Some('W'), _) => "[^0-9A-Za-z_]",
        (Some('S'), _) => r"[^\t\n\f\r ]",
        (Some('b'), false) => r"(?-u:\b)",
        (Some('B'), false) => r"(?:(?-u:\b){0}\B)",
        _ => "",
    };
    if ascii.is_empty() {
        out.push('\\');
        out.extend(escaped);
    } else {
        out.push_str(ascii);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_go() {
        for (pattern, text, expected) in [
            ("foo|bar", "foo", true),
            ("foo|bar", "foobar", false),
            (".*", "a\nb", true),
            (r"\d+", "12", true),
            (r"\d+", "١٢", false),
            (r"[\d.]+", "1.2", true),
            (r"[^\W_]+", "ab1", true),
            (r"[^\W_]+", "a_b", false),
            ("[[]", "[", true),
            ("[]a]", "]", true),
            ("[a&&b]", "&", true),
            ("[[:alpha:]]+", "abc", true),
            ("(?i:PRO).*", "production", true),
            ("((?i)PRO).*", "production", true),
            ("", "", true),
        ] {
            assert_eq!(anchored(pattern).unwrap().is_match(text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in ["(", "a)|(b", "[", "*", "(((a{100}){100}){100}){100}", r"\"] {
            assert!(anchored(pattern).is_err(), "{pattern}");
        }
    }
}
