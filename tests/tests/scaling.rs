//! How many pods the traffic takes: measured at an engine whose queue is never empty, and always a number.

use std::time::Duration;

use plimsoll_tests::{Agent, Upstream, eventually, get_json, series};
use serde_json::{Value, json};

/// An engine like vLLM in which requests wait.
async fn engine() -> Upstream {
    Upstream::start(|mut wire, _| async move {
        while let Some(request) = wire.request().await {
            let (kind, body) = match request.start.contains("/metrics") {
                true => ("text/plain", "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{model_name=\"m\"} 8\n# TYPE vllm:num_requests_waiting gauge\nvllm:num_requests_waiting{model_name=\"m\"} 3\n".to_owned()),
                false => ("application/json", json!({"id": format!("{:x}", fastrand::u64(..)), "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}).to_string()),
            };
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            if wire.send(answer).await.is_err() {
                return;
            }
        }
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_recommended_once_peak_and_capacity_are_known() {
    let engine = engine().await;
    let agent = Agent::before(&engine.url()).set("capacity", json!({"window": "1m"})).start().await.unwrap();
    let scaling = async || get_json(&agent.api_url("/api/v1/scaling")).await.unwrap();
    let before = scaling().await;
    assert_eq!((&before["recommended_replicas"], &before["known"]), (&json!(1.0), &json!(0)), "{before}");
    assert_eq!(series(&agent.scrape().await.unwrap(), "plimsoll_recommended_replicas", &[]), None, "not a guess");
    let client = reqwest::Client::new();
    let question = json!({"model": "m", "messages": [{"role": "user", "content": "hello"}]});
    let mut every = tokio::time::interval(Duration::from_millis(100));
    let after: Value = eventually("it is known", Duration::from_secs(120), async || {
        for _ in 0..20 {
            every.tick().await;
            let asked = client.post(agent.tap_url("/v1/chat/completions")).json(&question).send().await.unwrap();
            assert_eq!(asked.status(), 200);
        }
        let seen = scaling().await;
        if seen["known"] == 1 { Ok(seen) } else { Err(seen) }
    })
    .await;
    let number = |name: &str| after[name].as_f64().unwrap();
    let (peak, capacity) = (number("peak_requests_per_second"), number("capacity_requests_per_second"));
    assert!((8.0..14.0).contains(&peak) && (6.0..=peak).contains(&capacity), "{after}");
    assert!((number("recommended_replicas") - 1.5 * peak / capacity).abs() < 1e-9, "{after}");
    let figures = agent.scrape().await.unwrap();
    assert!(series(&figures, "plimsoll_recommended_replicas", &[]) >= Some(1.5), "{figures}");
    assert!(series(&figures, "plimsoll_capacity_requests_per_second", &["by=\"measured\""]).is_some(), "{figures}");
    assert!(series(&figures, "plimsoll_peak_requests_per_second", &[]).is_some(), "{figures}");
}
