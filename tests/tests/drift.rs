//! Drift end to end: what is usual is learned, a change is told with its reasons, and neither a stop nor a kill forgets it.

use std::process::Command;
use std::time::Duration;

use plimsoll_rules::builtin_scaled;
use plimsoll_tests::{Agent, AgentBuilder, Alertmanager, Hook, Mood, Upstream, binary, eventually, get_json, series};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);
/// Observations that are learned from.
const REFERENCE: usize = 300;
/// Texts that are learned from.
const TEXTS: usize = 1000;

/// An agent that learns quickly, and judges every second by the built-in rules.
fn agent(hook: &Hook, upstream: &str) -> AgentBuilder {
    Agent::before(upstream)
        .rules("builtin.yml", &builtin_scaled(1.0 / 15.0))
        .set("drift.reference", json!({"observations": REFERENCE, "texts": TEXTS}))
        .set("text", json!({"sample": 1.0}))
        .set("alerts.receivers", json!([{"name": "ops", "webhook": {"url": hook.url("/x")}}]))
        .set("alerts.route", json!({"group_by": ["..."], "group_wait": "0s", "group_interval": "0s"}))
        .set("alerts.resend_delay", json!("1s"))
}

/// Exchanges of a fixed stream, numbered so that no id comes twice.
struct Stream {
    rng: fastrand::Rng,
    next: usize,
}

impl Stream {
    fn new() -> Self {
        Self { rng: fastrand::Rng::with_seed(11), next: 0 }
    }

    /// `count` exchanges with prompts `factor` times as long as usual.
    fn exchanges(&mut self, count: usize, factor: f64) -> Vec<Value> {
        (0..count).map(|_| self.exchange(factor)).collect()
    }

    fn exchange(&mut self, factor: f64) -> Value {
        self.next += 1;
        let rng = &mut self.rng;
        // the product of a few uniform numbers is close to lognormal
        let mut spread = || 0.5 * (0..4).map(|_| 0.6 + 0.8 * rng.f64()).product::<f64>() + 0.5;
        let (input, output, speed) = (spread(), spread(), spread());
        let tokens = 1.0 + (120.0 * output).round();
        json!({
            "id": format!("x-{}", self.next),
            "model": "m",
            "input_tokens": (400.0 * factor * input) as u64,
            "output_tokens": tokens as u64,
            "finish_reason": if self.rng.f64() < 0.9 { "stop" } else { "length" },
            "time_to_first_token_seconds": 0.2 * speed,
            "duration_seconds": 0.2 * speed + 0.02 * tokens * speed,
        })
    }

    /// `count` exchanges about one of `topics`.
    fn texts(&mut self, count: usize, topics: &[&str], more: &str) -> Vec<Value> {
        (0..count)
            .map(|_| {
                let mut exchange = self.exchange(1.0);
                let mut words: Vec<&str> = topics[self.rng.usize(..topics.len())].split(' ').collect();
                self.rng.shuffle(&mut words);
                exchange["prompt"] = json!(format!("please {} {more}", words.join(" ")));
                exchange["response"] = json!("here is what you asked for");
                exchange
            })
            .collect()
    }
}

/// Posts, and waits for the detectors every few hundred: what does not fit into their queue is dropped.
async fn post(agent: &Agent, exchanges: &[Value]) {
    let before = signal(agent, "error_kind").await["observations"].as_u64().unwrap_or(0);
    let mut posted = before as usize;
    for part in exchanges.chunks(100) {
        let answer = reqwest::Client::new().post(agent.api_url("/api/v1/exchanges")).json(part).send().await.unwrap();
        assert_eq!(answer.status(), 202, "{}", answer.text().await.unwrap());
        posted += part.len();
        if posted.is_multiple_of(500) {
            taken(agent, "error_kind", posted).await;
        }
    }
    taken(agent, "error_kind", posted).await;
}

/// What the API says of a signal.
async fn signal(agent: &Agent, name: &str) -> Value {
    let all = get_json(&agent.api_url("/api/v1/drift")).await.unwrap();
    let found = all["data"]["signals"].as_array().unwrap().iter().find(|signal| signal["signal"] == name).cloned();
    found.unwrap_or(Value::Null)
}

