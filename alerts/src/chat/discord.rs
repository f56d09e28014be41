//! Discord webhooks: plain content of at most 2 000 characters, and nobody is pinged by what a label says.

use serde_json::json;

use super::{Message, body};
use crate::text::{Flavour, Measure, Texts, cut};

const CONTENT: usize = 2000;
const TITLE: usize = 250;

/// A Discord webhook; the address is the secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discord;

impl Discord {
    pub(super) fn body(&self, texts: &Texts, message: &Message<'_>) -> Vec<u8> {
        let title = cut(&texts.title(message, Flavour::Plain), TITLE, Measure::Units, texts.cut_mark());
        let head = format!("### {title}\n");
        let room = CONTENT - Measure::Units.of(&head);
        let said = body::joined(texts, message, Flavour::Plain, room, Measure::Units);
        body::json(&json!({
            "username": "Plimsoll",
            "content": format!("{head}{said}"),
            "allowed_mentions": {"parse": []},
        }))
    }
}
