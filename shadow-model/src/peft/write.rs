//! Writes an adapter so that PEFT, vLLM and this crate read it.

use std::collections::HashMap;
use std::path::Path;

use candle_core::Tensor;
use serde_json::json;
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
    let text = format!("{settings:#}\n");
    write_whole(&folder.join(SETTINGS), text.as_bytes())?;
    write_tensors(&folder.join(TENSORS), tensors)
}

/// Writes a file of safetensors as torch's programs do.
///
/// # Errors
/// Where it cannot be written.
pub(crate) fn write_tensors(path: &Path, tensors: &[(String, Tensor)]) -> Result<()> {
    write_whole(path, &serialized(tensors, HashMap::from([("format".to_owned(), "pt".to_owned())]))?)
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

/// Tensors as the bytes of a safetensors file, in f32.
///
/// # Errors
/// Where the device fails.
pub(crate) fn serialized(tensors: &[(String, Tensor)], metadata: HashMap<String, String>) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let numbers = tensor.flatten_all()?.to_vec1::<f32>()?;
        let raw: Vec<u8> = numbers.into_iter().flat_map(f32::to_le_bytes).collect();
        bytes.push((name.as_str(), tensor.dims().to_vec(), raw));
    }
    let wrong = |why: safetensors::SafeTensorError| ModelError::Text(format!("safetensors: {why}"));
    let mut views = Vec::with_capacity(bytes.len());
    for (name, shape, raw) in &bytes {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), raw).map_err(wrong)?;
        views.push((*name, view));
    }
    safetensors::serialize(views, Some(metadata)).map_err(wrong)
}
