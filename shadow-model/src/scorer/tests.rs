//! Scores against transformers, and that batching changes nothing.

use super::*;
use crate::ModelError;
use crate::decoder::tests::{cpu, expected, golden};

const FOLDERS: [&str; 4] = ["llama3", "llama-biased", "qwen2", "qwen3"];

fn text<'a>(case: &'a serde_json::Value, key: &str) -> &'a str {
    case[key].as_str().unwrap()
}

fn total(nll: Option<&Nll>) -> f64 {
    nll.map_or(0.0, |nll| nll.total)
}

#[test]
fn prompts_and_responses_equal_transformers() {
    for name in FOLDERS {
        let (scorer, expected) = (Scorer::open(&golden(name), &cpu()).unwrap(), expected(name));
        for case in expected["cases"].as_array().unwrap() {
            let pair = scorer.tokenize(text(case, "prompt"), text(case, "response")).unwrap();
            let prompt = case["prompt_tokens"].as_u64().unwrap() as usize;
            let nll: Vec<f64> = case["nll"].as_array().unwrap().iter().map(|nats| nats.as_f64().unwrap()).collect();
            let score = scorer.score(&[pair]).unwrap().remove(0);
            let (before, after) = nll.split_at(prompt - 1);
            for (found, expected) in [(&score.prompt, before), (&score.response, after)] {
                assert_eq!(found.as_ref().map_or(0, |nll| nll.tokens), expected.len(), "{name} {case}");
                let sum: f64 = expected.iter().sum();
                assert!((total(found.as_ref()) - sum).abs() <= 1e-5 * sum, "{name} {case}");
            }
            assert_eq!((score.tokens, score.truncated), (nll.len() + 1, false));
        }
    }
}

fn many(scorer: &Scorer) -> Vec<Pair> {
    let prompts = ["What is it?", "", "A longer prompt, with more to read in it than the others have: 你好"];
    let response = |at: usize| "word and ".repeat(at % 5) + ["yes", "", "no"][at % 3];
    (0..30).map(|at| scorer.tokenize(prompts[at * 7 % 3], &response(at)).unwrap()).collect()
}

#[test]
fn batches_their_order_and_shared_prompts_change_nothing() {
    let scorer = Scorer::open(&golden("qwen2"), &cpu()).unwrap();
    let pairs = many(&scorer);
    let together = scorer.score(&pairs).unwrap();
    let mut reversed = scorer.score(&pairs.iter().rev().cloned().collect::<Vec<_>>()).unwrap();
    reversed.reverse();
    let memory = Some(scorer.bytes() + scorer.decoder.pass_bytes(Load { rows: 120, longest: 120, segments: 3 }));
    let small = Scorer::open(&golden("qwen2"), &Options { memory, ..cpu() }).unwrap().score(&pairs).unwrap();
    for ((pair, score), others) in pairs.iter().zip(&together).zip(reversed.iter().zip(&small)) {
        let alone = scorer.score(std::slice::from_ref(pair)).unwrap().remove(0);
        for other in [&alone, others.0, others.1] {
            assert_eq!((score.tokens, score.truncated), (other.tokens, other.truncated));
            for (one, other) in [(&score.prompt, &other.prompt), (&score.response, &other.response)] {
                assert!((total(one.as_ref()) - total(other.as_ref())).abs() < 1e-5 * total(one.as_ref()).max(1.0));
                assert_eq!(one.is_some(), other.is_some());
            }
        }
    }
}

#[test]
fn what_nothing_predicts_has_no_score() {
    let scorer = Scorer::open(&golden("llama3"), &cpu()).unwrap();
    let score = |prompt, response| scorer.score(&[scorer.tokenize(prompt, response).unwrap()]).unwrap().remove(0);
    let empty = score("", "");
    assert_eq!((empty.prompt, empty.response, empty.tokens), (None, None, 1), "the mark at the beginning");
    let (prompt, response) = (score("abc", ""), score("", "abc"));
    assert_eq!((prompt.prompt.unwrap().tokens, prompt.response), (3, None));
    assert_eq!((response.prompt, response.response.unwrap().tokens), (None, 3));
    let bare = Pair { prompt: vec![], response: vec![5, 6, 7], truncated: false };
    let bare = scorer.score(&[bare, Pair { prompt: vec![], response: vec![], truncated: false }]).unwrap();
    assert_eq!((bare[0].response.as_ref().unwrap().tokens, bare[1].tokens, &bare[1].response), (2, 0, &None));
    assert_eq!(scorer.score(&[]).unwrap(), []);
}

#[test]
fn a_prompt_of_a_megabyte_is_cut_to_the_window() {
    let scorer = Scorer::open(&golden("qwen3"), &cpu()).unwrap();
    let long = "All of it, again and again. ".repeat(40_000);
    let score = scorer.score(&[scorer.tokenize(&long, " Yes.").unwrap()]).unwrap().remove(0);
    assert_eq!((score.tokens, score.truncated, score.response.unwrap().tokens), (512, true, 5));
    let narrow = scorer.with_window(64);
    let score = narrow.score(&[narrow.tokenize("Why?", &long).unwrap()]).unwrap().remove(0);
    assert_eq!((score.tokens, score.truncated, score.prompt.is_none()), (64, true, true));
}

#[test]
fn memory_that_does_not_hold_a_pair_is_told() {
    let bytes = Scorer::open(&golden("llama3"), &cpu()).unwrap().bytes();
    let open = |memory| Scorer::open(&golden("llama3"), &Options { memory: Some(memory), ..cpu() });
    assert!(matches!(open(bytes - 1).err(), Some(ModelError::Memory { needed, .. }) if needed == bytes));
    let scorer = open(bytes + 1).unwrap();
    let pair = scorer.tokenize("a prompt", "a response").unwrap();
    assert!(matches!(scorer.score(&[pair]), Err(ModelError::Memory { budget, .. }) if budget == bytes + 1));
}
