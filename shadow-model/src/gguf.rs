//! A GGUF file (llama.cpp's format): its metadata as a decoder's configuration, its blocks as they are stored.
//!
//! Tensors are asked for by the names of transformers. llama.cpp stores queries and keys of Llama with the two halves of
//! a head interleaved, for its rotary embedding takes neighbours; the rows are put back, which moves whole blocks.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::quantized::ggml_file::qtensor_from_ggml;
use candle_core::quantized::gguf_file::{Content, TensorInfo, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};

use crate::decoder::{Biases, Config, Frequencies, plain_frequencies};
use crate::finite::blocks_not_finite;
use crate::folder::MOST_COUNT;
use crate::weights::sha256;
use crate::{Family, ModelError, Result};

/// An open GGUF file.
pub(crate) struct Gguf {
    path: PathBuf,
    content: Content,
    interleaved: Option<Interleaved>,
}

/// The heads whose rows are stored interleaved.
#[derive(Clone, Copy)]
struct Interleaved {
    heads: usize,
    kv_heads: usize,
}

/// Names in a layer: transformers' and llama.cpp's.
const LAYER: [(&str, &str); 11] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

/// llama.cpp's name for a tensor of transformers, `layers.3.mlp.up_proj.weight`.
pub(crate) fn stored_name(name: &str) -> Option<String> {
    let (module, kind) = name.rsplit_once('.')?;
    let module = match module {
        "embed_tokens" => "token_embd".to_owned(),
        "norm" => "output_norm".to_owned(),
        "lm_head" => "output".to_owned(),
        _ => {
            let (layer, part) = module.strip_prefix("layers.")?.split_once('.')?;
            let (_, part) = LAYER.iter().find(|(theirs, _)| *theirs == part)?;
            format!("blk.{layer}.{part}")
        }
    };
    Some(format!("{module}.{kind}"))
}

impl Gguf {
    /// The one `.gguf` file of a folder that has no safetensors, or the file itself where it is named.
    ///
    /// # Errors
    /// Where there are several, or the folder cannot be read.
    pub fn find(folder: &Path) -> Result<Option<PathBuf>> {
        if folder.is_file() && is_gguf(folder) {
            return Ok(Some(folder.to_owned()));
        }
        let safetensors = ["model.safetensors", "model.safetensors.index.json"];
        if !folder.is_dir() || safetensors.iter().any(|name| folder.join(name).exists()) {
            return Ok(None);
        }
        let entries = std::fs::read_dir(folder).map_err(|why| ModelError::file(folder, why))?;
        let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        let mut files: Vec<_> = paths.filter(|path| is_gguf(path)).collect();
        files.sort();
        match files.as_slice() {
            [] => Ok(None),
            [only] => Ok(Some(only.clone())),
            _ => Err(ModelError::file(folder, format!("{} .gguf files, one is read", files.len()))),
        }
    }

    /// Reads the metadata of a file.
    ///
    /// # Errors
    /// Where it cannot be read or is no GGUF.
    pub fn open(path: &Path) -> Result<Self> {
        let wrong = |why: &dyn std::fmt::Display| ModelError::file(path, format!("not GGUF: {why}"));
        let mut file = std::io::BufReader::new(File::open(path).map_err(|why| ModelError::file(path, why))?);
        let content = Content::read(&mut file).map_err(|why| wrong(&why))?;
        Self { path: path.to_owned(), content, interleaved: None }.with_heads()
    }

    fn with_heads(mut self) -> Result<Self> {
        if self.family()? == Family::Llama {
            let heads = self.count("attention.head_count")?;
            let kv_heads = self.optional_count("attention.head_count_kv")?.unwrap_or(heads);
            self.interleaved = Some(Interleaved { heads, kv_heads });
        }
        Ok(self)
    }

    fn family(&self) -> Result<Family> {
        match self.architecture() {
            Some("llama") => Ok(Family::Llama),
            Some("qwen2") => Ok(Family::Qwen2),
            Some("qwen3") => Ok(Family::Qwen3),
            other => Err(self.wrong("general.architecture", other.unwrap_or("nothing"), "llama, qwen2 or qwen3")),
        }
    }

