//! A mirror's answers are compared by the shadow model: a signal with its own health, labelled by people who do not see which
//! answer is whose, and never a reason to promote.

use std::time::Duration;

use plimsoll_tests::{Agent, AgentBuilder, Message, Upstream, eventually, get_json, series};
use reqwest::Client;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);

fn body(text: &Value) -> String {
    let text = text.to_string();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}", text.len())
}

/// A server that answers every request with what `answer` makes of it.
async fn server(answer: impl Fn(&Message) -> Value + Clone + Send + Sync + 'static) -> Upstream {
    Upstream::start(move |mut wire, _| {
        let answer = answer.clone();
        async move {
            while let Some(request) = wire.request().await {
                if wire.send(body(&answer(&request))).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
    .unwrap()
}

/// An engine that always says the same.
async fn engine(says: &'static str) -> Upstream {
    server(move |_| {
        json!({"id": format!("chat-{:016x}", fastrand::u64(..)), "model": "m", "choices":
            [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": says}}]})
    })
    .await
}

/// A worker with our interface whose judge likes what is called good.
async fn judge() -> Upstream {
    server(|request| {
        if request.start.contains("/healthz") {
            return json!({"worker": "plimsoll", "embedder": {"model": "hashed-ngrams"}, "judge": true});
        }
        assert!(request.start.contains("/v1/judge"), "{}", request.start);
        let asked: Value = serde_json::from_slice(&request.body).unwrap();
        assert!(!asked.to_string().contains("example.org"), "only masked text is shown: {asked}");
        let likes = |key: &str| if asked[key].as_str().unwrap().contains("good") { -0.1 } else { -3.0 };
        let order = json!([likes("a"), likes("b"), -4.0]);
        json!({"verdict": "a", "logits": [order, order]})
    })
    .await
}

fn model(name: &str) -> String {
    format!("{}/golden/shadow/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn watched(control: &Upstream, treatment: &Upstream, shadow: &Value) -> AgentBuilder {
    let experiment = json!([{
        "id": "mirrored", "unit": {"header": "x-user-id"}, "split": "mirror", "window": "1s", "ramp": [{"share": "90%"}],
        "treatment": {"name": "v2", "model": "m2", "upstream": treatment.url()}, "judge": {"labels": "100%"},
        "metrics": [{"name": "error", "direction": "decrease", "role": "primary", "margin": "20%"}],
    }]);
    Agent::before(&control.url())
        .set("experiments", experiment)
        .set("sources.engine.enabled", json!(false))
        .set("text.sample", json!(1.0))
        .set("shadow", shadow.clone())
}

async fn ask(agent: &Agent, client: &Client, users: std::ops::Range<u32>) {
    for user in users {
        let question = json!({"model": "m", "messages": [{"role": "user", "content": "write to ann@example.org"}]});
        let request = client.post(agent.tap_url("/v1/chat/completions")).header("x-user-id", format!("user-{user}"));
        let answer: Value = request.json(&question).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["choices"][0]["message"]["content"], "plain");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until the judge's report is as `is` wants it.
async fn reported(agent: &Agent, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    eventually(what, SOON, async || {
        let view = get_json(&agent.api_url("/api/v1/experiments/mirrored")).await?["data"].clone();
        anyhow::ensure!(is(&view["judge"]), "{view:#}");
        Ok(view)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_judge_is_heard_until_people_disagree_and_promotes_nothing() {
    let (control, treatment, judge) = (engine("plain").await, engine("good, and longer").await, judge().await);
    let shadow = json!({"url": judge.url(), "sample": 0.0});
    let agent = watched(&control, &treatment, &shadow).start().await.unwrap();
    let client = Client::new();
    ask(&agent, &client, 0..200).await;
    let view = reported(&agent, "the judge is healthy and heard", |judge| {
        judge["health"] == "healthy" && judge["pairs"].as_u64() >= Some(150)
    })
    .await;
    assert!(view["judge"]["win_rate"].as_f64() > Some(0.8), "{view:#}");
    assert!(view["judge"]["log_e_better"].as_f64() > Some(20.0), "{view:#}");
    assert_eq!(view["state"], json!({"ramp": 0}), "the judge alone never promotes");
    let figures = agent.scrape().await.unwrap();
    let of = ["experiment=\"mirrored\""];
    let rate = series(&figures, "plimsoll_experiment_win_rate_ratio", &[of[0], "by=\"judge\""]);
    assert!(rate > Some(0.8), "{figures}");
    assert_eq!(series(&figures, "plimsoll_experiment_judge_health", &[of[0], "health=\"healthy\""]), Some(1.0));

    // people say the opposite, without seeing which answer is whose
    let pairs = get_json(&agent.api_url("/api/v1/experiments/mirrored/pairs")).await.unwrap()["data"].clone();
    let all = pairs["pairs"].as_array().unwrap();
    let turned = all.iter().filter(|pair| pair["first"] != "plain").count();
    assert!(all.len() >= 40 && (1..all.len()).contains(&turned), "{turned} of {}", all.len());
    assert!(all.iter().all(|pair| !pair.to_string().contains("example.org") && pair.get("variant").is_none()));
    let labels: Vec<Value> = all
        .iter()
        .map(|pair| {
            let second_is_better = pair["second"] == "plain";
            json!({"inference_id": pair["id"], "metric_name": pairs["metric_name"], "value": second_is_better})
        })
        .collect();
    let answer = client.post(agent.api_url("/api/v1/feedback")).json(&labels).send().await.unwrap();
    assert_eq!(answer.status(), 202, "{}", answer.text().await.unwrap());
    let view = reported(&agent, "the judge is off", |judge| judge["health"] == "disagrees").await;
    assert_eq!((&view["judge"]["win_rate"], &view["judge"]["agreement"]), (&Value::Null, &json!(0.0)), "{view:#}");
    assert!(view["judge"]["labelled"][2].as_f64() < Some(0.1), "people's own word stays: {view:#}");
    let left = get_json(&agent.api_url("/api/v1/experiments/mirrored/pairs")).await.unwrap();
    assert_eq!(left["data"]["pairs"], json!([]), "nobody is asked twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_itself_judges_and_a_restart_forgets_nothing() {
    let (control, treatment) = (engine("plain").await, engine("good").await);
    let shadow = json!({"scorer": model("qwen3"), "sample": 0.0});
    let mut agent = watched(&control, &treatment, &shadow).start().await.unwrap();
    eventually("the worker is there", SOON, async || {
        let figures = agent.scrape().await?;
        let up = series(&figures, "plimsoll_collector_up", &["source=\"shadow\""]);
        anyhow::ensure!(up == Some(1.0), "{up:?}");
        Ok(())
    })
    .await;
    ask(&agent, &Client::new(), 0..80).await;
    let before = reported(&agent, "pairs are judged", |judge| judge["pairs"].as_u64() >= Some(50)).await;
    // weights that say nothing: the two orders tell, and such a judge is not heard
    assert!(before["judge"]["position_gap"].is_number() && before["judge"]["flips"].is_number(), "{before:#}");
    agent.process.signal(libc::SIGKILL);
    agent.process.wait(SOON).expect("it ends");
    agent.restart().await.unwrap();
    let after = reported(&agent, "they are known again", |judge| judge["pairs"].as_u64() >= Some(50)).await;
    assert!(after["judge"]["pairs"].as_u64() >= before["judge"]["pairs"].as_u64(), "{after:#}");
}
