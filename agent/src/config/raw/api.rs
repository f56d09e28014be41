//! `api:` of the configuration: who may use the API.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

section! {
    /// Who may use the API. Each entry is the token itself, `${NAME}` or `file:/path`. Without any token the API is open,
    /// and may listen on loopback only.
    Api {
        /// May read, but no text of the traffic.
        viewers: Vec<String> = Vec::new(),
        /// May post feedback, exchanges and what the ranks of a training job report.
        ingest: Vec<String> = Vec::new(),
        /// May do everything, and read masked text. An entry may also be `{name: ann, token: ...}`: the audit log calls the
        /// caller so, and else `admin#` and eight digits of the token's SHA-256.
        admins: Vec<AdminToken> = Vec::new(),
    }
}

section! {
    /// An admin's token with a name.
    NamedToken {
        /// What the audit log calls its bearer.
        name: String = String::new(),
        /// The token itself, `${NAME}` or `file:/path`.
        token: String = String::new(),
    }
}

/// An admin's token, with or without a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminToken {
    /// What the audit log calls its bearer; absent where only the token is written.
    pub name: Option<String>,
    /// The token itself, or where it is.
    pub token: String,
}

impl Serialize for AdminToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.name {
            Some(name) => NamedToken { name: name.clone(), token: self.token.clone() }.serialize(serializer),
            None => self.token.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for AdminToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Value::deserialize(deserializer)?;
        if let Value::String(token) = written {
            return Ok(Self { name: None, token });
        }
        let NamedToken { name, token } = NamedToken::deserialize(written).map_err(de::Error::custom)?;
        Ok(Self { name: Some(name), token })
    }
}

impl JsonSchema for AdminToken {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "AdminToken".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let named = NamedToken::json_schema(generator);
        json_schema!({"anyOf": [{"type": "string"}, named]})
    }
}
