//! Configurations as transformers writes them, and each mistake with its key.

use serde_json::{Value, json};

use super::*;
use crate::decoder::tests::golden;

/// The configuration of a golden folder with some keys changed; null takes a key out.
fn read(name: &str, changes: &Value) -> Result<Config> {
    let text = std::fs::read_to_string(golden(name).join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    Config::read(&Folder::open(folder.path()).unwrap())
}

#[test]
fn both_forms_of_rope_are_one() {
    let scaling = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32});
    let old = json!({"rope_parameters": null, "rope_theta": 10000.0, "rope_scaling": scaling});
    assert_eq!(read("llama3", &old).unwrap(), read("llama3", &json!({})).unwrap());
    let plain = |changes| read("qwen3", &changes).unwrap().frequencies;
    assert_eq!(plain(json!({"rope_parameters": null})), plain(json!({})));
    assert_eq!(plain(json!({"rope_parameters": {"rope_type": "dynamic", "factor": 4.0}})), plain(json!({})));
    assert_ne!(plain(json!({"rope_parameters": null, "rope_theta": 1e6})), plain(json!({})));
}

#[test]
fn layers_slide_as_configured() {
    let layers = |changes| read("qwen2", &changes).unwrap().layers;
    for (why, changes, expected) in [
        ("by layer_types", json!({}), vec![None, Some(16)]),
        ("by max_window_layers", json!({"layer_types": null}), vec![None, Some(16)]),
        ("the layers below 28", json!({"layer_types": null, "max_window_layers": null}), vec![None, None]),
        ("switched off", json!({"layer_types": null, "use_sliding_window": false}), vec![None, None]),
        ("all", json!({"layer_types": ["sliding_attention", "sliding_attention"]}), vec![Some(16), Some(16)]),
    ] {
        assert_eq!(layers(changes), expected, "{why}");
    }
}

#[test]
fn each_mistake_names_its_key() {
    for (name, changes, message) in [
        (
            "qwen3",
            json!({"model_type": "mamba"}),
            "`model_type`: found `mamba`, expected one of bert, roberta, xlm-roberta, llama, qwen2, qwen3",
        ),
        ("qwen3", json!({"model_type": "bert"}), "`model_type`: found bert, expected llama, qwen2 or qwen3"),
        ("qwen3", json!({"hidden_act": "gelu"}), "`hidden_act`: found `gelu`, expected `silu`"),
        ("qwen3", json!({"hidden_size": null}), "`hidden_size`: found nothing, expected a positive whole number"),
        (
            "qwen3",
            json!({"num_key_value_heads": 3}),
            "`num_key_value_heads`: found 3, expected a divisor of `num_attention_heads` (4)",
        ),
        ("qwen3", json!({"head_dim": 15}), "`head_dim`: found 15, expected an even number"),
        (
            "qwen2",
            json!({"num_attention_heads": 6}),
            "`num_attention_heads`: found 6, expected a divisor of `hidden_size` (32)",
        ),
        ("qwen3", json!({"rms_norm_eps": 0}), "`rms_norm_eps`: found 0, expected a number above 0"),
        (
            "qwen2",
            json!({"layer_types": ["full_attention"]}),
            "`layer_types`: found [\"full_attention\"], expected a list of 2 names",
        ),
        (
            "qwen2",
            json!({"layer_types": ["full_attention", "x"]}),
            "`layer_types`: found \"x\", expected full_attention or sliding_attention",
        ),
        (
            "qwen2",
            json!({"use_sliding_window": false}),
            "`sliding_window`: found nothing that applies, expected a number: `layer_types` has sliding layers",
        ),
        (
            "qwen3",
            json!({"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}),
            "`rope_parameters.rope_type`: found \"yarn\", expected default, linear, dynamic or llama3",
        ),
        (
            "qwen3",
            json!({"rope_parameters": null, "rope_scaling": {"type": "su"}}),
            "`rope_scaling.rope_type`: found \"su\", expected default, linear, dynamic or llama3",
        ),
        (
            "qwen3",
            json!({"rope_parameters": {"rope_type": "linear"}}),
            "`rope_parameters.factor`: found nothing, expected a number above 0",
        ),
        (
            "qwen3",
            json!({"rope_parameters": {"rope_theta": "x"}}),
            "`rope_parameters.rope_theta`: found \"x\", expected a number",
        ),
        (
            "qwen3",
            json!({"rope_parameters": {"partial_rotary_factor": 0.5}}),
            "`rope_parameters.partial_rotary_factor`: found 0.5, expected 1: all of a head is turned",
        ),
        (
            "llama3",
            json!({"rope_parameters": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4, "original_max_position_embeddings": 32}}),
            "`rope_parameters.high_freq_factor`: found 4, expected a number above low_freq_factor (4)",
        ),
    ] {
        let error = read(name, &changes).unwrap_err().to_string();
        assert!(error.ends_with(&format!("config.json: {message}")), "{error}");
    }
}
