//! A worker that dies, hangs or takes too much: it is replaced, and the tap does not notice.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_tests::eventually;
use reqwest::Client;
use serde_json::json;

use crate::support::{SOON, chat, engine, healthy, load, metric, model, signal_worker, watched};

/// Kills the worker again and again while requests pass the tap: as often as `PLIMSOLL_KILLS` says.
#[expect(clippy::disallowed_methods, reason = "how long a test runs is no configuration")]
#[tokio::test(flavor = "multi_thread")]
async fn the_tap_does_not_notice_that_the_worker_dies() {
    let kills = std::env::var("PLIMSOLL_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let upstream = engine(Arc::default()).await;
    let agent = watched(&upstream.url()).start().await.unwrap();
    let socket = agent.folder.path().join("data/shadow.sock");
    let undisturbed =
        load(&agent, async || eventually("the worker is ready", SOON, async || healthy(&socket).await).await).await;
    let disturbed = load(&agent, async || {
        for _ in 0..kills {
            eventually("the worker is back", 5 * SOON, async || healthy(&socket).await).await;
            tokio::time::sleep(Duration::from_millis(5_200)).await; // a child that lives longer is started again at once
            assert!(signal_worker(&socket, "-9"), "it was healthy");
        }
    })
    .await;
    println!("killed {kills} times: {disturbed}; before: {undisturbed}");
    assert_eq!((undisturbed.failed, disturbed.failed), (0, 0));
    for outcome in ["broken_stream", "unreachable", "timeout", "server_error"] {
        let label = format!("outcome=\"{outcome}\"");
        assert_eq!(metric(&agent, "plimsoll_requests_total", &[&label]).await, 0.0, "{outcome}");
    }
    assert!(metric(&agent, "plimsoll_shadow_restarts_total", &[]).await >= f64::from(kills) - 1.0);
    eventually("the worker reads again", 5 * SOON, async || {
        chat(&Client::new(), &agent.tap_url("/v1/chat/completions"), 0).await;
        let up = metric(&agent, "plimsoll_collector_up", &["source=\"shadow\""]).await;
        if up > 0.0 { Ok(()) } else { Err(up) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_hangs_is_replaced() {
    let upstream = engine(Arc::default()).await;
    let agent = watched(&upstream.url()).start().await.unwrap();
    let socket = agent.folder.path().join("data/shadow.sock");
    eventually("the worker is ready", SOON, async || healthy(&socket).await).await;
    // the agent must have seen it too: one that never answered may be loading
    eventually("the agent knows", SOON, async || {
        let up = metric(&agent, "plimsoll_collector_up", &["source=\"shadow\""]).await;
        if up > 0.0 { Ok(()) } else { Err(up) }
    })
    .await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(signal_worker(&socket, "-STOP"));
    let taken = load(&agent, async || {
        eventually("it is ended and started again", 2 * SOON, async || {
            let again = metric(&agent, "plimsoll_shadow_restarts_total", &[]).await;
            if again > 0.0 { Ok(()) } else { Err(again) }
        })
        .await;
        eventually("another one answers", SOON, async || healthy(&socket).await).await;
    })
    .await;
    println!("while it hung: {taken}");
    assert_eq!(taken.failed, 0);
    assert!(agent.process.log().contains("did not answer 4 times in a row"), "{}", agent.process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_takes_too_much_memory_is_ended_and_replaced() {
    let upstream = engine(Arc::default()).await;
    let shadow = json!({"scorer": model("qwen3"), "sample": 1.0, "memory": "128MiB"});
    let agent = watched(&upstream.url()).set("shadow", shadow).start().await.unwrap();
    let socket = agent.folder.path().join("data/shadow.sock");
    eventually("the worker is ready", SOON, async || healthy(&socket).await).await;
    // questions are held as JSON, as texts and as tokens: nothing plans for so many at once
    let question = json!({"input": vec!["where is my card? ".repeat(1600); 2000]}).to_string();
    let client = Client::builder().unix_socket(socket.as_path()).build().unwrap();
    let taken = load(&agent, async || {
        let ask = || client.post("http://worker/v1/embeddings").body(question.clone()).send();
        let answers = tokio::join!(ask(), ask());
        assert!(answers.0.is_err() && answers.1.is_err(), "it was ended: {answers:?}");
        eventually("another one answers", SOON, async || healthy(&socket).await).await;
    })
    .await;
    println!("meanwhile: {taken}");
    assert_eq!(taken.failed, 0);
    assert!(metric(&agent, "plimsoll_shadow_restarts_total", &[]).await > 0.0);
    let log = agent.process.log();
    assert!(log.contains("more than shadow.memory (134217728)") || log.contains("memory allocation"), "{log}");
}
