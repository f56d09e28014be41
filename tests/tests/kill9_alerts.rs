//! At least once, whatever happens: a storm of alerts that begin and end all the time, receivers that work, flap and hang,
//! and an agent that is killed at random points, its first milliseconds included. Every state that anybody heard of, and
//! every state that was on disk when the process died, must have reached every receiver that works; ids stay what they
//! were; and a receiver that hangs delays no other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime};

use plimsoll_rules::Timestamp;
use plimsoll_tests::{Agent, Heard, Hook, Mood, State, eventually};
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

const ALERTS: usize = 40;

/// How often the agent is killed; `PLIMSOLL_KILLS` says otherwise.
#[expect(clippy::disallowed_methods, reason = "make kill9-alerts asks for more through the environment")]
fn kills() -> u32 {
    std::env::var("PLIMSOLL_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(8)
}

/// Every alert begins and ends every few seconds, each in its own rhythm.
fn storm() -> String {
    let mut text = String::from("groups:\n  - name: storm\n    interval: 200ms\n    rules:\n");
    for i in 0..ALERTS {
        let (period, offset) = (3 + i % 7, i * 3 % 11);
        let half = period as f64 / 2.0;
        let _ =
            write!(text, "      - alert: Storm{i:02}\n        expr: vector((time() + {offset}) % {period}) < {half}\n");
    }
    text
}

/// The receivers of one run.
struct Hooks {
    manager: Hook,
    grouped: Hook,
    signed: Hook,
    flapping: Hook,
    dead: Hook,
}

impl Hooks {
    async fn start() -> Self {
        let start = async |mood| Hook::start(mood).await.unwrap();
        Self {
            manager: start(Mood::Well).await,
            grouped: start(Mood::Well).await,
            signed: start(Mood::Well).await,
            flapping: start(Mood::Flapping(Duration::from_millis(1500))).await,
            dead: start(Mood::Dead).await,
        }
    }

    fn living(&self) -> [(&'static str, &Hook); 3] {
        [("alertmanager", &self.manager), ("grouped", &self.grouped), ("signed", &self.signed)]
    }

    fn receivers(&self) -> Value {
        json!([
            {"name": "grouped", "webhook": {"url": self.grouped.url("/v4")}},
            {"name": "flapping", "webhook": {"url": self.flapping.url("/v4")}},
            {"name": "dead", "timeout": "2s", "webhook": {"url": self.dead.url("/v4")}},
        ])
    }

    async fn agent(&self) -> Agent {
        let route = json!({"group_by": ["..."], "group_wait": "0s", "group_interval": "0s"});
        let agent = Agent::before("http://127.0.0.1:9")
            .rules("storm.yml", &storm())
            .set("alerts.alertmanagers", json!([{"url": self.manager.url("")}]))
            .set("alerts.webhooks", json!([{"name": "signed", "url": self.signed.url("/hook"), "secret": "s"}]))
            .set("alerts.receivers", self.receivers())
            .set("alerts.route", route)
            .set("alerts.resend_delay", json!("1s"));
        agent.start().await.unwrap()
    }
}

/// What was on disk and undelivered when the process died.
async fn on_disk(agent: &Agent) -> BTreeSet<State> {
    let options = SqliteConnectOptions::new().filename(agent.folder.path().join("data/plimsoll.db"));
    let Ok(pool) = SqlitePool::connect_with(options).await else { return BTreeSet::new() };
    let rows: Vec<String> =
        sqlx::query_scalar("SELECT notification FROM outbox").fetch_all(&pool).await.unwrap_or_default();
    pool.close().await;
    let state = |said: &Value| State {
        alert: said["labels"]["alertname"].as_str().unwrap().to_owned(),
        starts_at: Timestamp::from_millis(said["starts_at"].as_i64().unwrap()).rfc3339(),
        firing: said["status"] == "firing",
    };
    let said: Vec<Value> = rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
    let then = said.iter().filter_map(|row| row.get("then").map(|then| state(&then["notification"])));
    said.iter().map(state).chain(then).collect()
}

fn states(heard: &[Heard]) -> BTreeSet<State> {
    heard.iter().map(|heard| heard.state.clone()).collect()
}

/// No state has two ids.
fn check_ids(name: &str, heard: &[Heard]) -> usize {
    let mut ids: BTreeMap<&State, &str> = BTreeMap::new();
    for heard in heard {
        let id = ids.entry(&heard.state).or_insert(&heard.id);
        assert_eq!(*id, heard.id, "{name}: two ids for {:?}", heard.state);
    }
    ids.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_reaches_every_living_receiver() {
    let hooks = Hooks::start().await;
    let mut agent = hooks.agent().await;
    let mut known = BTreeSet::new();
    let (mut seed, mut rows) = (7_u64, 0);
    let kills = kills();
    for _ in 0..kills {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        tokio::time::sleep(Duration::from_millis((seed >> 33) % 1500)).await;
        agent.process.kill();
        let left = on_disk(&agent).await;
        rows += left.len();
        known.extend(left);
        agent.relaunch().unwrap();
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    calm(&agent).await;
    settled(&hooks).await;

    for hook in [&hooks.manager, &hooks.grouped, &hooks.signed, &hooks.flapping] {
        known.extend(states(&hook.heard()));
    }
    // Whatever began has ended, and whatever ended had begun: nobody may have missed either.
    let turns: BTreeSet<State> =
        known.iter().flat_map(|s| [true, false].map(|firing| State { firing, ..s.clone() })).collect();
    for (name, hook) in hooks.living() {
        let heard = states(&hook.heard());
        let missed: Vec<&State> = turns.difference(&heard).collect();
        println!("{name:12} heard {} of {} states, in {} deliveries", heard.len(), turns.len(), hook.heard().len());
        assert!(missed.is_empty(), "{name} missed {} of {}: {missed:?}", missed.len(), turns.len());
    }
    let kept = [("grouped", &hooks.grouped), ("signed", &hooks.signed), ("flapping", &hooks.flapping)]
        .map(|(name, hook)| check_ids(name, &hook.heard()));
    println!(
        "{kills} kills, {} states ({rows} found undelivered on disk, over all kills and the dead one's too), ids of {kept:?} states stable, \
         flapping receiver failed {} requests and took {} states",
        turns.len(),
        hooks.flapping.failed(),
        states(&hooks.flapping.heard()).len()
    );
    assert!(turns.len() > kills as usize, "too little happened to prove anything");
    assert!(hooks.flapping.failed() > 0, "nothing flapped");
}

/// Takes the rules away: everything that fires ends.
async fn calm(agent: &Agent) {
    std::fs::write(agent.folder.path().join("storm.yml"), "groups: []\n").unwrap();
    eventually("the rules are gone", Duration::from_secs(30), async || {
        let answer = reqwest::Client::new().post(agent.api_url("/-/reload")).send().await.map_err(|e| e.to_string())?;
        if answer.status().is_success() { Ok(()) } else { Err(answer.status().to_string()) }
    })
    .await;
}

/// Waits until every receiver that answers has heard the end of everything, from the flapping one too.
async fn settled(hooks: &Hooks) {
    eventually("everybody has heard the end", Duration::from_secs(60), async || {
        let last = hooks.grouped.last();
        let others = [&hooks.manager, &hooks.signed, &hooks.flapping];
        let open = last.values().filter(|state| state.firing).count();
        let behind = others.iter().flat_map(|hook| {
            let theirs = hook.last();
            last.iter()
                .filter(move |(alert, state)| theirs.get(*alert) != Some(*state))
                .map(|(a, s)| (a.clone(), s.clone()))
                .collect::<Vec<_>>()
        });
        let behind: Vec<_> = behind.collect();
        if open == 0 && behind.is_empty() { Ok(()) } else { Err((open, behind)) }
    })
    .await;
}

/// Milliseconds from a state's beginning to its arrival, sorted; `since` on both clocks.
fn delays(hook: &Hook, since: Instant, wall: Timestamp) -> Vec<f64> {
    let mut delays: Vec<f64> = Vec::new();
    let mut seen = BTreeSet::new();
    for heard in hook.heard().into_iter().filter(|heard| heard.at > since && heard.state.firing) {
        let began = Timestamp::from_millis(millis(&heard.state.starts_at));
        if began > wall && seen.insert(heard.state) {
            let arrived = wall + heard.at.duration_since(since);
            delays.push(arrived.since(began).as_secs_f64() * 1e3);
        }
    }
    delays.sort_by(f64::total_cmp);
    delays
}

/// Milliseconds of a time of today, as `...THH:MM:SS.mmmZ`, on the day of `now`.
fn millis(text: &str) -> i64 {
    let number = |from: usize, to: usize| text[from..to].parse::<i64>().unwrap();
    let of_day = number(11, 13) * 3_600_000 + number(14, 16) * 60_000 + number(17, 19) * 1000 + number(20, 23);
    let now = wall().millis();
    let midnight = now - now.rem_euclid(86_400_000);
    let at = midnight + of_day;
    if at > now + 43_200_000 { at - 86_400_000 } else { at }
}

fn wall() -> Timestamp {
    Timestamp::default() + SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_receiver_delays_no_other() {
    let hooks = Hooks::start().await;
    let mut quantiles = Vec::new();
    for company in ["alone", "beside a dead and a flapping receiver"] {
        let mut agent = hooks.agent().await;
        if company == "alone" {
            let path = agent.folder.path().join("plimsoll.yaml");
            let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            config["alerts"]["receivers"] = json!([{"name": "grouped", "webhook": {"url": hooks.grouped.url("/v4")}}]);
            std::fs::write(&path, config.to_string()).unwrap();
            agent.process.kill();
            agent.restart().await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        let (since, began) = (Instant::now(), wall());
        tokio::time::sleep(Duration::from_secs(10)).await;
        for (name, hook) in hooks.living() {
            let delays = delays(hook, since, began);
            assert!(delays.len() > 20, "{name}: only {} states", delays.len());
            let at = |q: f64| delays[((delays.len() - 1) as f64 * q) as usize];
            println!(
                "{name:12} {company}: {} states, p50 {:.1} ms, p90 {:.1} ms, max {:.1} ms",
                delays.len(),
                at(0.5),
                at(0.9),
                at(1.0)
            );
            quantiles.push((name, at(0.5), at(0.9)));
        }
        agent.process.kill();
    }
    let (alone, beside) = quantiles.split_at(3);
    for ((name, p50, p90), (_, p50_beside, p90_beside)) in alone.iter().zip(beside) {
        assert!(p50_beside - p50 < 100.0 && p90_beside - p90 < 100.0, "{name} waits for the dead receiver");
    }
}
