//! What the stories of the shadow model share: a worker, an engine, an agent that has one, and load.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use plimsoll_tests::{Agent, AgentBuilder, Process, Upstream, binary, eventually, free_port, get_json, series};
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

pub const SOON: Duration = Duration::from_secs(60);

/// A folder of a tiny model of this repository.
pub fn model(name: &str) -> String {
    format!("{}/golden/shadow/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A worker on a port of its own.
pub struct Worker {
    pub process: Process,
    pub port: u16,
    _folder: TempDir,
}

impl Worker {
    pub async fn start(arguments: &[&str]) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port().unwrap());
        let mut command = Command::new(binary().unwrap());
        command.args(["shadow", "--listen", &format!("127.0.0.1:{port}")]).args(arguments);
        let process = Process::start(&mut command, &folder.path().join("worker.log")).unwrap();
        let worker = Self { process, port, _folder: folder };
        eventually("the worker is ready", SOON, async || get_json(&worker.url("/healthz")).await).await;
        worker
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub async fn ask(&self, path: &str, question: impl Into<reqwest::Body>) -> (u16, Value) {
        let answer = Client::new().post(self.url(path)).body(question).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

/// An engine that answers chats at once, and says how many requests wait in its queue.
pub async fn engine(waiting: Arc<AtomicUsize>) -> Upstream {
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

pub fn watched(upstream: &str) -> AgentBuilder {
    Agent::before(upstream)
        .set("text.sample", json!(1.0))
        .set("records.sample", json!(1.0))
        .set("shadow", json!({"scorer": model("qwen3"), "sample": 1.0}))
}

/// One request through the tap: whether it was answered, and how long it took.
pub async fn chat(client: &Client, agent_tap: &str, number: usize) -> (bool, Duration) {
    let question = json!({"model": "m", "messages": [{"role": "user", "content": format!("question {number} for a@example.org")}]});
    let began = Instant::now();
    let sent = client.post(agent_tap).json(&question).send().await;
    let ok = match sent {
        Ok(answer) => answer.status().is_success() && answer.bytes().await.is_ok(),
        Err(_) => false,
    };
    (ok, began.elapsed())
}

pub async fn metric(agent: &Agent, name: &str, parts: &[&str]) -> f64 {
    series(&agent.scrape().await.unwrap(), name, parts).unwrap_or(0.0)
}

/// Sends a signal, such as `-9`, to the process whose command line names this socket; whether there is one.
pub fn signal_worker(socket: &Path, signal: &str) -> bool {
    let place = format!("unix:{}", socket.display());
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mut workers = ids.filter(|id| {
        let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| word == place.as_bytes())
    });
    workers.next().is_some_and(|id| Command::new("kill").args([signal, &id.to_string()]).status().unwrap().success())
}

pub async fn healthy(socket: &Path) -> anyhow::Result<()> {
    let client = Client::builder().unix_socket(socket).build()?;
    client.get("http://worker/healthz").send().await?.error_for_status()?;
    Ok(())
}

/// What requests took while something went on.
pub struct Taken {
    pub count: usize,
    pub failed: usize,
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
pub async fn load(agent: &Agent, meanwhile: impl AsyncFnOnce()) -> Taken {
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
