//! Feishu (Lark) group bots: a card, signed in the body, 100 messages a minute, errors in the body of an HTTP 200.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plimsoll_rules::Timestamp;
use serde_json::json;

use super::body::Code;
use super::{Message, body};
use crate::sign::hmac_sha256;
use crate::text::{Flavour, Measure, Texts, cut};
use crate::verdict::{Answer, Verdict};
use crate::{SinkError, Status};

const MESSAGE: usize = 20_000;
const TITLE: usize = 200;

/// A Feishu group bot. Its token is in the address.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Feishu {
    secret: Option<String>,
}

impl fmt::Debug for Feishu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Feishu(..)")
    }
}

impl Feishu {
    /// `secret` is what the bot's page shows under "signature verification"; without one nothing is signed.
    ///
    /// # Errors
    /// [`SinkError::Secret`] when it is there and empty.
    pub fn new(secret: Option<&str>) -> Result<Self, SinkError> {
        if secret == Some("") {
            return Err(SinkError::Secret { why: "it is empty".into() });
        }
        Ok(Self { secret: secret.map(ToOwned::to_owned) })
    }

    pub(super) fn body(&self, texts: &Texts, message: &Message<'_>, wall: Timestamp) -> Vec<u8> {
        let title = cut(&texts.title(message, Flavour::Plain), TITLE, Measure::Units, texts.cut_mark());
        let color = if message.status() == Status::Firing { "red" } else { "green" };
        let seconds = wall.millis().div_euclid(1000);
        body::within(MESSAGE, |room| {
            let said = body::joined(texts, message, Flavour::Tags, room, Measure::Bytes);
            let mut body = json!({
                "msg_type": "interactive",
                "card": {
                    "config": {"wide_screen_mode": true},
                    "header": {"title": {"tag": "plain_text", "content": title}, "template": color},
                    "elements": [{"tag": "markdown", "content": said}],
                },
            });
            if let Some(secret) = &self.secret {
                body["timestamp"] = seconds.to_string().into();
                body["sign"] = sign(secret, seconds).into();
            }
            body
        })
    }
}

/// Base64 of HMAC-SHA256 over nothing: time and secret are the key.
fn sign(secret: &str, seconds: i64) -> String {
    STANDARD.encode(hmac_sha256(format!("{seconds}\n{secret}").as_bytes(), &[]))
}

/// `{"code": 19021, "msg": "sign match fail ..."}`; older ones say `StatusCode`.
pub(super) fn inside(answer: &Answer) -> Option<Verdict> {
    body::coded(answer, &["code", "StatusCode"], &["msg", "StatusMessage"], |code| match code {
        // Too many messages, in several layers of the service.
        11_232 | 11_233 | 11_247 | 230_020 | 99_991_400 => Code::Limited,
        // The body: not what it expects, or too long.
        9_499 | 19_002 | 11_246 | 11_310 => Code::Refused,
        // 19001 no such token, 19021 signature or clock, 19022 address, 19024 keyword: a person has to mend it.
        _ => Code::Unwelcome,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `python3 -c 'import base64, hmac;
    /// print(base64.b64encode(hmac.digest(b"1700000000\nSECtest", b"", "sha256")))'`
    #[test]
    fn the_signature_against_python() {
        assert_eq!(sign("SECtest", 1_700_000_000), "G7XpBpG8NgG02fJOAhX6FRAObIljmFoxVReo8I62pEk=");
    }
}
