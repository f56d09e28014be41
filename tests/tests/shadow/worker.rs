//! The worker by itself: what it answers, and what it says to questions that make no sense.

use std::process::Command;
use std::time::Duration;

use plimsoll_tests::{binary, get_text, series};
use reqwest::Client;
use serde_json::{Value, json};

use crate::support::{SOON, Worker, model};

#[tokio::test]
async fn a_worker_embeds_scores_and_judges() {
    let worker = Worker::start(&["--scorer", &model("qwen3"), "--reward", &model("reward")]).await;
    let (status, all) = worker.ask("/v1/embeddings", json!({"input": ["hello", "", "hello"]}).to_string()).await;
    let vector = |at: usize| all["data"][at]["embedding"].as_array().unwrap().clone();
    assert_eq!((status, vector(0).len(), vector(0) == vector(2)), (200, 384, true), "{all}");
    let (_, other) =
        worker.ask("/v1/embeddings", json!({"input": "hello", "encoding_format": "base64"}).to_string()).await;
    assert_eq!(other["data"][0]["embedding"].as_str().unwrap().len(), 384 * 4 / 3 * 4);

    let question = json!({"items": [{"prompt": "hello", "response": " world"}, {"prompt": "", "response": ""}]});
    let (status, scores) = worker.ask("/v1/score", question.to_string()).await;
    let (first, nothing) = (&scores["data"][0], &scores["data"][1]);
    assert_eq!((status, nothing["response"].is_null()), (200, true), "{scores}");
    let per_token: f64 = first["response"]["per_token"].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).sum();
    assert!((per_token - first["response"]["total"].as_f64().unwrap()).abs() < 1e-3, "{first}");
    let verb = Command::new("sh")
        .arg("-c")
        .arg(format!(
            r#"echo '{{"prompt": "hello", "response": " world"}}' | {} score --model {} 2>/dev/null"#,
            binary().unwrap().display(),
            model("qwen3")
        ))
        .output()
        .unwrap();
    let verb: Value = serde_json::from_slice(&verb.stdout).unwrap();
    let differ = verb["response_nll"].as_f64().unwrap() - first["response"]["total"].as_f64().unwrap();
    assert!(differ.abs() < 1e-3, "{verb} {first}");

    let (status, verdict) = worker.ask("/v1/judge", json!({"question": "q", "a": "x", "b": "y"}).to_string()).await;
    let sum: f64 = ["a", "b", "tie"].iter().map(|of| verdict[of].as_f64().unwrap()).sum();
    assert!(status == 200 && (sum - 1.0).abs() < 1e-6 && verdict["position_gap"].is_number(), "{verdict}");
    let (status, reward) = worker.ask("/v1/reward", json!({"prompt": "q", "response": "x"}).to_string()).await;
    assert!(status == 200 && reward["reward"].is_number(), "{reward}");
    let metrics = get_text(&worker.url("/metrics")).await.unwrap();
    let cached = series(&metrics, "plimsoll_shadow_texts_total", &["task=\"embed\"", "outcome=\"cached\""]);
    assert!(cached >= Some(1.0), "{metrics}");
}

#[tokio::test]
async fn a_worker_answers_nonsense_with_a_reason_and_lives() {
    let mut worker = Worker::start(&["--scorer", &model("qwen3")]).await;
    let long = "word ".repeat(200_000);
    for (path, question, status, expected) in [
        ("/v1/embeddings", "{".to_owned(), 400, "the body: EOF"),
        ("/v1/embeddings", "{}".to_owned(), 400, "missing field `input`"),
        ("/v1/embeddings", json!({"input": [1, 2]}).to_string(), 400, "input[0]: tokens found"),
        ("/v1/embeddings", r#"{"input": "\ud800"}"#.to_owned(), 400, "the body: "),
        (
            "/v1/embeddings",
            json!({"input": "a", "dimensions": 7}).to_string(),
            400,
            "dimensions: 7 found; this model has 384",
        ),
        ("/v1/score", json!({"promt": "a"}).to_string(), 400, "unknown field `promt`"),
        ("/v1/reward", json!({"prompt": "a", "response": "b"}).to_string(), 404, "start it with --reward DIR"),
        ("/v1/embeddings", json!({"input": long}).to_string(), 200, ""),
        ("/v1/score", json!({"prompt": long, "response": long}).to_string(), 200, ""),
        ("/v1/judge", json!({"question": long, "a": "", "b": long}).to_string(), 200, ""),
    ] {
        let (found, answer) = worker.ask(path, question).await;
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(
            found == status && message.contains(expected),
            "{path}: {found} {message}, expected {status} {expected}"
        );
    }
    assert!(worker.process.wait(Duration::ZERO).is_none(), "it lives");
    worker.process.signal(libc::SIGTERM);
    assert!(worker.process.wait(SOON).is_some_and(|status| status.success()), "{}", worker.process.log());
}

#[tokio::test]
async fn a_worker_that_others_can_reach_wants_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "s3cret\n").unwrap();
    let worker = Worker::start(&["--token-file", token.to_str().unwrap()]).await;
    let ask = async |token: &str| {
        let request = Client::new().post(worker.url("/v1/embeddings")).json(&json!({"input": "a"}));
        request.bearer_auth(token).send().await.unwrap().status().as_u16()
    };
    assert_eq!((ask("s3cret").await, ask("other").await), (200, 401));
    let open = Command::new(binary().unwrap()).args(["shadow", "--listen", "0.0.0.0:1"]).output().unwrap();
    let said = String::from_utf8_lossy(&open.stderr).into_owned();
    assert!(!open.status.success() && said.contains("--token-file"), "{said}");
}
