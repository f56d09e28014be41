//! A real Prometheus scrapes /metrics, promtool has nothing to say about it, and the built-in rules load into it.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use plimsoll_tests::{Agent, Prometheus, binary, eventually, get_json};

/// Runs promtool with `input`; `None`, said loudly, when it is not installed.
fn promtool(arguments: &[&str], input: &str) -> Option<(bool, String)> {
    let child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        println!("SKIPPED: promtool is not installed; tests/setup.sh installs it");
        return None;
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8(said).unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_scrapes_and_promtool_is_silent() {
    let agent = Agent::before("http://127.0.0.1:9").start().await.unwrap();
    let text = agent.scrape().await.unwrap();
    if let Some((good, said)) = promtool(&["check", "metrics"], &text) {
        assert!(good && said.is_empty(), "promtool check metrics: {said}");
    }
    let target = format!("127.0.0.1:{}", agent.metrics);
    let Some(prometheus) = Prometheus::scraping(&[target]).await.unwrap() else { return };
    let query = |q: &str| format!("http://127.0.0.1:{}/api/v1/query?query={q}", prometheus.port);
    eventually("Prometheus has our series", Duration::from_secs(30), async || {
        let up = get_json(&query("up")).await.map_err(|e| e.to_string())?;
        let ours = get_json(&query("plimsoll_memory_utilization_ratio")).await.map_err(|e| e.to_string())?;
        let one = |answer: &serde_json::Value| answer["data"]["result"][0]["value"][1].clone();
        match (one(&up).as_str(), one(&ours).as_str().and_then(|v| v.parse::<f64>().ok())) {
            (Some("1"), Some(ratio)) if ratio > 0.0 && ratio < 1.0 => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    })
    .await;
}

#[test]
fn the_builtin_rules_load_into_prometheus() {
    let rules = Command::new(binary().unwrap()).arg("rules").output().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &rules.stdout).unwrap();
    let Some((good, said)) = promtool(&["check", "rules", file.path().to_str().unwrap()], "") else { return };
    assert!(good, "promtool check rules: {said}");
    println!("{said}");
}
