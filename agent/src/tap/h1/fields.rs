//! Header fields as a proxy sees them: which frame the message, which concern one connection only, which pass.

use httparse::Header;

use super::head::BadHead;

/// Most header lines.
pub(super) const LINES: usize = 128;

/// What a header line is to a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Keep,
    Drop,
    Connection,
    Upgrade,
    Te,
    Length,
    Encoding,
    Host,
    ContentType,
    ContentEncoding,
    RequestId,
}

impl Kind {
    fn of(name: &str) -> Self {
        // The length sorts most names out before any letter is compared.
        let (known, kind) = match name.len() {
            2 => ("te", Self::Te),
            4 => ("host", Self::Host),
            7 => ("upgrade", Self::Upgrade),
            10 if name.as_bytes()[0] | 0x20 == b'c' => ("connection", Self::Connection),
            10 => ("keep-alive", Self::Drop),
            12 if name.as_bytes()[0] | 0x20 == b'c' => ("content-type", Self::ContentType),
            12 => ("x-request-id", Self::RequestId),
            14 if name.as_bytes()[0] | 0x20 == b'c' => ("content-length", Self::Length),
            14 => ("http2-settings", Self::Drop),
            16 if name.as_bytes()[0] | 0x20 == b'c' => ("content-encoding", Self::ContentEncoding),
            16 => ("proxy-connection", Self::Drop),
            17 => ("transfer-encoding", Self::Encoding),
            _ => return Self::Keep,
        };
        if name.eq_ignore_ascii_case(known) { kind } else { Self::Keep }
    }
}

/// What the header lines say together.
#[derive(Default)]
pub(super) struct Lines {
    pub(super) length: Option<u64>,
    pub(super) encoding: bool,
    /// `chunked` is the last encoding, and stands there once.
    pub(super) chunked: bool,
    /// Something follows `chunked`.
    after_chunked: bool,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    /// `Connection` lists `upgrade`.
    pub(super) upgrade: bool,
    /// `Upgrade` names something else than HTTP/2.
    pub(super) upgrade_to: bool,
    pub(super) trailers: bool,
    pub(super) host: bool,
}

pub(super) fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

impl Lines {
    /// Reads all lines; `kinds` gets what each is, and what `Connection` lists is dropped.
    pub(super) fn read(headers: &[Header<'_>], kinds: &mut [Kind; LINES]) -> Result<Self, BadHead> {
        let mut lines = Self::default();
        let mut listed = false;
        for (header, kind) in headers.iter().zip(kinds.iter_mut()) {
            *kind = Kind::of(header.name);
            match *kind {
                Kind::Connection => listed |= lines.connection(header.value),
                Kind::Upgrade => lines.upgrade_to |= !header.value.eq_ignore_ascii_case(b"h2c"),
                Kind::Te => lines.trailers |= tokens(header.value).any(|t| t.eq_ignore_ascii_case(b"trailers")),
                Kind::Length => lines.content_length(header.value, kind)?,
                Kind::Encoding => {
                    lines.encoding = true;
                    for token in tokens(header.value) {
                        lines.after_chunked |= lines.chunked;
                        lines.chunked = token.eq_ignore_ascii_case(b"chunked");
                    }
                }
                Kind::Host if lines.host => return Err(BadHead::Host),
                Kind::Host => lines.host = true,
                _ => {}
            }
        }
        if listed {
            drop_listed(headers, kinds);
        }
        lines.chunked &= !lines.after_chunked;
        Ok(lines)
    }

    /// Gives whether it lists names of other fields.
    fn connection(&mut self, value: &[u8]) -> bool {
        let mut others = false;
        for token in tokens(value) {
            match token {
                _ if token.eq_ignore_ascii_case(b"close") => self.close = true,
                _ if token.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
                _ if token.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
                _ => others = true,
            }
        }
        others
    }

    fn content_length(&mut self, value: &[u8], kind: &mut Kind) -> Result<(), BadHead> {
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return Err(BadHead::Length);
        }
        let text = std::str::from_utf8(value).map_err(|_| BadHead::Length)?;
        let length = text.parse().map_err(|_| BadHead::Length)?;
        match self.length.replace(length) {
            // The same once more is passed on once.
            Some(before) if before == length => *kind = Kind::Drop,
            Some(_) => return Err(BadHead::Length),
            None => {}
        }
        Ok(())
    }
}

/// RFC 9110, 7.6.1: what `Connection` lists goes no further, but what frames the message or is dealt with apart.
pub(super) fn drop_listed(headers: &[Header<'_>], kinds: &mut [Kind; LINES]) {
    let lists = headers.iter().zip(*kinds).filter(|(_, kind)| *kind == Kind::Connection);
    for token in lists.flat_map(|(header, _)| tokens(header.value)) {
        for (header, kind) in headers.iter().zip(kinds.iter_mut()) {
            let free = matches!(kind, Kind::Keep | Kind::ContentType | Kind::ContentEncoding | Kind::RequestId);
            if free && header.name.as_bytes().eq_ignore_ascii_case(token) && !token.eq_ignore_ascii_case(b"trailer") {
                *kind = Kind::Drop;
            }
        }
    }
}

/// Writes the lines that `keep` says to `out`, byte for byte in runs where they follow one another.
pub(super) fn write_lines(bytes: &[u8], headers: &[Header<'_>], out: &mut Vec<u8>, keep: impl Fn(usize) -> bool) {
    let start = |header: &Header<'_>| header.name.as_ptr() as usize - bytes.as_ptr() as usize;
    // The head ends with an empty line, which is not a header's.
    let end = bytes.len() - if bytes.ends_with(b"\r\n") { 2 } else { 1 };
    for (i, header) in headers.iter().enumerate() {
        if !keep(i) {
            continue;
        }
        let line = &bytes[start(header)..headers.get(i + 1).map_or(end, start)];
        if line.ends_with(b"\r\n") {
            out.extend_from_slice(line);
        } else {
            // A bare LF: hops need not agree on it.
            out.extend_from_slice(line.trim_ascii_end());
            out.extend_from_slice(b"\r\n");
        }
    }
}

pub(super) fn value_of(headers: &[Header<'_>], kinds: &[Kind; LINES], kind: Kind) -> Option<Vec<u8>> {
    let at = kinds.iter().take(headers.len()).position(|other| *other == kind)?;
    Some(headers[at].value.to_vec())
}
