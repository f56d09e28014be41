//! The tensors of a folder: safetensors, in one file or several, read one by one, checked against what the model expects.
//!
//! Nothing is mapped: a file that is cut short while it is read is an error and not a signal.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use sha2::{Digest, Sha256};

use crate::finite::not_finite;
use crate::{Folder, ModelError, Result};

/// The largest header of a file of weights, in bytes (the format's own limit).
const MOST_HEADER: u64 = 100_000_000;

/// The tensors of a folder, found by name.
pub struct Weights {
    folder: PathBuf,
    files: Vec<PathBuf>,
    tensors: BTreeMap<String, Stored>,
}

struct Stored {
    file: usize,
    info: TensorInfo,
    begin: u64,
}

impl Weights {
    /// Reads the headers of `model.safetensors`, or of the files that `model.safetensors.index.json` names.
    ///
    /// # Errors
    /// Where there is no such file, one is missing, or one is not what its header says.
    pub fn open(folder: &Folder) -> Result<Self> {
        Self::of_files(folder.path(), files(folder)?)
    }

    /// The tensors of some files of a folder.
    ///
    /// # Errors
    /// Where one is missing or is not what its header says.
    pub(crate) fn of_files(folder: &Path, files: Vec<PathBuf>) -> Result<Self> {
        let mut weights = Self { folder: folder.to_owned(), files: Vec::new(), tensors: BTreeMap::new() };
        for path in files {
            weights.add(path)?;
        }
        Ok(weights)
    }

    fn add(&mut self, path: PathBuf) -> Result<()> {
        let (metadata, begin) = header(&path)?;
        let file = self.files.len();
        for (name, info) in metadata.tensors() {
            let stored = Stored { file, info: info.clone(), begin };
            if self.tensors.insert(name.clone(), stored).is_some() {
                return Err(ModelError::tensor(&path, &name, "it in two files", "it in one"));
            }
        }
        self.files.push(path);
        Ok(())
    }

    /// The names and shapes of all tensors, by name.
    pub(crate) fn shapes(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.tensors.iter().map(|(name, stored)| (name.as_str(), stored.info.shape.as_slice()))
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The numbers in which a tensor is stored, where they can be read.
    pub fn dtype(&self, name: &str) -> Option<DType> {
        self.tensors.get(name).and_then(|stored| kind(stored.info.dtype))
    }

    /// Bytes of all tensors as they are stored.
    pub fn bytes(&self) -> u64 {
        self.tensors.values().map(|stored| (stored.info.data_offsets.1 - stored.info.data_offsets.0) as u64).sum()
    }

    /// Bytes of all tensors once they are loaded, each number in the bytes that `width` gives for the tensor's name and the
    /// bytes of a number as it is stored.
    pub(crate) fn held(&self, width: impl Fn(&str, usize) -> usize) -> u64 {
        let bytes = |(name, stored): (&String, &Stored)| {
            let as_stored = kind(stored.info.dtype).map_or(0, |dtype| dtype.size_in_bytes());
            (stored.info.shape.iter().product::<usize>() * width(name, as_stored)) as u64
        };
        self.tensors.iter().map(bytes).sum()
    }

    /// Numbers in all tensors.
    pub fn parameters(&self) -> u64 {
        self.tensors.values().map(|stored| stored.info.shape.iter().product::<usize>() as u64).sum()
    }

    /// One tensor of the shape that the model expects, as numbers of `dtype` on `device`.
    ///
    /// # Errors
    /// Where it is missing, of another shape, of a type that is not read, holds NaN or infinity, or its bytes cannot be read.
    pub fn tensor(&self, name: &str, shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
        let expected = || format!("shape {shape:?}");
        let stored =
            self.tensors.get(name).ok_or_else(|| ModelError::tensor(&self.folder, name, "none", expected()))?;
        let path = &self.files[stored.file];
        if stored.info.shape != shape {
            return Err(ModelError::tensor(path, name, format!("shape {:?}", stored.info.shape), expected()));
        }
        let kind = kind(stored.info.dtype)
            .ok_or_else(|| ModelError::tensor(path, name, format!("{:?}", stored.info.dtype), "F64, F32, BF16, F16"))?;
        let bytes = read(path, stored)?;
        if let Some(found) = not_finite(&bytes, kind) {
            return Err(ModelError::tensor(path, name, found, "finite numbers"));
        }
        let tensor = Tensor::from_raw_buffer(&bytes, kind, shape, &Device::Cpu)?;
        Ok(tensor.to_dtype(dtype)?.to_device(device)?)
    }

    /// The SHA-256 of the one file, or of the files one after another in the order of their names, in hexadecimal.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn sha256(&self) -> Result<String> {
        hash(&self.files)
    }

