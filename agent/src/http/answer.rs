//! The two forms of our API's answers, and what is said where no handler gets to speak.

use axum::Json;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// What was asked for.
pub(super) fn told(data: &Value) -> Response {
    Json(json!({"status": "success", "data": data})).into_response()
}

/// Why not.
pub(super) fn refuse(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({"error": why}))).into_response()
}

/// No route has this path.
pub async fn no_such_path(uri: Uri) -> Response {
    refuse(StatusCode::NOT_FOUND, &format!("there is nothing at {}; docs/api.md lists the paths", uri.path()))
}

/// The path's route takes other methods, which the header `Allow` lists.
pub async fn no_such_method(method: Method, uri: Uri) -> Response {
    refuse(StatusCode::METHOD_NOT_ALLOWED, &takes_not(&method, &uri))
}

/// What is said of a method that a path does not take.
pub(super) fn takes_not(method: &Method, uri: &Uri) -> String {
    format!("{} does not take {method}; the header allow says what it takes", uri.path())
}

/// What stands in the path; what is wrong with it is answered as every other error is.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let found = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        found.map(|axum::extract::Path(found)| Self(found)).map_err(|why| refuse(why.status(), &why.body_text()))
    }
}

/// The query; what is wrong with it is answered as every other error is.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Response> {
        let asked = Query::<T>::try_from_uri(&parts.uri);
        asked.map(|Query(asked)| Self(asked)).map_err(|why| refuse(StatusCode::BAD_REQUEST, &why.body_text()))
    }
}
