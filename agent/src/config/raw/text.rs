//! What is read, hidden and kept of prompts and answers, as written in the configuration.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::{ByteSize, Span};

section! {
    /// What is read of prompts and answers that pass the tap: drift is looked for in it. It is masked at once (see
    /// docs/collect.md), and only what is masked goes any further.
    Text {
        /// Share of exchanges whose text is read, 0 to 1; 0 turns it off.
        #[schemars(range(min = 0.0, max = 1.0))]
        sample: f64 = 0.2,
        /// Most of a prompt, and of an answer, that is kept, 256B to 64KiB; the rest is cut off. Also of posted ones.
        max_bytes: ByteSize = ByteSize(16 << 10),
    }
}

/// What becomes of the text of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum StoreText {
    /// It is not stored.
    None,
    /// It is stored, masked.
    Masked,
}

section! {
    /// What is kept on disk.
    Records {
        /// `sqlite://PATH`, or `postgres://USER:PASSWORD@HOST/DATABASE` (`${NAME}` or `file:/path` keep it out of this file), which
        /// the agents of a service share; `plimsoll.db` in the data folder when absent.
        url: Option<String> = None,
        /// Share of exchanges kept, 0 to 1. One that gets feedback is always kept.
        #[schemars(range(min = 0.0, max = 1.0))]
        sample: f64 = 0.05,
        /// Whether the text that was read of a kept exchange (`text.sample`, or posted with it) is kept with it. Masking finds
        /// what has the form of a secret, not what only a reader would know for one, so nothing is unless you say so.
        store_text: StoreText = StoreText::None,
        /// How long they are kept.
        retention: Span = Span::secs(30 * 86_400),
    }
}

/// A built-in recogniser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum MaskKind {
    /// E-mail addresses.
    Email,
    /// Telephone numbers.
    Phone,
    /// Chinese resident ids.
    CnId,
    /// Payment cards.
    Card,
    /// International bank account numbers.
    Iban,
    /// IP addresses.
    Ip,
    /// JSON Web Tokens.
    Jwt,
    /// Keys in a vendor's own form.
    ApiKey,
    /// Values that their names call secret.
    Secret,
    /// Private keys.
    PrivateKey,
    /// User and password in URLs.
    UrlCredentials,
    /// Social security numbers of the United States.
    Ssn,
    /// Passport numbers behind a word for them.
    Passport,
    /// Chinese number plates.
    Plate,
    /// Dates behind a word for birth.
    BirthDate,
}

section! {
    /// What is hidden in texts before anything keeps or shows them: see docs/masking.md.
    Masking {
        /// Own patterns: name, then a regular expression. What matches becomes `<NAME:3fa1c2d4>`.
        patterns: BTreeMap<String, String> = BTreeMap::new(),
        /// Built-in kinds that are left alone: `email`, `phone`, `cn_id`, `card`, `iban`, `ip`, `jwt`, `api_key`, `secret`,
        /// `private_key`, `url_credentials`, `ssn`, `passport`, `plate`, `birth_date`.
        off: Vec<MaskKind> = Vec::new(),
        /// Key of the tokens, at least 16 random characters: `file:/path` or `${NAME}`. When absent, a random one is made once
        /// and kept in the data folder. Pods with the same salt write the same tokens.
        salt: Option<String> = None,
        /// Hexadecimal digits of a token. With 8, a pair of 100 000 different values shares one.
        #[schemars(range(min = 4, max = 32))]
        digits: u64 = 8,
    }
}
