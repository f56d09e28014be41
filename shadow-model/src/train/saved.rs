//! Where a training stands, in a file: written whole or not at all, and known when it is damaged.
//!
//! A file is safetensors (every parameter, its two moments, and the rest as JSON) followed by the SHA-256 of them. It is
//! written beside its place and renamed; the newest two stay, so there is one to fall back to.

use std::io::Write;
use std::path::{Path, PathBuf};

use ::safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::optimiser::AdamW;
use super::origin::Origin;
use super::parameters::Parameters;
use super::trainer::Course;
use crate::peft::{Item, Numbers, safetensors};
use crate::{ModelError, Result};

const SUFFIX: &str = "checkpoint";
const HASH: usize = 32;

/// What a file tells beside tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Standing {
    pub origin: Origin,
    pub course: Course,
    pub optimiser_steps: u64,
}

/// Writes where a training stands into a folder, and removes all but the newest two.
///
/// # Errors
/// Where a file cannot be written.
pub(super) fn write(folder: &Path, standing: &Standing, parameters: &Parameters, optimiser: &AdamW) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|why| ModelError::file(folder, why))?;
    let text = serde_json::to_string(standing).map_err(|why| ModelError::file(folder, why))?;
    let tensors = parameters.tensors();
    let mut items = Vec::new();
    for ((name, value), moments) in tensors.iter().zip(&optimiser.moments) {
        for (kind, moment) in ["first", "second"].into_iter().zip(moments) {
            let numbers = Numbers::Host(moment);
            items.push(Item { name: format!("{kind}:{name}"), shape: value.dims(), numbers });
        }
        items.push(Item::of(format!("value:{name}"), value));
    }
    let path = folder.join(format!("step-{:09}.{SUFFIX}", standing.course.step));
    write_whole(&path, &mut |file| {
        let mut hashed = Hashed { out: file, hasher: Sha256::new() };
        safetensors(&mut hashed, &items, &serde_json::json!({"standing": text}))?;
        let Hashed { out, hasher } = hashed;
        out.write_all(&hasher.finalize())
    })?;
    for old in found(folder)?.into_iter().skip(2) {
        std::fs::remove_file(&old).map_err(|why| ModelError::file(&old, why))?;
    }
    Ok(())
}

/// Writes on, and hashes what it writes.
struct Hashed<'a> {
    out: &'a mut dyn Write,
    hasher: Sha256,
}

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// Writes a file so that at any moment either the old or the new one is there, whole.
///
/// # Errors
/// Where it cannot be written.
pub fn write_whole(path: &Path, content: &mut dyn FnMut(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    let beside = path.with_added_extension("part");
    let mut work = || {
        let mut file = std::io::BufWriter::new(std::fs::File::create(&beside)?);
        content(&mut file)?;
        file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&beside, path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    };
    work().map_err(|why| ModelError::file(path, why))
}

/// The checkpoints of a folder, the newest first.
///
/// # Errors
/// Where the folder cannot be read.
pub(super) fn found(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(why) => return Err(ModelError::file(folder, why)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|why| ModelError::file(folder, why))?.path();
        if path.extension().is_some_and(|suffix| suffix == SUFFIX) {
            paths.push(path);
        }
    }
    paths.sort_unstable_by(|a, b| b.cmp(a));
    Ok(paths)
}

/// Reads a file: what it tells, and puts the numbers into parameters and optimiser.
///
/// # Errors
/// Where it cannot be read, is damaged, or is of another model.
pub(super) fn read(path: &Path, parameters: &Parameters, optimiser: &mut AdamW, own: &Origin) -> Result<Standing> {
    let wrong = |what: String| ModelError::file(path, what);
    let bytes = std::fs::read(path).map_err(|why| wrong(why.to_string()))?;
    let (content, hash) = bytes.split_at(bytes.len().saturating_sub(HASH));
    if Sha256::digest(content).as_slice() != hash {
        return Err(wrong("a damaged checkpoint".to_owned()));
    }
    let broken = |why: ::safetensors::SafeTensorError| wrong(why.to_string());
    let (_, metadata) = SafeTensors::read_metadata(content).map_err(broken)?;
    let text = metadata.metadata().as_ref().and_then(|metadata| metadata.get("standing"));
    let standing = text.ok_or_else(|| wrong("not a checkpoint of a training".to_owned()))?;
    let standing: Standing = serde_json::from_str(standing).map_err(|why| wrong(why.to_string()))?;
    if let Some(what) = own.differs(&standing.origin) {
        return Err(ModelError::Training(format!("{}: a checkpoint of another training: {what}", path.display())));
    }
    let tensors = SafeTensors::deserialize(content).map_err(broken)?;
    let numbers = |name: String, count: usize| -> Result<Vec<f32>> {
        let tensor = tensors.tensor(&name).map_err(broken)?;
        let numbers: Vec<f32> =
            tensor.data().chunks_exact(4).map(|raw| f32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]])).collect();
        let fits = numbers.len() == count;
        if fits { Ok(numbers) } else { Err(wrong(format!("`{name}`: {} numbers, expected {count}", numbers.len()))) }
    };
    for (slot, parameter) in parameters.all.iter().enumerate() {
        let (name, count) = (&parameter.name, parameter.value.as_tensor().elem_count());
        let moments = [numbers(format!("first:{name}"), count)?, numbers(format!("second:{name}"), count)?];
        parameters.set(slot, numbers(format!("value:{name}"), count)?)?;
        optimiser.moments[slot] = moments;
    }
    optimiser.steps = standing.optimiser_steps;
    Ok(standing)
}
