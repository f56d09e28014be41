//! What experiments keep, on whatever it is kept.

use std::time::Duration;

use plimsoll_agent::experiment::Course;
use plimsoll_agent::records::{ClosedUnit, Decision, Judgement, Refused, SavedExperiment, Step};
use plimsoll_rules::verdict::experiment::Arm;
use plimsoll_rules::verdict::{JudgedPair, Label, SwapLogits};
use plimsoll_rules::{Assignment, Exchange, Phase, Source, Timestamp};
use serde_json::json;

use super::scene::{Running, Store, exchange, item};

fn place(unit: u64, arm: Arm) -> Assignment {
    Assignment { experiment: "e".into(), unit, arm, propensity: 0.3, phase: Phase::Split, first: true }
}

pub fn of(id: &str, unit: u64, arm: Arm) -> Exchange {
    Exchange { assignment: Some(place(unit, arm)), variant: arm.as_str().into(), ..exchange(id) }
}

/// Largest number that a unit can have: more than SQLite's integers hold as they are.
pub const LARGE: u64 = u64::MAX - 1;

pub async fn a_unit_goes_through_the_records_and_is_closed_once(store: Store) {
    let Some(store) = store.open().await else { return };
    let running = Running::start(store.options()).await;
    let records = running.records.clone();
    running.seen.send(of("a", LARGE, Arm::Treatment)).await.unwrap();
    running.seen.send(of("b", LARGE, Arm::Control)).await.unwrap();
    running.seen.send(exchange("no experiment, no row")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    records.exchanges(vec![Exchange { source: Source::Push, ..of("c", 7, Arm::Control) }]).await.unwrap();
    records.feedback(vec![item("a", "task_success", json!(true)), item("req-b", "cost", json!(2.5))]).await.unwrap();
    let later = plimsoll_agent::clock::wall() + Duration::from_secs(60);
    let open = records.open_units("e", later, 10).await.unwrap();
    assert_eq!(open.len(), 2);
    let first = open.iter().find(|one| one.assignment.unit == LARGE).unwrap();
    assert_eq!(first.assignment, Assignment { first: false, ..place(LARGE, Arm::Treatment) }, "the first half stays");
    assert!(records.open_units("e", Timestamp::from_millis(0), 10).await.unwrap().is_empty());
    let facts = records.outcomes_of("e", LARGE, later).await.unwrap();
    assert_eq!(facts.exchanges.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((facts.exchanges[0].output_tokens, &facts.exchanges[0].outcome[..]), (Some(5), "ok"));
    let mut metrics: Vec<_> = facts.feedback.iter().map(|one| (one.metric.as_str(), one.value)).collect();
    metrics.sort_by(|a, b| a.0.cmp(b.0));
    assert_eq!(metrics, [("cost", 2.5), ("task_success", 1.0)]);
    let decision = Decision {
        seq: 1,
        at: later,
        from: "ramp".into(),
        to: "promoted".into(),
        action: "promote".into(),
        reason: "no worse".into(),
        detail: "{}".into(),
        state_hash: "abc".into(),
    };
    let state = SavedExperiment {
        spec_hash: "s".into(),
        state: "{}".into(),
        seq: 1,
        version: 1,
        course: Course::Split { share: 0.1 },
    };
    let step = |outcome: &str| Step {
        experiment: "e".into(),
        units: vec![ClosedUnit { unit: LARGE, seq: 1, outcome: outcome.into() }],
        decisions: vec![decision.clone()],
        state: Some(state.clone()),
    };
    records.close_units(step("1")).await.unwrap();
    assert_eq!(records.close_units(step("2")).await, Err(Refused::Overtaken), "another agent was first");
    assert_eq!(records.open_units("e", later, 10).await.unwrap().len(), 1);
    assert_eq!(records.decisions("e", 0, 10).await.unwrap(), [decision]);
    assert_eq!(records.experiment_state("e").await.unwrap(), Some(state));
    assert_eq!(records.experiment_state("other").await.unwrap(), None);
    assert_eq!(records.assignments("e", 10).await.unwrap().len(), 2);
    running.stop().await;
    assert_eq!(store.rows("SELECT count(*) FROM assignments WHERE outcome = '1'").await, 1, "closed once");
    assert_eq!(store.rows("SELECT count(*) FROM exchanges").await, 3);
}

pub async fn judgements_and_labels_meet(store: Store) {
    let Some(store) = store.open().await else { return };
    let running = Running::start(store.options()).await;
    let logits = SwapLogits { a_first: [-0.1, -3.0, -4.0], b_first: [-3.0, -0.1, -4.0] };
    let pair = |unit: u64, asked| JudgedPair { unit, logits, length_b_minus_a: -2.5, asked, label: None };
    for (id, unit, judge) in [("x", LARGE, "old"), ("y", LARGE, "new"), ("z", 7, "new")] {
        assert!(running.records.judged(Judgement {
            id: id.into(),
            control: "c".into(),
            experiment: "e".into(),
            treatment: "v2".into(),
            at: plimsoll_agent::clock::wall(),
            judge: judge.into(),
            pair: pair(unit, id == "y"),
        }));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running.records.feedback(vec![item("y", "preference", json!(0.5))]).await.unwrap();
    let found = running.records.judgements("e", "v2").await.unwrap();
    assert_eq!(
        found,
        [JudgedPair { label: Some(Label::Tie), ..pair(LARGE, true) }, pair(7, false)],
        "of the last judge"
    );
    assert!(running.records.judgements("e", "v3").await.unwrap().is_empty());
    assert!(running.records.is_labelled("y").await.unwrap() && !running.records.is_labelled("z").await.unwrap());
    running.stop().await;
}
