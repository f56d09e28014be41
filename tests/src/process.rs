//! A child process that dies with its test and whose log is shown when the test fails.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A running child; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with both outputs in the file `log`; standard input stays open as long as the process lives.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(command: &mut Command, log: &Path) -> io::Result<Self> {
        // every test starts something before it asks anything: rustls then knows its provider
        let _ = rustls::crypto::ring::default_provider().install_default();
        let file = std::fs::File::options().create(true).append(true).open(log)?;
        let child =
            command.stdin(Stdio::piped()).stdout(file.try_clone()?).stderr(file).spawn().inspect_err(|error| {
                println!("cannot start {command:?}: {error}");
            })?;
        Ok(Self { child, log: log.to_path_buf() })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has written.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal, such as `libc::SIGTERM`.
    #[expect(unsafe_code, reason = "std cannot send signals other than SIGKILL")]
    pub fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).unwrap_or(0);
        // SAFETY: kill takes two integers; the child has not been reaped, so the id is still ours.
        unsafe { libc::kill(pid, signal) };
    }

    /// Kills it at once, as the kernel's OOM killer would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for it to end; `None` when it is still running after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            println!("---- log of {} ----\n{}", self.log.display(), self.log());
        }
    }
}

/// A port of the loopback that was free a moment ago.
///
/// # Errors
/// The operating system gives none.
pub fn free_port() -> io::Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Below what Linux gives to outgoing connections: one of those could take a port before its server binds it. Test
    // processes that run side by side begin at different places.
    let first = std::process::id().wrapping_mul(7919);
    for _ in 0..1000 {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(12_000 + first.wrapping_add(step) % 20_000).unwrap_or(0);
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            return Ok(listener.local_addr()?.port());
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}
