//! Where a body of HTTP/1.1 ends (RFC 9112, 6 and 7). Bodies pass with their framing as it is, so this only watches.

use memchr::memchr;

/// A body that cannot be followed, and must therefore not be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("chunked framing is broken: {0}")]
pub(in crate::tap) struct BadChunk(&'static str);

/// Longest chunk extension.
const EXTENSION: usize = 4 << 10;
/// Longest trailer section.
const TRAILERS: usize = 64 << 10;

/// How far a body has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// Nothing, or nothing more.
    Over,
    /// This many bytes are to come.
    Length(u64),
    /// In chunks.
    Chunked(Chunks),
    /// To the end of the connection.
    UntilClose,
}

/// The place in a chunked body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Chunks {
    /// Before the first digit of a size.
    #[default]
    Start,
    /// In a size.
    Size(u64),
    /// In a chunk extension of this length.
    Extension(u64, usize),
    /// Before the LF that ends the line of a size.
    SizeEnd(u64),
    /// This much data is to come.
    Data(u64),
    /// Before the CR and the LF after data.
    DataCr,
    DataLf,
    /// At the beginning of a trailer line; so much of the trailers has been read.
    Trailer(usize),
    /// In one.
    TrailerLine(usize),
    /// Before its LF.
    TrailerLf(usize),
    /// Before the last LF.
    End,
}

impl Body {
    /// Whether it has come to its end.
    pub(super) fn is_over(&self) -> bool {
        *self == Self::Over
    }

    /// Reads on in `bytes`; gives how many of them belong to this body, and each piece of content to `content`.
    ///
    /// # Errors
    /// The chunked framing is broken.
    pub(super) fn advance(&mut self, bytes: &[u8], content: &mut impl FnMut(&[u8])) -> Result<usize, BadChunk> {
        match self {
            Self::Over => Ok(0),
            Self::UntilClose => {
                content(bytes);
                Ok(bytes.len())
            }
            Self::Length(left) => {
                let part = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                content(&bytes[..part]);
                *left -= part as u64;
                if *left == 0 {
                    *self = Self::Over;
                }
                Ok(part)
            }
            Self::Chunked(chunks) => {
                let (used, over) = chunks.advance(bytes, content)?;
                if over {
                    *self = Self::Over;
                }
                Ok(used)
            }
        }
    }
}

impl Chunks {
    fn advance(&mut self, bytes: &[u8], content: &mut impl FnMut(&[u8])) -> Result<(usize, bool), BadChunk> {
        let mut at = 0;
        while at < bytes.len() {
            match *self {
                Self::Data(left) => {
                    let part = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - at);
                    content(&bytes[at..at + part]);
                    at += part;
                    let left = left - part as u64;
                    *self = if left == 0 { Self::DataCr } else { Self::Data(left) };
                }
                Self::TrailerLine(read) => {
                    let part = memchr(b'\r', &bytes[at..]).map_or(bytes.len() - at, |end| end + 1);
                    if memchr(b'\n', &bytes[at..at + part]).is_some() {
                        return Err(BadChunk("a trailer line ends without CR"));
                    }
                    at += part;
                    let read = within(read + part, TRAILERS, "trailers are too long")?;
                    *self = if bytes[at - 1] == b'\r' { Self::TrailerLf(read) } else { Self::TrailerLine(read) };
                }
                Self::End if bytes[at] == b'\n' => return Ok((at + 1, true)),
                _ => {
                    *self = self.step(bytes[at])?;
                    at += 1;
                }
            }
        }
        Ok((at, false))
    }

    /// One byte of framing.
    fn step(self, byte: u8) -> Result<Self, BadChunk> {
        Ok(match (self, byte) {
            (Self::Start, _) => Self::Size(digit(byte).ok_or(BadChunk("a size has no digit"))?),
            (Self::Size(size), b'\r') => Self::SizeEnd(size),
            (Self::Size(size), b';' | b' ' | b'\t') => Self::Extension(size, 0),
            (Self::Size(size), _) => {
                let digit = digit(byte).ok_or(BadChunk("a size has a byte that is no digit"))?;
                let size = size.checked_mul(16).ok_or(BadChunk("a size is too large"))?;
                Self::Size(size | digit)
            }
            (Self::Extension(size, _), b'\r') => Self::SizeEnd(size),
            (Self::Extension(..), b'\n') => return Err(BadChunk("a size line ends without CR")),
            (Self::Extension(size, read), _) => {
                Self::Extension(size, within(read + 1, EXTENSION, "a chunk extension is too long")?)
            }
            (Self::SizeEnd(0), b'\n') => Self::Trailer(0),
            (Self::SizeEnd(size), b'\n') => Self::Data(size),
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::Start,
            (Self::Trailer(_), b'\r') => Self::End,
            (Self::Trailer(_), b'\n') => return Err(BadChunk("a trailer line ends without CR")),
            (Self::Trailer(read), _) => Self::TrailerLine(read + 1),
            (Self::TrailerLf(read), b'\n') => Self::Trailer(read),
            _ => return Err(BadChunk("a line break is missing")),
        })
    }
}

