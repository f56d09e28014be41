//! Microsoft Teams, through a workflow that posts adaptive cards: at most 28 KB a message.

use serde_json::{Value, json};

use super::{Message, body};
use crate::Status;
use crate::text::{Flavour, Measure, Texts, share};
use crate::verdict::{Answer, Failure, Verdict, of_status, wish};

const MESSAGE: usize = 28_000;
const TITLE: usize = 500;

/// A Teams workflow ("post to a channel when a webhook request is received"); the address is the secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Teams;

impl Teams {
    pub(super) fn body(&self, texts: &Texts, message: &Message<'_>) -> Vec<u8> {
        let title = crate::text::cut(&texts.title(message, Flavour::Plain), TITLE, Measure::Units, texts.cut_mark());
        let said = texts.alerts(message, Flavour::Plain);
        let color = if message.status() == Status::Firing { "Attention" } else { "Good" };
        body::within(MESSAGE, |room| {
            let mut blocks = vec![block(&title)];
            blocks[0]["weight"] = "Bolder".into();
            blocks[0]["size"] = "Medium".into();
            blocks[0]["color"] = color.into();
            // One newline is a space in a text block; two begin a paragraph.
            blocks.extend(
                share(&said, room, Measure::Bytes, texts.cut_mark()).iter().map(|t| block(&t.replace('\n', "\n\n"))),
            );
            json!({
                "type": "message",
                "attachments": [{
                    "contentType": "application/vnd.microsoft.card.adaptive",
                    "contentUrl": null,
                    "content": {
                        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                        "type": "AdaptiveCard",
                        "version": "1.4",
                        "msteams": {"width": "Full"},
                        "body": blocks,
                    },
                }],
            })
        })
    }
}

fn block(text: &str) -> Value {
    json!({"type": "TextBlock", "text": text, "wrap": true})
}

/// `Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 ...`, with status 200.
pub(super) fn inside(answer: &Answer) -> Option<Verdict> {
    let body = String::from_utf8_lossy(&answer.body);
    let after = body.split_once("HTTP error ")?.1;
    let status: u16 = after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    let failure =
        Failure::new(format!("inner_{status}"), format!("HTTP {}, inside: HTTP error {status}", answer.status));
    Some(of_status(status, failure, wish(answer)))
}
