//! The agent of the scene: this very binary, started as `plimsoll run --config FILE`, and stopped again.
//!
//! It is a process of its own so that what it costs can be read from the outside, and so that the scene uses only what
//! every user has: the command line, the configuration file, the ports.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// How long it may take to become ready: generous, for a debug build on a busy machine.
const READY: Duration = Duration::from_secs(60);
/// How long it may take to stop.
const STOP: Duration = Duration::from_secs(15);

/// What the agent is told.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// The engine behind the tap.
    pub(crate) upstream: String,
    /// Whether that engine has Prometheus metrics.
    pub(crate) scrape_engine: bool,
    /// Alertmanagers to tell.
    pub(crate) alertmanagers: Vec<String>,
    /// Durations of the built-in rules are multiplied by this.
    pub(crate) motion: f64,
}

/// The running agent and its folder; dropped, both are gone.
#[derive(Debug)]
pub(crate) struct AgentChild {
    child: Child,
    folder: TempDir,
    /// Base URL of its tap.
    pub(crate) tap: String,
    /// Base URL of its API.
    pub(crate) api: String,
    /// Base URL of its open port.
    pub(crate) metrics: String,
}

/// What the agent took so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Taken {
    /// User and system CPU time, in seconds.
    pub(crate) cpu_seconds: f64,
    /// Resident memory now, in bytes.
    pub(crate) resident_bytes: u64,
    /// Most resident memory so far, in bytes.
    pub(crate) peak_resident_bytes: u64,
}

impl AgentChild {
    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// It cannot be started, ends, or does not become ready; with the end of its log.
    pub(crate) async fn start(setup: &Setup, client: &reqwest::Client) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("plimsoll-demo-").tempdir().context("no temporary folder")?;
        let [tap, api, metrics] = free_ports()?;
        let config = write_files(folder.path(), setup, [&tap, &api, &metrics])?;
        let child = spawn(folder.path(), &config)?;
        let url = |address: String| format!("http://{address}");
        let mut agent = Self { child, folder, tap: url(tap), api: url(api), metrics: url(metrics) };
        agent.ready(client).await?;
        Ok(agent)
    }

    async fn ready(&mut self, client: &reqwest::Client) -> anyhow::Result<()> {
        let began = Instant::now();
        let url = format!("{}/readyz", self.metrics);
        loop {
            self.check_alive()?;
            if client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if began.elapsed() > READY {
                bail!("the agent was not ready after {} s; its log ends:\n{}", READY.as_secs(), self.log_end());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// # Errors
    /// The agent has ended; with the end of its log.
    pub(crate) fn check_alive(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait().context("cannot ask for the agent's state")? {
            None => Ok(()),
            Some(status) => bail!("the agent ended ({status}); its log ends:\n{}", self.log_end()),
        }
    }

    /// What it took so far, from `/proc`; `None` once it has ended or where there is no `/proc`.
    pub(crate) fn taken(&self) -> Option<Taken> {
        let folder = PathBuf::from(format!("/proc/{}", self.child.id()?));
        let stat = fs::read_to_string(folder.join("stat")).ok()?;
        let status = fs::read_to_string(folder.join("status")).ok()?;
        taken(&stat, &status, rustix::param::clock_ticks_per_second())
    }

    /// Stops it as Kubernetes would: SIGTERM, and SIGKILL if that takes too long. Its folder is removed.
    pub(crate) async fn stop(mut self) {
        if let Some(pid) = self.child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?)) {
            // It may have ended by itself in the meantime.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        if tokio::time::timeout(STOP, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }

    fn log_end(&self) -> String {
        let log = fs::read_to_string(log_file(self.folder.path())).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("agent.log")
}

/// Three loopback addresses that nobody listens on. (Another program may take one before the agent does: it says so.)
fn free_ports() -> anyhow::Result<[String; 3]> {
    let bind = || TcpListener::bind("127.0.0.1:0").context("no free port on 127.0.0.1");
    let listeners = [bind()?, bind()?, bind()?];
    let mut addresses = [const { String::new() }; 3];
    for (address, listener) in addresses.iter_mut().zip(&listeners) {
        *address = listener.local_addr()?.to_string();
    }
    Ok(addresses)
}

/// Writes configuration and rules; gives the configuration's path. (JSON is YAML, and quotes whatever a path contains.)
fn write_files(folder: &Path, setup: &Setup, [tap, api, metrics]: [&str; 3]) -> anyhow::Result<PathBuf> {
    let rules = folder.join("rules.yml");
    fs::write(&rules, plimsoll_rules::builtin_scaled(setup.motion)).context("cannot write the rules")?;
    let window = Duration::from_secs_f64(300.0 * setup.motion);
    let peers: Vec<_> = setup.alertmanagers.iter().map(|url| json!({ "url": url })).collect();
    let config = json!({
        "identity": {"service": "demo"},
        "listen": {"metrics": metrics, "api": api},
        "sources": {
            "system": {"interval": "1s"},
            "gpu": {"interval": "1s"},
            "engine": {"enabled": setup.scrape_engine, "interval": "1s", "timeout": "3s"},
            "tap": {"listen": tap, "upstream": setup.upstream},
        },
        "records": {"url": format!("sqlite://{}", folder.join("plimsoll.db").display())},
        "limits": {"data": folder.display().to_string()},
        "business": {"window": format!("{}ms", window.as_millis())},
        "rules": {"builtin": false, "files": [rules.display().to_string()], "evaluation_interval": "1s"},
        "alerts": {"alertmanagers": peers},
    });
    let path = folder.join("plimsoll.yaml");
    fs::write(&path, serde_json::to_string_pretty(&config)?).context("cannot write the configuration")?;
    Ok(path)
}

fn spawn(folder: &Path, config: &Path) -> anyhow::Result<Child> {
    let binary = std::env::current_exe().context("cannot find this program's own file")?;
    let log = fs::File::create(log_file(folder)).context("cannot create the agent's log")?;
    let mut command = Command::new(&binary);
    command.arg("run").arg("--config").arg(config).current_dir(folder);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // Ctrl-C in the terminal is for the scene, which then stops the agent in order.
    command.process_group(0).kill_on_drop(true);
    die_with_us(&mut command);
    command.spawn().with_context(|| format!("cannot start {}", binary.display()))
}

/// Has the kernel end the child when the scene is killed and cannot end it itself.
#[expect(unsafe_code, reason = "a hook between fork and exec is unsafe by nature; this one makes a single system call")]
fn die_with_us(command: &mut Command) {
    // SAFETY: the hook calls prctl only: it allocates nothing, takes no lock, and is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            Ok(())
        });
    }
}

