//! Tests of the clusters and of what they say.

use super::*;
use crate::text::HashedEmbedder;

const USUAL: [&str; 5] = [
    "where is my new card",
    "the payment was declined",
    "how do I top up my account",
    "what is the exchange rate",
    "please reset my passcode",
];
const NEW: [&str; 2] = ["can I buy crypto currency here", "我想买加密货币可以吗"];

fn text(at: usize) -> String {
    let ends = ["", " please", " today", " again", ", thanks", " now", " for me"];
    format!("{}{}", USUAL[at % USUAL.len()], ends[at / USUAL.len() % ends.len()])
}

fn learned() -> (EmbeddingClusters, HashedEmbedder) {
    let embedder = HashedEmbedder::default();
    let reference: Vec<_> = (0..210).map(|at| (embedder.embed(&text(at)), Some(text(at)))).collect();
    (EmbeddingClusters::learn(&reference, 3).unwrap(), embedder)
}

#[test]
fn what_is_new_is_said() {
    let (mut clusters, embedder) = learned();
    for at in 0..300 {
        let text = if at % 3 == 0 { NEW[at / 3 % 2].to_owned() } else { text(at) };
        clusters.update(&embedder.embed(&text), Some(&text)).unwrap();
    }
    let said = clusters.explain();
    let new = said.clusters.iter().find(|shift| shift.cluster.is_none()).expect("texts unlike the reference");
    assert!(new.recent > 0.25 && new.reference < 0.02 && new.z > 5.0, "{new:?}");
    assert!(new.examples.iter().any(|text| text.contains("crypto")), "{:?}", new.examples);
    assert!(new.to_string().starts_with("texts unlike the reference is"), "{new}");
    assert!(said.terms.iter().any(|term| term.term.contains("crypto")), "{:?}", said.terms);
    assert!(said.terms.iter().any(|term| term.term.contains("加密")), "{:?}", said.terms);
}

#[test]
fn a_subject_that_grows_is_said_and_one_that_does_not_is_not() {
    let (mut clusters, embedder) = learned();
    for at in 0..210 {
        clusters.update(&embedder.embed(&text(at)), Some(&text(at))).unwrap();
    }
    assert!(clusters.explain().clusters.is_empty(), "{:?}", clusters.explain().clusters);
    for at in 0..200 {
        clusters.update(&embedder.embed(&text(at * 5 + 1)), Some(&text(at * 5 + 1))).unwrap();
    }
    let grown = clusters.explain().clusters.into_iter().find(|shift| shift.z > 0.0).unwrap();
    assert!(grown.examples[0].contains("payment"), "{grown:?}");
    clusters.restart();
    assert!(clusters.explain().clusters.is_empty() && clusters.explain().terms.is_empty());
}

#[test]
fn pods_add_up_and_strangers_do_not() {
    let (mut one, embedder) = learned();
    let mut other = one.clone();
    let vector = embedder.embed(NEW[0]);
    (0..20).for_each(|_| assert_eq!(other.update(&vector, Some(NEW[0])), Ok(None)));
    assert!(one.merge(&other));
    assert_eq!(one.explain(), other.explain());
    let stranger: Vec<_> = (0..200).map(|at| (embedder.embed(&text(at * 3)), Some("x"))).collect();
    let stranger = EmbeddingClusters::learn(&stranger, 9).unwrap();
    assert!(!one.merge(&stranger));
}

#[test]
fn bad_input_is_refused() {
    let none = |rows: Vec<Vec<f32>>| {
        let rows: Vec<(Vec<f32>, Option<&str>)> = rows.into_iter().map(|row| (row, None)).collect();
        EmbeddingClusters::learn(&rows, 1)
    };
    assert_eq!(none(vec![]).unwrap_err(), LearnError::TooFew { have: 0, need: LEAST_REFERENCE });
    assert_eq!(none(vec![vec![f32::NAN; 4]; 200]).unwrap_err(), LearnError::TooFew { have: 0, need: LEAST_REFERENCE });
    assert_eq!(none(vec![vec![]; 200]).unwrap_err(), LearnError::Dimensions { given: 0 });
    for row in [vec![0.0; 4], vec![0.5; 4], vec![1e15; 4]] {
        let mut constant = none(vec![row.clone(); 200]).unwrap();
        assert!(constant.update(&row, None).is_ok());
        assert_eq!(constant.update(&[f32::NAN; 4], None), Err(Unusable::NotFinite));
        assert_eq!(constant.update(&[0.0; 3], None), Err(Unusable::Dimensions { given: 3, wanted: 4 }));
        assert!(constant.explain().clusters.iter().all(|shift| shift.z.is_finite()));
    }
}

#[test]
fn a_saved_state_goes_on() {
    let (mut clusters, embedder) = learned();
    let vector = embedder.embed(NEW[1]);
    (0..20).for_each(|_| assert!(clusters.update(&vector, Some(NEW[1])).is_ok()));
    let back: EmbeddingClusters = serde_json::from_str(&serde_json::to_string(&clusters).unwrap()).unwrap();
    assert_eq!(back.explain().terms, clusters.explain().terms);
}
