//! Who may call the API: bearer tokens by role, compared in constant time. What takes an admin is written into the audit log.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use plimsoll_exporters::{Metric, Registry};
use serde_json::json;
use subtle::ConstantTimeEq as _;
use tokio::sync::watch;

use super::audit::{Asked, Audit};
use crate::config::{Checked, LOCAL, Secret, Tokens};

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// May read, but no text of the traffic.
    Viewer,
    /// May post feedback, exchanges and what training ranks report.
    Ingest,
    /// May do everything.
    Admin,
}

/// Who calls; handlers find it among the request's extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// What they may do.
    pub role: Role,
    /// What the audit log calls them.
    pub name: String,
}

impl Caller {
    /// Whether they get to see text of the traffic, masked as it is.
    pub fn sees_text(&self) -> bool {
        self.role == Role::Admin
    }
}

/// What a request takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Read,
    Ingest,
    Act,
    /// Its answer is text of the traffic.
    Text,
    /// Its answer is the audit log.
    Log,
}

impl Need {
    fn role(self) -> Role {
        match self {
            Self::Read => Role::Viewer,
            Self::Ingest => Role::Ingest,
            Self::Act | Self::Text | Self::Log => Role::Admin,
        }
    }

    fn refusal(self) -> &'static str {
        match self {
            Self::Read => "this token's role may not read: it takes a viewer's or an admin's token",
            Self::Ingest => "this token's role may not post here: it takes an ingest or an admin's token",
            Self::Act => "this token's role may not do this: it takes an admin's token",
            Self::Text => "this shows text of the traffic, masked: it takes an admin's token",
            Self::Log => "the audit log takes an admin's token",
        }
    }
}

/// Why a request is turned away: the label `reason`, status and words.
type Refusal = (&'static str, StatusCode, &'static str);

/// What stands before every handler.
#[derive(Clone, Debug)]
pub struct Guard {
    /// For the tokens.
    pub config: watch::Receiver<Arc<Checked>>,
    /// Where acts are written down.
    pub audit: Audit,
    /// Where refusals are counted.
    pub registry: Registry,
}

/// Lets a request through when its token allows what it asks for; without any configured token everything is allowed
/// (the configuration then insists on loopback).
pub async fn guard(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let need = needed(request.method(), request.uri().path());
    let admitted = {
        let config = guard.config.borrow();
        let header = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        admit(&config.tokens, need, header)
    };
    match admitted {
        Ok(caller) => {
            let (asked, name) = (Asked::of(&request, need == Need::Act), caller.name.clone());
            request.extensions_mut().insert(caller);
            let answer = next.run(request).await;
            guard.audit.note(&name, asked, &answer);
            answer
        }
        Err((reason, status, message)) => {
            guard.registry.add(Metric::ApiRefused, &[reason], 1.0);
            (status, axum::Json(json!({"error": message}))).into_response()
        }
    }
}

fn admit(tokens: &Tokens, need: Need, header: Option<&str>) -> Result<Caller, Refusal> {
    if tokens.is_empty() {
        return Ok(Caller { role: Role::Admin, name: LOCAL.to_owned() });
    }
    let token = header.and_then(|h| h.strip_prefix("Bearer "));
    let token = token.ok_or(("no_token", StatusCode::UNAUTHORIZED, "send Authorization: Bearer TOKEN"))?;
    let caller = caller(tokens, token.trim());
    let caller = caller.ok_or(("unknown_token", StatusCode::UNAUTHORIZED, "this token is not known here"))?;
    if caller.role == Role::Admin || caller.role == need.role() {
        Ok(caller)
    } else {
        Err(("role", StatusCode::FORBIDDEN, need.refusal()))
    }
}

fn caller(tokens: &Tokens, given: &str) -> Option<Caller> {
    // no early exit: the time taken says nothing about which token came close
    let is = |Secret(token): &Secret| bool::from(token.as_bytes().ct_eq(given.as_bytes()));
    let among = |secrets: &[Secret]| secrets.iter().fold(false, |found, secret| found | is(secret));
    let admin = tokens.admins.iter().fold(None, |found, one| if is(&one.token) { Some(&one.name) } else { found });
    let (ingest, viewer) = (among(&tokens.ingest), among(&tokens.viewers));
    let (role, name) = match (admin, ingest, viewer) {
        (Some(name), ..) => (Role::Admin, name.as_str()),
        (None, true, _) => (Role::Ingest, "ingest"),
        (None, false, true) => (Role::Viewer, "viewer"),
        (None, false, false) => return None,
    };
    Some(Caller { role, name: name.to_owned() })
}

