//! The folder that a training writes into: its own alone, and one training at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use plimsoll_shadow_model::train::Trainer;

use super::Args;
use crate::cli::complain;

/// The file whose lock is held while a training writes.
const LOCK: &str = ".lock";
/// How often a lock is tried for, and the wait before the next time: who was just killed may still be going.
const TRIES: u32 = 10;
const WAIT: Duration = Duration::from_millis(100);

/// What a training leaves, beside [`SETTINGS`].
const LEFT: [&str; 8] = [
    "adapter_config.json",
    "adapter_model.safetensors",
    "model.safetensors",
    "training.json",
    "progress.jsonl",
    "report.html",
    "checkpoints",
    LOCK,
];

/// What a whole model needs that the weights do not tell: copied by `--full`.
pub(super) const SETTINGS: [&str; 6] = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
];

/// Refuses a folder whose files are somebody else's: they would be written over. Makes nothing.
///
/// # Errors
/// Which folder or file is in the way, and what would be right.
pub(super) fn free(args: &Args) -> anyhow::Result<()> {
    let folder = args.gguf.as_deref().map(|file| file.parent().unwrap_or(file));
    if let Some(folder) = folder.filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        bail!("--gguf: {} is no folder; make it first", folder.display());
    }
    let Ok(out) = args.out.canonicalize() else { return Ok(()) };
    let shown = args.out.display();
    if args.model.canonicalize().is_ok_and(|model| model == out) {
        bail!("--out {shown} is the model's own folder; name another one");
    }
    if !out.is_dir() {
        bail!("--out {shown} is no folder; name one, or one to be made");
    }
    let own = unfinished(&out)? || out.join("training.json").exists();
    let holds = |name: &str| out.join(name).exists();
    if ["config.json", "model.safetensors", "adapter_model.safetensors"].into_iter().any(holds) && !own {
        bail!("--out {shown} holds a model that no training here has left; name another folder");
    }
    for read in [Some(&args.data), args.eval.as_ref(), args.replay.as_ref()].into_iter().flatten() {
        if read.canonicalize().is_ok_and(|read| read == out.join("progress.jsonl")) {
            bail!("{} would be written over; name another --out", read.display());
        }
    }
    if own && args.resume { Ok(()) } else { alone(&out, args) }
}

/// Refuses a folder that holds anything that no training leaves.
fn alone(out: &Path, args: &Args) -> anyhow::Result<()> {
    let shown = args.out.display();
    let gguf = args.gguf.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    for entry in std::fs::read_dir(out).with_context(|| format!("--out {shown} cannot be read"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let whole = name.trim_end_matches(".part");
        if !LEFT.iter().chain(&SETTINGS).any(|known| *known == whole) && gguf.as_deref() != Some(whole) {
            bail!("--out {shown} holds {name:?}, which is of no training; name another folder");
        }
    }
    Ok(())
}

/// Whether a folder has checkpoints to go on from.
fn unfinished(out: &Path) -> anyhow::Result<bool> {
    Ok(Trainer::has_checkpoints(&out.join("checkpoints"))?)
}

/// Refuses to begin where a training has left checkpoints, unless it is to be gone on with.
///
/// # Errors
/// Where it has, or the folder cannot be read.
pub(super) fn fresh(args: &Args) -> anyhow::Result<()> {
    if !args.resume && unfinished(&args.out)? {
        let checkpoints = args.out.join("checkpoints");
        bail!("{} has the checkpoints of a training; --resume goes on with it", checkpoints.display());
    }
    Ok(())
}

/// A folder that this process alone writes into. The lock goes with the process, however it ends.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes a folder in which a training has been before; `None` where none has, and then nothing is made.
    ///
    /// # Errors
    /// As [`Lock::take`].
    pub(super) fn again(out: &Path) -> anyhow::Result<Option<Self>> {
        out.join(LOCK).exists().then(|| Self::take(out)).transpose()
    }

    /// Makes the folder where there is none, and takes it.
    ///
    /// # Errors
    /// Where another process holds it, or it cannot be written.
    pub(super) fn take(out: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(out).with_context(|| format!("{} cannot be made", out.display()))?;
        let path = out.join(LOCK);
        let shown = path.display();
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.with_context(|| format!("{shown} cannot be written"))?;
        for tried in 1..=TRIES {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if tried < TRIES => std::thread::sleep(WAIT),
                Err(TryLockError::WouldBlock) => bail!("{}", held(out, &mut file)),
                Err(TryLockError::Error(why)) if why.kind() == std::io::ErrorKind::Unsupported => {
                    complain(&format!("plimsoll: {shown} cannot be locked there: let no other training write into it"));
                    break;
                }
                Err(TryLockError::Error(why)) => return Err(why).with_context(|| format!("{shown} cannot be locked")),
            }
        }
        // for whoever comes next; the lock holds without it
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}

/// Who is there.
fn held(out: &Path, file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(20).read_to_string(&mut text);
    let process = read.ok().and_then(|_| text.trim().parse::<u32>().ok());
    let process = process.map_or(String::new(), |id| format!(", process {id}"));
    format!("another training{process} writes into {}; wait until it has ended, or name another --out", out.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_taken_once_and_free_again_when_its_process_has_gone() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("a/b");
        assert!(Lock::again(&out).unwrap().is_none() && !out.exists());
        let first = Lock::take(&out).unwrap();
        let told = Lock::again(&out).err().unwrap().to_string();
        assert!(told.starts_with(&format!("another training, process {} writes into", std::process::id())), "{told}");
        drop(first);
        assert!(Lock::again(&out).unwrap().is_some());
    }
}
