//! Keeps a worker of ours running: a child of its own memory, ended when it takes more than it may or does not answer,
//! started again with ever longer waits.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use plimsoll_exporters::{Metric, Registry};
use tokio::process::{Child, Command};

use super::client::Client;
use crate::config::{LogFormat, Reader, Secret, WorkerUrl};
use crate::health::Health;
use crate::shutdown::Shutdown;

/// How often its memory is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// A child that lived this long was no failure to start.
const LIVED: Duration = Duration::from_secs(5);
/// The longest wait before it is started again, and the first.
const MOST_WAIT: Duration = Duration::from_secs(300);
const LEAST_WAIT: Duration = Duration::from_secs(1);
/// How often its health is asked for, and how long it may take to answer.
const PULSE: Duration = Duration::from_secs(5);
/// Questions in a row without an answer after which a child hangs: one is a moment without a processor.
const MOST_SILENT: u32 = 4;
/// How long it may load its models.
const MOST_LOADING: Duration = Duration::from_secs(900);
/// How long it may take to end when it is told to.
const STOP: Duration = Duration::from_secs(5);

/// What a child is started with.
#[derive(Clone, Debug)]
pub(super) struct Supervised {
    /// Its command line.
    arguments: Vec<String>,
    /// Bytes it may take as a process.
    memory: u64,
    /// Asks for its health.
    client: Client,
    registry: Registry,
    health: Health,
}

impl Supervised {
    /// A child that reads with the models of `reader` and listens on `socket`; `None` of a remote one.
    ///
    /// # Errors
    /// The client that asks for its health cannot be made.
    pub(super) fn new(
        reader: &Reader,
        socket: &Path,
        engine: Option<String>,
        log: LogFormat,
        (registry, health): (&Registry, &Health),
    ) -> anyhow::Result<Option<Self>> {
        let Reader::Child { model, scorer, flags, memory } = reader else { return Ok(None) };
        let mut arguments = vec!["shadow".to_owned(), "--listen".to_owned(), format!("unix:{}", socket.display())];
        let mut say = |flag: &str, value: String| arguments.extend([flag.to_owned(), value]);
        let folder = |path: &PathBuf| path.display().to_string();
        model.iter().for_each(|path| say("--model", folder(path)));
        scorer.iter().for_each(|path| say("--scorer", folder(path)));
        flags.iter().for_each(|(flag, value)| say(flag, value.clone()));
        engine.into_iter().for_each(|url| say("--engine", url));
        if log == LogFormat::Json {
            say("--log-format", "json".to_owned());
        }
        arguments.push("--child".to_owned());
        let client = Client::new(&WorkerUrl::Unix(socket.to_owned()), None, None, PULSE)?;
        Ok(Some(Self { arguments, memory: *memory, client, registry: registry.clone(), health: health.clone() }))
    }