    /// Checks the SHA-256 of the one file, or of the files one after another in the order of their names.
    ///
    /// # Errors
    /// Where it differs or a file cannot be read.
    pub fn check(&self, expected: &str) -> Result<()> {
        sha256(&self.files, &self.folder, expected)
    }
}

/// Checks the SHA-256 of files one after another, of the one file or those of a folder.
pub(crate) fn sha256(files: &[PathBuf], folder: &Path, expected: &str) -> Result<()> {
    let found = hash(files)?;
    if found.eq_ignore_ascii_case(expected.trim()) {
        return Ok(());
    }
    let path = if let [only] = files { only } else { folder };
    Err(ModelError::file(path, format!("SHA-256 of the weights: found {found}, expected {expected}")))
}

/// The SHA-256 of files one after another, in hexadecimal.
///
/// # Errors
/// Where one cannot be read.
pub fn hash(files: &[PathBuf]) -> Result<String> {
    let mut hasher = Sha256::new();
    for path in files {
        hash_file(path, &mut hasher).map_err(|why| ModelError::file(path, why))?;
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn hash_file(path: &Path, hasher: &mut Sha256) -> std::io::Result<()> {
    let (mut file, mut part) = (File::open(path)?, vec![0; 1 << 20]);
    loop {
        match file.read(&mut part)? {
            0 => return Ok(()),
            length => hasher.update(&part[..length]),
        }
    }
}

fn files(folder: &Folder) -> Result<Vec<PathBuf>> {
    let single = folder.path().join("model.safetensors");
    if single.exists() {
        return Ok(vec![single]);
    }
    let Some(index) = folder.settings("model.safetensors.index.json")? else {
        let what = "no model.safetensors and no model.safetensors.index.json (pickled .bin files are not read)";
        return Err(ModelError::file(folder.path(), what));
    };
    let map = index.get("weight_map").and_then(|map| map.as_object());
    let map = map.ok_or_else(|| index.wrong("weight_map", "nothing", "an object of tensor names and files"))?;
    let mut names = std::collections::BTreeSet::new();
    for (tensor, file) in map {
        let file = file.as_str().filter(|file| Path::new(file).components().count() == 1 && !file.starts_with('.'));
        names.insert(file.ok_or_else(|| {
            index.wrong(&format!("weight_map.{tensor}"), &map[tensor], "the name of a file in the folder")
        })?);
    }
    Ok(names.into_iter().map(|name| folder.path().join(name)).collect())
}

/// A file's header, and where its data begins.
fn header(path: &Path) -> Result<(Metadata, u64)> {
    let wrong = |what: String| ModelError::file(path, what);
    let mut file = File::open(path).map_err(|why| wrong(why.to_string()))?;
    let size = file.metadata().map_err(|why| wrong(why.to_string()))?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|why| wrong(format!("not safetensors: {why}")))?;
    let length = u64::from_le_bytes(length);
    if length > MOST_HEADER || length > size.saturating_sub(8) {
        return Err(wrong(format!("not safetensors: a header of {length} bytes in a file of {size}")));
    }
    let mut text = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact(&mut text).map_err(|why| wrong(format!("not safetensors: {why}")))?;
    let metadata: Metadata = serde_json::from_slice(&text).map_err(|why| wrong(format!("header: {why}")))?;
    let needed = 8 + length + metadata.data_len() as u64;
    if needed != size {
        return Err(wrong(format!("{size} bytes, its header tells of {needed}: is it cut short?")));
    }
    Ok((metadata, 8 + length))
}

fn read(path: &Path, stored: &Stored) -> Result<Vec<u8>> {
    let (begin, end) = stored.info.data_offsets;
    let mut bytes = vec![0; end - begin];
    let mut file = File::open(path).map_err(|why| ModelError::file(path, why))?;
    file.seek(SeekFrom::Start(stored.begin + begin as u64)).map_err(|why| ModelError::file(path, why))?;
    file.read_exact(&mut bytes).map_err(|why| ModelError::file(path, why))?;
    Ok(bytes)
}

fn kind(dtype: Dtype) -> Option<DType> {
    match dtype {
        Dtype::F64 => Some(DType::F64),
        Dtype::F32 => Some(DType::F32),
        Dtype::BF16 => Some(DType::BF16),
        Dtype::F16 => Some(DType::F16),
        Dtype::I64 => Some(DType::I64),
        Dtype::U8 => Some(DType::U8),
        _ => None,
    }
}
