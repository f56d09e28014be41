//! A receiver on loopback that answers by script and remembers what it was sent.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How one request is answered.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// With a status, more header lines, and a body.
    Status(u16, &'static str, &'static str),
    /// With 200, after this long.
    Slow(Duration),
    /// With 200 and a body that never ends.
    Endless,
    /// By closing the connection in the middle of the request.
    Reset,
    /// As Alertmanager: alerts with the label `bad` are refused with 400, the others accepted all the same.
    Picky,
}

pub(crate) const OK: Reply = Reply::Status(200, "", "");

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) at: Instant,
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// `alertname` of every alert of an Alertmanager request.
    pub(crate) fn names(&self) -> Vec<String> {
        let alerts = self.json();
        alerts.as_array().unwrap().iter().map(|a| a["labels"]["alertname"].as_str().unwrap().to_owned()).collect()
    }
}

/// See the module. Stops when dropped.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    /// Answers by `script`, then always with the last entry.
    pub(crate) async fn start(script: &[Reply]) -> Self {
        Self::on(0, script).await
    }

    /// The same on a given port.
    pub(crate) async fn on(port: u16, script: &[Reply]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, script) = (Arc::default(), Arc::new(Mutex::new(script.iter().cloned().collect::<VecDeque<_>>())));
        let task = start(accept(listener, Arc::clone(&seen), script));
        Self { port, seen, task }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Closes the port, which is free again when this returns.
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    /// Requests so far.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until `wanted` requests have come.
    pub(crate) async fn requests(&self, wanted: usize) -> Vec<Request> {
        crate::eventually("requests", || (self.seen().len() >= wanted).then(|| self.seen())).await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's own server; aborted with it")]
fn start(task: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
    tokio::spawn(task)
}

async fn accept(listener: TcpListener, seen: Arc<Mutex<Vec<Request>>>, script: Arc<Mutex<VecDeque<Reply>>>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (seen, script) = (seen.clone(), script.clone());
        connections.spawn(async move {
            let _ = serve(stream, &seen, &script).await;
        });
    }
}

async fn serve(
    mut stream: TcpStream,
    seen: &Mutex<Vec<Request>>,
    script: &Mutex<VecDeque<Reply>>,
) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    while let Some(request) = read(&mut stream, &mut buffer).await? {
        let reply = {
            let mut script = script.lock().unwrap();
            if script.len() > 1 { script.pop_front() } else { script.front().cloned() }.unwrap_or(OK)
        };
        seen.lock().unwrap().push(request.clone());
        match reply {
            Reply::Status(status, headers, body) => answer(&mut stream, status, headers, body).await?,
            Reply::Slow(wait) => {
                tokio::time::sleep(wait).await;
                answer(&mut stream, 200, "", "").await?;
            }
            Reply::Endless => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n").await?;
                std::future::pending::<()>().await;
            }
            Reply::Reset => return Ok(()),
            Reply::Picky if request.body.contains("\"bad\"") => answer(&mut stream, 400, "", "bad label").await?,
            Reply::Picky => answer(&mut stream, 200, "", "").await?,
        }
    }
    Ok(())
}

async fn answer(stream: &mut TcpStream, status: u16, headers: &str, body: &str) -> std::io::Result<()> {
    let text = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).await
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<Option<Request>> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let mut lines = head.trim_end().split("\r\n");
    let line = lines.next().unwrap_or_default().to_owned();
    let pairs = lines.filter_map(|line| line.split_once(": "));
    let headers: BTreeMap<String, String> = pairs.map(|(k, v)| (k.to_lowercase(), v.to_owned())).collect();
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    while buffer.len() < end + length {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    let body = String::from_utf8_lossy(&buffer[end..end + length]).into_owned();
    buffer.drain(..end + length);
    Ok(Some(Request { at: Instant::now(), line, headers, body }))
}
