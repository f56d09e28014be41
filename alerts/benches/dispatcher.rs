//! Alerts delivered per second, CPU per alert and time from `notify` to the answer, against a receiver on loopback that
//! runs in a process of its own. `cargo bench -p plimsoll-alerts`.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints its numbers and may stop on an error")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use plimsoll_alerts::{
    AlertmanagerSink, Dispatcher, DispatcherOptions, Notification, OutboxLimits, Routing, Sink, Status, WebhookSink,
};
use plimsoll_rules::Timestamp;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const ALERTS: usize = 1000;
const ROUNDS: usize = 10;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if std::env::args().any(|argument| argument == "receive") {
        runtime.block_on(receive());
        return;
    }
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let mut child =
        Command::new(std::env::current_exe().unwrap()).arg("receive").stdout(Stdio::piped()).spawn().unwrap();
    let port = port_of(&mut child);
    let url = format!("http://127.0.0.1:{port}/");
    println!("{ROUNDS} rounds of {ALERTS} alerts; time and CPU of this process, receiver not included");
    for disk in [false, true] {
        let peer = AlertmanagerSink::new("sink", &url).unwrap().into();
        let hook = WebhookSink::new("sink", &url).unwrap().secret("a secret").unwrap().into();
        runtime.block_on(measure("alertmanager", peer, disk));
        runtime.block_on(measure("webhook", hook, disk));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn port_of(child: &mut Child) -> u16 {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    line.trim().parse().unwrap()
}

async fn measure(what: &str, sink: Sink, disk: bool) {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteConnectOptions::new().filename(folder.path().join("bench.db")).create_if_missing(true);
    let pool = SqlitePool::connect_with(options.journal_mode(SqliteJournalMode::Wal)).await.unwrap();
    let options = DispatcherOptions {
        sinks: vec![sink],
        routing: Routing::default(),
        pool: disk.then_some(pool),
        limits: OutboxLimits::default(),
        tracker: TaskTracker::new(),
        token: CancellationToken::new(),
        drain: Duration::ZERO,
    };
    let dispatcher = Dispatcher::start(options).await.unwrap();
    let (begun, cpu) = (Instant::now(), cpu_seconds());
    let mut told = Duration::ZERO;
    for round in 0..ROUNDS {
        let alerts: Vec<Notification> = (0..ALERTS).map(|i| alert(round, i)).collect();
        let before = Instant::now();
        dispatcher.notify(&alerts).await;
        told += before.elapsed();
        sent(&dispatcher, (ALERTS * (round + 1)) as u64).await;
    }
    let (wall, cpu, all) = (begun.elapsed().as_secs_f64(), cpu_seconds() - cpu, (ALERTS * ROUNDS) as f64);
    println!(
        "{what:12} disk {disk:5}: {:6.0} alerts/s, {:5.1} us CPU per alert, notify of {ALERTS} returns after {:4.1} ms, \
         one alert answered after {:.2} ms (median)",
        all / wall,
        cpu / all * 1e6,
        told.as_secs_f64() * 1e3 / ROUNDS as f64,
        median_latency(&dispatcher).await * 1e3,
    );
}

/// Seconds from `notify` to the receiver's answer, one alert at a time.
async fn median_latency(dispatcher: &Dispatcher) -> f64 {
    let mut seconds = Vec::new();
    for i in 0..200 {
        let (wanted, begun) = (dispatcher.stats()[0].sent + 1, Instant::now());
        let batch = [alert(ROUNDS, i)];
        tokio::join!(dispatcher.notify(&batch), async {
            // Busy, because a timer is coarser than what is measured.
            while dispatcher.stats()[0].sent < wanted {
                tokio::task::yield_now().await;
            }
            seconds.push(begun.elapsed().as_secs_f64());
        });
    }
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

async fn sent(dispatcher: &Dispatcher, wanted: u64) {
    while dispatcher.stats()[0].sent < wanted {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn alert(round: usize, i: usize) -> Notification {
    let labels = [("alertname", "HighCpu".to_owned()), ("model", format!("m{i}")), ("service", "chat".to_owned())];
    Notification {
        status: Status::Firing,
        labels: labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        annotations: [("summary".to_owned(), "CPU is at 93 % of its limit, threshold 85 %".to_owned())].into(),
        starts_at: Timestamp::from_millis(1_785_837_600_000 + round as i64),
        ends_at: Timestamp::from_millis(1_785_837_840_000),
        value: 0.93,
        generator_url: "http://127.0.0.1:9465/api/v1/alerts?alertname=HighCpu".to_owned(),
        expr: "plimsoll_cpu_utilization_ratio > 0.85".to_owned(),
    }
}

/// CPU time of this process so far, from `/proc/self/stat`, to a hundredth of a second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: f64 = fields[11..13].iter().map(|field| field.parse::<f64>().unwrap()).sum();
    ticks / 100.0
}

/// Answers every request with 200; prints its port first.
async fn receive() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        connections.spawn(async move {
            let mut buffer = Vec::new();
            while stream.read_buf(&mut buffer).await.unwrap_or(0) > 0 {
                while let Some(length) = request_length(&buffer).filter(|length| buffer.len() >= *length) {
                    buffer.drain(..length);
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                }
            }
        });
    }
}

fn request_length(buffer: &[u8]) -> Option<usize> {
    let head = buffer.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&buffer[..head]).unwrap();
    let length = text.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    Some(head + length.unwrap_or(0))
}
