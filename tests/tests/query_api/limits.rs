//! No query harms the pod, roles hold, and what Grafana asks at first is answered.

use std::time::Duration;

use plimsoll_tests::{Agent, eventually};
use serde_json::{Value, json};

use super::{agent, get};

#[tokio::test(flavor = "multi_thread")]
async fn costly_queries_are_refused_and_counted() {
    let agent = Agent::before("http://127.0.0.1:9").set("limits.query_samples", json!(50_000)).start().await.unwrap();
    let (status, body) = get(&agent.api_url("/api/v1/query?query=count_over_time(vector(1)[10h:1s])")).await;
    assert_eq!((status, &body["errorType"]), (422, &json!("execution")), "{body}");
    assert!(body["error"].as_str().unwrap().contains("more than 50000 samples"), "{body}");
    let (status, body) = get(&agent.api_url("/api/v1/query?query=1&timeout=0s")).await;
    assert_eq!((status, &body["errorType"]), (503, &json!("timeout")), "{body}");
    eventually("both are counted", Duration::from_secs(10), async || {
        let text = agent.scrape().await.map_err(|e| e.to_string())?;
        let counted = |reason: &str| text.contains(&format!("plimsoll_queries_refused_total{{reason=\"{reason}\"}} 1"));
        if counted("cost") && counted("time") { Ok(()) } else { Err(text) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_takes_too_long_ends_and_the_rules_go_on() {
    let agent = Agent::before("http://127.0.0.1:9")
        .set("limits.query_samples", json!(1_000_000_000_000_u64))
        .set("limits.query_time", json!("1s"))
        .rules("own.yml", "groups: [{name: g, interval: 1s, rules: [{record: beat, expr: time()}]}]\n")
        .start()
        .await
        .unwrap();
    let slow = agent.api_url("/api/v1/query?query=count_over_time((count_over_time(vector(1)[1d:1s]))[1d:1s])");
    let started = std::time::Instant::now();
    let answers = futures_util::future::join_all((0..40).map(|_| get(&slow))).await;
    let took = started.elapsed();
    let with = |code: u16| answers.iter().filter(|(status, _)| *status == code).count();
    assert_eq!(with(503), 40, "{answers:?}");
    let kinds = |kind: &str| answers.iter().filter(|(_, body)| body["errorType"] == kind).count();
    assert!(kinds("timeout") >= 30 && kinds("unavailable") >= 1, "{answers:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    eventually("a beat after the queries", Duration::from_secs(10), async || {
        let (_, body) = get(&agent.api_url("/api/v1/query?query=time()-beat")).await;
        let age = body["data"]["result"][0]["value"][1].as_str().and_then(|v| v.parse::<f64>().ok());
        age.filter(|age| *age < 2.5).ok_or_else(|| body.to_string())
    })
    .await;
}

/// A POST with a form; status code and body.
async fn post(url: &str, form: &str, token: Option<&str>) -> (u16, Value) {
    let mut request = reqwest::Client::new().post(url).body(form.to_owned());
    request = request.header("content-type", "application/x-www-form-urlencoded");
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn grafana_finds_what_it_asks_for() {
    let agent = agent().await;
    let (status, info) = get(&agent.api_url("/api/v1/status/buildinfo")).await;
    assert!(status == 200 && info["data"]["version"].as_str().unwrap().starts_with("3."), "{info}");
    assert!(info["data"].get("features").is_none(), "that would mean Mimir: {info}");
    let (status, health) = post(&agent.api_url("/api/v1/query"), "query=1%2B1&time=1700000000", None).await;
    assert_eq!((status, &health["data"]["result"]), (200, &json!([1_700_000_000, "2"])), "{health}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let form = format!("query=plimsoll_cpu_limit_cores&start={}&end={now}&step=1", now - 3);
    let (status, panel) = post(&agent.api_url("/api/v1/query_range"), &form, None).await;
    assert!(status == 200 && !panel["data"]["result"][0]["values"].as_array().unwrap().is_empty(), "{panel}");
    let window = format!("start={}&end={now}", now - 60);
    let (_, names) = post(&agent.api_url("/api/v1/labels"), &window, None).await;
    let names = names["data"].as_array().unwrap();
    assert!(names.contains(&json!("__name__")) && names.contains(&json!("source")), "{names:?}");
    let (_, metrics) = get(&agent.api_url(&format!("/api/v1/label/__name__/values?{window}"))).await;
    assert!(metrics["data"].as_array().unwrap().contains(&json!("plimsoll_collector_up")), "{metrics}");
    let (_, few) = get(&agent.api_url("/api/v1/label/__name__/values?limit=2")).await;
    assert_eq!(
        (few["data"].as_array().unwrap().len(), &few["warnings"][0]),
        (2, &json!("results truncated due to limit"))
    );
    let (_, old) = get(&agent.api_url("/api/v1/labels?start=0&end=1000")).await;
    assert_eq!(old["data"], json!([]), "nothing was seen in 1970");
    let (_, meta) = get(&agent.api_url("/api/v1/metadata?metric=plimsoll_requests_total")).await;
    assert_eq!(meta["data"]["plimsoll_requests_total"][0]["type"], "counter", "{meta}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_may_query_and_nobody_else_may() {
    let tokens = json!({"viewers": ["v"], "ingest": ["i"]});
    let agent = Agent::before("http://127.0.0.1:9").set("api", tokens).start().await.unwrap();
    for (token, expected) in [(Some("v"), 200), (Some("i"), 403), (Some("x"), 401), (None, 401)] {
        assert_eq!(post(&agent.api_url("/api/v1/query"), "query=1", token).await.0, expected, "{token:?}");
    }
}
