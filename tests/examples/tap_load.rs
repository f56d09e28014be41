//! Load for the tap's benchmarks, always bounded: `tap_load ADDRESS KIND CONNECTIONS REQUESTS [PACE FILE]` with KIND plain,
//! burst or slow. Each connection sends its next request when the answer before is complete, with PACE no sooner than so
//! many milliseconds after its last one began, and then each asks something else. Prints one JSON line: requests, seconds,
//! microseconds of latency (p50, p99) and of the first byte of the body (first_p50); FILE gets each latency.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context;
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

/// Stands in the question where each one has a number of its own.
const NUMBER: &str = "00000000";

#[derive(Default)]
struct Tally {
    left: Cell<usize>,
    whole: RefCell<Vec<u32>>,
    first: RefCell<Vec<u32>>,
}

fn body(kind: &str) -> anyhow::Result<String> {
    let flags = match kind {
        "plain" => "",
        "burst" => ",\"stream\":true",
        "slow" => ",\"stream\":true,\"slow\":true",
        other => anyhow::bail!("{other:?} is not a kind; plain, burst or slow"),
    };
    let words = "What is the answer to life, the universe and everything? ".repeat(4);
    Ok(format!(
        r#"{{"messages":[{{"role":"user","content":"{NUMBER} {words}"}}],"model":"bench","max_tokens":64{flags}}}"#
    ))
}

async fn client(
    address: SocketAddr,
    request: &[u8],
    streams: bool,
    pace: Duration,
    tally: &Tally,
) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(64 << 10);
    let (mut request, place) = (request.to_vec(), memmem::find(request, NUMBER.as_bytes()).context("no number")?);
    let mut ticks = (!pace.is_zero()).then(|| tokio::time::interval(pace));
    while tally.left.get() > 0 {
        tally.left.set(tally.left.get() - 1);
        buffer.clear();
        if let Some(ticks) = &mut ticks {
            ticks.tick().await;
            request[place..][..NUMBER.len()].copy_from_slice(format!("{:08}", tally.left.get()).as_bytes());
        }
        let begun = Instant::now();
        stream.write_all(&request).await?;
        let mut first = None;
        loop {
            anyhow::ensure!(stream.read_buf(&mut buffer).await? > 0, "the connection was closed");
            if first.is_none() && memmem::find(&buffer, if streams { b"data:" } else { b"{" }).is_some() {
                first = Some(begun.elapsed());
            }
            if buffer.ends_with(if streams { b"\r\n0\r\n\r\n" } else { b"\"kv_transfer_params\":null}" }) {
                break;
            }
        }
        let micros = |span: std::time::Duration| u32::try_from(span.as_micros()).unwrap_or(u32::MAX);
        tally.whole.borrow_mut().push(micros(begun.elapsed()));
        tally.first.borrow_mut().push(micros(first.unwrap_or_default()));
        anyhow::ensure!(buffer.starts_with(b"HTTP/1.1 200"), "not a 200");
    }
    Ok(())
}

fn quantile(values: &mut [u32], share: f64) -> u32 {
    values.sort_unstable();
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * share).round() as usize).copied().unwrap_or(0)
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (address, kind, connections, requests, paced) = match arguments.as_slice() {
        [address, kind, connections, requests] => (address, kind, connections, requests, None),
        [address, kind, connections, requests, pace, file] => {
            (address, kind, connections, requests, Some((pace, file)))
        }
        _ => anyhow::bail!("usage: tap_load ADDRESS plain|burst|slow CONNECTIONS REQUESTS [PACE FILE]"),
    };
    let pace = Duration::from_millis(paced.map_or(Ok(0), |(pace, _)| pace.parse()).context("PACE")?);
    let address: SocketAddr = address.parse().context("ADDRESS")?;
    anyhow::ensure!(address.ip().is_loopback(), "only loopback addresses are loaded");
    let (connections, requests): (usize, usize) = (connections.parse()?, requests.parse()?);
    let body = body(kind)?;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: {address}\r\nAccept: application/json\r\nContent-Type: application/json\r\nUser-Agent: OpenAI/Python 2.0\r\nAuthorization: Bearer none\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let request: Rc<[u8]> = (head + &body).into_bytes().into();
    let streams = kind != "plain";
    let tally = Rc::new(Tally::default());
    tally.left.set(requests);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let begun = Instant::now();
    LocalSet::new().block_on(&runtime, async {
        let clients: Vec<_> = (0..connections)
            .map(|_| {
                let (tally, request) = (tally.clone(), request.clone());
                tokio::task::spawn_local(async move { client(address, &request, streams, pace, &tally).await })
            })
            .collect();
        for client in clients {
            client.await??;
        }
        anyhow::Ok(())
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    if let Some((_, file)) = paced {
        let lines: String = tally.whole.borrow().iter().map(|micros| format!("{micros}\n")).collect();
        std::fs::write(file, lines).with_context(|| file.clone())?;
    }
    let (whole, first) = (&mut *tally.whole.borrow_mut(), &mut *tally.first.borrow_mut());
    let line = serde_json::json!({
        "requests": whole.len(), "seconds": seconds, "p50": quantile(whole, 0.5), "p99": quantile(whole, 0.99),
        "first_p50": quantile(first, 0.5),
    });
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}
