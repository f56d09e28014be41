//! What survives a restart as files in the data folder: alert states and recent series. Written whole, atomically.

use std::io;
use std::path::{Path, PathBuf};

use plimsoll_rules::{Store, StoreLimits};

const RULES: &str = "alerts.state.json";
const SALT: &str = "mask.salt";
const SERIES: &str = "series.snapshot";

/// Largest snapshot read back, in bytes.
const MAX_SNAPSHOT_BYTES: u64 = 512 << 20;

/// The state files of one data folder.
#[derive(Clone, Debug)]
pub struct StateFiles {
    folder: PathBuf,
}

impl StateFiles {
    /// Files in `folder`, which need not exist yet.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf() }
    }

    /// The saved series, or an empty store when there is none that can be read.
    pub fn load_store(&self, limits: StoreLimits) -> Store {
        let path = self.folder.join(SERIES);
        let Some(bytes) = read(&path) else { return Store::new(limits) };
        Store::restore(limits, &bytes).unwrap_or_else(|why| {
            tracing::warn!(path = %path.display(), %why, "saved series cannot be read; starting without");
            Store::new(limits)
        })
    }

    /// The saved alert states.
    pub fn load_rules(&self) -> Option<String> {
        // what is no text is no JSON either, and the engine says so
        Some(String::from_utf8_lossy(&read(&self.folder.join(RULES))?).into_owned())
    }

    /// Saves the series.
    ///
    /// # Errors
    /// The disk is full, read-only or gone.
    pub fn save_store(&self, snapshot: &[u8]) -> io::Result<PathBuf> {
        self.write(SERIES, snapshot)
    }

    /// Saves the alert states.
    ///
    /// # Errors
    /// The disk is full, read-only or gone.
    pub fn save_rules(&self, json: &str) -> io::Result<PathBuf> {
        self.write(RULES, json.as_bytes())
    }

    /// The salt of masking tokens: 244 random bits in hexadecimal, made once, readable by our user only.
    ///
    /// # Errors
    /// It can be neither read nor kept: tokens that change at every start would be worse than an error.
    pub fn salt(&self) -> io::Result<String> {
        let path = self.folder.join(SALT);
        match std::fs::read_to_string(&path) {
            Ok(kept) if kept.trim().len() >= 32 => return Ok(kept.trim().to_owned()),
            Ok(_) => {
                return Err(io::Error::other(format!("{} is not ours: shorter than 32 characters", path.display())));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let salt = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
        std::fs::create_dir_all(&self.folder)?;
        // whole or not at all, and never over another process's: written aside, then linked to its name
        let aside = tempfile::NamedTempFile::new_in(&self.folder)?;
        std::fs::write(aside.path(), &salt)?;
        aside.as_file().sync_data()?;
        match aside.persist_noclobber(&path) {
            Ok(_) => Ok(salt),
            Err(taken) if taken.error.kind() == io::ErrorKind::AlreadyExists => self.salt(),
            Err(failed) => Err(failed.error),
        }
    }

    /// Old or new, never half: a temporary file, synced, then renamed over the old one.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        let path = self.folder.join(name);
        let temporary = self.folder.join(format!(".{name}.new"));
        std::fs::create_dir_all(&self.folder)?;
        let written = (|| {
            let mut file = std::fs::File::create(&temporary)?;
            io::Write::write_all(&mut file, bytes)?;
            file.sync_data()?;
            std::fs::rename(&temporary, &path)
        })();
        if written.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        written.map(|()| path)
    }
}

fn read(path: &Path) -> Option<Vec<u8>> {
    match std::fs::metadata(path) {
        Ok(meta) if meta.len() <= MAX_SNAPSHOT_BYTES => {}
        Ok(meta) => {
            tracing::warn!(path = %path.display(), bytes = meta.len(), "state file is too large to be ours; left alone");
            return None;
        }
        Err(_) => return None,
    }
    match std::fs::read(path) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "state file cannot be read");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_read_back_and_a_failed_write_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let files = StateFiles::new(&folder.path().join("state"));
        assert_eq!(files.load_rules(), None);
        files.save_rules("{\"old\":1}").unwrap();
        let blocked = folder.path().join("state").join(format!(".{RULES}.new"));
        std::fs::create_dir(&blocked).unwrap();
        assert!(files.save_rules("{\"new\":1}").is_err());
        assert_eq!(files.load_rules().as_deref(), Some("{\"old\":1}"));
    }

    #[test]
    fn the_salt_is_made_once_and_kept_from_others() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let files = StateFiles::new(&folder.path().join("state"));
        let salt = files.salt().unwrap();
        assert_eq!((salt.len(), files.salt().unwrap()), (64, salt));
        let path = folder.path().join("state").join(SALT);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "short").unwrap();
        assert!(files.salt().unwrap_err().to_string().contains("is not ours"));
    }
}
