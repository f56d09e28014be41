//! Adapters that are read, written, and refused.

use std::path::Path;

use super::*;
use crate::Options;
use crate::decoder::Checkpoint;
use crate::decoder::tests::{cpu, golden};
use crate::train::tests::trained;

fn config(name: &str) -> Config {
    Checkpoint::open(&golden(name), &cpu()).unwrap().config
}

/// A golden adapter with a key of its settings changed.
fn changed(key: &str, value: serde_json::Value) -> tempfile::TempDir {
    let (from, folder) = (trained("qwen3-lora"), tempfile::tempdir().unwrap());
    std::fs::copy(from.join(TENSORS), folder.path().join(TENSORS)).unwrap();
    let mut settings: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(from.join(SETTINGS)).unwrap()).unwrap();
    settings[key] = value;
    std::fs::write(folder.path().join(SETTINGS), settings.to_string()).unwrap();
    folder
}

fn refused(folder: &Path, config: &Config) -> String {
    Adapter::read(folder, config).unwrap_err().to_string()
}

#[test]
fn what_is_not_supported_is_told() {
    let config = config("qwen3");
    for (key, value, message) in [
        ("rank_pattern", serde_json::json!({"q_proj": 8}), "`rank_pattern`: found {\"q_proj\":8}, expected nothing"),
        ("alpha_pattern", serde_json::json!({"q_proj": 8}), "`alpha_pattern`: found {\"q_proj\":8}, expected nothing"),
        ("modules_to_save", serde_json::json!(["lm_head"]), "`modules_to_save`: found [\"lm_head\"], expected nothing"),
        ("bias", serde_json::json!("all"), "`bias`: found \"all\", expected \"none\""),
        ("peft_type", serde_json::json!("IA3"), "`peft_type`: found `IA3`, expected LORA"),
        ("init_lora_weights", serde_json::json!("pissa"), "`init_lora_weights`: found `pissa`, expected true, false"),
        ("r", serde_json::json!(3), "lora_A.weight`: found shape [2, 32], expected shape [3, 32]"),
        ("use_dora", serde_json::json!(true), "lora_magnitude_vector`: found none, expected shape [64]"),
    ] {
        let error = refused(changed(key, value).path(), &config);
        assert!(error.contains(message), "{error}");
    }
    let (empty, files) =
        (tempfile::tempdir().unwrap(), "an adapter's folder has adapter_config.json and adapter_model");
    for (folder, message) in [
        (trained("nothing"), "nothing: no such folder; "),
        (empty.path().to_owned(), "adapter_config.json: no such file; "),
    ] {
        let error = refused(&folder, &config);
        assert!(error.contains(&format!("{message}{files}")), "{error}");
    }
}

#[test]
fn an_adapter_of_another_model_is_told() {
    let error = refused(&trained("qwen3-lora"), &config("llama3"));
    assert!(error.contains("found shape [64, 2], expected shape [32, 2]") || error.contains("found shape"), "{error}");
    let options = Options { adapter: Some(trained("llama3-lora")), ..cpu() };
    let error = Checkpoint::open(&golden("llama3-gguf"), &options).err().unwrap().to_string();
    assert!(error.contains("need the model as safetensors"), "{error}");
}

#[test]
fn what_is_written_is_read_again() {
    let (config, folder) = (config("qwen2"), tempfile::tempdir().unwrap());
    let read = Adapter::read(&trained("qwen2-dora"), &config).unwrap();
    let mut tensors = Vec::new();
    for (&(layer, part), module) in &read.modules {
        tensors.push((key(part, layer, "lora_A.weight"), module.a.clone()));
        tensors.push((key(part, layer, "lora_B.weight"), module.b.clone()));
        tensors.push((key(part, layer, "lora_magnitude_vector"), module.magnitude.clone().unwrap()));
    }
    write(folder.path(), &read.form, 0.0, &read.parts(), "qwen2", &tensors).unwrap();
    let again = Adapter::read(folder.path(), &config).unwrap();
    assert_eq!((again.form, again.parts()), (read.form, read.parts()));
    for (place, module) in &read.modules {
        let (a, b) = (&module.b, &again.modules[place].b);
        assert_eq!(a.to_vec2::<f32>().unwrap(), b.to_vec2::<f32>().unwrap());
    }
}
