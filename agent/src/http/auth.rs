//! Who may call the API: bearer tokens by role, compared in constant time.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use subtle::ConstantTimeEq as _;
use tokio::sync::watch;

use crate::config::{Checked, Secret, Tokens};

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// May read.
    Viewer,
    /// May post feedback and exchanges.
    Ingest,
    /// May do everything.
    Admin,
}

/// Lets a request through when its token allows what it asks for; without any configured token everything is allowed
/// (the configuration then insists on loopback).
pub async fn guard(State(config): State<watch::Receiver<Arc<Checked>>>, request: Request, next: Next) -> Response {
    let refusal = {
        let config = config.borrow();
        let header = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        refuse(&config.tokens, request.method(), request.uri().path(), header)
    };
    match refusal {
        None => next.run(request).await,
        Some((status, message)) => (status, axum::Json(json!({"error": message}))).into_response(),
    }
}

fn refuse(tokens: &Tokens, method: &Method, path: &str, header: Option<&str>) -> Option<(StatusCode, &'static str)> {
    if tokens.is_empty() {
        return None;
    }
    let Some(token) = header.and_then(|h| h.strip_prefix("Bearer ")) else {
        return Some((StatusCode::UNAUTHORIZED, "send Authorization: Bearer TOKEN"));
    };
    let Some(role) = role_of(tokens, token.trim()) else {
        return Some((StatusCode::UNAUTHORIZED, "this token is not known here"));
    };
    let needed = needed(method, path);
    let allowed = role == Role::Admin || role == needed;
    (!allowed).then_some((StatusCode::FORBIDDEN, "this token's role may not do this"))
}

fn role_of(tokens: &Tokens, given: &str) -> Option<Role> {
    let among = |secrets: &[Secret]| {
        // no early exit: the time taken says nothing about which token came close
        secrets.iter().fold(false, |found, Secret(token)| found | bool::from(token.as_bytes().ct_eq(given.as_bytes())))
    };
    let (admin, ingest, viewer) = (among(&tokens.admins), among(&tokens.ingest), among(&tokens.viewers));
    [(admin, Role::Admin), (ingest, Role::Ingest), (viewer, Role::Viewer)].into_iter().find(|(m, _)| *m).map(|(_, r)| r)
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

fn needed(method: &Method, path: &str) -> Role {
    match (method, path) {
        (&Method::POST, "/api/v1/feedback" | "/api/v1/exchanges") => Role::Ingest,
        // a POST with a form is how a long query is read
        (&Method::POST, path) if READ_BY_FORM.contains(&path) => Role::Viewer,
        (&Method::GET | &Method::HEAD, _) => Role::Viewer,
        _ => Role::Admin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_do_its_own_work_and_an_admin_everything() {
        let secret = |text: &str| vec![Secret(text.to_owned())];
        let tokens = Tokens { viewers: secret("v"), ingest: secret("i"), admins: secret("a") };
        let get = (Method::GET, "/api/v1/status");
        let post = (Method::POST, "/api/v1/feedback");
        let reload = (Method::POST, "/-/reload");
        for (why, (method, path), header, expected) in [
            ("viewer reads", get.clone(), Some("Bearer v"), None),
            ("ingest does not read", get.clone(), Some("Bearer i"), Some(StatusCode::FORBIDDEN)),
            ("ingest posts", post.clone(), Some("Bearer i"), None),
            ("viewer does not post", post.clone(), Some("Bearer v"), Some(StatusCode::FORBIDDEN)),
            ("viewer does not reload", reload.clone(), Some("Bearer v"), Some(StatusCode::FORBIDDEN)),
            ("viewer queries with a form", (Method::POST, "/api/v1/query"), Some("Bearer v"), None),
            ("ingest does not query", (Method::POST, "/api/v1/query"), Some("Bearer i"), Some(StatusCode::FORBIDDEN)),
            ("admin reloads", reload, Some("Bearer a"), None),
            ("admin posts", post, Some("Bearer a"), None),
            ("a stranger", get.clone(), Some("Bearer x"), Some(StatusCode::UNAUTHORIZED)),
            ("nobody", get.clone(), None, Some(StatusCode::UNAUTHORIZED)),
        ] {
            assert_eq!(refuse(&tokens, &method, path, header).map(|(s, _)| s), expected, "{why}");
        }
        assert_eq!(refuse(&Tokens::default(), &get.0, get.1, None), None, "open when no token is configured");
    }
}
