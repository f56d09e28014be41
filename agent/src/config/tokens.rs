//! `api`: who may use it, their tokens read and their names checked.

use sha2::{Digest as _, Sha256};

use super::checked::{Check, Secret};
use super::raw::{AdminToken, Api};

/// Who the audit log says it was where no token is configured, or none is needed.
pub const LOCAL: &str = "local";

/// Tokens by role; all empty means that the API is open (and on loopback).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// May read.
    pub viewers: Vec<Secret>,
    /// May post feedback and exchanges.
    pub ingest: Vec<Secret>,
    /// May do everything.
    pub admins: Vec<Admin>,
}

/// Somebody who may do everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// What the audit log calls them.
    pub name: String,
    /// Their token.
    pub token: Secret,
}

impl Tokens {
    /// Whether no token is configured at all.
    pub fn is_empty(&self) -> bool {
        self.viewers.is_empty() && self.ingest.is_empty() && self.admins.is_empty()
    }
}

/// Reads the tokens.
pub(super) fn check(c: &mut Check<'_>, api: &Api) -> Tokens {
    let mut secrets = |key: &str, texts: &[String]| {
        texts.iter().enumerate().map(|(i, text)| c.secret(&format!("{key}.{i}"), text)).collect::<Vec<_>>()
    };
    let (viewers, ingest) = (secrets("api.viewers", &api.viewers), secrets("api.ingest", &api.ingest));
    let admin = |(i, written)| admin(c, i, written, &api.admins[..i]);
    Tokens { viewers, ingest, admins: api.admins.iter().enumerate().map(admin).collect() }
}

/// Longest name of an admin, in bytes, and names that are nobody's.
const LONGEST_NAME: usize = 64;
const OURS: [&str; 2] = [LOCAL, "agent"];

fn admin(c: &mut Check<'_>, place: usize, written: &AdminToken, before: &[AdminToken]) -> Admin {
    let key = format!("api.admins.{place}");
    let Some(name) = &written.name else {
        let token = c.secret(&key, &written.token);
        let Secret(text) = &token;
        let digest: String = Sha256::digest(text).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        return Admin { name: format!("admin#{digest}"), token };
    };
    let plain = |c: char| c.is_alphanumeric() || "-_.@".contains(c);
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(plain) || OURS.contains(&name.as_str()) {
        let right = "write 1 to 64 letters, digits and -_.@, and neither \"local\" nor \"agent\"";
        c.refuse(&format!("{key}.name"), format!("{name:?} is no name; {right}"));
    }
    if before.iter().any(|other| other.name.as_ref() == Some(name)) {
        c.refuse(&format!("{key}.name"), format!("{name:?} is taken; each admin needs a name of their own"));
    }
    Admin { name: name.clone(), token: c.secret(&format!("{key}.token"), &written.token) }
}
