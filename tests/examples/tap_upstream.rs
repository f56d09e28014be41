//! The fastest engine there is: answers OpenAI requests from prepared bytes, so that a benchmark measures what stands in
//! front of it. `tap_upstream PORT`; `/v1/chat/completions` answers plainly, a request that has `"stream":true` gets
//! server-sent events: 64 at once, or 32 with 2 ms between them when it also has `"slow":true`.

use std::time::Duration;

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

const BURST: usize = 64;
const SLOW: usize = 32;
const PAUSE: Duration = Duration::from_millis(2);

const PLAIN: &str = r#"{"id":"chatcmpl-a48b68082c3533b0","object":"chat.completion","created":1795467004,"model":"bench","choices":[{"index":0,"message":{"role":"assistant","content":"Forty-two is what the machine said after a long time, and nobody knew the question.","refusal":null,"annotations":null,"audio":null,"function_call":null,"reasoning":null},"logprobs":null,"finish_reason":"stop","stop_reason":null,"token_ids":null}],"service_tier":null,"system_fingerprint":"bench","usage":{"prompt_tokens":22,"total_tokens":42,"completion_tokens":20,"prompt_tokens_details":null},"prompt_logprobs":null,"kv_transfer_params":null}"#;
const EVENT: &str = "data: {\"id\":\"chatcmpl-af1edf3b4a11cbe2\",\"object\":\"chat.completion.chunk\",\"created\":1795467004,\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},\"logprobs\":null,\"finish_reason\":null,\"token_ids\":null}]}\n\n";
const LAST: &str = "data: {\"id\":\"chatcmpl-af1edf3b4a11cbe2\",\"object\":\"chat.completion.chunk\",\"created\":1795467004,\"model\":\"bench\",\"choices\":[],\"usage\":{\"prompt_tokens\":22,\"total_tokens\":86,\"completion_tokens\":64}}\n\n";
const SSE: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

/// Length of the first request in `buffer`, when it is there whole.
fn request(buffer: &[u8]) -> Option<usize> {
    let head = memmem::find(buffer, b"\r\n\r\n")? + 4;
    let lower = buffer[..head].to_ascii_lowercase();
    let length = memmem::find(&lower, b"content-length:").map_or(0, |at| {
        let digits = lower[at + 15..].iter().skip_while(|byte| **byte == b' ').take_while(|byte| byte.is_ascii_digit());
        digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'))
    });
    (buffer.len() >= head + length).then_some(head + length)
}

async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let plain = format!(
        "HTTP/1.1 200 OK\r\nserver: bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{PLAIN}",
        PLAIN.len()
    );
    let (event, last, done) = (chunk(EVENT), chunk(LAST), b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
    let mut buffer = Vec::with_capacity(8192);
    loop {
        let Some(length) = request(&buffer) else {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let stream_wanted = memmem::find(&buffer[..length], b"\"stream\":true").is_some();
        let slow = memmem::find(&buffer[..length], b"\"slow\":true").is_some();
        buffer.drain(..length);
        if !stream_wanted {
            stream.write_all(plain.as_bytes()).await?;
            continue;
        }
        stream.write_all(SSE.as_bytes()).await?;
        for _ in 0..if slow { SLOW } else { BURST } {
            if slow {
                tokio::time::sleep(PAUSE).await;
            }
            stream.write_all(&event).await?;
        }
        stream.write_all(&last).await?;
        stream.write_all(done).await?;
    }
}

fn main() -> anyhow::Result<()> {
    let port: u16 = std::env::args().nth(1).unwrap_or_default().parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::task::spawn_local(async move {
                // A client that goes away is no news here.
                let _ = serve(stream).await;
            });
        }
    })
}
