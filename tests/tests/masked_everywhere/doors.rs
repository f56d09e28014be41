//! Every door that text can come through.

use std::time::Duration;

use plimsoll_tests::{Agent, eventually, series};
use reqwest::Client;
use serde_json::{Value, json};

use super::secrets::{ALL, sentence};

/// Sends the sentence through every interface of the tap, in bodies, headers and the query; gives how many requests the engine
/// answered with text.
pub async fn tap(agent: &Agent) -> usize {
    let client = Client::new();
    let chat = |door: &str| {
        let said = sentence(door);
        json!([{"role": "system", "content": said}, {"role": "user", "content": [{"type": "text", "text": said}, {"type": "image_url", "image_url": {"url": said}}]}])
    };
    let plain = |door: &str| json!([{"role": "user", "content": sentence(door)}]);
    let mut answered = 0;
    for streamed in [false, true] {
        let with = |more: Value| {
            let mut body = json!({"model": "m", "user": "user.mallory@secret-corp.example", "stream": streamed});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        for (path, body) in [
            ("/v1/chat/completions", with(json!({"messages": chat("chat")}))),
            ("/v1/completions", with(json!({"prompt": sentence("completions")}))),
            ("/v1/responses", with(json!({"input": plain("responses"), "instructions": sentence("responses")}))),
            ("/api/generate", with(json!({"prompt": sentence("generate"), "system": sentence("generate")}))),
            ("/api/chat", with(json!({"messages": plain("ollama-chat")}))),
            ("/v1/embeddings", with(json!({"input": [sentence("embeddings"), sentence("embeddings")]}))),
            ("/v1/nowhere", with(json!({"prompt": sentence("nowhere")}))),
        ] {
            let query = "?email=query.mallory@secret-corp.example&key=sk-proj-Zk3vQ9xLw2Tb7Yp4Rm8NcVfGhJ6s";
            let request = client.post(agent.tap_url(&format!("{path}{query}"))).json(&body);
            let request = request
                .header("authorization", "Bearer sk-proj-Zk3vQ9xLw2Tb7Yp4Rm8NcVfGhJ6s")
                .header("cookie", "session=hunterGx9-blue")
                .header("x-forwarded-for", "93.184.216.34")
                .header("x-user-id", "header.mallory@secret-corp.example");
            let answer = request.send().await.unwrap();
            let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
            assert_eq!(status, if path == "/v1/nowhere" { 400 } else { 200 }, "{path}: {text}");
            answered += usize::from(!matches!(path, "/v1/nowhere" | "/v1/embeddings"));
            let whole = text.contains("control-answers.mallory") || path == "/v1/embeddings";
            assert!(streamed || whole, "the client gets it unmasked: {text}");
        }
    }
    client.get(agent.tap_url("/mallory@secret-corp.example?p=hunterGx9-blue")).send().await.unwrap();
    answered
}

/// Posts it to the API, in good requests and in bad ones; gives every answer.
pub async fn api(agent: &Agent) -> Vec<String> {
    let with = |base: &Value, more: Value| {
        let mut all = base.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let said = sentence("api");
    let exchange = json!({"id": "posted", "model": "m", "duration_seconds": 1});
    let item = json!({"inference_id": "posted", "metric_name": "mine", "value": 1});
    let mut posts = vec![
        ("exchanges", with(&exchange, json!({"prompt": said, "response": said})), 202),
        ("exchanges", with(&exchange, json!({"prompt": [said]})), 422),
        ("exchanges", with(&exchange, json!({"outcome": said})), 422),
        ("exchanges", with(&exchange, json!({said.as_str(): 1})), 422),
        ("exchanges", with(&exchange, json!({"duration_seconds": said})), 422),
        ("exchanges", with(&exchange, json!({"experiment": said, "unit": "u"})), 422),
        ("exchanges", json!(said), 422),
        (
            "feedback",
            with(&item, json!({"tags": {"user": "tag.mallory@secret-corp.example", "call": 13_812_345_678_u64}})),
            202,
        ),
        ("feedback", with(&item, json!({"tags": {"tag.mallory@secret-corp.example": true}, "id": "k"})), 202),
        ("feedback", with(&item, json!({"value": said})), 422),
        ("feedback", with(&item, json!({"comment": said, "tags": said})), 422),
        ("feedback", with(&item, json!({"tags": {"why": [said]}})), 422),
        ("feedback", with(&item, json!({said.as_str(): 1})), 422),
        ("feedback", json!([said]), 422),
    ];
    let rank = json!({"rank": 0, "world_size": 1, "step": 1, "checksum": "00ff", "step_seconds": 1});
    posts.extend([
        ("finetunes/job/ranks", rank.clone(), 202),
        ("finetunes/job/ranks", with(&rank, json!({"step": said})), 422),
        ("finetunes/job/ranks", with(&rank, json!({said.as_str(): 1})), 422),
    ]);
    // one tag for each: tags are short
    posts.extend(ALL.iter().enumerate().map(|(at, one)| {
        ("feedback", with(&item, json!({"id": format!("tag-{at}"), "tags": {"why": one.written}})), 202)
    }));
    let mut answers = Vec::new();
    for (path, body, expected) in posts {
        let (status, text) = post(agent, path, body.to_string()).await;
        assert_eq!(status, expected, "{path}: {text}");
        answers.push(text);
    }
    let (status, text) = post(agent, "exchanges", format!("{{\"prompt\": \"{}", sentence("broken"))).await;
    assert_eq!(status, 400);
    answers.push(text);
    answers
}

/// Status and answer of a post with the token of an application.
pub async fn post(agent: &Agent, path: &str, body: String) -> (u16, String) {
    let request = Client::new().post(agent.api_url(&format!("/api/v1/{path}"))).bearer_auth("of-ingest");
    let answer = request.header("idempotency-key", "one").body(body).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// What is usual for a while, and then something else with the sentence in it, until the alarm on the texts stands.
pub async fn drift(agent: &Agent, texts: usize) {
    const USUAL: [&str; 3] =
        ["block my lost bank card please", "explain this fee on my account", "transfer money to a savings account"];
    let (mut rng, mut posted) = (fastrand::Rng::with_seed(5), 0);
    let mut batch = |topics: &[&str], more: &str| -> String {
        let one = |_| {
            posted += 1;
            let mut words: Vec<&str> = topics[rng.usize(..topics.len())].split(' ').collect();
            rng.shuffle(&mut words);
            json!({"id": format!("d-{posted}"), "model": "d", "duration_seconds": 0.5,
                "prompt": format!("{} {more}", words.join(" ")), "response": "here it is"})
        };
        Value::from((0..50).map(one).collect::<Vec<_>>()).to_string()
    };
    let usual: Vec<String> = (0..texts / 50 + 4).map(|_| batch(&USUAL, "")).collect();
    let mail = "write to drift.mallory@secret-corp.example or pay 4111 1111 1111 1111";
    let other: Vec<String> = (0..6).map(|_| batch(&["recipe for tomato soup", "roast garlic soup"], mail)).collect();
    let mut seen = 0.0;
    for body in usual.into_iter().chain(other) {
        let (status, text) = post(agent, "exchanges", body).await;
        assert_eq!(status, 202, "{text}");
        seen += 50.0;
        // what does not fit into the queues is dropped
        eventually("the texts have been taken", Duration::from_secs(60), async || {
            let figures = agent.scrape().await.map_err(|why| why.to_string())?;
            let labels = ["signal=\"embedding\"", "model=\"d\""];
            let taken = series(&figures, "plimsoll_drift_observations_total", &labels);
            if taken >= Some(seen) { Ok(()) } else { Err(format!("{taken:?} of {seen}")) }
        })
        .await;
    }
}
