//! Text is masked before it goes anywhere: what looks like a secret and passes the tap or the API is afterwards in no file,
//! no log line, no metric and no answer of the agent.

use std::path::Path;
use std::time::Duration;

use plimsoll_tests::{Agent, Message, Upstream, Wire, eventually, get_text};
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

/// Forms of the planted secrets, each in the writing that would show it; parts of them as well.
const SECRETS: [&str; 9] = [
    "alice.liddell",
    "alice.liddell@wonder-land.org",
    "4111 1111 1111 1111",
    "4111111111111111",
    "4111-1111",
    "sk-proj-Zk3vQ9xLw2Tb7Yp4Rm8N",
    "Zk3vQ9xLw2Tb7Yp4Rm8N",
    "13812345678",
    "138-1234-5678",
];

/// A sentence with all of them.
const PLANTED: &str = "Write to alice.liddell@wonder-land.org, card 4111 1111 1111 1111 (4111111111111111, \
    4111-1111-1111-1111), key sk-proj-Zk3vQ9xLw2Tb7Yp4Rm8NcVfGhJ6s, 手机13812345678 or 138-1234-5678. Marigold.";

/// A word of it that is no secret: shows whether text is there at all.
const MARIGOLD: &str = "Marigold";

fn answer(kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// Repeats the planted sentence in the form that the request's path and body ask for.
async fn parrot(wire: &mut Wire, request: &Message) -> std::io::Result<()> {
    let path = request.start.split(' ').nth(1).unwrap_or("").to_owned();
    let streamed = String::from_utf8_lossy(&request.body).contains("\"stream\":true");
    let id = format!("id-{}-{streamed}", path.replace('/', "-"));
    let sentence = json!(PLANTED);
    let json = "application/json";
    let body = match path.as_str() {
        "/v1/chat/completions" if streamed => {
            wire.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
            let characters: Vec<char> = PLANTED.chars().collect();
            let mut stream = String::new();
            for piece in characters.chunks(5) {
                let delta = json!({"id": id, "model": "m", "choices": [{"index": 0, "delta": {"content": String::from_iter(piece)}}]});
                stream += &format!("data: {delta}\n\n");
            }
            stream += &format!("data: {}\n\ndata: [DONE]\n\n", json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}));
            for piece in stream.as_bytes().chunks(701) {
                wire.send_chunk(piece).await?;
            }
            return wire.send("0\r\n\r\n").await;
        }
        "/v1/chat/completions" => answer(json, &json!({"id": id, "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": sentence}, "finish_reason": "stop"}]}).to_string()),
        "/v1/completions" => answer(json, &json!({"id": id, "model": "m", "choices": [{"index": 0, "text": sentence}]}).to_string()),
        "/v1/responses" => answer(json, &json!({"id": id, "model": "m", "status": "completed", "output": [{"type": "message", "content": [{"type": "output_text", "text": sentence}]}]}).to_string()),
        "/api/generate" => answer("application/x-ndjson", &format!("{}\n{}\n", json!({"model": "m", "response": sentence, "done": false}), json!({"model": "m", "response": "", "done": true}))),
        "/v1/embeddings" => answer(json, &json!({"model": "m", "data": [{"embedding": [0.5]}]}).to_string()),
        _ => format!("HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{sentence}", sentence.to_string().len()).into_bytes(),
    };
    wire.send(body).await
}

async fn upstream() -> Upstream {
    Upstream::start(|mut wire, _| async move {
        while let Some(request) = wire.request().await {
            if parrot(&mut wire, &request).await.is_err() {
                return;
            }
        }
    })
    .await
    .unwrap()
}

