//! Ranks of a distributed training job report to the agent; when they no longer hold the same, somebody is told.

use std::time::Duration;

use plimsoll_rules::builtin_scaled;
use plimsoll_tests::{Agent, Hook, Mood, eventually, get_json, series};
use reqwest::Client;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);
const PATH: &str = "/api/v1/finetunes/llama-sft/ranks";

/// Status and answer of what a rank posts.
async fn post(agent: &Agent, body: &Value) -> (u16, Value) {
    let answer = Client::new().post(agent.api_url(PATH)).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

fn report(rank: u32, step: u64, checksum: &str) -> Value {
    json!({"rank": rank, "world_size": 2, "step": step, "checksum": checksum, "step_seconds": 0.5 + 0.25 * f64::from(rank), "loss": 1.5})
}

async fn alert(hook: &Hook, status: &str) -> Value {
    eventually("the receiver is told", SOON, async || {
        let bodies = hook.bodies();
        let all = bodies.iter().filter_map(|body| body["alerts"].as_array()).flatten();
        let mut of = all.filter(|alert| alert["labels"]["alertname"] == "PlimsollFinetuneRanksDiverged");
        of.next_back().filter(|alert| alert["status"] == status).cloned().ok_or(bodies.len())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn ranks_that_part_are_told_with_the_step() {
    let hook = Hook::start(Mood::Well).await.unwrap();
    let agent = Agent::before("http://127.0.0.1:9")
        .rules("builtin.yml", &builtin_scaled(1.0 / 15.0))
        .set("alerts.receivers", json!([{"name": "ops", "webhook": {"url": hook.url("/x")}}]))
        .set("alerts.route", json!({"group_by": ["..."], "group_wait": "0s", "group_interval": "0s"}))
        .start()
        .await
        .unwrap();
    assert_eq!(reqwest::get(agent.api_url(PATH)).await.unwrap().status(), 404);
    for step in 1..=5 {
        let sum = format!("sum-{step}");
        assert_eq!(post(&agent, &report(0, step, &sum)).await.0, 202);
        assert_eq!(post(&agent, &json!([report(1, step, &sum)])).await.0, 202);
    }
    let figure = async |name: &str, more: &[&str]| {
        let labels = [&["run=\"llama-sft\""][..], more].concat();
        series(&agent.scrape().await.unwrap(), name, &labels)
    };
    eventually("the series are there", SOON, async || {
        let seen = figure("plimsoll_finetune_ranks_diverged", &[]).await;
        if seen == Some(0.0) { Ok(()) } else { Err(seen) }
    })
    .await;
    assert_eq!(figure("plimsoll_finetune_rank_step_seconds", &["rank=\"1\""]).await, Some(0.75));
    assert_eq!(figure("plimsoll_finetune_rank_loss", &["rank=\"0\""]).await, Some(1.5));
    assert_eq!(figure("plimsoll_finetune_straggler_ratio", &[]).await, Some(1.5));
    assert_eq!(figure("plimsoll_finetune_ranks_diverged_step", &[]).await, None);

    post(&agent, &report(0, 6, "sum-6")).await;
    post(&agent, &report(1, 6, "another")).await;
    let told = alert(&hook, "firing").await;
    assert_eq!((&told["labels"]["run"], &told["labels"]["severity"]), (&json!("llama-sft"), &json!("critical")));
    assert!(told["annotations"]["description"].as_str().unwrap().contains("after step 6 the"), "{told:#}");
    let shown = get_json(&agent.api_url(PATH)).await.unwrap()["data"].clone();
    assert_eq!(shown["diverged"], json!({"step": 6, "ranks": [1]}), "{shown:#}");
    assert_eq!((&shown["world_size"], &shown["last_step"]), (&json!(2), &json!(6)), "{shown:#}");

    for (bad, said) in [
        (json!({"rank": 0}), "missing field"),
        (report(2, 7, "x"), "rank: 2 found; 0 to 1 is right"),
        (json!([report(0, 7, "x"), report(1, 7, "")]), "[1].checksum: 0 bytes found"),
        (json!({"rank": 0, "checksum": "ann@example.org", "step": "ann@example.org"}), "<EMAIL:"),
    ] {
        let (status, answer) = post(&agent, &bad).await;
        assert_eq!(status, 422, "{answer}");
        let answer = answer["error"].as_str().unwrap();
        assert!(answer.contains(said) && !answer.contains("ann@"), "{answer}");
    }
    // the job goes on from a checkpoint
    for rank in [0, 1] {
        post(&agent, &report(rank, 5, "again")).await;
    }
    alert(&hook, "resolved").await;
}
