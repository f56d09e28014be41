//! The worker's paths.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use plimsoll_exporters::Registry;
use plimsoll_shadow_model::serve::Key;
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;

use super::answers::{Contest, Embeddings, MOST_TEXTS, Rewarded, Scores, read, texts};
use super::device::Desk;
use super::models::{Answer, Question};
use super::refusal::Refusal;
use crate::config::Secret;
use crate::http::metrics;

/// The largest question, in bytes.
const MOST_BODY: usize = 64 << 20;
/// How long a question may take to arrive.
const READ: Duration = Duration::from_secs(10);

pub(super) fn router(desk: Desk, registry: Registry, token: Option<Secret>) -> Router {
    let posted = Router::new()
        .route("/v1/embeddings", post(embeddings))
        .route("/v1/score", post(score))
        .route("/v1/judge", post(judge))
        .route("/v1/reward", post(reward))
        .method_not_allowed_fallback(async |request| wrong_method(&request, "POST"))
        .layer(DefaultBodyLimit::disable()) // `whole` has one
        .layer(middleware::from_fn(whole));
    let asked = posted.merge(Router::new().route("/v1/models", get(models)));
    let asked = asked.layer(middleware::from_fn_with_state(token, guard)).with_state(desk.clone());
    let seen = Router::new().route("/metrics", get(metrics::metrics)).with_state(registry);
    let seen = seen.layer(middleware::from_fn_with_state(desk.clone(), publish));
    let all = Router::new().route("/healthz", get(health)).with_state(desk).merge(asked).merge(seen);
    all.method_not_allowed_fallback(async |request| wrong_method(&request, "GET"))
        .fallback(async |request: Request| Refusal::Path(request.uri().path().to_owned()))
}

async fn publish(State(desk): State<Desk>, request: Request, next: Next) -> Response {
    desk.publish();
    next.run(request).await
}

async fn guard(State(token): State<Option<Secret>>, request: Request, next: Next) -> Response {
    let Some(Secret(token)) = token else { return next.run(request).await };
    let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = header.and_then(|header| header.strip_prefix("Bearer ")).unwrap_or_default();
    if token.as_bytes().ct_eq(given.trim().as_bytes()).into() {
        return next.run(request).await;
    }
    Refusal::Unauthorized.into_response()
}

/// Reads the question to its end before anybody looks at it: one that is too large or does not end is refused.
async fn whole(request: Request, next: Next) -> Result<Response, Refusal> {
    let (head, body) = request.into_parts();
    let mut question = Vec::new();
    match tokio::time::timeout(READ, collect(body, &mut question)).await {
        Ok(Ok(size)) if size <= MOST_BODY => Ok(next.run(Request::from_parts(head, question.into())).await),
        Ok(Ok(_)) => Err(Refusal::Large(MOST_BODY)),
        Ok(Err(why)) => Err(Refusal::Question(format!("the body broke off: {why}"))),
        Err(_) => Err(Refusal::Slow(READ.as_secs())),
    }
}

/// The size of a body; what is too much of it is read and left out, for a client that is still sending hears no answer.
async fn collect(body: Body, into: &mut Vec<u8>) -> Result<usize, axum::Error> {
    let (mut parts, mut size) = (body.into_data_stream(), 0);
    while let Some(part) = parts.next().await {
        let part = part?;
        size += part.len();
        if size <= MOST_BODY { into.extend_from_slice(&part) } else { *into = Vec::new() }
    }
    Ok(size)
}

fn wrong_method(request: &Request, right: &'static str) -> Response {
    let refusal = Refusal::Method(request.uri().path().to_owned(), request.method().to_string(), right);
    ([(header::ALLOW, right)], refusal).into_response()
}

/// 200 once the models are loaded and warm: before that nobody listens.
async fn health(State(desk): State<Desk>) -> Json<Value> {
    let mut health = desk.models.describe();
    health["worker"] = json!("plimsoll");
    health["version"] = json!(env!("CARGO_PKG_VERSION"));
    health["busy"] = json!(desk.is_busy());
    Json(health)
}

