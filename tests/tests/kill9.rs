//! Acknowledged is durable: feedback is posted without pause while the agent is killed again and again; every item that was
//! answered with 202 must be in the file afterwards, and be readable by the next process.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use plimsoll_tests::Agent;
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

/// How often the agent is killed; `PLIMSOLL_KILLS` says otherwise.
#[expect(clippy::disallowed_methods, reason = "make kill9 asks for more through the environment")]
fn kills() -> u32 {
    std::env::var("PLIMSOLL_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(10)
}

#[derive(Default)]
struct Posted {
    next: AtomicU64,
    acknowledged: Mutex<BTreeSet<String>>,
    refused: AtomicU64,
    stop: AtomicBool,
}

async fn post(url: String, posted: Arc<Posted>) {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
    while !posted.stop.load(Ordering::Relaxed) {
        let id = format!("item-{}", posted.next.fetch_add(1, Ordering::Relaxed));
        let body = json!({"inference_id": id, "metric_name": "task_completed", "value": true});
        match client.post(&url).json(&body).send().await {
            Ok(answer) if answer.status().as_u16() == 202 => {
                posted.acknowledged.lock().unwrap().insert(id);
            }
            _ => {
                posted.refused.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_feedback_is_lost() {
    let mut agent = Agent::before("http://127.0.0.1:9").start().await.unwrap();
    let posted = Arc::new(Posted::default());
    let url = agent.api_url("/api/v1/feedback");
    let mut posters: tokio::task::JoinSet<()> = (0..4).map(|_| post(url.clone(), posted.clone())).collect();
    let kills = kills();
    let mut seed = 1_u64;
    for _ in 0..kills {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        tokio::time::sleep(Duration::from_millis(50 + (seed >> 33) % 250)).await;
        agent.process.kill();
        agent.restart().await.unwrap();
    }
    posted.stop.store(true, Ordering::Relaxed);
    while let Some(ended) = posters.join_next().await {
        ended.unwrap();
    }
    agent.process.kill();
    let options = SqliteConnectOptions::new().filename(agent.folder.path().join("data/plimsoll.db"));
    let pool = SqlitePool::connect_with(options).await.unwrap();
    let kept: Vec<String> = sqlx::query_scalar("SELECT target FROM feedback").fetch_all(&pool).await.unwrap();
    let kept: BTreeSet<String> = kept.into_iter().collect();
    let acknowledged = posted.acknowledged.lock().unwrap();
    let lost: Vec<&String> = acknowledged.difference(&kept).collect();
    println!(
        "{kills} kills, {} acknowledged, {} refused or cut off, {} in the file, {} lost",
        acknowledged.len(),
        posted.refused.load(Ordering::Relaxed),
        kept.len(),
        lost.len()
    );
    assert!(lost.is_empty(), "lost although acknowledged: {lost:?}");
    assert!(acknowledged.len() > kills as usize, "too little was posted to prove anything");
}
