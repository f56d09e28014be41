//! Direct receivers of the real agent: what was refused is listed and sent again, silences mute, reloads take effect.

use std::process::Command;
use std::time::Duration;

use plimsoll_tests::{Agent, Hook, Mood, binary, eventually, get_json};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);
const RULES: &str =
    "groups:\n  - name: on\n    interval: 200ms\n    rules:\n      - {alert: Hot, expr: vector(0.93) > 0.85}\n";

async fn agent(receivers: Value) -> Agent {
    let agent = Agent::before("http://127.0.0.1:9")
        .rules("on.yml", RULES)
        .set("alerts.receivers", receivers)
        .set(
            "alerts.route",
            json!({"group_by": ["..."], "group_wait": "0s", "group_interval": "0s", "repeat_interval": "1s"}),
        )
        .set("alerts.resend_delay", json!("1s"));
    agent.start().await.unwrap()
}

fn plimsoll(agent: &Agent, arguments: &[&str]) -> String {
    let output = Command::new(binary().unwrap()).args(arguments).args(["--api", &agent.api_url("")]).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn what_was_given_up_is_listed_counted_and_sent_again() {
    let hook = Hook::start(Mood::Refusing(1)).await.unwrap();
    let agent = agent(json!([{"name": "ops", "webhook": {"url": hook.url("/x")}}])).await;
    let listed = eventually("the alert is given up", SOON, async || {
        let listed: Value = serde_json::from_str(&plimsoll(&agent, &["outbox", "list", "--format", "json"])).unwrap();
        if listed[0]["standing"] == "dead" { Ok(listed) } else { Err(listed) }
    })
    .await;
    assert_eq!((&listed[0]["sink"], &listed[0]["lastError"]), (&json!("ops"), &json!("HTTP 400: no")));
    let table = plimsoll(&agent, &["outbox", "list", "--sink", "ops"]);
    assert!(table.contains("ops   dead      firing  Hot"), "{table}");
    assert_eq!(plimsoll(&agent, &["outbox", "list", "--sink", "other"]), "nothing waits, nothing was given up\n");
    eventually("the dead letter is counted", SOON, async || {
        let text = agent.scrape().await.map_err(|e| e.to_string())?;
        if text.contains("plimsoll_notifications_dead_letters{sink=\"ops\"} 1") { Ok(()) } else { Err(text) }
    })
    .await;
    let id = listed[0]["id"].as_str().unwrap();
    assert_eq!(plimsoll(&agent, &["outbox", "retry", "--id", id]), "1 alerts are tried again\n");
    eventually("it arrives", SOON, async || {
        let heard = hook.heard();
        if heard.first().is_some_and(|heard| heard.id == id) { Ok(()) } else { Err(heard) }
    })
    .await;
    let wrong =
        reqwest::Client::new().post(agent.api_url("/api/v1/outbox/retry")).body(r#"{"sink": "x"}"#).send().await;
    assert_eq!(wrong.unwrap().status(), 404);
}

#[tokio::test]
async fn a_silence_mutes_repeats_until_it_is_ended() {
    let hook = Hook::start(Mood::Well).await.unwrap();
    let mut agent = agent(json!([{"name": "ops", "webhook": {"url": hook.url("/x")}}])).await;
    let heard = async |more: usize| {
        eventually("it is told again", SOON, async || {
            let heard = hook.heard().len();
            if heard >= more { Ok(heard) } else { Err(heard) }
        })
        .await
    };
    heard(2).await;
    for (name, some) in [("Hot", true), ("Other", false)] {
        let listed = get_json(&agent.api_url(&format!("/api/v1/alerts?alertname={name}"))).await.unwrap();
        assert_eq!(!listed["data"]["alerts"].as_array().unwrap().is_empty(), some, "{name}: {listed}");
    }
    let client = reqwest::Client::new();
    let url = agent.api_url("/api/v1/silences");
    let body = r#"{"matchers": ["alertname=Hot"], "duration": "1h", "createdBy": "ada", "comment": "upgrade"}"#;
    let answer = client.post(&url).body(body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let id =
        serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap()["silenceID"].as_str().unwrap().to_owned();
    agent.process.kill();
    agent.restart().await.unwrap();
    let listed = get_json(&url).await.unwrap();
    assert_eq!((&listed[0]["id"], &listed[0]["status"]["state"]), (&json!(id), &json!("active")));
    // What was under way when the silence came may still have arrived.
    let before = hook.heard().len();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(hook.heard().len(), before);
    assert_eq!(client.delete(format!("{url}/{id}")).send().await.unwrap().status(), 200);
    assert_eq!(client.delete(format!("{url}/nope")).send().await.unwrap().status(), 404);
    heard(before + 1).await;
    let other = body.replacen('{', "{\"id\": \"nope\", ", 1);
    assert_eq!(client.post(&url).body(other).send().await.unwrap().status(), 404, "no such silence to replace");
    let everything = client.post(&url).body(r#"{"matchers": [], "duration": "1h"}"#).send().await.unwrap();
    assert_eq!(everything.status(), 400);
}

#[tokio::test]
async fn rules_that_are_taken_away_end_their_alerts_everywhere() {
    let hook = Hook::start(Mood::Well).await.unwrap();
    let agent = agent(json!([{"name": "ops", "webhook": {"url": hook.url("/x")}}])).await;
    eventually("it fires", SOON, async || if hook.heard().is_empty() { Err(()) } else { Ok(()) }).await;
    std::fs::write(agent.folder.path().join("on.yml"), "groups: []\n").unwrap();
    agent.process.signal(libc::SIGHUP);
    eventually("it is over", SOON, async || {
        let last = hook.last();
        if last["Hot"].firing { Err(last) } else { Ok(()) }
    })
    .await;
}