async fn models(State(desk): State<Desk>) -> Json<Value> {
    let one = |id: &str| json!({"id": id, "object": "model", "owned_by": "plimsoll"});
    Json(json!({"object": "list", "data": desk.models.names().into_iter().map(one).collect::<Vec<_>>()}))
}

async fn embeddings(State(desk): State<Desk>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let question: Embeddings = read(&body)?;
    let base64 = match question.encoding_format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(other) => {
            let why = format!("encoding_format: {other:?} found; expected float or base64");
            return Err(Refusal::Question(why));
        }
    };
    let have = desk.models.dimensions();
    if let Some(wanted) = question.dimensions.filter(|wanted| *wanted != have) {
        return Err(Refusal::Question(format!("dimensions: {wanted} found; this model has {have}")));
    }
    let texts = texts(question.input)?;
    let (questions, tokens) = off_thread(&desk, move |desk| {
        let questions = texts.iter().map(|text| desk.models.to_embed(text)).collect::<Result<Vec<_>, _>>()?;
        let tokens: usize = questions.iter().map(|(question, _)| question.tokens()).sum();
        Ok((questions, tokens))
    })
    .await?;
    let answers = ask_all(&desk, questions).await?;
    let data: Vec<Value> = answers.iter().enumerate().map(|(index, answer)| embedding(index, answer, base64)).collect();
    Ok(Json(json!({
        "object": "list",
        "data": data,
        "model": desk.models.embedder_name(),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    })))
}

fn embedding(index: usize, answer: &Answer, base64: bool) -> Value {
    let Answer::Vector(vector) = answer else { return Value::Null };
    let shown = match base64 {
        true => json!(STANDARD.encode(vector.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())),
        false => json!(vector),
    };
    json!({"object": "embedding", "index": index, "embedding": shown})
}

async fn score(State(desk): State<Desk>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let pairs = read::<Scores>(&body)?.pairs()?;
    if pairs.len() > MOST_TEXTS {
        return Err(Refusal::Question(format!("items: {} found; at most {MOST_TEXTS} at once", pairs.len())));
    }
    let questions = off_thread(&desk, move |desk| {
        pairs.iter().map(|pair| desk.models.to_score(&pair.prompt, &pair.response)).collect::<Result<Vec<_>, _>>()
    });
    let answers = ask_all(&desk, questions.await?).await?;
    let data: Vec<Value> = answers.iter().enumerate().map(|(index, answer)| indexed(index, answer)).collect();
    Ok(Json(json!({"object": "list", "data": data, "model": desk.models.scorer_name()})))
}

fn indexed(index: usize, answer: &Answer) -> Value {
    let mut shown = answer.shown();
    shown["index"] = json!(index);
    shown
}

async fn judge(State(desk): State<Desk>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let Contest { question, a, b } = read(&body)?;
    let questions = off_thread(&desk, move |desk| desk.models.to_judge(&question, &a, &b)).await?;
    one(&desk, questions).await
}

async fn reward(State(desk): State<Desk>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let Rewarded { prompt, response } = read(&body)?;
    let question = off_thread(&desk, move |desk| desk.models.to_reward(&prompt, &response)).await?;
    one(&desk, question).await
}

async fn one(desk: &Desk, (question, key): (Question, Key)) -> Result<Json<Value>, Refusal> {
    Ok(Json(desk.ask(question, key).await?.shown()))
}

async fn ask_all(desk: &Desk, questions: Vec<(Question, Key)>) -> Result<Vec<Answer>, Refusal> {
    try_join_all(questions.into_iter().map(|(question, key)| desk.ask(question, key))).await
}

/// Tokenising a long text takes milliseconds: not on the threads that answer.
async fn off_thread<T: Send + 'static>(
    desk: &Desk,
    work: impl FnOnce(&Desk) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    // memory that tokenizers take at once is bounded: whoever comes third waits
    let _place = desk.tokenizers.clone().acquire_owned().await.map_err(|_| Refusal::Ending)?;
    let desk = desk.clone();
    tokio::task::spawn_blocking(move || work(&desk)).await.unwrap_or(Err(Refusal::Ending))
}
