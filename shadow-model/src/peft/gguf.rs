//! An adapter as llama.cpp reads it: one GGUF file, in f32, with the version's name in it.
//!
//! The format is that of llama.cpp's `convert_lora_to_gguf.py`. There a matrix gets `alpha / rank` times B·A, whatever the
//! adapter's own scale is: alpha is written so that this comes to it. Of Llama, rows of queries and keys are stored with
//! the two halves of a head interleaved, as the model's own are.

use std::path::Path;

use candle_core::Tensor;
use candle_core::quantized::gguf_file::{Content, Value};

use super::{SETTINGS, Stored};
use crate::decoder::{Config, Part};
use crate::gguf::stored_name;
use crate::train::write_whole;
use crate::{Family, Folder, ModelError, Result};

/// Tensors begin at multiples of so many bytes.
const ALIGNMENT: usize = 32;
/// Types of values in the metadata.
const STRING: u32 = 8;
const FLOAT32: u32 = 6;
/// The key of an adapter's name.
const NAME: &str = "general.name";

/// Writes the adapter in `folder`, of the model in `base` (its `config.json` is read), as the GGUF file `out`: whole or not
/// at all. A running llama.cpp shows `name` as the adapter's `task_name`.
///
/// # Errors
/// Where the adapter cannot be read, does not fit the model, is one that llama.cpp does not apply (DoRA), or `out` cannot be
/// written.
pub fn write_gguf(folder: &Path, base: &Path, name: &str, out: &Path) -> Result<()> {
    let config = Config::read(&Folder::open(base)?)?;
    let stored = Stored::open(folder, &config)?;
    let refused = |key: &str, found: String, expected: &str| {
        Err(ModelError::setting(&folder.join(SETTINGS), key, found, expected))
    };
    if stored.form.dora {
        return refused(
            "use_dora",
            "true".to_owned(),
            "false: llama.cpp applies no DoRA adapter; train without --dora",
        );
    }
    if stored.form.alpha <= 0.0 {
        return refused(
            "lora_alpha",
            stored.form.alpha.to_string(),
            "a number above 0: llama.cpp takes 0 for no scale",
        );
    }
    let header = header(&stored, &config, name);
    // one matrix at a time is held
    let mut failed = None;
    let written = write_whole(out, &mut |file| {
        file.write_all(&header)?;
        for &place in &stored.places {
            let module = stored.module(place, &config).and_then(|module| {
                let b = interleaved(&module.b, place.1, &config)?;
                Ok([floats(&module.a)?, floats(&b)?])
            });
            for bytes in module.map_err(|why| {
                let told = std::io::Error::other(why.to_string());
                failed = Some(why);
                told
            })? {
                file.write_all(&bytes)?;
                file.write_all(&padding(bytes.len()))?;
            }
        }
        Ok(())
    });
    failed.map_or(written, Err)
}

/// The name that an adapter was written under by [`write_gguf`]; `None` where the file has none.
///
/// # Errors
/// Where it cannot be read or is no GGUF.
pub fn adapter_name(path: &Path) -> Result<Option<String>> {
    let file = std::fs::File::open(path).map_err(|why| ModelError::file(path, why))?;
    let content = Content::read(&mut std::io::BufReader::new(file))
        .map_err(|why| ModelError::file(path, format!("not GGUF: {why}")))?;
    Ok(match content.metadata.get(NAME) {
        Some(Value::String(name)) => Some(name.clone()),
        _ => None,
    })
}