/// Waits until `count` observations of a signal have been taken.
async fn taken(agent: &Agent, name: &str, count: usize) -> Value {
    eventually("the exchanges have been taken", SOON, async || {
        let seen = signal(agent, name).await;
        if seen["observations"].as_u64() >= Some(count as u64) { Ok(seen) } else { Err(seen) }
    })
    .await
}

async fn in_state(agent: &Agent, name: &str, state: &str) -> Value {
    eventually("the signal's state", SOON, async || {
        let seen = signal(agent, name).await;
        if seen["state"] == state { Ok(seen) } else { Err(seen) }
    })
    .await
}

fn alarms(all: &Value) -> Vec<String> {
    let signals = all["data"]["signals"].as_array().unwrap();
    let name = |signal: &Value| signal["signal"].as_str().unwrap().to_owned();
    signals.iter().filter(|signal| signal["state"] == "alarm").map(name).collect()
}

/// The last alert of a signal that a receiver heard of.
fn alert(hook: &Hook, signal: &str) -> Value {
    let alerts = |body: Value| body["alerts"].as_array().cloned().unwrap_or_default();
    let mut all = hook.bodies().into_iter().flat_map(alerts).collect::<Vec<_>>();
    all.retain(|alert| alert["labels"]["signal"] == signal);
    all.pop().unwrap_or(Value::Null)
}

async fn told(hook: &Hook, signal: &str, status: &str) -> Value {
    eventually("the receiver is told", SOON, async || {
        let last = alert(hook, signal);
        if last["status"] == status { Ok(last) } else { Err(last) }
    })
    .await
}