    /// Until shutdown.
    pub(super) async fn run(self, shutdown: Shutdown) {
        let mut failures = 0;
        loop {
            let began = Instant::now();
            let ended = match self.start() {
                Ok(child) => match self.watch(child, &shutdown).await {
                    Some(ended) => ended,
                    None => return,
                },
                Err(why) => format!("cannot be started: {why}"),
            };
            self.registry.set(Metric::ShadowResident, &[], 0.0);
            failures = if began.elapsed() >= LIVED { 1 } else { failures + 1 };
            let wait = wait(failures, fastrand::f64());
            tracing::warn!(seconds = wait.as_secs_f32(), "the shadow worker {ended}; it is started again");
            self.health.down("shadow", format!("the worker {ended}"));
            self.registry.add(Metric::ShadowRestarts, &[], 1.0);
            tokio::select! {
                () = shutdown.begun() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn start(&self) -> std::io::Result<Child> {
        let program = std::env::current_exe()?;
        // its log goes where ours goes; it ends with us even when we are killed (`--child`)
        Command::new(program)
            .args(&self.arguments)
            // large temporaries of a batch are kept for the next one instead of being faulted in anew (glibc's mallopt)
            .env("MALLOC_MMAP_THRESHOLD_", "33554432")
            .env("MALLOC_TRIM_THRESHOLD_", "67108864")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
    }

    /// How it ended; `None` when it was told to.
    async fn watch(&self, mut child: Child, shutdown: &Shutdown) -> Option<String> {
        let mut looks = tokio::time::interval(LOOK);
        let pid = child.id();
        let mut silence = std::pin::pin!(self.silence());
        loop {
            tokio::select! {
                status = child.wait() => return Some(status.map_or_else(|why| why.to_string(), said)),
                silent = &mut silence => {
                    let _ = child.kill().await;
                    return Some(silent);
                }
                () = shutdown.begun() => {
                    stop(child).await;
                    return None;
                }
                _ = looks.tick() => {
                    let resident = pid.and_then(resident_bytes).unwrap_or(0);
                    self.registry.set(Metric::ShadowResident, &[], resident as f64);
                    if resident > self.memory {
                        let _ = child.kill().await;
                        return Some(format!("took {resident} bytes of memory, more than shadow.memory ({})", self.memory));
                    }
                }
            }
        }
    }

    /// Ends when the child does not answer any more, or never did: stopped, deadlocked, or swapped out for good.
    async fn silence(&self) -> String {
        let (began, mut ready, mut silent) = (Instant::now(), false, 0);
        loop {
            tokio::time::sleep(PULSE).await;
            if self.client.ability().await.is_ok() {
                (ready, silent) = (true, 0);
                continue;
            }
            silent += 1;
            if ready && silent >= MOST_SILENT {
                return format!("did not answer {silent} times in a row, {} s each", PULSE.as_secs());
            }
            if !ready && began.elapsed() >= MOST_LOADING {
                return format!("was not ready within {} s", MOST_LOADING.as_secs());
            }
        }
    }
}

fn said(status: ExitStatus) -> String {
    format!("ended ({status})")
}

async fn stop(mut child: Child) {
    if let Some(pid) = child.id().and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed())) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    if tokio::time::timeout(STOP, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

/// Full jitter over a doubling range; `chance` is from 0 to 1.
fn wait(failures: u32, chance: f64) -> Duration {
    let range = LEAST_WAIT.saturating_mul(1 << (failures.saturating_sub(1)).min(16)).min(MOST_WAIT);
    (range.mul_f64(chance)).max(Duration::from_millis(100))
}

fn resident_bytes(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Where the child of an agent with this data folder listens: in the folder, or elsewhere where its path is too long.
pub(super) fn socket(data: &Path) -> PathBuf {
    let path = data.join("shadow.sock");
    if path.as_os_str().len() <= 100 {
        return path;
    }
    std::env::temp_dir().join(format!("plimsoll-shadow-{}.sock", std::process::id()))
}

/// The token of a worker elsewhere.
pub(super) fn token(reader: &Reader) -> Option<Secret> {
    match reader {
        Reader::Remote { token, .. } => token.clone(),
        Reader::Child { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_are_bounded() {
        assert_eq!(wait(1, 1.0), LEAST_WAIT);
        assert_eq!(wait(4, 1.0), 8 * LEAST_WAIT);
        assert_eq!(wait(4, 0.5), 4 * LEAST_WAIT);
        assert_eq!(wait(u32::MAX, 1.0), MOST_WAIT);
        assert_eq!(wait(3, 0.0), Duration::from_millis(100));
    }

    #[test]
    fn our_own_memory_is_read() {
        assert!(resident_bytes(std::process::id()).unwrap() > 1 << 20);
        assert_eq!(resident_bytes(u32::MAX), None);
    }

    #[test]
    fn a_socket_fits_the_kernel() {
        assert_eq!(socket(Path::new("/var/lib/plimsoll")), Path::new("/var/lib/plimsoll/shadow.sock"));
        assert!(socket(Path::new(&format!("/{}", "x".repeat(200)))).as_os_str().len() < 108);
    }
}
