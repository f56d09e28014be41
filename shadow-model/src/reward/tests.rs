//! Rewards against transformers, and the layouts of conversations.

use super::*;
use crate::decoder::tests::{cpu, expected, golden};

#[test]
fn rewards_equal_transformers() {
    let (reward, expected) = (Reward::open(&golden("reward"), &cpu()).unwrap(), expected("reward"));
    let list = |key: &str| expected[key].as_array().unwrap().clone();
    let texts: Vec<_> =
        list("texts").iter().map(|text| reward.tokenize_text(text.as_str().unwrap()).unwrap()).collect();
    let scores = reward.score(&texts).unwrap();
    for (found, expected) in scores.iter().zip(list("scores")) {
        assert!((f64::from(*found) - expected.as_f64().unwrap()).abs() < 1e-4, "{found} {expected}");
    }
    let padded = [texts[0].clone(), vec![271; 3]].concat();
    assert!((reward.score(&[padded]).unwrap()[0] - scores[0]).abs() < 1e-5, "padding is no last token");
}

#[test]
fn conversations_are_written_as_the_vocabulary_knows_them() {
    let reward = Reward::open(&golden("reward"), &cpu()).unwrap();
    assert_eq!(reward.tokenize("a", "b").unwrap(), reward.tokenize_text("User: a\n\nAssistant: b").unwrap());
    assert_eq!(reward.tokenize(&"long ".repeat(1000), "b").unwrap().len(), reward.window());
    assert_eq!(
        Layout::Thinking.write("a", "b"),
        "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\nb<|im_end|>\n"
    );
    assert_eq!(
        Layout::Llama3.write("a", "b"),
        "<|start_header_id|>user<|end_header_id|>\n\na<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nb<|eot_id|>"
    );
}

#[test]
fn what_is_no_reward_model_is_told() {
    let error = |name: &str| Reward::open(&golden(name), &cpu()).err().unwrap().to_string();
    let (found, expected) =
        ("found `Qwen3ForCausalLM`", "expected one that ends in ForSequenceClassification: a reward model");
    assert!(
        error("qwen3").ends_with(&format!("config.json: `architectures`: {found}, {expected}")),
        "{}",
        error("qwen3")
    );
    let reward = Reward::open(&golden("reward"), &cpu()).unwrap();
    assert_eq!(reward.score(&[vec![]]).unwrap_err().to_string(), "text: no tokens, so there is no last one");
}
