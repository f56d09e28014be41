//! What survives a restart as files in the data folder: alert states and recent series. Written whole, atomically.

use std::fs::{File, TryLockError};
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};

use plimsoll_rules::{Store, StoreLimits};

const RULES: &str = "alerts.state.json";
const CAPACITY: &str = "capacity.json";
const SALT: &str = "mask.salt";
const SERIES: &str = "series.snapshot";

/// Largest state file read back, in bytes.
const MAX_FILE_BYTES: u64 = 512 << 20;

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
        let Some(file) = open(&path) else { return Store::new(limits) };
        Store::restore(limits, BufReader::new(file)).unwrap_or_else(|why| {
            tracing::warn!(path = %path.display(), %why, "saved series cannot be read; starting without");
            Store::new(limits)
        })
    }

    /// The saved alert states.
    pub fn load_rules(&self) -> Option<String> {
        // what is no text is no JSON either, and the engine says so
        Some(String::from_utf8_lossy(&read(&self.folder.join(RULES))?).into_owned())
    }

    /// Begins to save the series; the old ones stay until [`Writing::finish`].
    ///
    /// # Errors
    /// The disk is full, read-only or gone.
    pub fn begin_store(&self) -> io::Result<Writing> {
        Writing::begin(&self.folder, SERIES)
    }

    /// Saves the alert states.
    ///
    /// # Errors
    /// The disk is full, read-only or gone.
    pub fn save_rules(&self, json: &str) -> io::Result<PathBuf> {
        Writing::begin(&self.folder, RULES)?.append(json.as_bytes())?.finish()
    }

    /// What was learned of the pod's capacity.
    pub fn load_capacity(&self) -> Option<String> {
        Some(String::from_utf8_lossy(&read(&self.folder.join(CAPACITY))?).into_owned())
    }

    /// Saves what was learned of the pod's capacity.
    ///
    /// # Errors
    /// The disk is full, read-only or gone.
    pub fn save_capacity(&self, json: &str) -> io::Result<PathBuf> {
        Writing::begin(&self.folder, CAPACITY)?.append(json.as_bytes())?.finish()
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
}

/// Takes the data folder, and a database that lies elsewhere, for this process: two agents would write over each other's
/// state. What is taken is ours until it is dropped, or the process ends.
///
/// # Errors
/// Another process has one of them.
pub fn take(data: &Path, database: &Path) -> Result<Vec<File>, String> {
    let folder = std::fs::create_dir_all(data).and_then(|()| File::open(data));
    let mut taken = vec![lock(data, folder)?];
    if database.parent() != Some(data) {
        let beside = PathBuf::from(format!("{}.lock", database.display()));
        let made = beside.parent().map_or(Ok(()), std::fs::create_dir_all);
        taken.push(lock(database, made.and_then(|()| File::create(beside)))?);
    }
    Ok(taken.into_iter().flatten().collect())
}

/// Locks `opened`; `Ok(None)` where that cannot be done at all, as on a disk that is read-only or gone: there is nothing to
/// write over either.
fn lock(path: &Path, opened: io::Result<File>) -> Result<Option<File>, String> {
    let taken = opened.and_then(|file| match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    });
    match taken {
        Ok(Some(file)) => Ok(Some(file)),
        Ok(None) => {
            let right = "give each its own limits.data and records.url, or stop the other";
            Err(format!("{}: another plimsoll agent uses this data folder or database; {right}", path.display()))
        }
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "cannot be locked");
            Ok(None)
        }
    }
}

/// A state file that is being written beside the old one: old or new, never half.
#[derive(Debug)]
pub struct Writing {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
}

impl Writing {
    fn begin(folder: &Path, name: &str) -> io::Result<Self> {
        let (path, temporary) = (folder.join(name), folder.join(format!(".{name}.new")));
        std::fs::create_dir_all(folder)?;
        Ok(Self { file: File::create(&temporary)?, temporary, path })
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// The disk is full or gone; what was begun is removed.
    pub fn append(mut self, bytes: &[u8]) -> io::Result<Self> {
        self.file.write_all(bytes)?;
        Ok(self)
    }

    /// Syncs it and puts it in place of the old one.
    ///
    /// # Errors
    /// The disk is full or gone; the old file stays.
    pub fn finish(self) -> io::Result<PathBuf> {
        self.file.sync_data()?;
        std::fs::rename(&self.temporary, &self.path)?;
        Ok(self.path.clone())
    }
}

impl Drop for Writing {
    /// After [`Writing::finish`] nothing of that name is there any more.
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.temporary);
    }
}

fn open(path: &Path) -> Option<File> {
    let size = std::fs::metadata(path).ok()?.len();
    if size > MAX_FILE_BYTES {
        tracing::warn!(path = %path.display(), bytes = size, "state file is too large to be ours; left alone");
        return None;
    }
    let told = |error: &io::Error| tracing::warn!(path = %path.display(), %error, "state file cannot be read");
    File::open(path).inspect_err(told).ok()
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let told = |error: &io::Error| tracing::warn!(path = %path.display(), %error, "state file cannot be read");
    io::Read::read_to_end(&mut open(path)?, &mut bytes).inspect_err(told).ok()?;
    Some(bytes)
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
