//! WeCom (WeChat Work) group bots: Markdown of at most 4 096 bytes, 20 messages a minute, errors in the body of an HTTP 200.

use serde_json::json;

use super::body::Code;
use super::{Message, body};
use crate::text::{Flavour, Measure, Texts, cut};
use crate::verdict::{Answer, Verdict};

const CONTENT: usize = 4096;
const TITLE: usize = 400;

/// A WeCom group bot; its key is in the address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WeCom;

impl WeCom {
    pub(super) fn body(&self, texts: &Texts, message: &Message<'_>) -> Vec<u8> {
        let title = cut(&texts.title(message, Flavour::WideTags), TITLE, Measure::Bytes, texts.cut_mark());
        let head = format!("### {title}\n");
        let said = body::joined(texts, message, Flavour::WideTags, CONTENT - head.len(), Measure::Bytes);
        body::json(&json!({"msgtype": "markdown", "markdown": {"content": format!("{head}{said}")}}))
    }
}

/// `{"errcode": 93000, "errmsg": "invalid webhook url"}`.
pub(super) fn inside(answer: &Answer) -> Option<Verdict> {
    body::coded(answer, &["errcode"], &["errmsg"], |code| match code {
        // Busy, or too many at once.
        -1 | 45_033 => Code::Later,
        45_009 | 45_047 => Code::Limited,
        // The message: its type, its form, empty, too long.
        40_008 | 40_033 | 40_035 | 40_058 | 44_004 | 45_002 | 47_001 => Code::Refused,
        // 93000 no such key, 93008 and the like not in the group: a person has to mend it.
        _ => Code::Unwelcome,
    })
}
