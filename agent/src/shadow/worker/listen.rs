//! Where a worker listens: a Unix socket that only its user may open, or an address.

use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, bail};
use axum::Router;
use tokio::net::{TcpListener, UnixListener, UnixStream};

use crate::http::capped::Capped;
use crate::shutdown::Shutdown;

/// The longest path of a socket that the kernel takes, in bytes.
const LONGEST: usize = 107;

/// Where a worker listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A Unix socket.
    Unix(PathBuf),
    /// `HOST:PORT`.
    Tcp(String),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let right = "write unix:/PATH or HOST:PORT";
        match text.strip_prefix("unix:") {
            Some("") => Err(format!("{text:?} names no path; {right}")),
            Some(path) if path.len() > LONGEST => {
                Err(format!("the path of a socket has at most {LONGEST} bytes, this one has {}", path.len()))
            }
            Some(path) => Ok(Self::Unix(PathBuf::from(path))),
            None => match text.rsplit_once(':') {
                Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(Self::Tcp(text.to_owned())),
                _ => Err(format!("{text:?} has no port; {right}")),
            },
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "{address}"),
        }
    }
}

/// A place that is taken.
pub(super) enum Bound {
    Unix(UnixListener, PathBuf),
    Tcp(TcpListener),
}

impl Listen {
    /// Whether only this machine can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp(address) => {
                let host = address.rsplit_once(':').map_or("", |(host, _)| host).trim_matches(['[', ']']);
                host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
        }
    }

    pub(super) async fn bind(&self) -> anyhow::Result<Bound> {
        match self {
            Self::Tcp(address) => {
                let listener = TcpListener::bind(address).await;
                let listener = listener.with_context(|| format!("--listen: cannot listen on {address}"))?;
                tracing::info!(address = %listener.local_addr()?, "listening");
                Ok(Bound::Tcp(listener))
            }
            Self::Unix(path) => {
                clear(path).await?;
                let listener = UnixListener::bind(path)
                    .with_context(|| format!("--listen: cannot listen on {}", path.display()))?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
                Ok(Bound::Unix(listener, path.clone()))
            }
        }
    }
}

/// Takes away the socket of a worker that has ended; that of one that lives is left.
async fn clear(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::FileTypeExt as _;
    let Ok(found) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        bail!("--listen: {} is there and is no socket; choose another path", path.display());
    }
    if UnixStream::connect(path).await.is_ok() {
        bail!("--listen: another worker answers on {}", path.display());
    }
    std::fs::remove_file(path).with_context(|| format!("--listen: {} cannot be replaced", path.display()))
}

impl Bound {
    /// Answers until shutdown; requests in flight finish.
    pub(super) async fn serve(self, router: Router, shutdown: Shutdown) -> std::io::Result<()> {
        let ending = async move { shutdown.begun().await };
        match self {
            Self::Tcp(listener) => axum::serve(Capped::new(listener), router).with_graceful_shutdown(ending).await,
            Self::Unix(listener, path) => {
                let served = axum::serve(listener, router).with_graceful_shutdown(ending).await;
                let _ = std::fs::remove_file(path);
                served
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart() {
        let long = format!("unix:/{}", "x".repeat(LONGEST));
        for (text, expected) in [
            ("unix:/run/p.sock", Ok(Listen::Unix("/run/p.sock".into()))),
            ("127.0.0.1:7000", Ok(Listen::Tcp("127.0.0.1:7000".into()))),
            ("[::1]:7000", Ok(Listen::Tcp("[::1]:7000".into()))),
            ("unix:", Err("\"unix:\" names no path; write unix:/PATH or HOST:PORT".to_owned())),
            (":7000", Err("\":7000\" has no port; write unix:/PATH or HOST:PORT".to_owned())),
            ("host", Err("\"host\" has no port; write unix:/PATH or HOST:PORT".to_owned())),
            ("host:99999", Err("\"host:99999\" has no port; write unix:/PATH or HOST:PORT".to_owned())),
            (&long, Err("the path of a socket has at most 107 bytes, this one has 108".to_owned())),
        ] {
            assert_eq!(text.parse(), expected);
        }
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sock");
        let listen = Listen::Unix(path.clone());
        let first = listen.bind().await.unwrap();
        let refused = listen.bind().await.err().unwrap().to_string();
        assert!(refused.contains("another worker answers"), "{refused}");
        drop(first);
        let _second = listen.bind().await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let refused = Listen::Unix(file.clone()).bind().await.err().unwrap().to_string();
        assert!(refused.contains("is no socket") && file.exists(), "{refused}");
    }
}
