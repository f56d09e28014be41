//! Starting, reloading and stopping as an operator meets them.

use std::process::{Command, Output};
use std::time::Duration;

use plimsoll_tests::{Agent, binary, eventually, free_port, get_json, get_text};
use serde_json::json;

const ALWAYS: &str = "groups: [{name: g, interval: 1s, rules: [{alert: Always, expr: vector(1), for: 1s}]}]";

fn plimsoll(arguments: &[&str]) -> Output {
    Command::new(binary().unwrap()).args(arguments).output().unwrap()
}

async fn alert_state(agent: &Agent, name: &str) -> Result<(String, String), String> {
    let alerts = get_json(&agent.api_url("/api/v1/alerts")).await.map_err(|e| e.to_string())?;
    let found = alerts["data"]["alerts"].as_array().unwrap().iter().find(|a| a["labels"]["alertname"] == name).cloned();
    let alert = found.ok_or_else(|| alerts.to_string())?;
    Ok((alert["state"].as_str().unwrap().to_owned(), alert["activeAt"].as_str().unwrap().to_owned()))
}

#[test]
fn a_bad_configuration_is_refused_with_every_mistake_and_78() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.yaml");
    std::fs::write(
        &file,
        "sources: {tap: {upstraem: x}}\nlog: {level: loud}\nlisten: {metrics: '0.0.0.0:1', api: '127.0.0.1:1'}\n",
    )
    .unwrap();
    for verb in [vec!["check"], vec!["run", "--config"]] {
        let output = plimsoll(&[verb, vec![file.to_str().unwrap()]].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains("did you mean sources.tap.upstream?") && said.contains("bad.yaml:2:"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = tempfile::tempdir().unwrap();
    let output = plimsoll(&["run", "--listen", &address, "--data", data.path().to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("sources.tap.listen") && said.contains(&address), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_takes_new_rules_and_a_bad_one_keeps_the_last_good() {
    let agent = Agent::before("http://127.0.0.1:9").rules("r.yml", ALWAYS).start().await.unwrap();
    let reload = async || {
        let answer = reqwest::Client::new().post(agent.api_url("/-/reload")).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let firing = eventually("the alert fires", Duration::from_secs(10), async || {
        alert_state(&agent, "Always").await.and_then(|(s, at)| if s == "firing" { Ok(at) } else { Err(s) })
    })
    .await;
    let rules = agent.folder.path().join("r.yml");
    std::fs::write(&rules, ALWAYS.replace("vector(1)", "vector(")).unwrap();
    let (status, said) = reload().await;
    assert!(status == 422 && said.contains("r.yml:1:"), "{status} {said}");
    assert!(agent.scrape().await.unwrap().contains("plimsoll_config_last_reload_successful 0"));
    std::fs::write(&rules, ALWAYS.replace("rules: [", "rules: [{alert: Second, expr: vector(2)}, ")).unwrap();
    agent.process.signal(libc::SIGHUP);
    eventually("the second alert is there", Duration::from_secs(10), async || alert_state(&agent, "Second").await)
        .await;
    let kept = alert_state(&agent, "Always").await.unwrap();
    assert_eq!(kept, ("firing".to_owned(), firing), "an unchanged rule keeps its state over a reload");
    let file = agent.folder.path().join("plimsoll.yaml");
    let before = std::fs::read_to_string(&file).unwrap();
    let mut changed: serde_json::Value = serde_json::from_str(&before).unwrap();
    changed["business"] = json!({"window": "7m"});
    std::fs::write(&file, changed.to_string()).unwrap();
    let hint = (200, "reloaded; these take a restart: business\n".to_owned());
    for _ in 0..2 {
        assert_eq!(reload().await, hint, "however often it is said");
    }
    std::fs::write(&file, before).unwrap();
    assert_eq!(reload().await, (200, "reloaded\n".to_owned()), "what runs is what the file says again");
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_time_survives_a_kill() {
    let slow = ALWAYS.replace("for: 1s", "for: 1h");
    let mut agent = Agent::before("http://127.0.0.1:9").rules("r.yml", &slow).start().await.unwrap();
    let wait = Duration::from_secs(10);
    let (_, since) = eventually("it is pending", wait, async || alert_state(&agent, "Always").await).await;
    agent.process.kill();
    agent.restart().await.unwrap();
    let again = eventually("it is pending again", wait, async || alert_state(&agent, "Always").await).await;
    assert_eq!(again, ("pending".to_owned(), since));
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_it_cleanly_and_health_says_so() {
    let mut agent = Agent::before("http://127.0.0.1:9").start().await.unwrap();
    for path in ["/livez", "/readyz", "/startupz"] {
        let url = format!("http://127.0.0.1:{}{path}", agent.metrics);
        assert_eq!(get_text(&url).await.unwrap(), "ok\n", "{path}");
    }
    agent.process.signal(libc::SIGTERM);
    let status = agent.process.wait(Duration::from_secs(10)).expect("it ends within the grace period");
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_guard_the_api() {
    let agent = Agent::before("http://127.0.0.1:9")
        .set("api", json!({"viewers": ["see"], "admins": ["rule"]}))
        .start()
        .await
        .unwrap();
    let ask = async |token: &str| {
        let request = reqwest::Client::new().post(agent.api_url("/-/reload")).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!((ask("wrong").await, ask("see").await, ask("rule").await), (401, 403, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_upstream_is_502_and_counted_and_the_agent_stays_up() {
    let nobody = format!("http://127.0.0.1:{}", free_port().unwrap());
    let agent = Agent::before(&nobody).start().await.unwrap();
    let answer = reqwest::Client::new()
        .post(agent.tap_url("/v1/chat/completions"))
        .json(&json!({"model": "m", "messages": []}))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 502);
    assert!(answer.text().await.unwrap().contains("plimsoll"));
    eventually("it is counted", Duration::from_secs(5), async || {
        let text = agent.scrape().await.map_err(|e| e.to_string())?;
        if text.contains("outcome=\"unreachable\"") { Ok(()) } else { Err(text) }
    })
    .await;
}
