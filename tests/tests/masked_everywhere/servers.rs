//! The other sides: an engine that repeats what it was told to say through every interface, and a worker that remembers every
//! byte that it was sent.

use std::sync::{Arc, Mutex};

use plimsoll_tests::{Message, Upstream, Wire};
use serde_json::{Value, json};

use super::secrets::sentence;

fn whole(status: &str, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// The answer's body in the form that path and request ask for; `None` where there is no such path.
fn body(path: &str, streamed: bool, id: &str, said: &str) -> Option<String> {
    let characters: Vec<char> = said.chars().collect();
    let pieces: Vec<String> = characters.chunks(5).map(|piece| piece.iter().collect()).collect();
    let events = |event: &dyn Fn(&String) -> Value, last: &Value| {
        let lines: Vec<String> = pieces.iter().map(|piece| format!("data: {}\n\n", event(piece))).collect();
        format!("{}data: {last}\n\ndata: [DONE]\n\n", lines.concat())
    };
    let lines = |line: &dyn Fn(&String) -> Value| {
        let all: Vec<String> = pieces.iter().map(|piece| format!("{}\n", line(piece))).collect();
        format!("{}{}\n", all.concat(), json!({"model": "m", "response": "", "message": {"content": ""}, "done": true}))
    };
    let text = match (path, streamed) {
        ("/v1/chat/completions", true) => {
            let event = |piece: &String| json!({"id": id, "model": "m", "choices": [{"index": 0, "delta": {"content": piece}}]});
            events(&event, &json!({"id": id, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
        }
        ("/v1/chat/completions", false) => {
            json!({"id": id, "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}]}).to_string()
        }
        ("/v1/completions", true) => {
            let event = |piece: &String| json!({"id": id, "model": "m", "choices": [{"index": 0, "text": piece}]});
            events(&event, &json!({"id": id, "choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}))
        }
        ("/v1/completions", false) => json!({"id": id, "model": "m", "choices": [{"index": 0, "text": said}]}).to_string(),
        ("/v1/responses", true) => {
            let event = |piece: &String| json!({"type": "response.output_text.delta", "delta": piece});
            let output = json!([{"type": "message", "content": [{"type": "output_text", "text": said}]}]);
            events(&event, &json!({"type": "response.completed", "response": {"id": id, "model": "m", "output": output}}))
        }
        ("/v1/responses", false) => {
            json!({"id": id, "model": "m", "status": "completed", "output": [{"type": "message", "content": [{"type": "output_text", "text": said}]}]}).to_string()
        }
        ("/api/generate", true) => lines(&|piece| json!({"model": "m", "response": piece, "done": false})),
        ("/api/generate", false) => json!({"model": "m", "response": said, "done": true}).to_string(),
        ("/api/chat", true) => lines(&|piece| json!({"model": "m", "message": {"role": "assistant", "content": piece}, "done": false})),
        ("/api/chat", false) => json!({"model": "m", "message": {"role": "assistant", "content": said}, "done": true}).to_string(),
        ("/v1/embeddings", _) => json!({"model": "m", "data": [{"embedding": [0.5]}]}).to_string(),
        _ => return None,
    };
    Some(text)
}

async fn repeat(wire: &mut Wire, request: &Message, name: &str) -> std::io::Result<()> {
    let target = request.start.split(' ').nth(1).unwrap_or("");
    let path = target.split('?').next().unwrap_or("");
    let streamed = String::from_utf8_lossy(&request.body).contains("\"stream\":true");
    let (id, said) = (format!("{name}-{:016x}", fastrand::u64(..)), sentence(&format!("{name}-answers")));
    match body(path, streamed, &id, &said) {
        Some(body) if streamed => {
            let kind = if path.starts_with("/api") { "application/x-ndjson" } else { "text/event-stream" };
            wire.send(format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n")).await?;
            for piece in body.as_bytes().chunks(701) {
                wire.send_chunk(piece).await?;
            }
            wire.send("0\r\n\r\n").await
        }
        Some(body) => wire.send(whole("200 OK", "application/json", &body)).await,
        None => wire.send(whole("400 Bad Request", "application/json", &json!(said).to_string())).await,
    }
}

/// An engine whose every answer, a refusal's too, is the planted sentence.
pub async fn engine(name: &'static str) -> Upstream {
    Upstream::start(move |mut wire, _| async move {
        while let Some(request) = wire.request().await {
            if repeat(&mut wire, &request, name).await.is_err() {
                return;
            }
        }
    })
    .await
    .unwrap()
}

/// Texts with the same words lie close together.
fn words(text: &str) -> Vec<f64> {
    let mut vector = vec![0.0; 32];
    for word in text.split_whitespace() {
        let hash = word.bytes().fold(7_usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
        vector[hash % 32] += 1.0;
    }
    let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-9);
    vector.iter().map(|x| x / length).collect()
}

/// A worker with our interface, and every request that came.
pub async fn worker() -> (Upstream, Arc<Mutex<Vec<Message>>>) {
    let heard = Arc::<Mutex<Vec<Message>>>::default();
    let inner = heard.clone();
    let upstream = Upstream::start(move |mut wire, _| {
        let heard = inner.clone();
        async move {
            while let Some(request) = wire.request().await {
                let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
                let said = if request.start.contains("/healthz") {
                    json!({"worker": "plimsoll", "embedder": {"model": "tiny"}, "scorer": {"model": "tiny"}, "judge": true})
                } else if request.start.contains("/v1/embeddings") {
                    let texts = asked["input"].as_array().cloned().unwrap_or_default();
                    let one = |(index, text): (usize, &Value)| json!({"index": index, "embedding": words(text.as_str().unwrap_or(""))});
                    json!({"data": texts.iter().enumerate().map(one).collect::<Vec<_>>()})
                } else if request.start.contains("/v1/score") {
                    let count = asked["items"].as_array().map_or(1, Vec::len);
                    let nll = json!({"total": 9.0, "tokens": 3, "per_token": []});
                    let score = json!({"prompt": nll, "response": nll, "tokens": 6, "truncated": false});
                    json!({"data": vec![score; count]})
                } else {
                    json!({"verdict": "a", "logits": [[-0.1, -3.0, -4.0], [-0.1, -3.0, -4.0]]})
                };
                heard.lock().unwrap().push(request);
                if wire.send(whole("200 OK", "application/json", &said.to_string())).await.is_err() {
                    return;
                }
            }
        }
    });
    (upstream.await.unwrap(), heard)
}