/// Sends the sentence through every interface of the tap; the client must get it back unmasked.
async fn use_tap(agent: &Agent) {
    let client = reqwest::Client::new();
    let messages = json!([{"role": "user", "content": [{"type": "text", "text": PLANTED}, {"type": "image_url", "image_url": {"url": PLANTED}}]}]);
    let long = json!([{"role": "system", "content": "x".repeat(100_000)}, {"role": "user", "content": PLANTED}]);
    let cut = format!("{}{PLANTED}", "y ".repeat(8180)); // the cut at 16 KiB goes through the sentence
    for (path, body) in [
        ("/v1/chat/completions", json!({"model": "m", "messages": messages})),
        ("/v1/chat/completions", json!({"model": "m", "stream": true, "messages": long})),
        ("/v1/completions", json!({"model": "m", "prompt": cut})),
        ("/v1/responses", json!({"model": "m", "input": [{"role": "user", "content": PLANTED}]})),
        ("/v1/embeddings", json!({"model": "m", "input": [PLANTED, PLANTED]})),
        ("/api/generate", json!({"model": "m", "prompt": PLANTED})),
        ("/api/chat", json!({"model": "m", "messages": messages})),
    ] {
        let answer = client.post(agent.tap_url(path)).json(&body).send().await.unwrap();
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        let expected = if path == "/api/chat" { 400 } else { 200 };
        assert_eq!(status, expected, "{path}");
        assert!(
            path == "/v1/embeddings" || text.contains("stream") || text.contains("delta") || text.contains(PLANTED),
            "{text}"
        );
    }
}

