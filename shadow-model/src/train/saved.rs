//! Where a training stands, in a file: written whole or not at all, and known when it is damaged.
//!
//! A file is safetensors (every parameter, its two moments, and the rest as JSON) followed by the SHA-256 of them. It is
//! written beside its place and renamed; the newest two stay, so there is one to fall back to.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::optimiser::AdamW;
use super::parameters::Parameters;
use super::trainer::{Course, Origin};
use crate::peft::serialized;
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
    let mut tensors = Vec::new();
    for ((name, value), moments) in parameters.tensors().into_iter().zip(&optimiser.moments) {
        for (kind, moment) in ["first", "second"].into_iter().zip(moments) {
            let moment = Tensor::from_slice(moment, value.shape(), &Device::Cpu)?;
            tensors.push((format!("{kind}:{name}"), moment));
        }
        tensors.push((format!("value:{name}"), value));
    }
    let text = serde_json::to_string(standing).map_err(|why| ModelError::file(folder, why))?;
    let mut bytes = serialized(&tensors, HashMap::from([("standing".to_owned(), text)]))?;
    let hash = Sha256::digest(&bytes);
    bytes.extend_from_slice(&hash);
    std::fs::create_dir_all(folder).map_err(|why| ModelError::file(folder, why))?;
    let path = folder.join(format!("step-{:09}.{SUFFIX}", standing.course.step));
    write_whole(&path, &bytes)?;
    for old in found(folder)?.into_iter().skip(2) {
        std::fs::remove_file(&old).map_err(|why| ModelError::file(&old, why))?;
    }
    Ok(())
}

/// Writes a file so that at any moment either the old or the new one is there, whole.
///
/// # Errors
/// Where it cannot be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = path.with_added_extension("part");
    let work = || {
        let mut file = std::fs::File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        path.parent().map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all())
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
    let broken = |why: safetensors::SafeTensorError| wrong(why.to_string());
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
