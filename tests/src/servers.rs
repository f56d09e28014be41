//! Real servers on loopback: Prometheus, Alertmanager, llama.cpp. `None`, said loudly, where one is not installed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::process::{Process, free_port};
use crate::wait::{eventually, get_text};

/// A program on `PATH`; says loudly when it is missing.
fn installed(program: &str) -> Option<PathBuf> {
    let folders = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/bin"];
    let found = folders.iter().map(|folder| Path::new(folder).join(program)).find(|path| path.exists());
    if found.is_none() {
        println!("SKIPPED: {program} is not installed; tests/setup.sh installs it");
    }
    found
}

/// The Python of the tests' own virtual environment.
pub fn python() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/venv/bin/python");
    if !path.exists() {
        println!("SKIPPED: target/venv is not there; tests/setup.sh makes it");
        return None;
    }
    Some(path)
}

async fn answers(what: &str, url: &str) {
    eventually(what, Duration::from_secs(60), async || get_text(url).await).await;
}

/// A real Prometheus server.
#[derive(Debug)]
pub struct Prometheus {
    /// The process.
    pub process: Process,
    /// Its port on loopback.
    pub port: u16,
    _folder: TempDir,
}

impl Prometheus {
    /// Scrapes `targets` (host:port) every second.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn scraping(targets: &[String]) -> anyhow::Result<Option<Self>> {
        Self::with_rules(targets, "groups: []\n").await
    }

    /// Scrapes `targets` (host:port) every second and evaluates a rule file.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn with_rules(targets: &[String], rules: &str) -> anyhow::Result<Option<Self>> {
        let Some(program) = installed("prometheus") else { return Ok(None) };
        let (folder, port) = (tempfile::tempdir()?, free_port()?);
        std::fs::create_dir_all(folder.path().join("data"))?;
        Self::start(program, folder, port, targets, rules).await.map(Some)
    }

    /// Serves the samples of an OpenMetrics file, imported by promtool.
    ///
    /// # Errors
    /// The file cannot be imported, or it cannot be started.
    pub async fn holding(metrics: &Path) -> anyhow::Result<Option<Self>> {
        let (Some(program), Some(promtool)) = (installed("prometheus"), installed("promtool")) else { return Ok(None) };
        let (folder, port) = (tempfile::tempdir()?, free_port()?);
        let import = ["tsdb", "create-blocks-from", "openmetrics"];
        let output = Command::new(promtool).args(import).arg(metrics).arg(folder.path().join("data")).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "promtool tsdb create-blocks-from openmetrics: {said}");
        Self::start(program, folder, port, &[], "groups: []\n").await.map(Some)
    }

    async fn start(
        program: PathBuf,
        folder: TempDir,
        port: u16,
        targets: &[String],
        rules: &str,
    ) -> anyhow::Result<Self> {
        let list = targets.iter().map(|t| format!("'{t}'")).collect::<Vec<_>>().join(", ");
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\nscrape_configs: [{{job_name: plimsoll, static_configs: [{{targets: [{list}]}}]}}]\n"
        );
        std::fs::write(folder.path().join("prometheus.yml"), config)?;
        std::fs::write(folder.path().join("rules.yml"), rules)?;
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let process = Process::start(&mut command, &folder.path().join("prometheus.log"))?;
        answers("Prometheus is ready", &format!("http://127.0.0.1:{port}/-/ready")).await;
        Ok(Self { process, port, _folder: folder })
    }

    /// URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

/// A real Alertmanager.
#[derive(Debug)]
pub struct Alertmanager {
    /// The process.
    pub process: Process,
    /// Its port on loopback.
    pub port: u16,
    _folder: TempDir,
}

impl Alertmanager {
    /// Starts one on `port`, or on a free one.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn start(port: Option<u16>) -> anyhow::Result<Option<Self>> {
        let Some(program) = installed("prometheus-alertmanager") else { return Ok(None) };
        let (folder, port) = (tempfile::tempdir()?, port.map_or_else(free_port, Ok)?);
        std::fs::write(folder.path().join("am.yml"), "route: {receiver: none}\nreceivers: [{name: none}]\n")?;
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", folder.path().join("am.yml").display()))
            .arg(format!("--storage.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address=");
        let process = Process::start(&mut command, &folder.path().join("alertmanager.log"))?;
        answers("Alertmanager is ready", &format!("http://127.0.0.1:{port}/-/ready")).await;
        Ok(Some(Self { process, port, _folder: folder }))
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Names of the alerts it holds as active.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn active(&self) -> anyhow::Result<Vec<String>> {
        let alerts = crate::wait::get_json(&format!("{}/api/v2/alerts?active=true", self.url())).await?;
        let names = alerts.as_array().into_iter().flatten();
        Ok(names.map(|alert| alert["labels"]["alertname"].as_str().unwrap_or("").to_owned()).collect())
    }
}

/// A real llama.cpp server over a tiny random model.
#[derive(Debug)]
pub struct LlamaCpp {
    /// The process.
    pub process: Process,
    /// Its port on loopback.
    pub port: u16,
    _folder: TempDir,
}

impl LlamaCpp {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn start() -> anyhow::Result<Option<Self>> {
        Self::with(&[]).await
    }

    /// Starts one that embeds.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn embedding() -> anyhow::Result<Option<Self>> {
        Self::with(&["embeddings"]).await
    }

    async fn with(more: &[&str]) -> anyhow::Result<Option<Self>> {
        let Some(python) = python() else { return Ok(None) };
        let (folder, port) = (tempfile::tempdir()?, free_port()?);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("llamacpp/server.py");
        let mut command = Command::new(python);
        command.arg(script).arg(folder.path()).arg(port.to_string()).args(more);
        let process = Process::start(&mut command, &folder.path().join("llamacpp.log"))?;
        answers("llama.cpp is ready", &format!("http://127.0.0.1:{port}/health")).await;
        Ok(Some(Self { process, port, _folder: folder }))
    }
}
