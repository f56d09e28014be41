//! Clients that do not behave: dribbling, too large, on wrong paths. Each hears why in OpenAI's form, and nobody waits for it.

use std::time::{Duration, Instant};

use plimsoll_tests::{eventually, get_text, series};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{SOON, Worker, model};

/// Whether it is an error in OpenAI's form; its code.
fn code(error: &Value) -> Option<&str> {
    let error = error["error"].as_object()?;
    let has = |key: &str| error.contains_key(key);
    assert!(has("message") && has("type") && has("param") && has("code") && error.len() == 4, "{error:?}");
    error["code"].as_str()
}

#[tokio::test]
async fn every_error_has_openai_s_form() {
    let worker = Worker::start(&[]).await;
    let large = || vec![b' '; (64 << 20) + 1];
    for (method, path, body, status, expected) in [
        (Method::GET, "/v1/nothing", vec![], 404, "no_such_path"),
        (Method::POST, "/", vec![], 404, "no_such_path"),
        (Method::GET, "/v1/embeddings", vec![], 405, "method_not_allowed"),
        (Method::DELETE, "/v1/score", vec![], 405, "method_not_allowed"),
        (Method::POST, "/healthz", vec![], 405, "method_not_allowed"),
        (Method::POST, "/v1/models", vec![], 405, "method_not_allowed"),
        (Method::POST, "/v1/embeddings", large(), 413, "too_large"),
        (Method::POST, "/v1/embeddings", b"{".to_vec(), 400, "invalid_request"),
        (Method::POST, "/v1/reward", br#"{"prompt": "", "response": ""}"#.to_vec(), 404, "model_not_loaded"),
    ] {
        let answer = Client::new().request(method.clone(), worker.url(path)).body(body).send().await.unwrap();
        let (found, allow) = (answer.status().as_u16(), answer.headers().contains_key("allow"));
        let error: Value = answer.json().await.unwrap();
        assert_eq!((found, code(&error), allow), (status, Some(expected), status == 405), "{method} {path}: {error}");
    }
    // without a length it is seen at the limit
    let chunks = futures_util::stream::iter((0..65).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1 << 20])));
    let (status, error) = worker.ask("/v1/score", reqwest::Body::wrap_stream(chunks)).await;
    assert_eq!((status, code(&error)), (413, Some("too_large")), "{error}");
}

/// Sends the beginning of a question, then a byte now and then; what is answered in the end.
async fn dribble(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(b"POST /v1/embeddings HTTP/1.1\r\nhost: w\r\ncontent-length: 100000\r\n\r\n{").await.unwrap();
    let (mut reading, mut writing) = stream.split();
    let mut answer = vec![0; 4096];
    loop {
        tokio::select! {
            read = reading.read(&mut answer) => {
                answer.truncate(read.unwrap());
                return String::from_utf8(answer).unwrap();
            }
            () = tokio::time::sleep(Duration::from_millis(200)) => { let _ = writing.write_all(b" ").await; }
        }
    }
}

#[tokio::test]
async fn clients_that_dribble_are_cut_off_and_nobody_waits_for_them() {
    let worker = Worker::start(&["--scorer", &model("qwen3")]).await;
    let mut dribbling: tokio::task::JoinSet<_> = (0..100).map(|_| dribble(worker.port)).collect();
    for number in 0..20 {
        let began = Instant::now();
        let (status, _) = worker.ask("/v1/embeddings", json!({"input": format!("text {number}")}).to_string()).await;
        assert!(status == 200 && began.elapsed() < Duration::from_secs(2), "{status} after {:?}", began.elapsed());
    }
    while let Some(answer) = tokio::time::timeout(SOON, dribbling.join_next()).await.unwrap() {
        let answer = answer.unwrap();
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("\"code\":\"too_slow\""), "{answer}");
    }
}

#[tokio::test]
async fn an_engine_that_is_not_seen_is_told_of() {
    let worker = Worker::start(&["--engine", "http://127.0.0.1:1/metrics"]).await;
    eventually("the worker says that it is blind", SOON, async || {
        let metrics = get_text(&worker.url("/metrics")).await?;
        let said = worker.process.log().contains("the served engine's queue is not seen");
        anyhow::ensure!(said && series(&metrics, "plimsoll_shadow_engine_up", &[]) == Some(0.0), "{metrics}");
        Ok(())
    })
    .await;
}