fn digit(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

fn within(length: usize, limit: usize, why: &'static str) -> Result<usize, BadChunk> {
    if length > limit { Err(BadChunk(why)) } else { Ok(length) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Content, bytes used, and whether the body came to its end; an error's words.
    type Read = Result<(Vec<u8>, usize, bool), &'static str>;

    fn read(mut body: Body, pieces: &[&[u8]]) -> Read {
        let (mut content, mut used) = (Vec::new(), 0);
        for piece in pieces {
            used += body.advance(piece, &mut |part| content.extend_from_slice(part)).map_err(|bad| bad.0)?;
        }
        Ok((content, used, body.is_over()))
    }

    fn chunked() -> Body {
        Body::Chunked(Chunks::default())
    }

    #[test]
    fn bodies() {
        let cases: &[(&str, Body, &str, Read)] = &[
            ("length", Body::Length(3), "abcd", Ok((b"abc".into(), 3, true))),
            ("cut off", Body::Length(3), "ab", Ok((b"ab".into(), 2, false))),
            ("until close", Body::UntilClose, "ab", Ok((b"ab".into(), 2, false))),
            ("none", Body::Over, "ab", Ok((vec![], 0, true))),
            (
                "chunks",
                chunked(),
                "2\r\nab\r\n0B\r\n0123456789a\r\n0\r\n\r\nGET",
                Ok((b"ab0123456789a".into(), 29, true)),
            ),
            ("extension", chunked(), "1;a=\"b\"\r\nx\r\n0 ;z\r\n\r\n", Ok((b"x".into(), 20, true))),
            ("trailers", chunked(), "0\r\na: b\r\nc: d\r\n\r\n", Ok((vec![], 17, true))),
            ("line breaks are data too", chunked(), "4\r\n\r\n\r\n\r\n0\r\n\r\n", Ok((b"\r\n\r\n".into(), 14, true))),
            ("no size", chunked(), "\r\n", Err("a size has no digit")),
            ("a sign", chunked(), "+1\r\n", Err("a size has no digit")),
            ("0x", chunked(), "0x1\r\n", Err("a size has a byte that is no digit")),
            ("bare LF after a size", chunked(), "1\nx", Err("a size has a byte that is no digit")),
            ("bare LF after an extension", chunked(), "1;a\nx", Err("a size line ends without CR")),
            ("too large", chunked(), "10000000000000000\r\n", Err("a size is too large")),
            ("longer than its size", chunked(), "1\r\nxy\r\n", Err("a line break is missing")),
            ("bare LF in trailers", chunked(), "0\r\na: b\n\r\n", Err("a trailer line ends without CR")),
            ("bare LF at the end", chunked(), "0\r\n\n", Err("a trailer line ends without CR")),
            ("CR alone at the end", chunked(), "0\r\n\rx", Err("a line break is missing")),
        ];
        for (why, body, text, expected) in cases {
            assert_eq!(&read(body.clone(), &[text.as_bytes()]), expected, "{why}");
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(&read(body.clone(), &bytes), expected, "{why}, a byte at a time");
        }
        let long = format!("1;{}\r\n", "e".repeat(EXTENSION + 1));
        assert_eq!(read(chunked(), &[long.as_bytes()]), Err("a chunk extension is too long"));
        let long = format!("0\r\n{}", "a: b\r\n".repeat(TRAILERS));
        assert_eq!(read(chunked(), &[long.as_bytes()]), Err("trailers are too long"));
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(text in "([0-9a]{1,2}|\r\n|\r|\n|x|;|: ){0,20}0\r\n\r\n", cut in 0_usize..40) {
            let bytes = text.as_bytes();
            let cut = cut.min(bytes.len());
            prop_assert_eq!(read(chunked(), &[&bytes[..cut], &bytes[cut..]]), read(chunked(), &[bytes]));
        }
    }
}
