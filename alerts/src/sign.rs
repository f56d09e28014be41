//! Signatures: HMAC-SHA256, and the headers of the Standard Webhooks specification
//! (github.com/standard-webhooks/standard-webhooks).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use plimsoll_rules::Timestamp;
use sha2::Sha256;

use crate::SinkError;

/// HMAC-SHA256 of `parts` in a row.
pub(crate) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    // HMAC takes keys of every length; without a key there is no signature to give.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// Signs messages with a shared secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Signer {
    key: Vec<u8>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(..)")
    }
}

impl Signer {
    /// From `whsec_` and base64, or from the secret's own characters.
    ///
    /// # Errors
    /// [`SinkError::Secret`] when it is empty or not base64 after `whsec_`.
    pub fn new(secret: &str) -> Result<Self, SinkError> {
        let wrong = |why: &str| SinkError::Secret { why: why.into() };
        let key = match secret.strip_prefix("whsec_") {
            Some(encoded) => STANDARD.decode(encoded).map_err(|_| wrong("what follows whsec_ is not base64"))?,
            None => secret.as_bytes().to_vec(),
        };
        if key.is_empty() {
            return Err(wrong("it is empty"));
        }
        Ok(Self { key })
    }

    /// The header `webhook-signature`: `v1,` and base64 of HMAC-SHA256 over `id.seconds.body`.
    pub fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let signature = hmac_sha256(&self.key, &[format!("{id}.{seconds}.").as_bytes(), body]);
        format!("v1,{}", STANDARD.encode(signature))
    }
}

/// The headers that name a message, said at `wall` time, and sign it when there is a signer.
pub fn headers(signer: Option<&Signer>, id: &str, wall: Timestamp, body: &[u8]) -> Vec<(&'static str, String)> {
    let seconds = wall.millis().div_euclid(1000);
    let mut headers = vec![("webhook-id", id.to_owned()), ("webhook-timestamp", seconds.to_string())];
    if let Some(signer) = signer {
        headers.push(("webhook-signature", signer.sign(id, seconds, body)));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first is the published example of the specification's libraries. Both agree with:
    /// `python3 -c 'import base64, hmac; key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    /// text = b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}";
    /// print(base64.b64encode(hmac.new(key, text, "sha256").digest()))'`, the second with `key = b"plain secret"`.
    #[test]
    fn signatures_against_the_published_example_and_python() {
        for (why, secret, expected) in [
            ("published", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
            ("plain", "plain secret", "v1,gke7k785FD6W2FuaDcrvG3sQcmFE9YVaaAmarK4oi68="),
        ] {
            let signer = Signer::new(secret).unwrap();
            let found = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
            assert_eq!(found, expected, "{why}");
        }
    }
}
