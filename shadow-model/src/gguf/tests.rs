//! GGUF files: blocks of few bits against the numbers they stand for, and what is wrong with a file.

use candle_core::quantized::gguf_file;

use super::*;
use crate::decoder::tests::{cpu, golden};
use crate::decoder::{Batch, Checkpoint, Decoder, Head, Target};

const HIDDEN: usize = 256;
const VOCABULARY: usize = 64;

/// A Qwen3 of one layer with random weights, all matrices in blocks of `dtype`, or in the numbers those stand for.
fn write(folder: &Path, dtype: GgmlDType, as_numbers: bool) {
    let random = |shape: &[usize], mean: f32, seed: usize| {
        let mut state = seed as u64 * 7919 + 1;
        let number = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            mean + 0.15 * ((state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0)
        };
        let numbers: Vec<f32> = (0..shape.iter().product()).map(number).collect();
        Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()
    };
    let matrices = [
        ("token_embd", [VOCABULARY, HIDDEN]),
        ("blk.0.attn_q", [256, HIDDEN]),
        ("blk.0.attn_k", [128, HIDDEN]),
        ("blk.0.attn_v", [128, HIDDEN]),
        ("blk.0.attn_output", [HIDDEN, 256]),
        ("blk.0.ffn_gate", [512, HIDDEN]),
        ("blk.0.ffn_up", [512, HIDDEN]),
        ("blk.0.ffn_down", [HIDDEN, 512]),
    ];
    let norms = [("output_norm", HIDDEN), ("blk.0.attn_norm", HIDDEN), ("blk.0.ffn_norm", HIDDEN)];
    let heads = [("blk.0.attn_q_norm", 64), ("blk.0.attn_k_norm", 64)];
    let mut tensors = Vec::new();
    for (seed, (name, shape)) in matrices.iter().enumerate() {
        let blocks = QTensor::quantize(&random(shape, 0.0, seed), dtype).unwrap();
        let numbers = || QTensor::quantize(&blocks.dequantize(&Device::Cpu).unwrap(), GgmlDType::F32).unwrap();
        tensors.push((format!("{name}.weight"), if as_numbers { numbers() } else { blocks }));
    }
    for (seed, (name, length)) in norms.iter().chain(&heads).enumerate() {
        let numbers = random(&[*length], 1.0, 100 + seed);
        tensors.push((format!("{name}.weight"), QTensor::quantize(&numbers, GgmlDType::F32).unwrap()));
    }
    let counts = [
        ("block_count", 1),
        ("context_length", 128),
        ("embedding_length", 256),
        ("feed_forward_length", 512),
        ("attention.head_count", 4),
        ("attention.head_count_kv", 2),
        ("attention.key_length", 64),
    ];
    let mut metadata = vec![("general.architecture".to_owned(), Value::String("qwen3".to_owned()))];
    metadata.extend(counts.map(|(key, count)| (format!("qwen3.{key}"), Value::U32(count))));
    let metadata: Vec<_> = metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
    let tensors: Vec<_> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let mut file = File::create(folder.join("model.gguf")).unwrap();
    gguf_file::write(&mut file, &metadata, &tensors).unwrap();
}

/// −ln p of each token of a text.
fn nll(folder: &Path) -> Vec<f32> {
    let checkpoint = Checkpoint::open(folder, &cpu()).unwrap();
    let decoder = Decoder::load(&checkpoint).unwrap();
    let head = Head::load(&checkpoint, decoder.embeddings()).unwrap();
    let ids: Vec<u32> = (0..100).map(|at| (at * at + 3) % VOCABULARY as u32).collect();
    let mut batch = Batch::default();
    batch.add(&ids, None);
    let targets: Vec<_> = ids[1..].iter().enumerate().map(|(row, &token)| Target { row, token }).collect();
    let all = head.predict(&decoder.hidden(&batch).unwrap(), &targets).unwrap();
    all.iter().map(|token| token.nll).collect()
}

#[test]
fn blocks_equal_the_numbers_they_stand_for() {
    // What is left is the rounding of activations inside candle's products, to 8 bits a block of 32 or 256.
    for (dtype, bound) in
        [(GgmlDType::F16, 1e-3), (GgmlDType::Q8_0, 1e-2), (GgmlDType::Q4K, 2e-2), (GgmlDType::Q6K, 2e-2)]
    {
        let (blocks, numbers) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write(blocks.path(), dtype, false);
        write(numbers.path(), dtype, true);
        let (found, expected) = (nll(blocks.path()), nll(numbers.path()));
        let (sum, wanted): (f32, f32) = (found.iter().sum(), expected.iter().sum());
        let largest = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("{dtype:?}: NLL within {:.1e}, of one token {largest:.1e} nats", (sum / wanted - 1.0).abs());
        assert!((sum / wanted - 1.0).abs() < bound, "{dtype:?}: {sum} {wanted}");
    }
}

#[test]
fn what_is_wrong_with_a_file_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let error =
        || Checkpoint::open(folder.path(), &cpu()).and_then(|read| Decoder::load(&read)).err().unwrap().to_string();
    std::fs::write(&path, b"GGUF").unwrap();
    assert!(error().contains("model.gguf: not GGUF: "), "{}", error());
    let stored = std::fs::read(golden("qwen3-gguf").join("model-Q8_0.gguf")).unwrap();
    let with = |from: &str, to: &str| {
        let at = stored.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        [&stored[..at], to.as_bytes(), &stored[at + from.len()..]].concat()
    };
    for (bytes, message) in [
        (with("qwen3", "mamba"), "`general.architecture`: found mamba, expected llama, qwen2 or qwen3"),
        (
            with("qwen3.embedding_length", "qwen3.embedding_lengtX"),
            "`embedding_length`: found nothing, expected a positive whole number",
        ),
        (with("blk.1.attn_k.weight", "blk.1.attn_X.weight"), "tensor `blk.1.attn_k.weight`: found none, expected it"),
        (stored[..stored.len() / 2].to_vec(), "bytes, cut short, expected "),
        (with_nan(&stored), "found NaN or infinity among the 65536 numbers from number 1 on, expected finite"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        assert!(error().contains(message), "{}", error());
    }
    std::fs::write(&path, &stored).unwrap();
    std::fs::copy(&path, folder.path().join("other.gguf")).unwrap();
    Checkpoint::open(&path, &cpu()).unwrap(); // named itself, it need not be the only one
    assert!(error().ends_with("2 .gguf files, one is read"), "{}", error());
}

/// The file with the scale of a block of `blk.1.attn_k.weight`, in f16 at the block's beginning, made NaN.
fn with_nan(stored: &[u8]) -> Vec<u8> {
    let content = Content::read(&mut std::io::Cursor::new(stored)).unwrap();
    let at = (content.tensor_data_offset + content.tensor_infos["blk.1.attn_k.weight"].offset) as usize;
    [&stored[..at], &[0, 0x7E], &stored[at + 2..]].concat()
}
