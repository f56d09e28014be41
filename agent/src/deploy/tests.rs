//! Engines that are stood in for by the forms that they answer in. vLLM and llama.cpp themselves: `tests/tests/vllm.rs`,
//! `tests/tests/deploy.rs`; no SGLang runs there.

use std::future::IntoFuture as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::*;
use crate::config::Secret;
use plimsoll_alerts::Signer;

/// What a stand-in heard: method and path, body, and the headers that sign it.
type Heard = Arc<Mutex<Vec<(String, String, Vec<String>)>>>;

/// An engine that keeps names and answers as `answer` says, and its address.
#[expect(clippy::disallowed_methods, reason = "a test server has no shutdown to wait for")]
async fn engine(answer: fn(&str, &Value, &mut Vec<String>) -> (u16, String)) -> (String, Heard) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (heard, loaded) = (Heard::default(), Arc::new(Mutex::new(Vec::new())));
    let told = heard.clone();
    let handler = async move |request: Request| {
        let (head, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let names = ["authorization", "webhook-id", "webhook-timestamp", "webhook-signature"];
        let header = |name: &&str| head.headers.get(*name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (asked, text) = (format!("{} {}", head.method, head.uri), String::from_utf8(body.to_vec()).unwrap());
        let parsed = serde_json::from_str(&text).unwrap_or(Value::Null);
        told.lock().unwrap().push((asked.clone(), text, names.iter().filter_map(header).collect()));
        let (status, said) = answer(&asked, &parsed, &mut loaded.lock().unwrap());
        (http::StatusCode::from_u16(status).unwrap(), said).into_response()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = axum::serve(listener, Router::new().fallback(handler));
    tokio::spawn(server.into_future());
    (url, heard)
}

fn deployer(engine: DeployEngine) -> Deployer {
    let token = Some(Secret("t0k".to_owned()));
    let (timeout, ready_timeout) = (Duration::from_secs(5), Duration::from_secs(5));
    Deployer::new(&DeploySettings { engine, token, timeout, ready_timeout }, Path::new("/models/base")).unwrap()
}

fn cards(base: &str, loaded: &[String]) -> String {
    let mut cards = vec![json!({"id": base, "object": "model", "owned_by": "x", "root": base, "parent": null})];
    cards.extend(loaded.iter().map(|name| json!({"id": name, "object": "model", "root": "/a", "parent": base})));
    json!({"object": "list", "data": cards}).to_string()
}

/// As vLLM 0.32 answers.
fn vllm(asked: &str, body: &Value, loaded: &mut Vec<String>) -> (u16, String) {
    let name = body["lora_name"].as_str().unwrap_or_default().to_owned();
    let error = |code: u16, message: &str| {
        (
            code,
            json!({"error": {"message": message, "type": "BadRequestError", "param": null, "code": code}}).to_string(),
        )
    };
    match asked {
        "GET /v1/models" => (200, cards("tiny", loaded)),
        "POST /v1/load_lora_adapter" if name == "raced" => {
            loaded.push(name);
            error(400, "The lora adapter 'raced' has already been loaded.")
        }
        "POST /v1/load_lora_adapter" if name == "busy" => error(503, &"x".repeat(1000)),
        "POST /v1/load_lora_adapter" => {
            loaded.push(name);
            (200, "Success: LoRA adapter added successfully.".to_owned())
        }
        "POST /v1/unload_lora_adapter" => {
            loaded.retain(|other| *other != name);
            (200, "Success: LoRA adapter removed successfully.".to_owned())
        }
        _ => (404, r#"{"detail":"Not Found"}"#.to_owned()),
    }
}

/// As SGLang answers (`LoRAUpdateOutput` of its `http_server.py`, read in August 2026).
fn sglang(asked: &str, body: &Value, loaded: &mut Vec<String>) -> (u16, String) {
    let name = body["lora_name"].as_str().unwrap_or_default().to_owned();
    let said = |success: bool, message: Value| {
        let code = if success { 200 } else { 400 };
        (code, json!({"success": success, "error_message": message, "loaded_adapters": {}}).to_string())
    };
    match asked {
        "GET /v1/models" => (200, cards("qwen/qwen2.5-0.5b-instruct", loaded)),
        "POST /load_lora_adapter" if name == "wide" => {
            said(false, json!("LoRA adapter wide with rank 64 is incompatible with the current LoRA memory pool"))
        }
        "POST /load_lora_adapter" => {
            loaded.push(name);
            said(true, Value::Null)
        }
        "POST /unload_lora_adapter" => {
            loaded.retain(|other| *other != name);
            said(true, Value::Null)
        }
        _ => (404, r#"{"detail":"Not Found"}"#.to_owned()),
    }
}

fn asked(heard: &Heard) -> Vec<String> {
    heard.lock().unwrap().iter().map(|(asked, ..)| asked.clone()).filter(|asked| asked.starts_with("POST")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn vllm_serves_an_adapter_under_its_name() {
    let (url, heard) = engine(vllm).await;
    let deployer = deployer(DeployEngine::Vllm(format!("{url}/v1").parse().unwrap()));
    let (folder, v3) = (tempfile::tempdir().unwrap(), Served { model: Some("v3".to_owned()), upstream: None });
    assert_eq!(deployer.served("v3").await.unwrap(), None);
    for _ in 0..2 {
        assert_eq!(deployer.load("v3", folder.path(), None).await.unwrap(), v3);
    }
    assert_eq!(deployer.served("v3").await.unwrap(), Some(v3));
    assert!(deployer.load("raced", folder.path(), None).await.is_ok());
    for _ in 0..2 {
        deployer.unload("v3").await.unwrap();
    }
    assert_eq!(
        asked(&heard).join(", "),
        "POST /v1/load_lora_adapter, POST /v1/load_lora_adapter, POST /v1/unload_lora_adapter"
    );
    let heard = heard.lock().unwrap();
    let (_, body, headers) = heard.iter().find(|(asked, ..)| asked.starts_with("POST")).unwrap();
    assert_eq!(*body, json!({"lora_name": "v3", "lora_path": folder.path().canonicalize().unwrap()}).to_string());
    assert_eq!(headers[0], "Bearer t0k");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_engine_refuses_is_told() {
    let (url, _) = engine(vllm).await;
    let folder = tempfile::tempdir().unwrap();
    let deployer_of = deployer(DeployEngine::Vllm(url.parse().unwrap()));
    let why = deployer_of.load("busy", folder.path(), None).await.unwrap_err();
    let text = why.to_string();
    assert!(why.is_transient() && text.contains("/v1/load_lora_adapter {\"lora_name\":\"busy\""), "{why}");
    assert!(text.contains("answered 503") && text.len() < 700, "{why}");
    let why = deployer_of.load("tiny", folder.path(), None).await.unwrap_err();
    assert!(
        !why.is_transient() && why.to_string().contains("tiny is the name of a model of the engine itself"),
        "{why}"
    );

    let (url, _) = engine(|asked, body, loaded| {
        if asked == "GET /v1/models" {
            vllm(asked, body, loaded)
        } else {
            (404, r#"{"detail":"Not Found"}"#.to_owned())
        }
    })
    .await;
    let why = deployer(DeployEngine::Vllm(url.parse().unwrap())).load("v3", folder.path(), None).await.unwrap_err();
    assert!(
        !why.is_transient() && why.to_string().contains("answered 404: {\"detail\":\"Not Found\"}; vLLM needs"),
        "{why}"
    );
    let why = deployer(DeployEngine::Vllm("http://127.0.0.1:9".parse().unwrap())).served("v3").await.unwrap_err();
    assert!(why.is_transient() && why.to_string().contains("GET http://127.0.0.1:9/v1/models"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sglang_is_asked_for_base_and_adapter() {
    let (url, heard) = engine(sglang).await;
    let deployer = deployer(DeployEngine::Sglang(url.parse().unwrap()));
    let folder = tempfile::tempdir().unwrap();
    let served = deployer.load("v3", folder.path(), Some("v2")).await.unwrap();
    assert_eq!(served, Served { model: Some("qwen/qwen2.5-0.5b-instruct:v3".to_owned()), upstream: None });
    assert_eq!(deployer.served("v3").await.unwrap(), Some(served));
    let why = deployer.load("wide", folder.path(), Some("v3")).await.unwrap_err();
    assert!(!why.is_transient() && why.to_string().contains("rank 64 is incompatible"), "{why}");
    deployer.unload("v3").await.unwrap();
    assert_eq!(deployer.served("v3").await.unwrap(), None);
    assert_eq!(asked(&heard).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_hears_signed_posts() {
    let (url, heard) = engine(|_, body, loaded| {
        let (action, name) = (body["action"].as_str().unwrap_or_default(), body["name"].to_string());
        match action {
            "load" if name == "\"elsewhere\"" => (200, r#"{"upstream": "http://10.0.0.7:8000"}"#.to_owned()),
            "load" if name == "\"bad\"" => (200, r#"{"upstream": "10.0.0.7"}"#.to_owned()),
            "load" => {
                loaded.push(name);
                (204, String::new())
            }
            "status" if loaded.contains(&name) => (200, String::new()),
            "status" => (200, r#"{"served": false}"#.to_owned()),
            _ => (404, String::new()),
        }
    })
    .await;
    let signer = Signer::new("shared").unwrap();
    let deployer = deployer(DeployEngine::Webhook(format!("{url}/hook").parse().unwrap(), Some(signer.clone())));
    let folder = tempfile::tempdir().unwrap();
    let v3 = Served { model: Some("v3".to_owned()), upstream: None };
    assert_eq!(deployer.served("v3").await.unwrap(), None);
    assert_eq!(deployer.load("v3", folder.path(), Some("v2")).await.unwrap(), v3);
    assert_eq!(deployer.served("v3").await.unwrap(), Some(v3));
    let elsewhere = Served { model: None, upstream: Some("http://10.0.0.7:8000".to_owned()) };
    assert_eq!(deployer.load("elsewhere", folder.path(), None).await.unwrap(), elsewhere);
    assert!(deployer.load("bad", folder.path(), None).await.is_err());
    deployer.unload("v3").await.unwrap();

    let heard = heard.lock().unwrap();
    let (asked, body, headers) = &heard[1];
    let expected = json!({"action": "load", "name": "v3", "adapter": folder.path().canonicalize().unwrap(),
        "model": "/models/base", "live": "v2"});
    assert_eq!((asked.as_str(), body.clone()), ("POST /hook", expected.to_string()));
    let [_, id, seconds, signature] = headers.as_slice() else { panic!("{headers:?}") };
    assert_eq!(*signature, signer.sign(id, seconds.parse().unwrap(), body.as_bytes()));
}