/// Everything before the numbers, padded.
fn header(stored: &Stored, config: &Config, name: &str) -> Vec<u8> {
    let texts = [
        ("general.architecture", config.family.name()),
        ("general.type", "adapter"),
        (NAME, name),
        ("adapter.type", "lora"),
        ("adapter.lora.task_name", name),
    ];
    let mut out = b"GGUF".to_vec();
    out.extend(3_u32.to_le_bytes());
    out.extend((2 * stored.places.len() as u64).to_le_bytes());
    out.extend((texts.len() as u64 + 1).to_le_bytes());
    for (key, value) in texts {
        text(&mut out, key);
        out.extend(STRING.to_le_bytes());
        text(&mut out, value);
    }
    text(&mut out, "adapter.lora.alpha");
    out.extend(FLOAT32.to_le_bytes());
    #[expect(clippy::cast_possible_truncation, reason = "the format's own type")]
    out.extend(((stored.form.scale() * stored.form.rank as f64) as f32).to_le_bytes());
    let (mut offset, rank) = (0, stored.form.rank);
    for &(layer, part) in &stored.places {
        let (inputs, outputs) = part.shape(config);
        for (end, shape) in [("lora_a", [rank, inputs]), ("lora_b", [outputs, rank])] {
            let matrix = stored_name(&format!("{}.weight", part.path(layer))).unwrap_or_default();
            text(&mut out, &format!("{matrix}.{end}"));
            out.extend(2_u32.to_le_bytes());
            // the innermost dimension is told first
            shape.iter().rev().for_each(|&length| out.extend((length as u64).to_le_bytes()));
            out.extend(0_u32.to_le_bytes()); // f32
            out.extend((offset as u64).to_le_bytes());
            offset += (4 * shape[0] * shape[1]).next_multiple_of(ALIGNMENT);
        }
    }
    let padding = padding(out.len());
    out.extend(padding);
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn padding(length: usize) -> Vec<u8> {
    vec![0; length.next_multiple_of(ALIGNMENT) - length]
}

fn floats(tensor: &Tensor) -> Result<Vec<u8>> {
    let numbers = tensor.flatten_all()?.to_vec1::<f32>()?;
    Ok(numbers.into_iter().flat_map(f32::to_le_bytes).collect())
}

/// B with its rows in the order in which the model's file has those of the matrix.
fn interleaved(b: &Tensor, part: Part, config: &Config) -> Result<Tensor> {
    let heads = match (config.family, part) {
        (Family::Llama, Part::Query) => config.heads,
        (Family::Llama, Part::Key) => config.kv_heads,
        _ => return Ok(b.clone()),
    };
    let (outputs, rank) = b.dims2()?;
    let halves = b.reshape((heads, 2, outputs / heads / 2, rank))?;
    Ok(halves.transpose(1, 2)?.contiguous()?.reshape((outputs, rank))?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::decoder::Checkpoint;
    use crate::decoder::tests::{cpu, golden};
    use crate::peft::Adapter;
    use crate::train::tests::trained;

    /// Writes a golden adapter and opens what was written.
    fn written(model: &str, adapter: &str) -> Result<(tempfile::TempDir, Content, Adapter)> {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("a.gguf");
        write_gguf(&trained(adapter), &golden(model), "support-v3", &out)?;
        assert_eq!(adapter_name(&out)?.as_deref(), Some("support-v3"));
        let content = Content::read(&mut std::fs::File::open(&out).unwrap())?;
        let config = Checkpoint::open(&golden(model), &cpu())?.config;
        Ok((folder, content, Adapter::read(&trained(adapter), &config)?))
    }

    #[test]
    fn a_file_holds_the_adapter() {
        for (model, adapter, alpha) in
            [("llama3", "llama3-lora", 1.0), ("qwen2", "qwen2-rslora", 2_f32.sqrt()), ("qwen3", "qwen3-lora", 1.0)]
        {
            let (folder, content, read) = written(model, adapter).unwrap();
            let told = |key: &str| content.metadata[key].to_string().unwrap().clone();
            let family = if model == "llama3" { "llama" } else { model };
            assert_eq!((told("general.architecture"), told("general.type")), (family.to_owned(), "adapter".to_owned()));
            assert_eq!((told("adapter.type"), told("adapter.lora.task_name")), ("lora".into(), "support-v3".into()));
            let form = read.form;
            let found = content.metadata["adapter.lora.alpha"].to_f32().unwrap();
            assert!((found / (form.alpha as f32 * alpha) - 1.0).abs() < 1e-6, "{adapter}: {found}");
            let mut file = std::fs::File::open(folder.path().join("a.gguf")).unwrap();
            let mut tensor = |name: &str| {
                let tensor = content.tensor(&mut file, name, &Device::Cpu).unwrap();
                tensor.dequantize(&Device::Cpu).unwrap().to_vec2::<f32>().unwrap()
            };
            let module = read.module(Part::Query, 1).unwrap();
            assert_eq!(tensor("blk.1.attn_q.weight.lora_a"), module.a.to_vec2::<f32>().unwrap());
            let (b, stored) = (module.b.to_vec2::<f32>().unwrap(), tensor("blk.1.attn_q.weight.lora_b"));
            // heads of 8 rows: Llama's second row is that of the second half
            if model == "llama3" {
                assert_eq!([&stored[1], &stored[2], &stored[8]], [&b[4], &b[1], &b[8]]);
            } else {
                assert_eq!(stored, b);
            }
            let down = read.module(Part::Down, 0).unwrap();
            assert_eq!(tensor("blk.0.ffn_down.weight.lora_b"), down.b.to_vec2::<f32>().unwrap());
        }
    }

    #[test]
    fn what_llama_cpp_does_not_apply_is_refused() {
        let error = written("qwen2", "qwen2-dora").err().unwrap().to_string();
        assert!(error.contains("`use_dora`: found true, expected false: llama.cpp applies no DoRA"), "{error}");
        let error = written("llama3", "qwen3-lora").err().unwrap().to_string();
        assert!(error.contains("found shape"), "{error}");
        let error = adapter_name(&golden("llama3").join("config.json")).unwrap_err().to_string();
        assert!(error.contains("not GGUF"), "{error}");
    }
}
