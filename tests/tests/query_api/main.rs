//! The query API beside a real Prometheus that scrapes our /metrics, and asked by the real promtool.

mod like_prometheus;
mod limits;
mod promtool;

use std::time::Duration;

use plimsoll_tests::{Agent, eventually, get_json};
use serde_json::Value;

/// Rules that both servers evaluate.
const RULES: &str = "groups:
  - name: first
    interval: 1s
    rules:
      - {alert: Always, expr: 'plimsoll_cpu_limit_cores > 0', labels: {severity: page}, annotations: {summary: 'now {{ $value }}'}}
      - {alert: Waiting, expr: 'plimsoll_cpu_limit_cores > 0', for: 1h}
      - {alert: Never, expr: 'plimsoll_cpu_limit_cores < 0'}
      - {record: 'cores:double', expr: 'plimsoll_cpu_limit_cores * 2', labels: {team: a}}
  - name: second
    interval: 1s
    limit: 3
    rules:
      - {record: broken, expr: 'plimsoll_collector_up + on () group_left () plimsoll_collector_up'}
";

/// An agent with these rules that has been up for some evaluations.
async fn agent() -> Agent {
    let agent = Agent::before("http://127.0.0.1:9").rules("own.yml", RULES).start().await.unwrap();
    eventually("four seconds of samples", Duration::from_secs(60), async || {
        let count = "/api/v1/query?query=count_over_time(plimsoll_cpu_limit_cores[1m])";
        let answer = get_json(&agent.api_url(count)).await.map_err(|e| e.to_string())?;
        let value = answer["data"]["result"][0]["value"][1].as_str().and_then(|v| v.parse::<f64>().ok());
        value.filter(|v| *v >= 4.0).ok_or_else(|| answer.to_string())
    })
    .await;
    agent
}

/// GET; status code and body, whatever the status.
async fn get(url: &str) -> (u16, Value) {
    let response = reqwest::get(url).await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_else(|why| panic!("{url}: {why}: {text}")))
}