fn plimsoll(agent: &Agent, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(binary().unwrap()).args(arguments).args(["--api", &agent.api_url("")]).output().unwrap();
    let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(out.into_owned()) } else { Err(said.into_owned()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shift_is_told_survives_stops_and_kills_and_can_be_accepted() {
    let hook = Hook::start(Mood::Well).await.unwrap();
    let manager = Alertmanager::start(None).await.unwrap();
    let managers = manager.as_ref().map(|manager| json!({"url": manager.url()}));
    let agent = agent(&hook, "http://127.0.0.1:9").set("alerts.alertmanagers", json!(managers.as_slice()));
    let mut agent = agent.start().await.unwrap();
    let mut stream = Stream::new();
    post(&agent, &stream.exchanges(REFERENCE - 100, 1.0)).await;
    let learning = signal(&agent, "input_tokens").await;
    assert_eq!(
        (&learning["state"], &learning["reference_observations"]),
        (&json!("learning"), &json!(REFERENCE - 100))
    );
    agent.process.kill();
    agent.restart().await.unwrap();
    post(&agent, &stream.exchanges(REFERENCE + 1200, 1.0)).await;
    let calm = signal(&agent, "input_tokens").await;
    assert_eq!((&calm["state"], &calm["baseline"]), (&json!("watching"), &json!(1)), "{calm}");
    let all = get_json(&agent.api_url("/api/v1/drift")).await.unwrap();
    assert_eq!(alarms(&all), Vec::<String>::new(), "{all:#}");
    let refused = plimsoll(&agent, &["baselines", "accept", "--signal", "input_tokens"]).unwrap_err();
    assert!(refused.contains("409") && refused.contains("no alarm stands"), "{refused}");

    post(&agent, &stream.exchanges(200, 2.0)).await;
    let alarm = in_state(&agent, "input_tokens", "alarm").await;
    assert_eq!(alarm["explanation"]["direction"], "up", "{alarm}");
    let firing = told(&hook, "input_tokens", "firing").await;
    let said = &firing["annotations"];
    assert_eq!(said["direction"], "up", "{firing:#}");
    assert!(said["size"].as_str().unwrap().contains("tokens (+"), "{said:#}");
    assert!(said["next_step"].as_str().unwrap().contains("prompts"), "{said:#}");
    assert!(said["summary"].as_str().unwrap().starts_with("input_tokens of m has drifted"), "{said:#}");
    assert!(said["description"].as_str().unwrap().contains("it was"), "{said:#}");
    assert!(said["since"].as_str().unwrap().starts_with("20"), "{said:#}");
    if let Some(manager) = &manager {
        eventually("the real Alertmanager has it", SOON, async || {
            let alerts = get_json(&format!("{}/api/v2/alerts", manager.url())).await.map_err(|e| e.to_string())?;
            let found = alerts.as_array().unwrap().iter().find(|alert| alert["labels"]["signal"] == "input_tokens");
            let size = found.and_then(|alert| alert["annotations"]["size"].as_str());
            if size.is_some_and(|size| size.contains("tokens (+")) { Ok(()) } else { Err(alerts.to_string()) }
        })
        .await;
    }
    let text = agent.scrape().await.unwrap();
    let label = "signal=\"input_tokens\"";
    assert_eq!(series(&text, "plimsoll_drift_alarm", &[label]), Some(1.0), "{text}");
    assert_eq!(series(&text, "plimsoll_drift_alarm", &["signal=\"output_tokens\""]), Some(0.0), "{text}");
    assert_eq!(series(&text, "plimsoll_drift_reference_observations", &[label]), Some(300.0), "{text}");

    for way in [libc::SIGTERM, libc::SIGKILL] {
        agent.process.signal(way);
        assert!(agent.process.wait(Duration::from_secs(30)).is_some(), "it ends");
        agent.restart().await.unwrap();
        let after = signal(&agent, "input_tokens").await;
        assert_eq!(after["alarm"]["raised"], alarm["alarm"]["raised"], "after signal {way}: {after:#}");
        assert_eq!((&after["state"], &after["baseline"]), (&json!("alarm"), &json!(1)));
        assert_eq!(signal(&agent, "latency").await["baseline"], json!(1));
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(alert(&hook, "input_tokens")["status"], "firing", "no stop made it resolve");
    let status = plimsoll(&agent, &["status"]).unwrap();
    assert!(status.contains("DRIFTED: input_tokens of m"), "{status}");

    let accepted = plimsoll(&agent, &["baselines", "accept", "--signal", "input_tokens"]).unwrap();
    assert!(accepted.starts_with("input_tokens of m: baseline 2 is in force, learned from "), "{accepted}");
    assert!(accepted.ends_with("s old\n"), "{accepted}");
    told(&hook, "input_tokens", "resolved").await;
    post(&agent, &stream.exchanges(400, 2.0)).await;
    let seen = in_state(&agent, "input_tokens", "watching").await;
    assert_eq!(seen["baseline"], 2, "{seen}");
    let compared =
        plimsoll(&agent, &["baselines", "compare", "--signal", "input_tokens", "--a", "1", "--b", "2"]).unwrap();
    assert!(compared.contains("psi:") && compared.contains("after p50:"), "{compared}");

    assert!(plimsoll(&agent, &["baselines", "pin", "--signal", "input_tokens"]).is_ok());
    let refused = plimsoll(&agent, &["baselines", "accept", "--signal", "input_tokens"]).unwrap_err();
    assert!(refused.contains("409") && refused.contains("pinned"), "{refused}");
    let shown = plimsoll(&agent, &["baselines", "show", "--signal", "input_tokens"]).unwrap();
    assert!(shown.contains("2   in force, pinned  accepted"), "{shown}");
    agent.process.kill();
    agent.restart().await.unwrap();
    let refused = plimsoll(&agent, &["baselines", "rollback", "--signal", "input_tokens", "--id", "1"]).unwrap_err();
    assert!(refused.contains("pinned"), "a kill unpins nothing: {refused}");
    plimsoll(&agent, &["baselines", "unpin", "--signal", "input_tokens"]).unwrap();
    let back = plimsoll(&agent, &["baselines", "rollback", "--signal", "input_tokens", "--id", "1"]).unwrap();
    assert_eq!(back, "input_tokens of m: baseline 1 is in force\n");
    post(&agent, &stream.exchanges(200, 2.0)).await;
    in_state(&agent, "input_tokens", "alarm").await;
    acts_can_be_read_back(&agent).await;
}

/// What was done to the baseline of `input_tokens`, over a kill, the newest first, by both doors.
async fn acts_can_be_read_back(agent: &Agent) {
    let answer = get_json(&agent.api_url("/api/v1/drift/log?limit=1000")).await.unwrap();
    let acts: Vec<&Value> = answer["data"]["acts"].as_array().unwrap().iter().collect();
    let of = |act: &&&Value| act["signal"] == "input_tokens";
    let done: Vec<String> =
        acts.iter().filter(of).map(|act| format!("{} {} {}", act["act"], act["baseline"], act["door"])).collect();
    let expected = ["rollback 1 cli", "unpin 2 cli", "pin 2 cli", "accept 2 cli", "learn 1 agent"];
    assert_eq!(done.iter().map(|act| act.replace('"', "")).collect::<Vec<_>>(), expected, "{answer:#}");
    assert!(acts.iter().any(|act| act["signal"] == "latency" && act["act"] == "learn"), "{answer:#}");
    let at: Vec<&str> = acts.iter().map(|act| act["at"].as_str().unwrap()).collect();
    assert!(at.windows(2).all(|pair| pair[0] >= pair[1]), "the newest first: {at:?}");
    let table = plimsoll(agent, &["baselines", "log", "--limit", "2"]).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines.len() == 3 && lines[0].starts_with("AT "), "{table}");
    assert!(lines[1].contains("rollback") && lines[2].contains("unpin") && lines[1].contains("cli"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_topic_is_told_in_its_own_words_and_no_secret_gets_out() {
    const BANKING: [&str; 4] = [
        "block my lost bank card",
        "explain this fee on my account",
        "transfer money to savings account",
        "raise the limit of my credit card",
    ];
    const COOKING: [&str; 2] = ["give me a recipe for tomato soup", "how long do I roast garlic and onions for soup"];
    let hook = Hook::start(Mood::Well).await.unwrap();
    let mut agent = agent(&hook, "http://127.0.0.1:9").start().await.unwrap();
    let mut stream = Stream::new();
    let usual = stream.texts(TEXTS + 500, &BANKING, "");
    post(&agent, &usual).await;
    let calm = signal(&agent, "embedding").await;
    assert_eq!((&calm["state"], &calm["baseline"]), (&json!("watching"), &json!(1)), "{calm:#}");
    post(&agent, &stream.texts(200, &COOKING, "write to eve.mallory@secret-corp.example or 4111 1111 1111 1111")).await;
    let alarm = in_state(&agent, "embedding", "alarm").await;
    let items: Vec<&str> =
        alarm["explanation"]["top"].as_array().unwrap().iter().filter_map(|top| top["item"].as_str()).collect();
    assert!(
        items.iter().any(|item| ["soup", "recipe", "garlic", "roast"].iter().any(|word| item.contains(word))),
        "{alarm:#}"
    );
    let firing = told(&hook, "embedding", "firing").await;
    eventually("terms and examples are told", SOON, async || {
        let last = alert(&hook, "embedding");
        let said = |name: &str| last["annotations"][name].as_str().unwrap_or("").to_owned();
        let (terms, examples) = (said("terms"), said("examples"));
        if terms.contains("soup") && examples.contains("<EMAIL:") { Ok(()) } else { Err(last) }
    })
    .await;
    assert!(firing["annotations"]["next_step"].as_str().unwrap().contains("Read the examples"), "{firing:#}");
    let shown = [
        get_json(&agent.api_url("/api/v1/drift")).await.unwrap().to_string(),
        get_json(&agent.api_url("/api/v1/alerts")).await.unwrap().to_string(),
        get_json(&agent.api_url("/api/v1/drift/embedding/baselines")).await.unwrap().to_string(),
        agent.scrape().await.unwrap(),
        Value::from(hook.bodies()).to_string(),
        agent.process.log(),
    ];
    assert!(shown[3].contains("plimsoll_drift_top{"), "{}", shown[3]);
    agent.process.signal(libc::SIGTERM);
    assert!(agent.process.wait(Duration::from_secs(30)).is_some(), "it ends");
    let mut disk = Vec::new();
    for file in std::fs::read_dir(agent.folder.path().join("data")).unwrap() {
        disk.extend(std::fs::read(file.unwrap().path()).unwrap_or_default());
    }
    for secret in ["mallory", "secret-corp", "4111 1111", "4111111111111111"] {
        assert!(!shown.iter().any(|text| text.contains(secret)), "{secret} is shown");
        assert!(memchr::memmem::find(&disk, secret.as_bytes()).is_none(), "{secret} is on disk");
    }
    for exchange in usual {
        let prompt = exchange["prompt"].as_str().unwrap().trim();
        assert!(
            memchr::memmem::find(&disk, prompt.as_bytes()).is_none(),
            "texts are not stored unless told to: {prompt}"
        );
    }
    agent.restart().await.unwrap();
    let after = signal(&agent, "embedding").await;
    assert_eq!((&after["alarm"]["raised"], &after["baseline"]), (&alarm["alarm"]["raised"], &json!(1)), "{after:#}");
}

/// A model that answers every chat request, and refuses those that ask for a poem.
async fn model() -> Upstream {
    Upstream::start(async |mut wire, _| {
        let mut count = 0;
        while let Some(request) = wire.request().await {
            count += 1;
            let poem = String::from_utf8_lossy(&request.body).contains("poem");
            let said = if poem { "I'm sorry, but I can't help with that." } else { "Of course, here is how it goes." };
            let body = json!({
                "id": format!("chat-{:p}-{count}", &wire), "model": "m",
                "choices": [{"message": {"role": "assistant", "content": said}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 20, "completion_tokens": 9},
            })
            .to_string();
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length:";
            wire.send(format!("{head} {}\r\n\r\n{body}", body.len())).await.unwrap();
        }
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_begins_to_refuse_is_told_of_the_traffic_through_the_tap() {
    let hook = Hook::start(Mood::Well).await.unwrap();
    let upstream = model().await;
    let agent = agent(&hook, &upstream.url()).start().await.unwrap();
    let client = reqwest::Client::new();
    let ask = async |count: usize, question: &str| {
        let before = signal(&agent, "error_kind").await["observations"].as_u64().unwrap_or(0) as usize;
        let body = json!({"model": "m", "messages": [{"role": "user", "content": question}]});
        for _ in 0..count {
            let answer = client.post(agent.tap_url("/v1/chat/completions")).json(&body).send().await.unwrap();
            assert!(answer.text().await.unwrap().contains("chat-"));
        }
        taken(&agent, "error_kind", before + count).await;
    };
    ask(REFERENCE, "how do I tie a bowline").await;
    ask(REFERENCE, "how do I tie a bowline").await;
    let all = get_json(&agent.api_url("/api/v1/drift")).await.unwrap();
    assert_eq!(signal(&agent, "refusal").await["state"], "watching", "{all:#}");
    assert!(!alarms(&all).contains(&"refusal".to_owned()), "{all:#}");
    ask(100, "write a poem").await;
    let alarm = in_state(&agent, "refusal", "alarm").await;
    assert_eq!(alarm["explanation"]["direction"], "more refused", "{alarm:#}");
    let said = told(&hook, "refusal", "firing").await;
    assert!(said["annotations"]["size"].as_str().unwrap().starts_with("refused: 0.1"), "{said:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_fail_more_often_than_the_floor_allows_are_told() {
    let hook = Hook::start(Mood::Well).await.unwrap();
    let mut agent = agent(&hook, "http://127.0.0.1:9").start().await.unwrap();
    let mut stream = Stream::new();
    let mut report = async |agent: &Agent, count: usize, completed: f64| {
        let exchanges = stream.exchanges(count, 1.0);
        post(agent, &exchanges).await;
        let item = |exchange: &Value| json!({"inference_id": exchange["id"], "metric_name": "task_completed", "value": stream.rng.f64() < completed});
        let feedback: Vec<Value> = exchanges.iter().map(item).collect();
        let url = agent.api_url("/api/v1/feedback");
        let answer = reqwest::Client::new().post(url).json(&feedback).send().await.unwrap();
        assert_eq!(answer.status(), 202);
    };
    report(&agent, 400, 0.96).await;
    let well = taken(&agent, "task_completion", 400).await;
    assert_eq!((&well["state"], &well["model"]), (&json!("watching"), &json!("m")), "{well:#}");
    report(&agent, 400, 0.6).await;
    let alarm = in_state(&agent, "task_completion", "alarm").await;
    assert_eq!(alarm["explanation"]["direction"], "below its floor", "{alarm:#}");
    let said = told(&hook, "task_completion", "firing").await;
    assert!(said["annotations"]["size"].as_str().unwrap().contains("the floor is 90 %"), "{said:#}");
    agent.process.kill();
    agent.restart().await.unwrap();
    assert_eq!(signal(&agent, "task_completion").await["alarm"]["raised"], alarm["alarm"]["raised"]);
}
