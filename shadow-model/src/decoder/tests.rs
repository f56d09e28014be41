//! The decoder against transformers, by the folders that tests/golden/shadow/decoders.py writes.

use std::path::PathBuf;

use candle_core::{DType, Device};
use serde_json::Value;

use super::attention::{Padded, Plan};
use super::*;
use crate::{Options, Place};

/// A folder of tests/golden/shadow.
pub(crate) fn golden(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/shadow")).join(name)
}

/// Its expected numbers.
pub(crate) fn expected(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(golden(name).join("expected.json")).unwrap()).unwrap()
}

pub(crate) fn cpu() -> Options {
    Options { place: Place::Cpu, ..Default::default() }
}

fn open(name: &str) -> (Decoder, Head) {
    let checkpoint = Checkpoint::open(&golden(name), &cpu()).unwrap();
    let decoder = Decoder::load(&checkpoint).unwrap();
    let head = Head::load(&checkpoint, decoder.embeddings()).unwrap();
    (decoder, head)
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn ids(case: &Value) -> Vec<u32> {
    numbers(&case["ids"]).into_iter().map(|id| id as u32).collect()
}

fn targets(rows: std::ops::Range<usize>, ids: &[u32]) -> Vec<Target> {
    rows.zip(&ids[1..]).map(|(row, &token)| Target { row, token }).collect()
}

/// The largest relative difference of a text's NLL, and the largest difference of a logit.
fn differences(name: &str) -> (f64, f64) {
    let ((decoder, head), expected) = (open(name), expected(name));
    let (mut batch, mut all, mut wanted) = (Batch::default(), Vec::new(), Vec::new());
    for case in expected["cases"].as_array().unwrap() {
        let segment = batch.add(&ids(case), None);
        all.push(targets(batch.rows(segment), &ids(case)));
        wanted.push(numbers(&case["nll"]));
    }
    let hidden = decoder.hidden(&batch).unwrap();
    let predicted = head.predict(&hidden, &all.concat()).unwrap();
    let nll: Vec<f32> = predicted.iter().map(|token| token.nll).collect();
    let rows = head.logits(&hidden).unwrap().to_vec2::<f32>().unwrap();
    for (target, predicted) in all.concat().iter().zip(&predicted) {
        let row = &rows[target.row];
        let first = row.iter().all(|&logit| logit <= row[target.token as usize]);
        assert_eq!(predicted.first, first, "{name} {target:?}");
    }
    let (mut rest, mut relative) = (nll.as_slice(), 0.0_f64);
    for wanted in &wanted {
        let (own, later) = rest.split_at(wanted.len());
        let (found, wanted): (f64, f64) = (own.iter().map(|&n| f64::from(n)).sum(), wanted.iter().sum());
        relative = relative.max((found / wanted - 1.0).abs());
        rest = later;
    }
    let last = hidden.narrow(0, batch.ids().len() - 1, 1).unwrap();
    let logits = head.logits(&last).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let pairs = logits.iter().zip(numbers(&expected["last_logits"]));
    (relative, pairs.map(|(&found, wanted)| (f64::from(found) - wanted).abs()).fold(0.0, f64::max))
}

#[test]
fn equals_transformers() {
    for name in ["llama3", "llama-biased", "qwen2", "qwen3"] {
        let (nll, logits) = differences(name);
        println!("{name}: NLL within {nll:.1e}, logits within {logits:.1e}");
        assert!(nll <= 1e-5 && logits <= 1e-4, "{name}: {nll} {logits}");
    }
}

#[test]
fn equals_transformers_on_the_numbers_of_q8_0_blocks() {
    // The products round activations to 8 bits too, as llama.cpp's do.
    for name in ["llama3-gguf", "qwen3-gguf"] {
        let (nll, logits) = differences(name);
        println!("{name}: NLL within {nll:.1e}, logits within {logits:.1e}");
        assert!(nll <= 2e-2, "{name}: {nll} {logits}");
    }
}

#[test]
fn a_shared_beginning_is_the_same_as_each_text_whole() {
    for name in ["llama3", "qwen2", "qwen3"] {
        let (decoder, _) = open(name);
        let (prompt, answers) = ((1..40).collect::<Vec<u32>>(), [vec![7, 8, 9], vec![100; 30], vec![5]]);
        let (mut shared, mut whole) = (Batch::default(), Batch::default());
        let parent = shared.add(&prompt, None);
        for answer in &answers {
            let (child, text) = (shared.add(answer, Some(parent)), whole.add(&[&prompt[..], answer].concat(), None));
            let rows = |batch: &Batch, rows: std::ops::Range<usize>| {
                decoder.hidden(batch).unwrap().narrow(0, rows.start, rows.len()).unwrap()
            };
            let after = whole.rows(text).start + prompt.len()..whole.rows(text).end;
            let difference = (rows(&shared, shared.rows(child)) - rows(&whole, after)).unwrap();
            let largest = difference.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(largest < 1e-5, "{name}: {largest}");
        }
    }
}

#[test]
fn the_padded_form_of_attention_equals_the_fused_one() {
    let config = Checkpoint::open(&golden("qwen2"), &cpu()).unwrap().config;
    let mut batch = Batch::default();
    let parent = batch.add(&[1; 37], None);
    batch.add(&[2; 90], Some(parent));
    batch.add(&[3; 5], None);
    let rows = batch.ids().len();
    let random =
        |heads: usize| candle_core::Tensor::randn(0.0_f32, 1.0, (rows, heads * config.head), &Device::Cpu).unwrap();
    let (q, k, v) = (random(config.heads), random(config.kv_heads), random(config.kv_heads));
    for window in [None, Some(16)] {
        let fused = Plan::Fused(&batch).attend(&q, &k, &v, &config, window).unwrap();
        let padded = Plan::Padded(Padded::new(&batch, &config.layers, DType::F32, &Device::Cpu).unwrap());
        let padded = padded.attend(&q, &k, &v, &config, window).unwrap();
        let largest = (fused - padded).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(largest < 1e-5, "{window:?}: {largest}");
    }
}

/// A golden folder with its files changed.
fn changed(name: &str, change: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(golden(name)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if let Some(bytes) = change(name, std::fs::read(&path).unwrap()) {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
    }
    folder
}

#[test]
fn weights_that_do_not_fit_are_told() {
    let error = |folder: &tempfile::TempDir| {
        Checkpoint::open(folder.path(), &cpu()).and_then(|read| Decoder::load(&read)).err().unwrap().to_string()
    };
    let replaced = |file: &'static str, from: &'static str, to: &'static str| {
        changed("qwen3", move |name, bytes| {
            let at = bytes.windows(from.len()).position(|window| name == file && window == from.as_bytes());
            Some(at.map_or(bytes.clone(), |at| [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat()))
        })
    };
    for (folder, message) in [
        (
            replaced("model.safetensors", "layers.1.mlp.up_proj", "layers.1.mlp.xx_proj"),
            "tensor `model.layers.1.mlp.up_proj.weight`: found none, expected shape [64, 32]",
        ),
        (
            replaced("config.json", "\"intermediate_size\": 64", "\"intermediate_size\": 63"),
            "model.safetensors: tensor `model.layers.0.mlp.gate_proj.weight`: found shape [64, 32], expected shape [63, 32]",
        ),
        (
            replaced("config.json", "\"vocab_size\": 272", "\"vocab_size\": 271"),
            "model.safetensors: tensor `model.embed_tokens.weight`: found shape [272, 32], expected shape [271, 32]",
        ),
        (
            changed("llama-biased", |name, bytes| (name != "model-00002-of-00003.safetensors").then_some(bytes)),
            "No such file",
        ),
    ] {
        assert!(error(&folder).contains(message), "{}", error(&folder));
    }
    let wrong = Options { sha256: Some("0".repeat(64)), ..cpu() };
    let error = Checkpoint::open(&golden("qwen3"), &wrong).err().unwrap().to_string();
    assert!(error.contains("model.safetensors: SHA-256 of the weights: found "), "{error}");
}

#[test]
fn a_tokenizer_of_an_encoder_is_told() {
    let wordpiece = std::fs::read(golden("bert").join("tokenizer.json")).unwrap();
    let folder = changed("qwen3", |name, bytes| Some(if name == "tokenizer.json" { wordpiece.clone() } else { bytes }));
    let error = crate::Scorer::open(folder.path(), &cpu()).err().unwrap().to_string();
    assert!(error.contains("tokenizer.json: a WordPiece tokenizer, an encoder's"), "{error}");
}

/// What the last row of each text holds.
fn last(decoder: &Decoder, texts: &[Vec<u32>]) -> crate::Result<candle_core::Tensor> {
    let mut batch = Batch::default();
    let segments: Vec<_> = texts.iter().map(|text| batch.add(text, None)).collect();
    let rows: Vec<_> = segments.into_iter().map(|segment| batch.rows(segment).end - 1).collect();
    decoder.rows(&batch, &rows)
}

#[test]
fn texts_that_the_model_does_not_read_are_told() {
    let (decoder, _) = open("qwen3");
    let error = |text: Vec<u32>| last(&decoder, &[vec![1], text]).unwrap_err().to_string();
    assert_eq!(error(vec![1; 513]), "text: 513 tokens, the model reads 512");
    assert_eq!(error(vec![272]), "text: id 272, the model has 272 embeddings");
}

#[test]
fn the_last_row_is_each_text_s_own() {
    let (decoder, _) = open("qwen3");
    let texts: Vec<Vec<u32>> = vec![vec![5, 6, 7], vec![9; 40], vec![5, 6, 7, 8]];
    let together = last(&decoder, &texts).unwrap();
    assert_eq!(together.dims(), [3, 32]);
    for (number, text) in texts.iter().enumerate() {
        let alone = last(&decoder, std::slice::from_ref(text)).unwrap();
        let difference = (together.narrow(0, number, 1).unwrap() - alone).unwrap().abs().unwrap();
        assert!(difference.max_all().unwrap().to_scalar::<f32>().unwrap() < 1e-5);
    }
}

#[test]
fn eight_bits_stay_near() {
    let scorer = |precision| crate::Scorer::open(&golden("qwen3"), &Options { precision, ..cpu() }).unwrap();
    let (exact, small) = (scorer(crate::Precision::F32), scorer(crate::Precision::Int8));
    let total = |scorer: &crate::Scorer| {
        let pair = scorer.tokenize("What is the limit of my card?", " It is 500 euros a day.").unwrap();
        scorer.score(&[pair]).unwrap()[0].response.as_ref().unwrap().total
    };
    let (exact, small) = (total(&exact), total(&small));
    assert!((small / exact - 1.0).abs() < 0.05, "{exact} {small}");
}

#[test]
fn embeddings_of_a_decoder_are_its_last_row() {
    let expected = expected("qwen3-embedding");
    let embedder = crate::Embedder::open(&golden("qwen3-embedding"), &cpu()).unwrap();
    let texts: Vec<&str> = expected["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    for (found, wanted) in embedder.embed(&texts).unwrap().iter().zip(expected["vectors"].as_array().unwrap()) {
        let largest = found.iter().zip(numbers(wanted)).map(|(&a, b)| (f64::from(a) - b).abs()).fold(0.0, f64::max);
        assert!(largest < 1e-5, "{largest}");
    }
    assert_eq!(embedder.embed(&texts).unwrap()[1], embedder.embed(&texts[1..2]).unwrap()[0]);
}