/// Paths that Prometheus' clients post forms to, only to read.
const READ_BY_FORM: [&str; 6] = [
    "/api/v1/query",
    "/api/v1/query_range",
    "/api/v1/query_exemplars",
    "/api/v1/format_query",
    "/api/v1/series",
    "/api/v1/labels",
];

fn needed(method: &Method, path: &str) -> Need {
    match (method, path) {
        (&Method::POST, "/api/v1/feedback" | "/api/v1/exchanges") => Need::Ingest,
        (&Method::POST, path) if path.starts_with("/api/v1/finetunes/") && path.ends_with("/ranks") => Need::Ingest,
        // a POST with a form is how a long query is read
        (&Method::POST, path) if READ_BY_FORM.contains(&path) => Need::Read,
        (&Method::GET | &Method::HEAD, "/api/v1/audit") => Need::Log,
        (&Method::GET | &Method::HEAD, path)
            if path.starts_with("/api/v1/experiments/") && path.ends_with("/pairs") =>
        {
            Need::Text
        }
        (&Method::GET | &Method::HEAD, _) => Need::Read,
        _ => Need::Act,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Admin;

    fn tokens() -> Tokens {
        let secret = |text: &str| Secret(text.to_owned());
        let admins = [("ann", "a"), ("bob", "b")];
        let admins = admins.map(|(name, token)| Admin { name: name.to_owned(), token: secret(token) }).to_vec();
        Tokens { viewers: vec![secret("v")], ingest: vec![secret("i")], admins }
    }

    #[test]
    fn each_role_may_do_its_own_work_and_an_admin_everything() {
        let get = (Method::GET, "/api/v1/status");
        let post = (Method::POST, "/api/v1/feedback");
        let reload = (Method::POST, "/-/reload");
        let pairs = (Method::GET, "/api/v1/experiments/e/pairs");
        let log = (Method::GET, "/api/v1/audit");
        let ranks = (Method::POST, "/api/v1/finetunes/f/ranks");
        for (why, (method, path), header, expected) in [
            ("viewer reads", get.clone(), Some("Bearer v"), Ok("viewer")),
            ("ingest does not read", get.clone(), Some("Bearer i"), Err("role")),
            ("ingest posts", post.clone(), Some("Bearer i"), Ok("ingest")),
            ("viewer does not post", post.clone(), Some("Bearer v"), Err("role")),
            ("viewer does not reload", reload.clone(), Some("Bearer v"), Err("role")),
            ("viewer queries with a form", (Method::POST, "/api/v1/query"), Some("Bearer v"), Ok("viewer")),
            ("ingest does not query", (Method::POST, "/api/v1/query"), Some("Bearer i"), Err("role")),
            ("viewer sees no text", pairs.clone(), Some("Bearer v"), Err("role")),
            ("nor by HEAD", (Method::HEAD, pairs.1), Some("Bearer v"), Err("role")),
            ("ingest sees none", pairs.clone(), Some("Bearer i"), Err("role")),
            ("an admin does", pairs, Some("Bearer b"), Ok("bob")),
            ("viewer reads no audit log", log.clone(), Some("Bearer v"), Err("role")),
            ("an admin does", log, Some("Bearer a"), Ok("ann")),
            ("ranks report", ranks.clone(), Some("Bearer i"), Ok("ingest")),
            ("viewers do not", ranks, Some("Bearer v"), Err("role")),
            ("but read them", (Method::GET, "/api/v1/finetunes/f/ranks"), Some("Bearer v"), Ok("viewer")),
            ("admin reloads", reload, Some("Bearer a"), Ok("ann")),
            ("admin posts", post, Some("Bearer a"), Ok("ann")),
            ("a stranger", get.clone(), Some("Bearer x"), Err("unknown_token")),
            ("nobody", get.clone(), None, Err("no_token")),
        ] {
            let admitted = admit(&tokens(), needed(&method, path), header);
            let seen = admitted.as_ref().map(|caller| caller.name.as_str()).map_err(|(reason, ..)| *reason);
            assert_eq!(seen, expected, "{why}");
        }
        let open = admit(&Tokens::default(), Need::Act, None).unwrap();
        assert_eq!((open.name.as_str(), open.sees_text()), (LOCAL, true), "open when no token is configured");
    }
}
