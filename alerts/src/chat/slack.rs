//! Slack's incoming webhooks: Block Kit. Limits: header 150 characters, section 3 000, 50 blocks.

use serde_json::{Value, json};

use super::{Message, body};
use crate::text::{Flavour, Measure, Texts, cut};
use crate::verdict::{Answer, Failure, Verdict, wish};

const HEADER: usize = 150;
const SECTION: usize = 3000;
/// Digest lines in one section, and how long one may be.
const LINES: usize = 10;
const LINE: usize = SECTION / LINES - 1;

/// A Slack incoming webhook; the address is the secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slack;

impl Slack {
    pub(super) fn body(&self, texts: &Texts, message: &Message<'_>) -> Vec<u8> {
        let short = |text: &str, most| cut(text, most, Measure::Units, texts.cut_mark());
        // A header shows plain text: entities would be seen.
        let title = short(&texts.title(message, Flavour::Plain), HEADER);
        let said: Vec<String> = texts.alerts(message, Flavour::Tags).iter().map(|text| mrkdwn(text)).collect();
        let sections: Vec<String> = if message.is_digest() {
            let lines: Vec<String> = said.iter().map(|line| short(line, LINE)).collect();
            lines.chunks(LINES).map(|chunk| chunk.join("\n")).collect()
        } else {
            said.iter().map(|text| short(text, SECTION)).collect()
        };
        let mut blocks = vec![json!({"type": "header", "text": {"type": "plain_text", "text": title}})];
        blocks.extend(sections.iter().map(|text| json!({"type": "section", "text": {"type": "mrkdwn", "text": text}})));
        // `text` is what a notification on a phone shows.
        body::json(&json!({"text": Flavour::Tags.escape(&title), "blocks": blocks}))
    }
}

/// Markdown in Slack's dialect: `*bold*` and `<url|text>`.
fn mrkdwn(markdown: &str) -> String {
    let text = markdown.replace("**", "*");
    let (mut out, mut rest) = (String::with_capacity(text.len()), text.as_str());
    while let Some(at) = rest.find("](") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        let link = before.rfind('[').zip(after.find(')'));
        match link.filter(|(_, end)| after.starts_with("http") && !after[..*end].contains([' ', '|', '\n'])) {
            Some((open, end)) => {
                out.push_str(&before[..open]);
                out.push_str(&format!("<{}|{}>", &after[..end], &before[open + 1..]));
                rest = &after[end + 1..];
            }
            None => {
                out.push_str(before);
                out.push_str("](");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// `{"ok": false, "error": "..."}`, as Slack's other methods and compatible services answer.
pub(super) fn inside(answer: &Answer) -> Option<Verdict> {
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    if body.get("ok")?.as_bool()? {
        return None;
    }
    let error: String = body.get("error").and_then(Value::as_str).unwrap_or("unknown").chars().take(100).collect();
    let failure = Failure::new("not_ok", format!("HTTP {}, error {error}", answer.status));
    Some(match error.as_str() {
        "ratelimited"
        | "rate_limited"
        | "fatal_error"
        | "internal_error"
        | "service_unavailable"
        | "request_timeout" => Verdict::Retry { failure, after: wish(answer) },
        "invalid_blocks" | "invalid_blocks_format" | "msg_too_long" | "no_text" | "invalid_payload" => {
            Verdict::Refused(failure)
        }
        _ => Verdict::Disabled(failure),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_slacks_dialect() {
        for (markdown, expected) in [
            ("**bold** text", "*bold* text"),
            ("[a](http://h/x) | [b](https://h/y)", "<http://h/x|a> | <https://h/y|b>"),
            ("no [link] (here)", "no [link] (here)"),
            ("[x](not a link)", "[x](not a link)"),
            ("](", "]("),
            ("[open](http://h", "[open](http://h"),
        ] {
            assert_eq!(mrkdwn(markdown), expected);
        }
    }
}