    /// The decoder that the metadata describe.
    ///
    /// # Errors
    /// Where it is none that is supported, or a key is missing or has a value that cannot be used.
    pub fn config(&self) -> Result<Config> {
        let family = self.family()?;
        let (hidden, heads) = (self.count("embedding_length")?, self.count("attention.head_count")?);
        let kv_heads = self.optional_count("attention.head_count_kv")?.unwrap_or(heads);
        if !heads.is_multiple_of(kv_heads) {
            return Err(self.wrong("attention.head_count_kv", kv_heads, format!("a divisor of {heads}")));
        }
        let head = self.optional_count("attention.key_length")?.unwrap_or(hidden / heads);
        if !head.is_multiple_of(2) {
            return Err(self.wrong("attention.key_length", head, "an even number"));
        }
        let window = self.optional_count("attention.sliding_window")?;
        if window.is_some() {
            return Err(self.wrong("attention.sliding_window", window.unwrap_or(0), "no sliding window"));
        }
        let has = |part: &str| self.content.tensor_infos.contains_key(&format!("blk.0.{part}.bias"));
        Ok(Config {
            family,
            vocabulary: self.info("embed_tokens.weight")?.shape.dims().first().copied().unwrap_or(0),
            hidden,
            inner: self.count("feed_forward_length")?,
            heads,
            kv_heads,
            head,
            window: self.count("context_length")?,
            eps: self.number("attention.layer_norm_rms_epsilon")?.unwrap_or(1e-6),
            layers: vec![None; self.count("block_count")?],
            frequencies: self.frequencies(head)?,
            tied: !self.content.tensor_infos.contains_key("output.weight"),
            biases: Biases {
                query_key_value: has("attn_q"),
                output: has("attn_output"),
                feed_forward: has("ffn_gate"),
            },
            normed_heads: family == Family::Qwen3,
        })
    }

    /// Plain or linear ones, divided by `rope_freqs.weight` where there is one (llama.cpp's form of `llama3`).
    fn frequencies(&self, head: usize) -> Result<Frequencies> {
        let mut frequencies = plain_frequencies(self.number("rope.freq_base")?.unwrap_or(10_000.0), head);
        match self.value("rope.scaling.type") {
            None => {}
            Some(Value::String(kind)) if kind == "none" => {}
            Some(Value::String(kind)) if kind == "linear" => {
                let factor = self.number("rope.scaling.factor")?.filter(|&factor| factor > 0.0);
                let factor = factor.ok_or_else(|| self.wrong("rope.scaling.factor", "nothing", "a number above 0"))?;
                frequencies.iter_mut().for_each(|frequency| *frequency /= factor);
            }
            Some(other) => return Err(self.wrong("rope.scaling.type", format!("{other:?}"), "none or linear")),
        }
        if self.content.tensor_infos.contains_key("rope_freqs.weight") {
            let factors = self.read("rope_freqs.weight", &[head / 2], &Device::Cpu)?.dequantize(&Device::Cpu)?;
            let factors = factors.to_vec1::<f32>()?;
            frequencies.iter_mut().zip(factors).for_each(|(frequency, factor)| *frequency /= factor);
        }
        Ok(frequencies)
    }

    fn architecture(&self) -> Option<&str> {
        match self.content.metadata.get("general.architecture") {
            Some(Value::String(name)) => Some(name),
            _ => None,
        }
    }

    fn value(&self, key: &str) -> Option<&Value> {
        let metadata: &HashMap<_, _> = &self.content.metadata;
        metadata.get(&format!("{}.{key}", self.architecture()?))
    }

    fn count(&self, key: &str) -> Result<usize> {
        self.optional_count(key)?.ok_or_else(|| self.wrong(key, "nothing", "a positive whole number"))
    }

