//! What one database holds goes out to Parquet files and into another, whole.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use plimsoll_agent::config::StoreText;
use plimsoll_agent::records::RecordsOptions;
use plimsoll_rules::verdict::experiment::Arm;
use plimsoll_rules::{Exchange, Timestamp};
use plimsoll_tests::binary;
use serde_json::{Value, json};

use super::experiments::{LARGE, of};
use super::promises::said;
use super::scene::{Opened, Running, Store, exchange, item};

fn records(arguments: &[&str]) -> Output {
    Command::new(binary().unwrap()).arg("records").args(arguments).output().unwrap()
}

/// The answer as JSON.
fn told(arguments: &[&str]) -> Value {
    let output = records(&[arguments, &["--format", "json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(arguments: &[&str]) -> String {
    let output = records(arguments);
    assert!(!output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

/// Rows of three days, with texts, numbers as large as they get, and none.
async fn fill(store: &Opened) {
    let month = Duration::from_secs(30 * 86_400);
    let options = RecordsOptions { store_text: StoreText::Masked, retention: month, ..store.options() };
    let running = Running::start(options).await;
    let now = plimsoll_agent::clock::wall();
    let day = Duration::from_secs(86_400);
    let at = |id: &str, started: Timestamp| Exchange { started, ..exchange(id) };
    let mut all = vec![at("old", now - 2 * day), at("older", now - 3 * day), said("words", "hello\n\"wörld\"")];
    all.extend((0..500).map(|n| at(&format!("many-{n}"), now - 2 * day)));
    all.push(of("enrolled", LARGE, Arm::Treatment));
    running.records.exchanges(all).await.unwrap();
    running
        .records
        .feedback(vec![item("old", "task_completed", json!(true)), item("x", "cost", json!(0.1))])
        .await
        .unwrap();
    running.stop().await;
}

const TABLES: [&str; 3] = [
    "SELECT count(*) FROM exchanges WHERE prompt = 'hello
\"wörld\"' OR unit = -2 OR id LIKE 'many-%'",
    "SELECT count(*) FROM feedback WHERE value IN (0.1, 1.0)",
    "SELECT count(*) FROM assignments WHERE propensity = 0.3 AND closed_seq IS NULL",
];

pub async fn everything_goes_out_and_in(store: Store) {
    let (Some(from), Some(to)) = (store.open().await, Store::Sqlite.open().await) else { return };
    fill(&from).await;
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("out");
    let (place, url) = (place.to_str().unwrap(), from.url());
    let (tomorrow, export) = ("2999-01-01", ["export", "--url", &url, "--to", place]);
    let dry = told(&[&export[..], &["--until", tomorrow, "--dry-run"]].concat());
    assert!(!Path::new(place).exists() && dry["partitions"].as_array().unwrap().len() >= 5, "{dry:#}");
    // whole days only: today is not over
    let done = told(&export);
    let rows = |done: &Value| {
        done["partitions"].as_array().unwrap().iter().map(|one| one["rows"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(rows(&done), 502, "{done:#}");
    let again = told(&[&export[..], &["--until", tomorrow]].concat());
    let skipped = again["partitions"].as_array().unwrap().iter().filter(|one| one["skipped"] == true).count();
    assert_eq!((skipped, rows(&again)), (2, 5), "what was there is left alone: {again:#}");
    assert_eq!(rows(&told(&[&export[..], &["--until", tomorrow, "--replace"]].concat())), 507);

    std::fs::create_dir_all(to.options().path.parent().unwrap()).unwrap();
    let target = to.url(); // a new file: the main use of an import
    let import = ["import", "--url", &target, "--from", place];
    for known in [0, 507] {
        let done = told(&import);
        let found: u64 = done["partitions"].as_array().unwrap().iter().map(|one| one["known"].as_u64().unwrap()).sum();
        assert_eq!((rows(&done), found), (507, known), "{done:#}");
    }
    for sql in TABLES {
        assert_eq!(to.rows(sql).await, from.rows(sql).await, "{sql}");
        assert!(to.rows(sql).await > 0, "{sql}");
    }
    let stats = |url: &str| {
        let tables = told(&["stats", "--url", url])["tables"].clone();
        tables.as_array().unwrap().iter().map(|one| (one["table"].clone(), one["rows"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(stats(&url), stats(&target));
    assert_eq!(from.rows("SELECT count(*) FROM audit WHERE action = 'export' AND detail LIKE '%507%'").await, 1);
    assert_eq!(to.rows("SELECT count(*) FROM audit WHERE action = 'import'").await, 2);
}

pub async fn what_cannot_be_done_is_said(store: Store) {
    let Some(store) = store.open().await else { return };
    fill(&store).await;
    let (folder, url) = (tempfile::tempdir().unwrap(), store.url());
    let place = folder.path().to_str().unwrap();
    let with = |more: &[&'static str]| refused(&[&["import", "--url", &url, "--from", place], more].concat());
    assert!(with(&[]).contains("no TABLE/date=DAY/part-N.parquet is there"));
    std::fs::create_dir_all(folder.path().join("exchanges/date=2026-01-01")).unwrap();
    std::fs::write(folder.path().join("exchanges/date=2026-01-01/part-00000.parquet"), "PAR1 no").unwrap();
    let said = with(&[]);
    assert!(said.contains("exchanges/date=2026-01-01/part-00000.parquet: no good Parquet file"), "{said}");
    std::fs::rename(folder.path().join("exchanges"), folder.path().join("exchangs")).unwrap();
    assert!(with(&[]).contains("no table of ours is called \"exchangs\""));
    for (arguments, expected) in [
        (&["stats", "--url", "sqlite:///nowhere/p.db"][..], "/nowhere/p.db: there are no records"),
        (&["stats", "--url", "mysql://x"], "write sqlite://PATH or postgres://"),
        (&["stats"], "--url <URL>"),
        (&["export", "--url", &url, "--to", "ftp://x/y"], "write a folder, or s3://BUCKET/PATH"),
        (&["export", "--url", &url, "--to", place, "--since", "yesterday"], "write one such as 2026-11-30"),
        (
            &["export", "--url", &url, "--to", place, "--table", "exchange"],
            "\"exchange\" is none of exchanges, readings",
        ),
    ] {
        let said = refused(arguments);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}
