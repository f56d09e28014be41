//! The embedder against sentence-transformers, and what it says of folders that are not right.

use std::path::{Path, PathBuf};

use super::*;
use crate::numbers::Numbers;
use crate::{Folder, Place, Precision, Weights};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/shadow").join(name)
}

fn options(precision: Precision) -> Options {
    Options { place: Place::Cpu, precision, ..Options::default() }
}

/// A copy of a golden folder that a test may change.
fn copy(name: &str) -> tempfile::TempDir {
    let target = tempfile::tempdir().unwrap();
    std::fs::create_dir(target.path().join("1_Pooling")).unwrap();
    for file in std::fs::read_dir(golden(name)).unwrap().map(|file| file.unwrap().path()) {
        if file.is_file() {
            std::fs::copy(&file, target.path().join(file.file_name().unwrap())).unwrap();
        }
    }
    let pooling = golden(name).join("1_Pooling/config.json");
    if pooling.exists() {
        std::fs::copy(pooling, target.path().join("1_Pooling/config.json")).unwrap();
    }
    target
}

fn replace(folder: &Path, file: &str, from: &str, to: &str) {
    let path = folder.join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has no {from}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

struct Golden {
    texts: Vec<String>,
    cases: Vec<serde_json::Value>,
}

fn cases() -> Golden {
    let text = std::fs::read_to_string(golden("encoders.json")).unwrap();
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    Golden {
        texts: serde_json::from_value(all["texts"].clone()).unwrap(),
        cases: all["cases"].as_array().unwrap().clone(),
    }
}

fn worst(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    assert_eq!((a.len(), a[0].len()), (b.len(), b[0].len()));
    a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

// tests/golden/shadow/encoders.py
#[test]
fn vectors_are_those_of_sentence_transformers() {
    let Golden { texts, cases } = cases();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for case in cases {
        let folder = copy(case["folder"].as_str().unwrap());
        let pool = case["pool"].as_str().unwrap();
        if case["folder"] == "bert" {
            std::fs::write(folder.path().join("1_Pooling/config.json"), format!("{{\"pooling_mode\": \"{pool}\"}}"))
                .unwrap();
        }
        if case["folder"] == "bert" && case["normalise"] == false {
            let modules = r#"[{"path": "", "type": "x.Transformer"}, {"path": "1_Pooling", "type": "x.Pooling"}]"#;
            std::fs::write(folder.path().join("modules.json"), modules).unwrap();
        }
        let wanted: Vec<Vec<f32>> = serde_json::from_value(case["vectors"].clone()).unwrap();
        let embedder = Embedder::open(folder.path(), &options(Precision::F32)).unwrap();
        let ours = embedder.embed(&texts).unwrap();
        let worst = worst(&ours, &wanted);
        assert!(worst < 1e-4, "{} {pool}: off by {worst}", case["folder"]);
        let int8 = Embedder::open(folder.path(), &options(Precision::Int8)).unwrap().embed(&texts).unwrap();
        let least = int8.iter().zip(&wanted).map(|(a, b)| cosine(a, b)).fold(1.0, f32::min);
        assert!(least > 0.99, "{} {pool}: int8 cosine {least}", case["folder"]);
    }
}

#[test]
fn what_stands_beside_a_text_changes_nothing() {
    let texts = cases().texts;
    let mut texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let embedder = Embedder::open(&golden("bert"), &options(Precision::F32)).unwrap();
    let all = embedder.embed(&texts).unwrap();
    let alone: Vec<_> = texts.iter().map(|text| embedder.embed(&[text]).unwrap().remove(0)).collect();
    texts.reverse();
    let mut turned = embedder.embed(&texts).unwrap();
    turned.reverse();
    let few = Options { memory: Some(embedder.bytes() + 200_000), ..options(Precision::F32) };
    texts.reverse();
    let bounded = Embedder::open(&golden("bert"), &few).unwrap().embed(&texts).unwrap();
    for (why, other) in [("alone", alone), ("another order", turned), ("within little memory", bounded)] {
        assert!(worst(&all, &other) < 1e-6, "{why}: off by {}", worst(&all, &other));
    }
    assert!(embedder.embed(&[]).unwrap().is_empty());
}

#[test]
fn a_long_text_is_cut_and_keeps_its_last_token() {
    let embedder = Embedder::open(&golden("bert"), &options(Precision::F32)).unwrap();
    let (separator, most) = (3, embedder.max_tokens());
    for (why, text) in [
        ("words", "where is my card ".repeat(70_000)),
        ("no spaces", "\u{6211}".repeat(400_000)),
        ("nothing but spaces at first", format!("{}card is lost{}", " ".repeat(1_000_000), " my card".repeat(50))),
        ("one word", "a".repeat(1_000_000)),
    ] {
        let tokens = embedder.tokenize(&text).unwrap();
        assert!(tokens.len() <= most && tokens.last() == Some(&separator), "{why}: {tokens:?}");
        let first: String = text.trim_start().chars().take(400).collect();
        if why != "one word" {
            assert_eq!(tokens, embedder.tokenize(&first).unwrap(), "{why}");
        }
    }
}

#[test]
fn a_prompt_stands_before_each_text_and_counts_as_the_folder_says() {
    let folder = copy("bert");
    replace(folder.path(), "config_sentence_transformers.json", r#""query": """#, r#""query": "where is ""#);
    let open = || Embedder::open(folder.path(), &options(Precision::F32)).unwrap();
    let with = open().with_prompt("query").unwrap().embed(&["my card"]).unwrap();
    assert_eq!(with, open().embed(&["where is my card"]).unwrap());
    std::fs::write(folder.path().join("1_Pooling/config.json"), r#"{"include_prompt": false, "pooling_mode": "cls"}"#)
        .unwrap();
    // the first token that counts is `my`, the fourth
    let last = open().with_prompt("query").unwrap().embed(&["my"]).unwrap();
    std::fs::write(folder.path().join("1_Pooling/config.json"), r#"{"pooling_mode": "cls"}"#).unwrap();
    assert!(worst(&last, &open().embed(&["where is my"]).unwrap()) > 1e-3);
    let message = open().with_prompt("passage").err().unwrap().to_string();
    assert_eq!(message, "text: prompt `passage`: the folder has document, query");
}

/// A folder that is changed, and what is said of it.
type Wrong = (&'static str, fn(&Path), &'static str);

#[test]
fn a_folder_that_is_not_right_is_told_of() {
    let cases: [Wrong; 13] = [
        (
            "no weights",
            |folder| std::fs::remove_file(folder.join("model.safetensors")).unwrap(),
            "no model.safetensors and",
        ),
        ("cut short", |folder| cut(&folder.join("model.safetensors")), "is it cut short?"),
        (
            "a missing tensor",
            |folder| replace(folder, "config.json", r#""num_hidden_layers": 2"#, r#""num_hidden_layers": 3"#),
            "tensor `encoder.layer.2.attention.output.LayerNorm.weight`: found none, expected shape [32]",
        ),
        (
            "another shape",
            |folder| replace(folder, "config.json", r#""intermediate_size": 48"#, r#""intermediate_size": 64"#),
            "tensor `encoder.layer.0.intermediate.dense.weight`: found shape [48, 32], expected shape [64, 32]",
        ),
        (
            "a tokenizer of another model",
            |folder| replace(folder, "config.json", r#""vocab_size": 128"#, r#""vocab_size": 50"#),
            "tokenizer and model do not belong together",
        ),
        (
            "a decoder's tokenizer, whose ids would all fit",
            |folder| {
                replace(folder, "config.json", r#""vocab_size": 128"#, r#""vocab_size": 300"#);
                std::fs::copy(golden("qwen3").join("tokenizer.json"), folder.join("tokenizer.json")).unwrap();
            },
            "tokenizer.json: puts 1 tokens around a text, as a decoder's does",
        ),
        (
            "weights that are no numbers",
            |folder| {
                let path = folder.join("model.safetensors");
                let mut bytes = std::fs::read(&path).unwrap();
                let end = bytes.len();
                bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
                std::fs::write(path, bytes).unwrap();
            },
            "model.safetensors: tensor `encoder.layer.1.output.dense.weight`: found NaN or infinity as number 1536 of 1536, expected finite",
        ),
        (
            "no tokenizer",
            |folder| std::fs::remove_file(folder.join("tokenizer.json")).unwrap(),
            "tokenizer.json: no such file",
        ),
        (
            "heads",
            |folder| replace(folder, "config.json", r#""num_attention_heads": 4"#, r#""num_attention_heads": 5"#),
            "`num_attention_heads`: found 5, expected a divisor of `hidden_size` = 32",
        ),
        (
            "an unknown activation",
            |folder| replace(folder, "config.json", r#""hidden_act": "gelu""#, r#""hidden_act": "mish""#),
            "`hidden_act`: found `mish`, expected one of gelu,",
        ),
        (
            "an unknown module",
            |folder| replace(folder, "modules.json", "pooling.Pooling", "dense.Dense"),
            "`[1]`: found",
        ),
        (
            "an unknown pooling",
            |folder| replace(folder, "1_Pooling/config.json", "mean", "median"),
            "`pooling_mode`: found \"median\", expected one or several of cls,",
        ),
        (
            "a pooling of another width",
            |folder| replace(folder, "1_Pooling/config.json", "32", "384"),
            "found 384, expected the model's `hidden_size` = 32",
        ),
    ];
    for (why, change, expected) in cases {
        let folder = copy("bert");
        change(folder.path());
        let message = Embedder::open(folder.path(), &options(Precision::F32)).err().unwrap().to_string();
        assert!(message.contains(expected), "{why}: {message}");
    }
}

fn cut(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..bytes.len() - 100]).unwrap();
}

#[test]
fn hash_memory_and_place_are_checked() {
    let open = |change: fn(&mut Options)| {
        let mut options = options(Precision::F32);
        change(&mut options);
        Embedder::open(&golden("bert"), &options)
    };
    for (why, change, expected) in [
        (
            "hash",
            (|options| options.sha256 = Some("ab".repeat(32))) as fn(&mut Options),
            "SHA-256 of the weights: found",
        ),
        ("weights do not fit", |options| options.memory = Some(1000), "bytes allowed"),
        ("no GPU in this build", |options| options.place = Place::Cuda(99), "device: "),
    ] {
        let message = open(change).err().unwrap().to_string();
        assert!(message.contains(expected), "{why}: {message}");
    }
    let embedder = open(|options| options.memory = Some(100_000)).unwrap();
    let tokens: Vec<Tokens> = vec![vec![2, 9, 3]];
    assert!(matches!(embedder.embed_tokens(&tokens), Err(ModelError::Memory { .. })));
    assert!(Embedder::open(Path::new("/no/such"), &options(Precision::F32)).is_err());
}

#[test]
fn weights_are_counted_before_they_are_loaded() {
    let weights = Weights::open(&Folder::open(&golden("bert")).unwrap()).unwrap();
    for precision in [Precision::F32, Precision::Int8] {
        let counted = model::held(&weights, &Numbers::of(&options(precision)).unwrap()) as f64;
        let loaded = Embedder::open(&golden("bert"), &options(precision)).unwrap().bytes() as f64;
        assert!((1.0..1.15).contains(&(counted / loaded)), "{precision:?}: {counted} counted, {loaded} loaded");
    }
}

#[test]
fn tokens_that_are_not_the_model_s_are_refused() {
    let embedder = Embedder::open(&golden("bert"), &options(Precision::F32)).unwrap();
    for (why, tokens) in [("none", vec![]), ("too many", vec![5; 25]), ("unknown", vec![2, 128, 3])] {
        assert!(matches!(embedder.embed_tokens(&[tokens]), Err(ModelError::Text(_))), "{why}");
    }
}

#[test]
fn the_hashed_embedding_is_that_of_the_rules() {
    let embedder = Embedder::hashed();
    let text = "Where is my card? \u{6211}";
    assert_eq!(embedder.embed(&[text]).unwrap(), vec![HashedEmbedder::default().embed(text)]);
    assert_eq!((embedder.dimensions(), embedder.bytes()), (384, 0));
}
