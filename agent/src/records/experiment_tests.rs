//! What experiments keep: a round trip, once is once, older files, and what retention leaves alone.

use std::time::Duration;

use plimsoll_rules::verdict::experiment::Arm;
use plimsoll_rules::{Assignment, Phase, Source, Timestamp};
use serde_json::json;

use super::tests::{Running, exchange, item, options, rows};
use super::*;
use crate::experiment::Course;

fn place(unit: u64, arm: Arm) -> Assignment {
    Assignment { experiment: "e".into(), unit, arm, propensity: 0.3, phase: Phase::Split, first: true }
}

fn of(id: &str, unit: u64, arm: Arm) -> Exchange {
    Exchange { assignment: Some(place(unit, arm)), variant: arm.as_str().into(), ..exchange(id) }
}

/// Largest number that a unit can have: more than SQLite's integers hold as they are.
const LARGE: u64 = u64::MAX - 1;

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_goes_through_the_records_and_is_closed_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plimsoll.db");
    let running = Running::start(options(&path)).await;
    let records = running.records.clone();
    running.seen.send(of("a", LARGE, Arm::Treatment)).await.unwrap();
    running.seen.send(of("b", LARGE, Arm::Control)).await.unwrap();
    running.seen.send(exchange("no experiment, no row")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    records.exchanges(vec![Exchange { source: Source::Push, ..of("c", 7, Arm::Control) }]).await.unwrap();
    records.feedback(vec![item("a", "task_success", json!(true)), item("req-b", "cost", json!(2.5))]).await.unwrap();
    let later = crate::clock::wall() + Duration::from_secs(60);
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
    let state =
        SavedExperiment { spec_hash: "s".into(), state: "{}".into(), seq: 1, course: Course::Split { share: 0.1 } };
    let step = |outcome: &str| Step {
        experiment: "e".into(),
        units: vec![ClosedUnit { unit: LARGE, seq: 1, outcome: outcome.into() }],
        decisions: vec![decision.clone()],
        state: Some(state.clone()),
    };
    records.close_units(step("1")).await.unwrap();
    records.close_units(step("2")).await.unwrap();
    assert_eq!(records.open_units("e", later, 10).await.unwrap().len(), 1);
    assert_eq!(records.decisions("e", 0, 10).await.unwrap(), [decision]);
    assert_eq!(records.experiment_state("e").await.unwrap(), Some(state));
    assert_eq!(records.experiment_state("other").await.unwrap(), None);
    assert_eq!(records.assignments("e", 10).await.unwrap().len(), 2);
    running.stop().await;
    assert_eq!(rows(&path, "SELECT count(*) FROM assignments WHERE outcome = '1'").await, 1, "closed once");
    assert_eq!(rows(&path, "SELECT count(*) FROM exchanges").await, 3);
}

#[tokio::test]
async fn older_files_are_widened_and_open_units_outlive_retention() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plimsoll.db");
    let pool = database::open(&path).await.unwrap();
    for sql in [
        "DROP INDEX exchanges_unit",
        "ALTER TABLE exchanges DROP COLUMN experiment",
        "ALTER TABLE exchanges DROP COLUMN unit",
    ] {
        sqlx::query(sql).execute(&pool).await.unwrap();
    }
    pool.close().await;
    let pool = database::open(&path).await.unwrap();
    let now = crate::clock::wall();
    let old = |one: Exchange, hours: u64| Exchange { started: now - Duration::from_secs(3600 * hours), ..one };
    let mut connection = pool.acquire().await.unwrap();
    for one in
        [old(of("open", 1, Arm::Control), 3), old(of("forgotten", 2, Arm::Control), 5), old(exchange("plain"), 3)]
    {
        database::put_exchange(&mut connection, &one, StoreText::None).await.unwrap();
    }
    drop(connection);
    database::trim(&pool, now - Duration::from_secs(2 * 3600), 1 << 30).await.unwrap();
    let left: Vec<String> = sqlx::query_scalar("SELECT id FROM exchanges").fetch_all(&pool).await.unwrap();
    assert_eq!(left, ["open"]);
    pool.close().await;
}