/// Reads `/proc/PID/stat` (times in clock ticks) and `/proc/PID/status` (memory in kB).
fn taken(stat: &str, status: &str, ticks: u64) -> Option<Taken> {
    // The second field is the program's name in brackets and may contain anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let time = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let bytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
    };
    Some(Taken {
        cpu_seconds: (time(11)? + time(12)?) as f64 / ticks as f64,
        resident_bytes: bytes("VmRSS:")?,
        peak_resident_bytes: bytes("VmHWM:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cost_is_read_from_proc() {
        let stat = "12 (a) b) S 1 12 12 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 4 0 100 1000 200";
        let status = "Name:\ta\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        let expected = Taken { cpu_seconds: 3.0, resident_bytes: 1 << 20, peak_resident_bytes: 2 << 20 };
        for (why, stat, status, expected) in [
            ("as it is", stat, status, Some(expected)),
            ("ended", "", "", None),
            ("cut short", "12 (a) S 1", status, None),
            ("no memory", stat, "Name:\ta\n", None),
        ] {
            assert_eq!(taken(stat, status, 100), expected, "{why}");
        }
    }

    #[test]
    fn the_configuration_is_one_that_the_agent_accepts() {
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup {
            upstream: "http://127.0.0.1:8000".to_owned(),
            scrape_engine: true,
            alertmanagers: vec!["http://127.0.0.1:9093".to_owned()],
            motion: 1.0 / 30.0,
        };
        let path = write_files(folder.path(), &setup, ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]).unwrap();
        let checked = crate::config::load(Some(&path), &crate::config::Overrides::default()).unwrap();
        assert!(!checked.groups.is_empty(), "its rules are loaded");
    }
}
