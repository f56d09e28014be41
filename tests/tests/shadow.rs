//! The shadow model end to end: the worker over its socket, and the agent that keeps it and goes on without it.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use plimsoll_tests::{
    Agent, AgentBuilder, LlamaCpp, Process, Upstream, binary, eventually, free_port, get_json, get_text, series,
};
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::Connection as _;
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(60);

/// A folder of a tiny model of this repository.
fn model(name: &str) -> String {
    format!("{}/golden/shadow/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A worker on a port of its own.
struct Worker {
    process: Process,
    port: u16,
    _folder: TempDir,
}

impl Worker {
    async fn start(arguments: &[&str]) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port().unwrap());
        let mut command = Command::new(binary().unwrap());
        command.args(["shadow", "--listen", &format!("127.0.0.1:{port}")]).args(arguments);
        let process = Process::start(&mut command, &folder.path().join("worker.log")).unwrap();
        let worker = Self { process, port, _folder: folder };
        eventually("the worker is ready", SOON, async || get_json(&worker.url("/healthz")).await).await;
        worker
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    async fn ask(&self, path: &str, question: impl Into<reqwest::Body>) -> (u16, Value) {
        let answer = Client::new().post(self.url(path)).body(question).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

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

/// An engine that answers chats at once, and says how many requests wait in its queue.
async fn engine(waiting: Arc<AtomicUsize>) -> Upstream {
    let served = Arc::new(AtomicUsize::new(0));
    Upstream::start(move |mut wire, _| {
        let (waiting, served) = (waiting.clone(), served.clone());
        async move {
            while let Some(request) = wire.request().await {
                let body = if request.start.contains("/metrics") {
                    format!("vllm:num_requests_waiting{{model_name=\"m\"}} {}\n", waiting.load(Ordering::SeqCst))
                } else {
                    let id = served.fetch_add(1, Ordering::SeqCst);
                    json!({
                        "id": format!("chat-{id}"), "object": "chat.completion", "model": "m",
                        "choices": [{"index": 0, "finish_reason": "stop",
                            "message": {"role": "assistant", "content": format!("answer {id}")}}],
                        "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
                    })
                    .to_string()
                };
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                if wire.send(answer).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
    .unwrap()
}

fn watched(upstream: &str) -> AgentBuilder {
    Agent::before(upstream)
        .set("text.sample", json!(1.0))
        .set("records.sample", json!(1.0))
        .set("shadow", json!({"scorer": model("qwen3"), "sample": 1.0}))
}

/// One request through the tap: whether it was answered, and how long it took.
async fn chat(client: &Client, agent_tap: &str, number: usize) -> (bool, Duration) {
    let question = json!({"model": "m", "messages": [{"role": "user", "content": format!("question {number} for a@example.org")}]});
    let began = Instant::now();
    let sent = client.post(agent_tap).json(&question).send().await;
    let ok = match sent {
        Ok(answer) => answer.status().is_success() && answer.bytes().await.is_ok(),
        Err(_) => false,
    };
    (ok, began.elapsed())
}

async fn metric(agent: &Agent, name: &str, parts: &[&str]) -> f64 {
    series(&agent.scrape().await.unwrap(), name, parts).unwrap_or(0.0)
}

#[tokio::test]
async fn what_the_worker_says_becomes_signals_and_records() {
    let waiting = Arc::new(AtomicUsize::new(0));
    let upstream = engine(waiting.clone()).await;
    let agent = watched(&upstream.url()).start().await.unwrap();
    let (client, tap) = (Client::new(), agent.tap_url("/v1/chat/completions"));
    let mut number = 0;
    eventually("answers have been scored", SOON, async || {
        number += 1;
        assert!(chat(&client, &tap, number).await.0);
        let seen = metric(&agent, "plimsoll_response_nll_nats_count", &["model=\"m\""]).await;
        if seen >= 5.0 { Ok(()) } else { Err(seen) }
    })
    .await;
    eventually("the drift detectors have heard", SOON, async || {
        let signals = get_json(&agent.api_url("/api/v1/drift")).await?["data"]["signals"].clone();
        let known =
            |name: &str| signals.as_array().is_some_and(|all| all.iter().any(|signal| signal["signal"] == name));
        anyhow::ensure!(known("prompt_nll") && known("response_nll") && !known("shadow_embedding"), "{signals}");
        Ok(())
    })
    .await;
    let path = agent.folder.path().join("data/plimsoll.db");
    eventually("readings are in the records", SOON, async || {
        let mut db = sqlx::SqliteConnection::connect(&format!("sqlite://{}", path.display())).await?;
        let sql = "SELECT count(*) FROM readings JOIN exchanges ON id = exchange WHERE response_nll > 0 AND prompt_tokens > 0";
        let count: i64 = sqlx::query_scalar(sql).fetch_one(&mut db).await?;
        anyhow::ensure!(count >= 5, "{count}");
        Ok(())
    })
    .await;
    assert!(metric(&agent, "plimsoll_collector_up", &["source=\"shadow\""]).await > 0.0);
    assert!(metric(&agent, "plimsoll_shadow_resident_bytes", &[]).await > 1e6);

    // the served model comes first
    waiting.store(4, Ordering::SeqCst);
    eventually("the worker makes way", SOON, async || {
        number += 1;
        assert!(chat(&client, &tap, number).await.0);
        let skipped = metric(&agent, "plimsoll_dropped_total", &["what=\"shadow_busy\""]).await;
        if skipped > 0.0 { Ok(()) } else { Err(skipped) }
    })
    .await;
}

#[tokio::test]
async fn another_server_of_embeddings_does_too() {
    let Some(other) = LlamaCpp::embedding().await.unwrap() else { return };
    let upstream = engine(Arc::default()).await;
    let shadow = json!({"url": format!("http://127.0.0.1:{}/v1", other.port), "model": "tiny", "sample": 1.0});
    let agent = watched(&upstream.url()).set("shadow", shadow).start().await.unwrap();
    let (client, tap) = (Client::new(), agent.tap_url("/v1/chat/completions"));
    let mut number = 0;
    eventually("vectors reach the detectors", SOON, async || {
        number += 1;
        assert!(chat(&client, &tap, number).await.0);
        let seen = metric(&agent, "plimsoll_drift_observations_total", &["signal=\"shadow_embedding\""]).await;
        if seen >= 3.0 { Ok(()) } else { Err(seen) }
    })
    .await;
    drop(other);
    eventually("its end is seen", SOON, async || {
        number += 1;
        assert!(chat(&client, &tap, number).await.0);
        let up = metric(&agent, "plimsoll_collector_up", &["source=\"shadow\""]).await;
        if up == 0.0 { Ok(()) } else { Err(up) }
    })
    .await;
}

/// Kills the worker again and again while requests pass the tap: as often as `PLIMSOLL_KILLS` says.
#[expect(clippy::disallowed_methods, reason = "how long a test runs is no configuration")]
#[tokio::test(flavor = "multi_thread")]
async fn the_tap_does_not_notice_that_the_worker_dies() {
    let kills = std::env::var("PLIMSOLL_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let upstream = engine(Arc::default()).await;
    let agent = watched(&upstream.url()).start().await.unwrap();
    let socket = agent.folder.path().join("data/shadow.sock");
    let undisturbed =
        load(&agent, async || eventually("the worker is ready", SOON, async || healthy(&socket).await).await).await;
    let disturbed = load(&agent, async || {
        for _ in 0..kills {
            eventually("the worker is back", 5 * SOON, async || healthy(&socket).await).await;
            tokio::time::sleep(Duration::from_millis(5_200)).await; // a child that lives longer is started again at once
            assert!(kill_worker(&socket), "it was healthy");
        }
    })
    .await;
    println!("killed {kills} times: {disturbed}; before: {undisturbed}");
    assert_eq!((undisturbed.failed, disturbed.failed), (0, 0));
    for outcome in ["broken_stream", "unreachable", "timeout", "server_error"] {
        let label = format!("outcome=\"{outcome}\"");
        assert_eq!(metric(&agent, "plimsoll_requests_total", &[&label]).await, 0.0, "{outcome}");
    }
    assert!(metric(&agent, "plimsoll_shadow_restarts_total", &[]).await >= f64::from(kills) - 1.0);
    eventually("the worker reads again", 5 * SOON, async || {
        chat(&Client::new(), &agent.tap_url("/v1/chat/completions"), 0).await;
        let up = metric(&agent, "plimsoll_collector_up", &["source=\"shadow\""]).await;
        if up > 0.0 { Ok(()) } else { Err(up) }
    })
    .await;
}

/// Kills the process whose command line names this socket.
fn kill_worker(socket: &std::path::Path) -> bool {
    let place = format!("unix:{}", socket.display());
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mut workers = ids.filter(|id| {
        let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| word == place.as_bytes())
    });
    workers.next().is_some_and(|id| Command::new("kill").args(["-9", &id.to_string()]).status().unwrap().success())
}

async fn healthy(socket: &std::path::Path) -> anyhow::Result<()> {
    let client = Client::builder().unix_socket(socket).build()?;
    client.get("http://worker/healthz").send().await?.error_for_status()?;
    Ok(())
}

/// What requests took while something went on.
struct Taken {
    count: usize,
    failed: usize,
    p50: Duration,
    p99: Duration,
}

impl std::fmt::Display for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { count, failed, p50, p99 } = self;
        write!(f, "{count} requests, {failed} failed, p50 {p50:.1?}, p99 {p99:.1?}")
    }
}

/// Two clients with 50 requests a second each for as long as `meanwhile` takes, and at least three seconds.
async fn load(agent: &Agent, meanwhile: impl AsyncFnOnce()) -> Taken {
    let (over, tap) = (Arc::new(AtomicBool::new(false)), agent.tap_url("/v1/chat/completions"));
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..2 {
        let (over, tap) = (over.clone(), tap.clone());
        clients.spawn(async move {
            let (http, mut taken) = (Client::new(), Vec::new());
            let mut ticks = tokio::time::interval(Duration::from_millis(20));
            while !over.load(Ordering::SeqCst) {
                ticks.tick().await;
                taken.push(chat(&http, &tap, taken.len() * 2 + client).await);
            }
            taken
        });
    }
    tokio::join!(meanwhile(), tokio::time::sleep(Duration::from_secs(3)));
    over.store(true, Ordering::SeqCst);
    let taken = clients.join_all().await.concat();
    let mut times: Vec<Duration> = taken.iter().map(|(_, time)| *time).collect();
    times.sort_unstable();
    let failed = taken.iter().filter(|(ok, _)| !ok).count();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    Taken { count: taken.len(), failed, p50: at(0.5), p99: at(0.99) }
}
