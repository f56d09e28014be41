//! The agent and what its worker says: signals, records, and making way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use plimsoll_tests::{LlamaCpp, eventually, get_json};
use reqwest::Client;
use serde_json::json;
use sqlx::Connection as _;

use crate::support::{SOON, chat, engine, metric, watched};

#[tokio::test]
async fn what_the_worker_says_becomes_signals_and_records() {
    let waiting = Arc::new(AtomicUsize::new(0));
    let upstream = engine(waiting.clone()).await;
    let agent = watched(&upstream.url()).start().await.unwrap();
    let (client, tap) = (Client::new(), agent.tap_url("/v1/chat/completions"));
    let mut number = 0;
    eventually("answers have been scored", SOON, async || {
        number += 1;
        assert!(chat(&client, &tap, number).await.0);
        let seen = metric(&agent, "plimsoll_response_nll_nats_count", &["model=\"m\""]).await;
        if seen >= 5.0 { Ok(()) } else { Err(seen) }
    })
    .await;
    eventually("the drift detectors have heard", SOON, async || {
        let signals = get_json(&agent.api_url("/api/v1/drift")).await?["data"]["signals"].clone();
        let known =
            |name: &str| signals.as_array().is_some_and(|all| all.iter().any(|signal| signal["signal"] == name));
        anyhow::ensure!(known("prompt_nll") && known("response_nll") && !known("shadow_embedding"), "{signals}");
        Ok(())
    })
    .await;
    let path = agent.folder.path().join("data/plimsoll.db");
    eventually("readings are in the records", SOON, async || {
        let mut db = sqlx::SqliteConnection::connect(&format!("sqlite://{}", path.display())).await?;
        let sql = "SELECT count(*) FROM readings JOIN exchanges ON id = exchange WHERE response_nll > 0 AND prompt_tokens > 0";
        let count: i64 = sqlx::query_scalar(sql).fetch_one(&mut db).await?;
        anyhow::ensure!(count >= 5, "{count}");
        Ok(())
    })
    .await;
    assert!(metric(&agent, "plimsoll_collector_up", &["source=\"shadow\""]).await > 0.0);
    assert!(metric(&agent, "plimsoll_shadow_resident_bytes", &[]).await > 1e6);

    // the served model comes first
    waiting.store(4, Ordering::SeqCst);
    eventually("the worker makes way", SOON, async || {
        number += 1;
        assert!(chat(&client, &tap, number).await.0);
        let skipped = metric(&agent, "plimsoll_dropped_total", &["what=\"shadow_busy\""]).await;
        if skipped > 0.0 { Ok(()) } else { Err(skipped) }
    })
    .await;
}

#[tokio::test]
async fn another_server_of_embeddings_does_too() {
    let Some(other) = LlamaCpp::embedding().await.unwrap() else { return };
    let upstream = engine(Arc::default()).await;
    let shadow = json!({"url": format!("http://127.0.0.1:{}/v1", other.port), "model": "tiny", "sample": 1.0});
    let agent = watched(&upstream.url()).set("shadow", shadow).start().await.unwrap();
    let (client, tap) = (Client::new(), agent.tap_url("/v1/chat/completions"));
    let mut number = 0;
    eventually("vectors reach the detectors", SOON, async || {
        number += 1;
        assert!(chat(&client, &tap, number).await.0);
        let seen = metric(&agent, "plimsoll_drift_observations_total", &["signal=\"shadow_embedding\""]).await;
        if seen >= 3.0 { Ok(()) } else { Err(seen) }
    })
    .await;
    drop(other);
    eventually("its end is seen", SOON, async || {
        number += 1;
        assert!(chat(&client, &tap, number).await.0);
        let up = metric(&agent, "plimsoll_collector_up", &["source=\"shadow\""]).await;
        if up == 0.0 { Ok(()) } else { Err(up) }
    })
    .await;
}
