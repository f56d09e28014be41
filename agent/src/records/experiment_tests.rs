//! What experiments keep: older files, and what retention leaves alone. On both databases: `tests/tests/records/`.

use std::time::Duration;

use plimsoll_rules::verdict::experiment::Arm;
use plimsoll_rules::{Assignment, Phase};

use super::tests::{exchange, open};
use super::*;

fn place(unit: u64, arm: Arm) -> Assignment {
    Assignment { experiment: "e".into(), unit, arm, propensity: 0.3, phase: Phase::Split, first: true }
}

fn of(id: &str, unit: u64, arm: Arm) -> Exchange {
    Exchange { assignment: Some(place(unit, arm)), variant: arm.as_str().into(), ..exchange(id) }
}

#[tokio::test]
async fn older_files_are_widened_and_open_units_outlive_retention() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plimsoll.db");
    let pool = open(&path).await;
    for sql in [
        "DROP INDEX exchanges_unit",
        "ALTER TABLE exchanges DROP COLUMN experiment",
        "ALTER TABLE exchanges DROP COLUMN unit",
    ] {
        sqlx::query(sql).execute(&pool.pool).await.unwrap();
    }
    pool.pool.close().await;
    let pool = open(&path).await;
    let now = crate::clock::wall();
    let old = |one: Exchange, hours: u64| Exchange { started: now - Duration::from_secs(3600 * hours), ..one };
    let mut connection = pool.pool.acquire().await.unwrap();
    for one in
        [old(of("open", 1, Arm::Control), 3), old(of("forgotten", 2, Arm::Control), 5), old(exchange("plain"), 3)]
    {
        database::put_exchange(&mut connection, &one, StoreText::None).await.unwrap();
    }
    drop(connection);
    database::trim(&pool, now - Duration::from_secs(2 * 3600), 1 << 30).await.unwrap();
    let left: Vec<String> = sqlx::query_scalar("SELECT id FROM exchanges").fetch_all(&pool.pool).await.unwrap();
    assert_eq!(left, ["open"]);
    pool.pool.close().await;
}
