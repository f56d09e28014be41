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
    let nll = head.nll(&hidden, &all.concat()).unwrap();
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
