//! Roles and the audit log: who may do what, and that what was done, and who looked at text, can be read back.

use std::process::Command;
use std::time::Duration;

use plimsoll_tests::{Agent, binary, eventually, series};
use reqwest::{Client, Method};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);

/// Status and body of a request with this token.
async fn ask(agent: &Agent, method: Method, path: &str, token: &str, body: &str) -> (u16, Value) {
    let request = Client::new().request(method, agent.api_url(path)).bearer_auth(token);
    let answer = request.header("x-plimsoll-user", "somebody").body(body.to_owned()).send().await.unwrap();
    let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

fn with_tokens() -> plimsoll_tests::AgentBuilder {
    let admins = json!([{"name": "ann", "token": "token-of-ann"}, "token-of-nobody"]);
    let experiment = json!([{
        "id": "e", "unit": {"header": "x-user-id"}, "window": "1s",
        "treatment": {"name": "v2", "model": "m2"}, "metrics": [{"name": "error", "direction": "decrease", "role": "primary"}],
    }]);
    Agent::before("http://127.0.0.1:9")
        .set("api", json!({"viewers": ["token-of-viewer"], "ingest": ["token-of-ingest"], "admins": admins}))
        .set("experiments", experiment)
}

/// What the audit log says, the oldest first: actor, action, status.
fn told(log: &Value) -> Vec<String> {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let one = |entry: &Value| {
        format!("{} {} {}", word(&entry["actor"]), word(&entry["action"]), word(&entry["detail"]["status"]))
    };
    log.as_array().unwrap().iter().rev().map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_by_whom_can_be_read_back() {
    let agent = with_tokens().start().await.unwrap();
    let (get, post) = (|| Method::GET, || Method::POST);
    let silence = json!({"matchers": ["alertname=\"X\""], "duration": "2h", "comment": "private words"}).to_string();
    for (method, path, token, body, expected) in [
        (post(), "/-/reload", "token-of-ann", "", 200),
        (post(), "/api/v1/silences", "token-of-ann", silence.as_str(), 200),
        (post(), "/api/v1/outbox/retry", "token-of-nobody", "", 200),
        (post(), "/api/v1/experiments/e/promote", "token-of-ann", "", 200),
        (post(), "/api/v1/drift/input_tokens/pin", "token-of-nobody", "", 404),
        (get(), "/api/v1/experiments/e/pairs", "token-of-ann", "", 200),
        (get(), "/api/v1/drift", "token-of-ann", "", 200),
        // none of these may be done, and the log does not fill with them
        (post(), "/-/reload", "token-of-viewer", "", 403),
        (post(), "/api/v1/experiments/e/rollback", "token-of-ingest", "", 403),
        (get(), "/api/v1/experiments/e/pairs", "token-of-viewer", "", 403),
        (get(), "/api/v1/audit", "token-of-viewer", "", 403),
        (get(), "/api/v1/status", "token-of-ann2", "", 401),
    ] {
        let (status, said) = ask(&agent, method, path, token, body).await;
        assert_eq!(status, expected, "{path} with {token}: {said}");
        assert!(status != 403 || said["error"].as_str().unwrap().contains("admin's token"), "{said}");
    }
    assert_eq!(reqwest::get(agent.api_url("/api/v1/status")).await.unwrap().status(), 401);
    agent.process.signal(libc::SIGHUP);
    let nobody = "admin#"; // and eight digits
    let expected = [
        "ann reload 200",
        "ann silences.create 200",
        "admin# outbox.retry 200",
        "ann experiments.promote 200",
        "admin# drift.pin 404",
        "ann experiments.pairs.view 200",
        "local reload null",
    ];
    let log = eventually("all is in the log", SOON, async || {
        let (status, said) = ask(&agent, Method::GET, "/api/v1/audit?limit=100", "token-of-ann", "").await;
        assert_eq!(status, 200, "{said}");
        let log = said["data"]["audit"].clone();
        let seen: Vec<String> = told(&log)
            .into_iter()
            .map(|line| if line.starts_with(nobody) { format!("{nobody}{}", &line[14..]) } else { line })
            .collect();
        if seen == expected { Ok(log) } else { Err(seen) }
    })
    .await;
    let text = log.to_string();
    assert!(!text.contains("token-of") && !text.contains("private words"), "{text}");
    assert!(text.contains("alertname") && text.contains("\"user\":\"somebody\""), "{text}");
    let (status, newest) = ask(&agent, Method::GET, "/api/v1/audit?limit=2", "token-of-ann", "").await;
    assert_eq!((status, newest["data"]["audit"].as_array().map(Vec::len)), (200, Some(2)), "{newest}");
    assert_eq!(ask(&agent, Method::GET, "/api/v1/audit?limit=x", "token-of-ann", "").await.0, 400);

    let figures = agent.scrape().await.unwrap();
    for (reason, count) in [("role", 4.0), ("unknown_token", 1.0), ("no_token", 1.0)] {
        let label = format!("reason=\"{reason}\"");
        assert_eq!(series(&figures, "plimsoll_api_refused_total", &[&label]), Some(count), "{reason}");
    }
    let listed = records(&agent, &["--format", "json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(told(&listed["audit"]), told(&log), "the command line says the same");
    let table = records(&agent, &["--limit", "1"]);
    assert!(table.lines().count() == 2 && table.contains("local") && table.contains("SIGHUP"), "{table}");
    assert!(!agent.process.log().contains("token-of"), "{}", agent.process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_one_form() {
    let agent = Agent::before("http://127.0.0.1:9").start().await.unwrap();
    for (method, path, expected, said) in [
        (Method::GET, "/api/v1/finetunes/xyz", 404, "\"xyz\" is no run; write its number"),
        (Method::POST, "/api/v1/finetunes/-1/approve", 404, "\"-1\" is no run"),
        (Method::GET, "/api/v1/versions/%ff", 400, "Invalid UTF-8"),
        (Method::GET, "/api/v1/outbox?sink=%ff&sink=b", 400, "sink"),
        (Method::GET, "/api/v1/nothing", 404, "there is nothing at /api/v1/nothing"),
        (Method::POST, "/api/v1/versions/1/foo", 404, "there is nothing at"),
        (Method::DELETE, "/api/v1/finetunes", 405, "/api/v1/finetunes does not take DELETE"),
        (Method::DELETE, "/api/v1/query", 405, "/api/v1/query does not take DELETE"),
        (Method::GET, "/-/reload", 405, "does not take GET"),
    ] {
        let answer = Client::new().request(method.clone(), agent.api_url(path)).send().await.unwrap();
        let (status, allow) = (answer.status().as_u16(), answer.headers().contains_key("allow"));
        let text = answer.text().await.unwrap();
        let told: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{method} {path}: {text:?}"));
        assert_eq!((status, allow), (expected, status == 405), "{method} {path}: {told}");
        assert!(told["error"].as_str().unwrap().contains(said), "{method} {path}: {told}");
        assert_eq!(told["status"] == "error", path == "/api/v1/query", "{told}");
    }
}

fn records(agent: &Agent, more: &[&str]) -> String {
    let config = agent.folder.path().join("plimsoll.yaml");
    let output = Command::new(binary().unwrap()).args(["records", "audit", "--config"]).arg(config).args(more).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