    fn optional_count(&self, key: &str) -> Result<Option<usize>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let number = value.to_u64().ok().and_then(|number| usize::try_from(number).ok());
        let number = number.filter(|&number| (1..=MOST_COUNT).contains(&number));
        let right = format!("a positive whole number up to {MOST_COUNT}");
        number.map(Some).ok_or_else(|| self.wrong(key, format!("{value:?}"), right))
    }

    fn number(&self, key: &str) -> Result<Option<f32>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let number = value.to_f32().ok().filter(|number| number.is_finite() && *number > 0.0);
        number.map(Some).ok_or_else(|| self.wrong(key, format!("{value:?}"), "a number above 0"))
    }

    fn wrong(&self, key: &str, found: impl std::fmt::Display, expected: impl std::fmt::Display) -> ModelError {
        ModelError::setting(&self.path, key, found, expected)
    }

    /// The error for a tensor that is not there.
    pub fn lacks(&self, name: &str, shape: &[usize]) -> ModelError {
        ModelError::tensor(&self.path, name, "none", format!("shape {shape:?}"))
    }

    fn info(&self, name: &str) -> Result<&TensorInfo> {
        let stored = stored_name(name).unwrap_or_else(|| name.to_owned());
        self.content.tensor_infos.get(&stored).ok_or_else(|| ModelError::tensor(&self.path, &stored, "none", "it"))
    }

    /// Bytes of all tensors as they are stored (a damaged file may say any number), with the embeddings in F16.
    pub fn bytes(&self) -> u64 {
        let table = self.content.tensor_infos.get("token_embd.weight").map_or(0, numbers);
        self.stored_bytes().saturating_add(table.saturating_mul(2))
    }

    /// Bytes of all tensors as they are stored.
    pub fn stored_bytes(&self) -> u64 {
        let stored = |info: &TensorInfo| {
            let blocks = numbers(info) / info.ggml_dtype.block_size() as u64;
            blocks.saturating_mul(info.ggml_dtype.type_size() as u64)
        };
        self.content.tensor_infos.values().map(stored).fold(0, u64::saturating_add)
    }

    /// Numbers in all tensors.
    pub fn parameters(&self) -> u64 {
        self.content.tensor_infos.values().map(numbers).fold(0, u64::saturating_add)
    }

    /// Checks the SHA-256 of the file.
    ///
    /// # Errors
    /// Where it differs or the file cannot be read.
    pub fn check(&self, expected: &str) -> Result<()> {
        sha256(std::slice::from_ref(&self.path), &self.path, expected)
    }

    /// A tensor of the shape that the model expects, in its blocks.
    ///
    /// # Errors
    /// Where it is missing, of another shape, or its bytes cannot be read.
    pub fn quantized(&self, module: &str, shape: &[usize], device: &Device) -> Result<QTensor> {
        self.read(&format!("{module}.weight"), shape, device)
    }

    /// A tensor as numbers of `dtype`.
    ///
    /// # Errors
    /// As [`Gguf::quantized`].
    pub fn tensor(&self, name: &str, shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
        Ok(self.read(name, shape, &Device::Cpu)?.dequantize(&Device::Cpu)?.to_dtype(dtype)?.to_device(device)?)
    }

    /// The output matrix, or the embeddings where there is none, in parts of at most `rows` rows.
    ///
    /// # Errors
    /// As [`Gguf::quantized`].
    pub fn output(&self, shape: &[usize; 2], rows: usize, device: &Device) -> Result<Vec<QTensor>> {
        let tied = !self.content.tensor_infos.contains_key("output.weight");
        let (bytes, dtype) = self.bytes_of(if tied { "embed_tokens.weight" } else { "lm_head.weight" }, shape)?;
        let stride = bytes.len() / shape[0].max(1);
        let part = |part: &[u8]| Ok(qtensor_from_ggml(dtype, part, vec![part.len() / stride, shape[1]], device)?);
        bytes.chunks(rows * stride).map(part).collect()
    }

    fn read(&self, name: &str, shape: &[usize], device: &Device) -> Result<QTensor> {
        let (mut bytes, dtype) = self.bytes_of(name, shape)?;
        if let Some(heads) = self.interleaved.and_then(|stored| stored.heads_of(name)) {
            bytes = apart(&bytes, heads, shape[0]);
        }
        Ok(qtensor_from_ggml(dtype, &bytes, shape.to_vec(), device)?)
    }

    fn bytes_of(&self, name: &str, shape: &[usize]) -> Result<(Vec<u8>, GgmlDType)> {
        let info = self.info(name)?;
        let found = info.shape.dims();
        if found != shape {
            let (found, expected) = (format!("shape {found:?}"), format!("shape {shape:?}"));
            return Err(ModelError::tensor(&self.path, name, found, expected));
        }
        let (block, dtype) = (info.ggml_dtype.block_size(), info.ggml_dtype);
        let row = shape.last().copied().unwrap_or(0);
        if !row.is_multiple_of(block) {
            return Err(ModelError::tensor(
                &self.path,
                name,
                format!("rows of {row}"),
                format!("whole blocks of {block}"),
            ));
        }
        let length = (numbers(info) / block as u64).saturating_mul(dtype.type_size() as u64);
        let mut bytes = Vec::new();
        let read = |bytes: &mut Vec<u8>| -> std::io::Result<usize> {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(self.content.tensor_data_offset.saturating_add(info.offset)))?;
            file.take(length).read_to_end(bytes)
        };
        let got = read(&mut bytes).map_err(|why| ModelError::file(&self.path, why))?;
        if (got as u64) < length {
            return Err(ModelError::tensor(
                &self.path,
                name,
                format!("{got} bytes, cut short"),
                format!("{length} bytes"),
            ));
        }
        match blocks_not_finite(&bytes, dtype)? {
            Some(found) => Err(ModelError::tensor(&self.path, name, found, "finite numbers")),
            None => Ok((bytes, dtype)),
        }
    }
}

impl Interleaved {
    fn heads_of(self, name: &str) -> Option<usize> {
        if name.contains("self_attn.q_proj") {
            Some(self.heads)
        } else {
            name.contains("self_attn.k_proj").then_some(self.kv_heads)
        }
    }
}

fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|is| is == "gguf")
}

/// The rows of each head with its even ones first, then its odd ones.
fn apart(bytes: &[u8], heads: usize, rows: usize) -> Vec<u8> {
    let stride = bytes.len() / rows.max(1);
    let head = rows / heads;
    let row = |at: usize| {
        let (number, within) = (at / head, at % head);
        let (half, pair) = (within / (head / 2), within % (head / 2));
        &bytes[(number * head + 2 * pair + half) * stride..][..stride]
    };
    (0..heads * head).flat_map(row).copied().collect()
}

/// Numbers in a tensor, as a file says that may be damaged.
fn numbers(info: &TensorInfo) -> u64 {
    info.shape.dims().iter().fold(1, |all, &length| all.saturating_mul(length as u64))
}

#[cfg(test)]
mod tests;
