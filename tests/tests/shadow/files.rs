//! What is said of a model's files: which are supported and what they need, and what is wrong with others.

use std::path::Path;
use std::process::Command;

use plimsoll_tests::binary;
use serde_json::Value;

use crate::support::model;

/// What `plimsoll shadow --check PATH` says: whether it is supported, and the answer or the complaint.
fn check(path: &str) -> Result<Value, String> {
    let done = Command::new(binary().unwrap()).args(["shadow", "--check", path, "--format", "json"]).output().unwrap();
    match done.status.success() {
        true => Ok(serde_json::from_slice(&done.stdout).unwrap()),
        false => Err(String::from_utf8(done.stderr).unwrap()),
    }
}

#[test]
fn whatever_the_worker_loads_is_checked() {
    let file = format!("{}/model-Q8_0.gguf", model("qwen3-gguf"));
    for (path, kind, task, precision) in [
        (model("bert"), "bert", "embed", "f32"),
        (model("qwen3-embedding"), "qwen3", "embed", "f32"),
        (model("qwen3"), "qwen3", "score", "int8"),
        (model("reward"), "qwen3", "reward", "f32"),
        (model("llama3-gguf"), "llama", "score", "gguf"),
        (file, "qwen3", "score", "gguf"),
    ] {
        let found = check(&path).unwrap();
        assert_eq!((&found["model_type"], &found["task"]), (&kind.into(), &task.into()), "{path}: {found}");
        assert_eq!(found["loads"], true, "{path}: {found}");
        let needed = found["memory_bytes"][precision].as_u64().unwrap();
        assert!((8 << 20..64 << 20).contains(&needed), "{path}: the process and next to no weights: {found}");
    }
}

/// A copy of a golden folder with one file changed.
fn changed(name: &str, file: &str, change: impl FnOnce(&mut Vec<u8>)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(model(name)).unwrap().map(Result::unwrap) {
        if entry.path().is_file() {
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
    }
    let path = folder.path().join(file);
    let mut bytes = std::fs::read(&path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
    folder
}

#[test]
fn files_that_do_not_belong_together_are_named() {
    let tokenizer = |of: &str| std::fs::read(Path::new(&model(of)).join("tokenizer.json")).unwrap();
    let nan = |bytes: &mut Vec<u8>| {
        let end = bytes.len();
        bytes[end - 2..].copy_from_slice(&[0, 0x7E]); // in f16
    };
    for (why, folder, expected) in [
        ("NaN", changed("qwen3", "model.safetensors", nan), "tensor `model.norm.weight`: found NaN or infinity"),
        (
            "an encoder's tokenizer",
            changed("qwen3", "tokenizer.json", |bytes| *bytes = tokenizer("bert")),
            "tokenizer.json: a WordPiece tokenizer",
        ),
        (
            "a larger tokenizer",
            changed("bert", "tokenizer.json", |bytes| *bytes = tokenizer("qwen3")),
            "tokenizer.json: gives ids up to 264, the model has 128 embeddings",
        ),
        (
            "a GGUF file that is none",
            changed("qwen3-gguf", "model-Q8_0.gguf", |bytes| bytes.truncate(100)),
            "model-Q8_0.gguf: not GGUF",
        ),
    ] {
        let said = check(folder.path().to_str().unwrap()).unwrap_err();
        assert!(said.starts_with("plimsoll: not supported: ") && said.contains(expected), "{why}: {said}");
    }
}
