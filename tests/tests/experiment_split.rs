//! Experiments on live traffic: shares are kept, units keep their half over a restart, only the model's name changes on the
//! way, a dead treatment costs no answer, and everything is in the records.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use plimsoll_tests::{Agent, Message, Upstream, Wire, eventually, free_port, get_json};
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

/// Requests that an upstream got.
type Seen = Arc<Mutex<Vec<Message>>>;

/// An engine that says its own name, and keeps what it was asked.
async fn engine(name: &'static str) -> (Upstream, Seen) {
    engine_without(name, "\0").await
}

/// An engine that has lost a model: it answers 404 to who names it, as vLLM does.
async fn engine_without(name: &'static str, lost: &'static str) -> (Upstream, Seen) {
    let seen = Seen::default();
    let log = seen.clone();
    let upstream = Upstream::start(move |mut wire, _| {
        let log = log.clone();
        async move {
            while let Some(request) = wire.request().await {
                let id = format!("{name}-{}", request.header("x-call").unwrap_or("none"));
                let gone = String::from_utf8_lossy(&request.body).contains(lost);
                log.lock().unwrap().push(request);
                let none = "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}".to_owned();
                if wire.send(if gone { none } else { answer(name, &id) }).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
    .unwrap();
    (upstream, seen)
}

fn answer(name: &str, id: &str) -> String {
    let body = json!({"id": id, "model": name, "choices": [{"index": 0, "message": {"content": name}, "finish_reason": "stop"}]});
    let body = body.to_string();
    format!(
        "HTTP/1.1 200 OK\r\nX-Engine: {name}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

const BODY: &str = "{\"messages\" : [ {\"role\":\"user\",\"content\":\"hi\"} ],\n \"model\":  \"base\",\t\"n\":1 }";

fn post(unit: Option<&str>, call: &str) -> String {
    let unit = unit.map_or_else(String::new, |unit| format!("X-User-Id: {unit}\r\n"));
    let length = BODY.len();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: model.example\r\n{unit}X-Call: {call}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{BODY}"
    )
}

/// Asks through the tap; gives who answered.
async fn ask(wire: &mut Wire, unit: Option<&str>, call: &str) -> String {
    wire.send(post(unit, call)).await.unwrap();
    let response = wire.response("POST").await.expect("an answer");
    assert_eq!(response.status(), 200);
    let name = response.header("x-engine").unwrap().to_owned();
    let id = format!("{name}-{call}");
    let direct = answer(&name, &id);
    assert_eq!(
        response.body,
        direct.split("\r\n\r\n").nth(1).unwrap().as_bytes(),
        "the client's bytes are the engine's"
    );
    assert_eq!(response.headers.len(), 3, "no header is added: {:?}", response.headers);
    name
}

async fn wire(agent: &Agent) -> Wire {
    Wire::connect(([127, 0, 0, 1], agent.tap).into()).await.unwrap()
}

fn experiment(more: &Value) -> Value {
    let mut all = json!({
        "id": "support-v2",
        "unit": {"header": "x-user-id"},
        "control": {"name": "base"},
        "ramp": [{"share": "30%"}],
    });
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!([all])
}

async fn agent(control: &Upstream, more: &Value) -> Agent {
    let agent = Agent::before(&control.url()).set("experiments", experiment(more));
    agent.set("sources.engine.enabled", json!(false)).set("records.sample", json!(0.0)).start().await.unwrap()
}

async fn database(agent: &Agent) -> SqlitePool {
    let path = agent.folder.path().join("data/plimsoll.db");
    SqlitePool::connect_with(SqliteConnectOptions::new().filename(path)).await.unwrap()
}

async fn count(pool: &SqlitePool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

/// Waits until a question about the records has this answer.
async fn counted(pool: &SqlitePool, sql: &'static str, expected: i64) {
    eventually(sql, Duration::from_secs(10), async || {
        let found = count(pool, sql).await;
        if found == expected { Ok(()) } else { Err(found) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_units_are_split_and_stay_where_they_are() {
    let ((control, at_control), (treatment, at_treatment)) = (engine("base").await, engine("new").await);
    let treated = json!({"treatment": {"name": "v2", "model": "my-\"lora\"", "upstream": treatment.url()}});
    let mut agent = agent(&control, &treated).await;
    let mut arms = BTreeMap::new();
    let mut client = wire(&agent).await;
    for unit in 0..2000 {
        let unit = format!("user-{unit}");
        let name = ask(&mut client, Some(&unit), &format!("a-{unit}")).await;
        arms.insert(unit, name);
    }
    let new = arms.values().filter(|name| *name == "new").count();
    assert!((518..=682).contains(&new), "{new} of 2000 at 30 %: beyond four standard deviations");
    assert_eq!((at_control.lock().unwrap().len(), at_treatment.lock().unwrap().len()), (2000 - new, new));
    assert!(at_control.lock().unwrap().iter().all(|request| request.body == BODY.as_bytes()), "control's bytes");
    let rewritten = BODY.replace("\"base\"", "\"my-\\\"lora\\\"\"");
    for request in at_treatment.lock().unwrap().iter() {
        assert_eq!(String::from_utf8_lossy(&request.body), rewritten);
        assert_eq!(request.header("content-length"), Some(&*rewritten.len().to_string()));
        assert_eq!(request.header("host"), Some("model.example"));
    }
    assert!(control.connections() + treatment.connections() < 20, "connections are kept for either upstream");

    let pool = database(&agent).await;
    counted(&pool, "SELECT count(*) FROM exchanges WHERE experiment = 'support-v2'", 2000).await;
    counted(&pool, "SELECT count(*) FROM assignments WHERE propensity = 0.3 AND phase = 'split'", 2000).await;
    let told = count(
        &pool,
        "SELECT count(*) FROM assignments JOIN exchanges USING (experiment, unit) WHERE arm = 1 AND variant = 'v2'",
    );
    assert_eq!(usize::try_from(told.await).unwrap(), new, "what the records say is what was done");
    let figures = agent.scrape().await.unwrap();
    let series = format!("plimsoll_experiment_units_total{{experiment=\"support-v2\",variant=\"v2\"}} {new}");
    assert!(figures.contains(&series), "{series}");

    // Nobody moves: not at a second request, nor when the share is another one after a restart.
    let path = agent.folder.path().join("plimsoll.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("30%", "90%")).unwrap();
    agent.process.signal(libc::SIGTERM);
    agent.process.wait(Duration::from_secs(30)).expect("it ends");
    agent.restart().await.unwrap();
    let mut client = wire(&agent).await;
    for (unit, before) in arms.iter().step_by(4) {
        assert_eq!(ask(&mut client, Some(unit), &format!("b-{unit}")).await, *before, "{unit} keeps its half");
    }
    let mut late = 0;
    for unit in 0..200 {
        late += usize::from(ask(&mut client, Some(&format!("late-{unit}")), &format!("c-{unit}")).await == "new");
    }
    assert!(late > 155, "{late} of 200 new units at 90 %");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_names_no_unit_is_served_by_control_and_counted() {
    let ((control, seen), (treatment, _)) = (engine("base").await, engine("new").await);
    let agent = agent(&control, &json!({"treatment": {"name": "v2", "upstream": treatment.url()}})).await;
    let mut client = wire(&agent).await;
    for call in ["1", "2", "3"] {
        assert_eq!(ask(&mut client, None, call).await, "base");
    }
    client.send("GET /v1/models HTTP/1.1\r\nHost: model.example\r\n\r\n").await.unwrap();
    assert_eq!(client.response("GET").await.unwrap().status(), 200);
    assert_eq!(seen.lock().unwrap().len(), 4);
    let figures = agent.scrape().await.unwrap();
    let series = "plimsoll_experiment_requests_unenrolled_total{experiment=\"support-v2\",reason=\"no_unit\"} 3";
    assert!(figures.contains(series), "{figures}");
    let pool = database(&agent).await;
    assert_eq!(count(&pool, "SELECT count(*) FROM assignments").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_treatment_costs_no_answer_and_is_not_forgiven() {
    let (control, seen) = engine("base").await;
    let nobody = format!("http://127.0.0.1:{}", free_port().unwrap());
    let more = json!({"treatment": {"name": "v2", "model": "m2", "upstream": nobody}, "ramp": [{"share": "50%"}]});
    let agent = agent(&control, &more).await;
    let mut client = wire(&agent).await;
    for unit in 0..60 {
        assert_eq!(ask(&mut client, Some(&format!("user-{unit}")), &format!("d-{unit}")).await, "base");
    }
    assert!(seen.lock().unwrap().iter().all(|request| request.body == BODY.as_bytes()), "control gets its own model");
    let pool = database(&agent).await;
    counted(&pool, "SELECT count(*) FROM exchanges", 60).await;
    let failed = count(&pool, "SELECT count(*) FROM exchanges WHERE variant = 'v2' AND outcome = 'unreachable'").await;
    assert!((14..=46).contains(&failed), "{failed}");
    assert_eq!(
        count(&pool, "SELECT count(*) FROM exchanges WHERE variant = 'base' AND outcome = 'ok'").await,
        60 - failed
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_the_engine_has_lost_costs_no_answer_and_is_not_forgiven() {
    let (engine, seen) = engine_without("base", "\"m2\"").await;
    let agent = agent(&engine, &json!({"treatment": {"name": "v2", "model": "m2"}, "ramp": [{"share": "50%"}]})).await;
    let mut client = wire(&agent).await;
    for unit in 0..60 {
        assert_eq!(ask(&mut client, Some(&format!("user-{unit}")), &format!("l-{unit}")).await, "base");
    }
    let pool = database(&agent).await;
    counted(&pool, "SELECT count(*) FROM exchanges", 60).await;
    let failed = count(&pool, "SELECT count(*) FROM exchanges WHERE variant = 'v2' AND outcome = 'unreachable'").await;
    assert!((14..=46).contains(&failed), "{failed}");
    assert_eq!(seen.lock().unwrap().len() as i64, 60 + failed, "who was told 404 is asked once more, without m2");
    // one that serves all of the traffic
    let promote = agent.api_url("/api/v1/experiments/support-v2/promote");
    assert!(reqwest::Client::new().post(promote).send().await.unwrap().status().is_success());
    seen.lock().unwrap().clear();
    for unit in 0..5 {
        assert_eq!(ask(&mut client, Some(&format!("late-{unit}")), &format!("p-{unit}")).await, "base");
    }
    assert_eq!(seen.lock().unwrap().len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_is_judged_and_never_heard() {
    let ((control, _), (treatment, copies)) = (engine("base").await, engine("new").await);
    let more = json!({"split": "mirror", "treatment": {"name": "v2", "model": "m2", "upstream": treatment.url()},
                      "ramp": [{"share": "50%"}]});
    let agent = agent(&control, &more).await;
    let mut client = wire(&agent).await;
    for unit in 0..60 {
        assert_eq!(ask(&mut client, Some(&format!("user-{unit}")), &format!("e-{unit}")).await, "base");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let pool = database(&agent).await;
    counted(&pool, "SELECT count(*) FROM assignments WHERE phase = 'mirror'", 60).await;
    let copied = i64::try_from(copies.lock().unwrap().len()).unwrap();
    assert!((14..=46).contains(&copied), "{copied}");
    assert_eq!(count(&pool, "SELECT count(*) FROM assignments WHERE arm = 1").await, copied);
    let judged = "SELECT count(*) FROM exchanges WHERE source = 'mirror' AND variant = 'v2' AND outcome = 'ok'";
    assert_eq!(count(&pool, judged).await, copied);
    assert!(copies.lock().unwrap().iter().all(|request| request.body == BODY.replace("base", "m2").as_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outside_splitter_tells_by_header_or_by_post() {
    let (control, _) = engine("base").await;
    let more = json!({"split": "outside", "variant": {"header": "x-call"}, "control": {"name": "old"},
                      "treatment": {"name": "new"}, "weights": {"control": 0.75, "treatment": 0.25}});
    let agent = agent(&control, &more).await;
    let mut client = wire(&agent).await;
    for (unit, call) in [("ann", "old"), ("bob", "new"), ("ann", "new"), ("eve", "third")] {
        ask(&mut client, Some(unit), call).await;
    }
    let posted = json!({"id": "p", "model": "m", "duration_seconds": 1, "experiment": "support-v2", "unit": "bob", "variant": "new"});
    let client = reqwest::Client::new();
    let answer = client.post(agent.api_url("/api/v1/exchanges")).json(&posted).send().await.unwrap();
    assert_eq!(answer.status(), 202, "{}", answer.text().await.unwrap());
    let pool = database(&agent).await;
    counted(&pool, "SELECT count(*) FROM assignments WHERE propensity = 0.25", 2).await;
    let of_bob = "SELECT count(*) FROM exchanges JOIN assignments USING (experiment, unit) WHERE arm = 1";
    counted(&pool, of_bob, 2).await;
    let figures = agent.scrape().await.unwrap();
    for reason in ["moved", "no_variant"] {
        assert!(figures.contains(&format!("reason=\"{reason}\"}} 1")), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn feedback_on_episodes_counts_and_a_silent_metric_is_named() {
    let ((control, _), (treatment, _)) = (engine("base").await, engine("new").await);
    let more = json!({"treatment": {"name": "v2", "upstream": treatment.url()}, "window": "4s", "ramp": [{"share": "50%"}],
        "metrics": [{"name": "task_success", "role": "primary"}, {"name": "tsak_success"}]});
    let agent = agent(&control, &more).await;
    let mut client = wire(&agent).await;
    let mut items = Vec::new();
    for unit in 0..120 {
        let episode = format!("episode-{unit}");
        ask(&mut client, Some(&episode), &format!("c-{unit}")).await;
        items.push(json!({"episode_id": episode, "metric_name": "task_success", "value": true}));
    }
    items.push(json!({"episode_id": "never seen", "metric_name": "task_success", "value": false}));
    let posted = reqwest::Client::new().post(agent.api_url("/api/v1/feedback")).json(&items).send().await.unwrap();
    assert_eq!(posted.status(), 202, "{}", posted.text().await.unwrap());
    let view = eventually("every unit is in", Duration::from_secs(30), async || {
        let view = get_json(&agent.api_url("/api/v1/experiments/support-v2")).await?["data"].clone();
        let units = &view["metrics"][0]["units"];
        anyhow::ensure!(units[0].as_u64().zip(units[1].as_u64()).is_some_and(|(a, b)| a + b == 120), "{view:#}");
        Ok(view)
    })
    .await;
    assert_eq!(view["metrics"][0]["means"], json!([1.0, 1.0]), "{view:#}");
    let said = view["warnings"][0].as_str().unwrap_or_default();
    assert!(said.starts_with("tsak_success: 120 units, and none has an outcome"), "{view:#}");
}