/// Posts it to the API, in good requests and in bad ones; gives every answer.
async fn use_api(agent: &Agent) -> Vec<String> {
    let client = reqwest::Client::new();
    let exchange = |more: Value| {
        let mut all = json!({"id": "posted", "model": "m", "duration_seconds": 1});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let feedback = |more: Value| {
        let mut all = json!({"inference_id": "posted", "metric_name": "mine", "value": 1});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let mut answers = Vec::new();
    for (path, body, expected) in [
        ("exchanges", exchange(json!({"prompt": PLANTED, "response": PLANTED})), 202),
        ("exchanges", exchange(json!({"prompt": [PLANTED]})), 422),
        ("exchanges", exchange(json!({"outcome": PLANTED})), 422),
        ("exchanges", exchange(json!({PLANTED: 1})), 422),
        ("exchanges", exchange(json!({"duration_seconds": PLANTED})), 422),
        ("exchanges", json!(PLANTED), 422),
        (
            "feedback",
            feedback(
                json!({"tags": {"why": PLANTED, "user": "alice.liddell@wonder-land.org", "call": 13_812_345_678_u64}}),
            ),
            202,
        ),
        ("feedback", feedback(json!({"tags": {"alice.liddell@wonder-land.org": true}, "id": "k"})), 202),
        ("feedback", feedback(json!({"value": PLANTED})), 422),
        ("feedback", feedback(json!({"comment": PLANTED, "tags": PLANTED})), 422),
        ("feedback", feedback(json!({"tags": {"why": [PLANTED]}})), 422),
        ("feedback", feedback(json!({PLANTED: 1})), 422),
        ("feedback", json!([PLANTED]), 422),
    ] {
        let answer = client.post(agent.api_url(&format!("/api/v1/{path}"))).json(&body).send().await.unwrap();
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        assert_eq!(status, expected, "{path}: {text}");
        answers.push(text);
    }
    let broken = client
        .post(agent.api_url("/api/v1/exchanges"))
        .body(format!("{{\"prompt\": \"{PLANTED}"))
        .send()
        .await
        .unwrap();
    assert_eq!(broken.status().as_u16(), 400);
    answers.push(broken.text().await.unwrap());
    answers
}

/// Everything that can be read from outside.
async fn read_api(agent: &Agent) -> Vec<String> {
    let mut answers = vec![agent.scrape().await.unwrap()];
    for path in [
        "/api/v1/status",
        "/api/v1/alerts",
        "/api/v1/rules",
        "/api/v1/labels",
        "/api/v1/metadata",
        "/api/v1/outbox",
        "/api/v1/silences",
        "/api/v1/query?query=%7B__name__%3D~%22plimsoll_.*%22%7D",
        "/api/v1/series?match%5B%5D=%7B__name__%3D~%22plimsoll_.*%22%7D",
    ] {
        answers.push(get_text(&agent.api_url(path)).await.unwrap());
    }
    answers
}

/// Every file below `folder` but the configuration.
fn files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if !path.ends_with("plimsoll.yaml") {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
}

fn no_secret(whose: &str, bytes: &[u8]) {
    for secret in SECRETS {
        assert!(memchr::memmem::find(bytes, secret.as_bytes()).is_none(), "{whose} holds {secret}");
    }
}

/// Plays the whole story; gives the database.
async fn story(store_text: &str) -> (Agent, SqlitePool) {
    let upstream = upstream().await;
    let mut agent = Agent::before(&upstream.url())
        .set("log", json!({"level": "debug"}))
        .set("text", json!({"sample": 1.0}))
        .set("records", json!({"sample": 1.0, "store_text": store_text}))
        .start()
        .await
        .unwrap();
    use_tap(&agent).await;
    let mut answers = use_api(&agent).await;
    eventually("all is counted", Duration::from_secs(10), async || {
        let seen =
            plimsoll_tests::series(&agent.scrape().await.map_err(|e| e.to_string())?, "plimsoll_requests_total", &[]);
        if seen == Some(8.0) { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
    answers.extend(read_api(&agent).await);
    for answer in &answers {
        no_secret(answer, answer.as_bytes());
    }
    tokio::time::sleep(Duration::from_millis(1500)).await; // the tap's exchanges are written every second
    let mut alive = Vec::new();
    files(agent.folder.path(), &mut alive);
    agent.process.signal(libc::SIGTERM);
    assert!(agent.process.wait(Duration::from_secs(20)).is_some_and(|status| status.success()));
    files(agent.folder.path(), &mut alive);
    assert!(
        alive.iter().any(|(path, _)| path.ends_with("plimsoll.db"))
            && alive.iter().any(|(path, bytes)| path.ends_with("agent.log") && !bytes.is_empty())
    );
    for (path, bytes) in &alive {
        no_secret(path, bytes);
        let text = memchr::memmem::find(bytes, MARIGOLD.as_bytes()).is_some();
        assert!(!text || path.contains("plimsoll.db"), "{path} holds text"); // feedback's tags are stored in any case
    }
    let options = SqliteConnectOptions::new().filename(agent.folder.path().join("data/plimsoll.db"));
    let pool = SqlitePool::connect_with(options).await.unwrap();
    (agent, pool)
}

/// Endpoint, source, prompt, response, whether the prompt was cut.
type Row = (String, String, Option<String>, Option<String>, Option<bool>);

#[tokio::test(flavor = "multi_thread")]
async fn stored_text_has_tokens_where_secrets_were() {
    let (_agent, pool) = story("masked").await;
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT endpoint, source, prompt, response, prompt_truncated FROM exchanges ORDER BY endpoint, stream",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(rows.len(), 8, "{rows:?}");
    let mut emails = std::collections::BTreeSet::new();
    for (endpoint, source, prompt, response, truncated) in rows {
        if endpoint == "ollama_chat" {
            assert_eq!((prompt, response), (None, None), "nothing of a refused request");
            continue;
        }
        let prompt = prompt.unwrap();
        assert_eq!(truncated, Some(endpoint == "completions"), "{endpoint}");
        if endpoint == "completions" {
            assert!(prompt.len() <= 16 << 10 && prompt.contains("Write to") && !prompt.contains(MARIGOLD));
        }
        for text in [Some(prompt).filter(|_| endpoint != "completions"), response].into_iter().flatten() {
            for token in ["<EMAIL:", "<CARD:", "<API_KEY:", "<PHONE:"] {
                assert!(text.contains(token), "{endpoint} from {source}: no {token} in {text}");
            }
            assert!(text.contains(MARIGOLD), "{text}");
            let start = text.find("<EMAIL:").unwrap();
            emails.insert(text[start..].split('>').next().unwrap().to_owned());
        }
    }
    assert_eq!(emails.len(), 1, "the same address has the same token everywhere: {emails:?}");
    let tags: Vec<String> = sqlx::query_scalar("SELECT tags FROM feedback").fetch_all(&pool).await.unwrap();
    assert!(tags.len() == 2 && tags.iter().all(|tags| tags.contains("<EMAIL:")), "{tags:?}");
    assert!(tags.iter().any(|tags| tags.contains("\"call\":\"<PHONE:")), "{tags:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_not_stored_unless_asked_for() {
    let (_agent, pool) = story("none").await;
    let sql =
        "SELECT count(*) FROM exchanges WHERE coalesce(prompt, response, prompt_truncated, response_truncated) IS NULL";
    let without: i64 = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
    assert_eq!(without, 8);
}
