//! Whole experiments with real llama.cpp servers: a treatment that fails tasks is rolled back by itself, an equal one is
//! promoted, and neither a restart nor a kill changes what is decided.

use std::time::Duration;

use futures_util::future::join_all;
use plimsoll_rules::verdict::experiment::{Arm, Decision, Experiment, ExperimentSpec, State, UnitResult};
use plimsoll_rules::{Phase, Timestamp, arm_at, unit_hash};
use plimsoll_tests::{Agent, LlamaCpp, eventually, get_json};
use serde_json::{Value, json};
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

const ID: &str = "b-or-not";
/// Users that come at once.
const WAVE: u32 = 40;
/// Runs of the simulation.
const RUNS: u64 = 400;

/// A number in [0, 1) that belongs to a user: what they would say does not depend on when they are asked.
fn luck(user: u32, salt: u64) -> f64 {
    fastrand::Rng::with_seed(u64::from(user) + salt).f64()
}

/// Whom the tap sends a user to, at half and half.
fn arm(user: u32) -> Arm {
    arm_at(unit_hash(ID, Phase::Split, format!("u{user}").as_bytes()), 0.5)
}

struct Scene {
    agent: Agent,
    _engines: [LlamaCpp; 2],
    /// Share of tasks that fail, of control and of the treatment.
    fails: [f64; 2],
    /// Makes the users of one test others than those of another.
    salt: u64,
    users: u32,
    client: reqwest::Client,
}

impl Scene {
    /// `None` where no llama.cpp is installed.
    async fn start(fails: [f64; 2], salt: u64) -> Option<Self> {
        let engines = [LlamaCpp::start().await.unwrap()?, LlamaCpp::start().await.unwrap()?];
        let [control, treatment] = [0, 1].map(|at: usize| format!("http://127.0.0.1:{}", engines[at].port));
        let metric = json!({"name": "task_success", "kind": "binary", "direction": "increase", "role": "primary", "margin": "5%"});
        let experiment = json!({
            "id": ID,
            "unit": {"header": "x-user-id"},
            "control": {"name": "a"},
            "treatment": {"name": "b", "upstream": treatment},
            "ramp": [{"share": "50%", "units": 0, "time": "0s"}],
            "window": "4s",
            "metrics": [metric],
        });
        let agent = Agent::before(&control)
            .set("experiments", json!([experiment]))
            .set("records.sample", json!(0.0))
            .set("sources.engine.enabled", json!(false))
            .set("rules.builtin", json!(true));
        let agent = agent.start().await.unwrap();
        Some(Self { agent, _engines: engines, fails, salt, users: 0, client: reqwest::Client::new() })
    }

    /// More users, each with one question and what came of it.
    async fn wave(&mut self) {
        let users = self.users..self.users + WAVE;
        self.users += WAVE;
        let (tap, api) = (self.agent.tap_url("/v1/chat/completions"), self.agent.api_url("/api/v1/feedback"));
        let (client, fails, salt) = (&self.client, self.fails, self.salt);
        join_all(users.map(|user| {
            let (tap, api) = (&tap, &api);
            async move {
                let body =
                    json!({"messages": [{"role": "user", "content": format!("question {user}")}], "max_tokens": 1});
                let asked = client.post(tap).header("x-user-id", format!("u{user}")).body(body.to_string());
                let answer = asked.header("content-type", "application/json").send().await.unwrap();
                assert!(answer.status().is_success(), "{user}: {}", answer.status());
                let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
                let done = luck(user, salt) >= fails[arm(user).index()];
                let said = json!({"inference_id": answer["id"], "metric_name": "task_success", "value": done});
                let said = client.post(api).header("content-type", "application/json").body(said.to_string());
                assert_eq!(said.send().await.unwrap().status(), 202, "{user}");
            }
        }))
        .await;
    }

    async fn view(&self) -> Value {
        get_json(&self.agent.api_url(&format!("/api/v1/experiments/{ID}"))).await.unwrap()["data"].clone()
    }

    /// Users come until it is over, at most so many; gives the last decision.
    async fn play(&mut self, most: u32) -> Value {
        while self.users < most {
            self.wave().await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            if over(&self.view().await) {
                break;
            }
        }
        eventually("the experiment is over", Duration::from_secs(20), async || {
            let view = self.view().await;
            if over(&view) { Ok(()) } else { Err(view) }
        })
        .await;
        let decisions = get_json(&self.agent.api_url(&format!("/api/v1/experiments/{ID}/decisions"))).await.unwrap();
        decisions["data"]["decisions"].as_array().unwrap().last().unwrap().clone()
    }

    async fn database(&self) -> SqlitePool {
        let path = self.agent.folder.path().join("data/plimsoll.db");
        SqlitePool::connect_with(SqliteConnectOptions::new().filename(path)).await.unwrap()
    }

