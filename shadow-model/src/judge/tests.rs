//! Judgements: what the probabilities say, what the window leaves, what the vocabulary must have.

use super::*;
use crate::decoder::tests::{cpu, golden};

fn judge(name: &str) -> Judge {
    Judge::new(Arc::new(Scorer::open(&golden(name), &cpu()).unwrap())).unwrap()
}

#[test]
fn both_orders_are_averaged() {
    let nll = |p: [f64; 3]| p.map(|p| -p.ln() as f32);
    let both = |one: [f64; 3], other: [f64; 3]| judgement(&[nll(one), nll(other)].concat(), false);
    let place = both([0.6, 0.2, 0.2], [0.6, 0.2, 0.2]);
    assert_eq!((place.verdict, place.flip), (Preference::Tie, true), "the first place, whoever stands there");
    assert!((place.position_gap - 0.4).abs() < 1e-6 && (place.a - 0.4).abs() < 1e-6 && (place.b - 0.4).abs() < 1e-6);
    let better = both([0.04, 0.03, 0.01], [0.01, 0.06, 0.01]);
    assert_eq!((better.verdict, better.flip), (Preference::A, false));
    assert!((better.a - 0.625).abs() < 1e-6 && (better.position_gap - 0.25).abs() < 1e-6);
    assert!((better.mass - 0.08).abs() < 1e-6);
    assert_eq!(both([0.1, 0.1, 0.8], [0.3, 0.2, 0.5]).verdict, Preference::Tie);
}

#[test]
fn a_judgement_equals_reading_each_order_alone() {
    let judge = judge("qwen3");
    let texts = [("Is it open?", "Yes.", "It opens at nine."), ("", "", ""), ("Why? ", "Because.", "I do not know.")];
    let comparisons: Vec<_> = texts.iter().map(|(q, a, b)| judge.tokenize(q, a, b).unwrap()).collect();
    let judged = judge.judge(&comparisons).unwrap();
    let swapped = judge.tokenize(texts[0].0, texts[0].2, texts[0].1).unwrap();
    let swapped = judge.judge(&[swapped]).unwrap()[0];
    assert!((judged[0].a - swapped.b).abs() < 1e-6 && (judged[0].tie - swapped.tie).abs() < 1e-6);
    for (comparison, judged) in comparisons.iter().zip(&judged) {
        for (order, logits) in comparison.orders.iter().zip(judged.logits) {
            let (mut batch, text) = (Batch::default(), [comparison.question.as_slice(), order].concat());
            let row = batch.add(&text, None) + text.len() - 1;
            let labels = judge.labels.map(|token| Target { row, token });
            let mut alone = judge.scorer.nll(&batch, &labels).unwrap();
            if order == &comparison.orders[1] && comparison.orders[0] != comparison.orders[1] {
                alone.swap(0, 1);
            }
            let close = alone.iter().zip(logits).all(|(nll, ln)| (f64::from(*nll) + ln).abs() < 1e-4);
            assert!(close || comparison.orders[0] == comparison.orders[1], "{alone:?} {logits:?}");
        }
        assert!((judged.a + judged.b + judged.tie - 1.0).abs() < 1e-9 && judged.mass > 0.0 && !judged.truncated);
    }
}

#[test]
fn long_texts_share_the_window() {
    let judge = judge("qwen3");
    let (long, room) = ("x".repeat(2000), judge.scorer.window() - judge.template());
    let comparison = judge.tokenize(&long, "short", &long).unwrap();
    let taken = comparison.question.len() + comparison.orders[0].len();
    assert!(comparison.truncated && taken <= 512 && taken > 510, "{taken} {room}");
    assert!(judge.judge(&[comparison]).unwrap()[0].truncated);
    for (lengths, room, expected) in [([1, 2, 3], 6, 3), ([1, 2, 9], 6, 3), ([1, 9, 9], 9, 4), ([9, 9, 9], 9, 3)] {
        assert_eq!(share(lengths, room), expected, "{lengths:?}");
    }
}

#[test]
fn labels_of_more_than_one_token_are_told() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        std::fs::copy(golden("qwen3").join(name), folder.path().join(name)).unwrap();
    }
    let path = folder.path().join("tokenizer.json");
    let tokenizer =
        std::fs::read_to_string(&path).unwrap().replace("\"C\":", "\"unused\":").replace("\"ĠC\":", "\"Ġunused\":");
    let tokenizer = tokenizer.replace("[\"Ġ\",\"C\"],", "");
    std::fs::write(&path, tokenizer).unwrap();
    let scorer = Arc::new(Scorer::open(folder.path(), &cpu()).unwrap());
    let error = Judge::new(scorer).err().unwrap().to_string();
    assert!(error.starts_with("text: the vocabulary has not A, B and C as single tokens"), "{error}");
    let narrow = Scorer::open(&golden("qwen3"), &cpu()).unwrap().with_window(100);
    let error = Judge::new(Arc::new(narrow)).err().unwrap().to_string();
    assert!(error.starts_with("text: a window of 100 tokens, the template of a judgement takes "), "{error}");
}
