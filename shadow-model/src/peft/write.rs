//! Writes an adapter so that PEFT, vLLM and this crate read it.

use std::io::Write;
use std::path::Path;

use candle_core::Tensor;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{Form, SETTINGS, TENSORS};
use crate::decoder::Part;
use crate::train::write_whole;
use crate::{ModelError, Result};

/// Writes an adapter: `tensors` by PEFT's names, in f32.
///
/// # Errors
/// Where a file cannot be written.
pub(crate) fn write(
    folder: &Path,
    form: &Form,
    dropout: f64,
    parts: &[Part],
    base: &str,
    tensors: &[(String, Tensor)],
) -> Result<()> {
    let names: Vec<&str> = parts.iter().map(|part| part.name()).collect();
    // a whole number is written as one: PEFT's own type, and what llama.cpp's converter expects
    #[expect(clippy::cast_possible_truncation, reason = "it has no fraction")]
    let alpha = if form.alpha.fract() == 0.0 { json!(form.alpha as i64) } else { json!(form.alpha) };
    let settings = json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": form.rank,
        "lora_alpha": alpha,
        "lora_dropout": dropout,
        "use_rslora": form.rslora,
        "use_dora": form.dora,
        "target_modules": names,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "modules_to_save": null,
        "rank_pattern": {},
        "alpha_pattern": {},
    });
    write_whole(&folder.join(SETTINGS), &mut |file| writeln!(file, "{settings:#}"))?;
    write_tensors(&folder.join(TENSORS), tensors)
}

/// Writes a file of safetensors as torch's programs do.
///
/// # Errors
/// Where it cannot be written.
pub(crate) fn write_tensors(path: &Path, tensors: &[(String, Tensor)]) -> Result<()> {
    let items: Vec<Item<'_>> = tensors.iter().map(|(name, tensor)| Item::of(name.clone(), tensor)).collect();
    write_whole(path, &mut |file| safetensors(file, &items, &json!({"format": "pt"})))
}

/// A tensor to be written.
pub(crate) struct Item<'a> {
    pub name: String,
    pub shape: &'a [usize],
    pub numbers: Numbers<'a>,
}

/// Its numbers, in f32.
pub(crate) enum Numbers<'a> {
    Tensor(&'a Tensor),
    Host(&'a [f32]),
}

impl<'a> Item<'a> {
    /// A tensor under a name.
    pub fn of(name: String, tensor: &'a Tensor) -> Self {
        Self { name, shape: tensor.dims(), numbers: Numbers::Tensor(tensor) }
    }
}

/// Writes tensors one after another in the format of safetensors, none of them held twice: the length of the header, the
/// header as JSON, padded to 8 bytes, then the numbers in the order of the header.
///
/// # Errors
/// Where they cannot be written.
pub(crate) fn safetensors(out: &mut dyn Write, items: &[Item<'_>], metadata: &Value) -> std::io::Result<()> {
    let mut header = Map::from_iter([("__metadata__".to_owned(), metadata.clone())]);
    let mut begin = 0;
    for item in items {
        let end = begin + 4 * item.shape.iter().product::<usize>();
        header.insert(item.name.clone(), json!({"dtype": "F32", "shape": item.shape, "data_offsets": [begin, end]}));
        begin = end;
    }
    let header = Value::Object(header).to_string();
    let length = header.len().next_multiple_of(8);
    out.write_all(&(length as u64).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    out.write_all(&b"        "[..length - header.len()])?;
    for item in items {
        match item.numbers {
            Numbers::Host(numbers) => floats(out, numbers)?,
            Numbers::Tensor(tensor) => {
                let numbers = tensor.flatten_all().and_then(|flat| flat.to_vec1::<f32>());
                floats(out, &numbers.map_err(std::io::Error::other)?)?;
            }
        }
    }
    Ok(())
}

fn floats(out: &mut dyn Write, numbers: &[f32]) -> std::io::Result<()> {
    for part in numbers.chunks(4096) {
        let bytes: Vec<u8> = part.iter().copied().flat_map(f32::to_le_bytes).collect();
        out.write_all(&bytes)?;
    }
    Ok(())
}

/// The SHA-256 of both files of an adapter, one after another, in hexadecimal.
///
/// # Errors
/// Where one cannot be read.
pub(crate) fn sha256(folder: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    for name in [SETTINGS, TENSORS] {
        let path = folder.join(name);
        hasher.update(std::fs::read(&path).map_err(|why| ModelError::file(&path, why))?);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