    /// Plays what the records hold once more: the same decisions after the same units, and the same state.
    async fn replay(&self) {
        let pool = self.database().await;
        let rows = sqlx::query(
            "SELECT outcome, assigned_ms FROM assignments WHERE closed_seq IS NOT NULL ORDER BY closed_seq",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        let state: String = sqlx::query_scalar("SELECT state FROM experiment_states").fetch_one(&pool).await.unwrap();
        let (saved, last): (Experiment, Option<Decision>) = serde_json::from_str(&state).unwrap();
        let mut again = Experiment::new(saved.spec().clone());
        let mut decided = Vec::new();
        for row in &rows {
            let result: UnitResult = serde_json::from_str(row.get(0)).unwrap();
            let at = Timestamp::from_millis(row.get(1)) + saved.spec().window;
            decided.extend(again.close(&result, at));
        }
        assert_eq!(again.hash(), saved.hash(), "{} units", rows.len());
        assert_eq!(decided.last(), last.as_ref());
        let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM decisions").fetch_one(&pool).await.unwrap();
        assert_eq!(usize::try_from(stored).unwrap(), decided.len());
    }

    async fn spec(&self) -> ExperimentSpec {
        let pool = self.database().await;
        let state: String = sqlx::query_scalar("SELECT state FROM experiment_states").fetch_one(&pool).await.unwrap();
        serde_json::from_str::<(Experiment, Option<Decision>)>(&state).unwrap().0.spec().clone()
    }
}

fn over(view: &Value) -> bool {
    ["promoted", "rolled_back", "kept_control"].iter().any(|state| view["state"] == *state)
}

/// Units until the same experiment has a verdict, with `draw` telling the half of the next unit and whether it succeeds.
fn units(spec: &ExperimentSpec, mut draw: impl FnMut() -> (Arm, bool)) -> f64 {
    let mut machine = Experiment::new(spec.clone());
    let mut units = 0.0;
    while let Some(propensity) = machine.propensity().filter(|_| !matches!(machine.state(), State::Hold(_))) {
        let (arm, done) = draw();
        let values = vec![Some(if done { 1.0 } else { 0.0 })];
        machine.close(&UnitResult { arm, propensity, values, asked: true }, Timestamp::from_millis(0));
        units += 1.0;
    }
    units
}

/// The mean over other users, and what these very users would have taken.
fn simulated(spec: &ExperimentSpec, fails: [f64; 2], salt: u64) -> [f64; 2] {
    let run = |seed: u64| {
        let mut rng = fastrand::Rng::with_seed(seed);
        units(spec, || {
            let arm = if rng.bool() { Arm::Treatment } else { Arm::Control };
            (arm, rng.f64() >= fails[arm.index()])
        })
    };
    let mut users = 0..;
    let same = units(spec, || {
        let user = users.next().unwrap();
        (arm(user), luck(user, salt) >= fails[arm(user).index()])
    });
    [(0..RUNS).map(run).sum::<f64>() / RUNS as f64, same]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_treatment_that_fails_tasks_is_rolled_back() {
    const SALT: u64 = 7;
    let fails = [0.02, 0.15];
    let Some(mut scene) = Scene::start(fails, SALT).await else { return };
    let decision = scene.play(2000).await;
    assert_eq!((&decision["action"], &decision["reason"]), (&json!("roll_back"), &json!("harm")), "{decision}");
    let after = decision["after_units"].as_f64().unwrap();
    let [mean, same] = simulated(&scene.spec().await, fails, SALT);
    println!("rolled back after {after} units; simulated: {mean:.0} in the mean of {RUNS}, {same} with the same users");
    assert!(after <= 1.3 * mean, "{after} units, simulated {mean}, {same}");
    scene.replay().await;

    let argo = get_json(&scene.agent.api_url(&format!("/api/v1/experiments/{ID}/argo"))).await.unwrap();
    assert_eq!(argo["result"], "Failed");
    eventually("the built-in alert fires", Duration::from_secs(40), async || {
        let alerts = get_json(&scene.agent.api_url("/api/v1/alerts")).await.map_err(|why| why.to_string())?;
        let text = alerts.to_string();
        if text.contains("PlimsollExperimentRolledBack") { Ok(()) } else { Err(text) }
    })
    .await;
    // Everybody is with control from now on, those of the treatment too.
    let before = scene.users;
    scene.fails = [0.0, 0.0];
    scene.wave().await;
    let sql = "SELECT count(*) FROM assignments";
    let enrolled: i64 = sqlx::query_scalar(sql).fetch_one(&scene.database().await).await.unwrap();
    assert_eq!(enrolled, i64::from(before), "nobody is enrolled after the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_equal_treatment_is_promoted_whatever_is_killed_on_the_way() {
    const SALT: u64 = 11;
    let fails = [0.02, 0.02];
    let Some(mut scene) = Scene::start(fails, SALT).await else { return };
    let mut states = Vec::new();
    for kill in [libc::SIGKILL, libc::SIGTERM, libc::SIGKILL] {
        scene.wave().await;
        scene.wave().await;
        tokio::time::sleep(Duration::from_millis(900)).await;
        states.push(scene.view().await["units"].clone());
        scene.agent.process.signal(kill);
        scene.agent.process.wait(Duration::from_secs(20)).expect("it ends");
        scene.agent.restart().await.unwrap();
    }
    let decision = scene.play(4000).await;
    println!("units seen before the three ends: {states:?}; {decision}");
    assert_eq!((&decision["action"], &decision["reason"]), (&json!("promote"), &json!("no_worse")), "{decision}");
    scene.replay().await;
    let after = decision["state_hash"].clone();
    scene.agent.process.signal(libc::SIGKILL);
    scene.agent.process.wait(Duration::from_secs(20)).expect("it ends");
    scene.agent.restart().await.unwrap();
    eventually("it is still promoted", Duration::from_secs(10), async || {
        let view = scene.view().await;
        if view["state"] == "promoted" && view["state_hash"] == after { Ok(()) } else { Err(view) }
    })
    .await;
}
