//! DingTalk group robots: Markdown, signed in the address, 20 messages a minute, errors in the body of an HTTP 200.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plimsoll_rules::Timestamp;
use reqwest::Url;
use serde_json::json;

use super::body::Code;
use super::{Message, Outgoing, body};
use crate::SinkError;
use crate::sign::hmac_sha256;
use crate::text::{Flavour, Measure, Texts, cut};
use crate::verdict::{Answer, Verdict};

const MESSAGE: usize = 20_000;
const TITLE: usize = 200;

/// A DingTalk group robot. The access token is in the address.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct DingTalk {
    secret: Option<String>,
}

impl fmt::Debug for DingTalk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DingTalk(..)")
    }
}

impl DingTalk {
    /// `secret` is what the robot's page shows under "sign" (`SEC...`); without one nothing is signed.
    ///
    /// # Errors
    /// [`SinkError::Secret`] when it is there and empty.
    pub fn new(secret: Option<&str>) -> Result<Self, SinkError> {
        if secret == Some("") {
            return Err(SinkError::Secret { why: "it is empty".into() });
        }
        Ok(Self { secret: secret.map(ToOwned::to_owned) })
    }

    pub(super) fn request(&self, mut url: Url, texts: &Texts, message: &Message<'_>, wall: Timestamp) -> Outgoing {
        if let Some(secret) = &self.secret {
            let millis = wall.millis();
            let sign = sign(secret, millis);
            url.query_pairs_mut().append_pair("timestamp", &millis.to_string()).append_pair("sign", &sign);
        }
        let title = cut(&texts.title(message, Flavour::Plain), TITLE, Measure::Units, texts.cut_mark());
        let body = body::within(MESSAGE, |room| {
            let said = body::joined(texts, message, Flavour::Tags, room, Measure::Bytes);
            // One newline is a space in its Markdown.
            let text = format!("### {}\n\n{}", Flavour::Tags.escape(&title), said.replace('\n', "\n\n"));
            json!({"msgtype": "markdown", "markdown": {"title": title, "text": text}})
        });
        Outgoing { url, headers: Vec::new(), body }
    }
}

/// Base64 of HMAC-SHA256 with the secret as key; the address's own encoding escapes it.
fn sign(secret: &str, millis: i64) -> String {
    STANDARD.encode(hmac_sha256(secret.as_bytes(), &[format!("{millis}\n{secret}").as_bytes()]))
}

/// `{"errcode": 310000, "errmsg": "sign not match"}`.
pub(super) fn inside(answer: &Answer) -> Option<Verdict> {
    body::coded(answer, &["errcode"], &["errmsg"], |code| match code {
        -1 => Code::Later,
        130_101 | 302_033 | 410_100 => Code::Limited,
        // What the message holds: its form, its size, a link or a text that the content check stops.
        40_035 | 43_004 | 400_105 | 400_106 | 430_101..=430_104 | 460_101 => Code::Refused,
        // 300001 and 4001xx no such token, 310000 signature, keyword or address not allowed: a person has to mend it.
        _ => Code::Unwelcome,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `python3 -c 'import base64, hmac, urllib.parse; s = "SECtest"; t = "1700000000000";
    /// print(urllib.parse.quote_plus(base64.b64encode(hmac.digest(s.encode(), (t + "\n" + s).encode(), "sha256"))))'`
    #[test]
    fn the_signature_against_python() {
        let mut url = Url::parse("https://h/robot/send?access_token=x").unwrap();
        url.query_pairs_mut().append_pair("sign", &sign("SECtest", 1_700_000_000_000));
        assert!(url.as_str().ends_with("&sign=aZLLrriXgn05YbwaGR7knYsLeJADjr9NwLaNNKpxh4g%3D"), "{url}");
    }
}
