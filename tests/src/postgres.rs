//! A real PostgreSQL on loopback. `None`, said loudly, where it is not installed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sqlx::{AnyConnection, Connection as _};
use tempfile::TempDir;

use crate::process::{Process, free_port};
use crate::wait::eventually;

/// A server with one database; it ends with this value.
#[derive(Debug)]
pub struct Postgres {
    /// Its port on loopback.
    pub port: u16,
    _process: Process,
    _folder: TempDir,
}

/// The programs of the newest version that Debian's package has installed.
fn programs() -> Option<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    all.sort();
    if all.is_empty() {
        println!("SKIPPED: PostgreSQL is not installed; tests/setup.sh installs it");
    }
    all.pop()
}

/// The id of a user or group, as `id` knows it.
fn id(of: &str) -> anyhow::Result<u32> {
    let output = Command::new("id").args([of, "postgres"]).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// A program of PostgreSQL's, which refuses to run as root: there it runs as the user of its package.
fn as_its_user(program: &Path, folder: &Path) -> anyhow::Result<Command> {
    let root = Command::new("id").arg("-u").output()?.stdout.starts_with(b"0\n");
    if !root {
        return Ok(Command::new(program));
    }
    let (user, group) = (id("-u")?, id("-g")?);
    std::os::unix::fs::chown(folder, Some(user), Some(group))?;
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".to_owned()]).arg(program);
    Ok(command)
}

impl Postgres {
    /// Starts it.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn start() -> anyhow::Result<Option<Self>> {
        let Some(bin) = programs() else { return Ok(None) };
        let (folder, port) = (tempfile::tempdir()?, free_port()?);
        let data = folder.path().join("data");
        let mut init = as_its_user(&bin.join("initdb"), folder.path())?;
        init.current_dir("/")
            .args(["-U", "plimsoll", "--auth=trust", "-N", "-E", "UTF8", "--locale=C", "-D"])
            .arg(&data);
        let output = init.output()?;
        anyhow::ensure!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        let mut server = as_its_user(&bin.join("postgres"), folder.path())?;
        server.current_dir("/").arg("-D").arg(&data).args(["-p", &port.to_string(), "-c", "fsync=off", "-k"]);
        server.arg(folder.path()).args(["-c", "listen_addresses=127.0.0.1"]);
        let process = Process::start(&mut server, &folder.path().join("postgres.log"))?;
        let server = Self { port, _process: process, _folder: folder };
        sqlx::any::install_default_drivers();
        eventually("PostgreSQL answers", Duration::from_secs(60), async || {
            Ok::<(), anyhow::Error>(AnyConnection::connect(&server.url()).await?.close().await?)
        })
        .await;
        Ok(Some(server))
    }

    /// Of its database.
    pub fn url(&self) -> String {
        format!("postgres://plimsoll@127.0.0.1:{}/postgres", self.port)
    }
}
