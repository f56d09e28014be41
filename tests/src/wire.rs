//! HTTP/1.1 as it is on the wire: heads as the lines that came, bodies with their framing undone, ends as they happened.
//! A client library would hide just what the tests of a transparent proxy must see.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    None,
    Length(usize),
    Chunked,
    UntilClose,
}

/// How a message came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As its framing says.
    Complete,
    /// The connection ended before.
    Broken,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Request or status line.
    pub start: String,
    /// Header lines in their order and case, as Latin-1.
    pub headers: Vec<String>,
    /// The body, chunked framing undone.
    pub body: Vec<u8>,
    /// Trailer lines.
    pub trailers: Vec<String>,
    /// How it ended.
    pub end: End,
}

impl Message {
    /// The value of the first header called `name`, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        value_of(&self.headers, name)
    }

    /// Status code of a response, 0 of anything else.
    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    /// Header lines sorted, without those that concern a single connection only (RFC 9110, 7.6.1).
    pub fn end_to_end(&self) -> Vec<String> {
        let hop = ["connection", "keep-alive"];
        let mut lines = self.headers.clone();
        lines.retain(|line| !hop.contains(&line.split(':').next().unwrap_or("").to_ascii_lowercase().as_str()));
        lines.sort();
        lines
    }
}

fn value_of<'a>(lines: &'a [String], name: &str) -> Option<&'a str> {
    lines.iter().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// One end of a connection.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl From<TcpStream> for Wire {
    fn from(stream: TcpStream) -> Self {
        let _ = stream.set_nodelay(true);
        Self { stream, buffer: Vec::new() }
    }
}

impl Wire {
    /// Connects to `address`.
    ///
    /// # Errors
    /// Nobody listens.
    pub async fn connect(address: std::net::SocketAddr) -> io::Result<Self> {
        Ok(TcpStream::connect(address).await?.into())
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await
    }

    /// Sends one chunk of chunked framing.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send_chunk(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let bytes = bytes.as_ref();
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.send(chunk).await
    }

    /// Ends the connection with a reset instead of an orderly close.
    pub fn reset(self) {
        let _ = self.stream.set_zero_linger();
    }

    /// Waits for the peer to end the connection, reading and forgetting what it still sends; `false` after `limit`.
    pub async fn is_closed_within(&mut self, limit: Duration) -> bool {
        let drain = async {
            let mut scratch = [0; 4096];
            while matches!(self.stream.read(&mut scratch).await, Ok(n) if n > 0) {}
        };
        timeout(limit, drain).await.is_ok()
    }

    /// Bytes that have arrived by now, at least one unless the connection has ended.
    ///
    /// # Errors
    /// The connection was reset.
    pub async fn some(&mut self) -> io::Result<Vec<u8>> {
        if self.buffer.is_empty() {
            self.fill().await?;
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    async fn fill(&mut self) -> io::Result<bool> {
        let mut scratch = vec![0; 64 << 10];
        let read = self.stream.read(&mut scratch).await?;
        self.buffer.extend_from_slice(&scratch[..read]);
        Ok(read > 0)
    }

    /// One request; `None` when the connection ends before a head is complete.
    pub async fn request(&mut self) -> Option<Message> {
        let (start, headers) = self.head().await?;
        let framing = if value_of(&headers, "transfer-encoding").is_some() {
            Framing::Chunked
        } else {
            length(&headers).map_or(Framing::None, Framing::Length)
        };
        Some(self.rest(start, headers, framing).await)
    }

    /// The head of a request only.
    pub async fn request_head(&mut self) -> Option<Message> {
        let (start, headers) = self.head().await?;
        Some(self.rest(start, headers, Framing::None).await)
    }

    /// One response to a request with `method`; `None` when the connection ends before a head is complete.
    pub async fn response(&mut self, method: &str) -> Option<Message> {
        let (start, headers) = self.head().await?;
        let status = start.split(' ').nth(1).unwrap_or("");
        let bodiless = method == "HEAD" || status.starts_with('1') || status == "204" || status == "304";
        let framing = match length(&headers) {
            _ if bodiless => Framing::None,
            _ if value_of(&headers, "transfer-encoding").is_some() => Framing::Chunked,
            Some(length) => Framing::Length(length),
            None => Framing::UntilClose,
        };
        Some(self.rest(start, headers, framing).await)
    }

    async fn head(&mut self) -> Option<(String, Vec<String>)> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
                let text: String = head[..end].iter().map(|byte| char::from(*byte)).collect();
                let mut lines = text.split("\r\n").map(str::to_owned);
                return Some((lines.next()?, lines.collect()));
            }
            if !self.fill().await.ok()? {
                return None;
            }
        }
    }

    async fn rest(&mut self, start: String, headers: Vec<String>, framing: Framing) -> Message {
        let mut message = Message { start, headers, body: Vec::new(), trailers: Vec::new(), end: End::Complete };
        let whole = match framing {
            Framing::None => Some(()),
            Framing::Length(length) => self.take(length, &mut message.body).await,
            Framing::Chunked => self.chunks(&mut message).await,
            Framing::UntilClose => {
                let orderly = loop {
                    match self.fill().await {
                        Ok(true) => {}
                        Ok(false) => break Some(()),
                        Err(_) => break None,
                    }
                };
                message.body = std::mem::take(&mut self.buffer);
                orderly
            }
        };
        if whole.is_none() {
            message.end = End::Broken;
        }
        message
    }

    /// Moves exactly `length` bytes to `body`, or what there is when the connection ends before.
    async fn take(&mut self, length: usize, body: &mut Vec<u8>) -> Option<()> {
        let goal = body.len() + length;
        loop {
            let part = self.buffer.len().min(goal - body.len());
            body.extend(self.buffer.drain(..part));
            if body.len() == goal {
                return Some(());
            }
            if !matches!(self.fill().await, Ok(true)) {
                return None;
            }
        }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Some(line[..end].iter().map(|byte| char::from(*byte)).collect());
            }
            if !self.fill().await.ok()? {
                return None;
            }
        }
    }

    async fn chunks(&mut self, message: &mut Message) -> Option<()> {
        loop {
            let size = self.line().await?;
            let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
            if size == 0 {
                break;
            }
            self.take(size, &mut message.body).await?;
            self.line().await?;
        }
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Some(());
            }
            message.trailers.push(line);
        }
    }
}

fn length(headers: &[String]) -> Option<usize> {
    value_of(headers, "content-length").and_then(|value| value.parse().ok())
}
