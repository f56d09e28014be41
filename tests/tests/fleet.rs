//! Two agents on one PostgreSQL: feedback through either pod joins, a unit keeps its half at both, and an experiment counts
//! over both what one pod would have counted.

use std::time::Duration;

use plimsoll_rules::verdict::experiment::{Arm, Experiment, ExperimentSpec, UnitResult};
use plimsoll_rules::{Phase, Timestamp, arm_at, unit_hash};
use plimsoll_tests::{Agent, Postgres, Upstream, eventually, get_json, series};
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::{AnyPool, Row as _};

const SOON: Duration = Duration::from_secs(40);
const ID: &str = "fleet";
const USERS: u32 = 240;

/// An engine that answers with its name.
async fn engine(name: &'static str) -> Upstream {
    Upstream::start(move |mut wire, _| async move {
        while wire.request().await.is_some() {
            let id = format!("{name}-{:016x}", fastrand::u64(..));
            let body = json!({"id": id, "model": name, "choices": [{"index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": name}}]})
            .to_string();
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length";
            if wire.send(format!("{head}: {}\r\n\r\n{body}", body.len())).await.is_err() {
                return;
            }
        }
    })
    .await
    .unwrap()
}

struct Fleet {
    pods: [Agent; 2],
    server: Postgres,
    _engines: [Upstream; 2],
    client: Client,
}

impl Fleet {
    async fn start() -> Option<Self> {
        let server = Postgres::start().await.unwrap()?;
        let engines = [engine("base").await, engine("new").await];
        let experiment = json!([{
            "id": ID, "unit": {"header": "x-user-id"}, "window": "6s", "ramp": [{"share": "50%", "units": 100_000}],
            "treatment": {"name": "v2", "upstream": engines[1].url()},
            "metrics": [{"name": "task_success", "role": "primary"}],
        }]);
        let pod = async || {
            let pod = Agent::before(&engines[0].url()).set("records.url", json!(server.url()));
            let pod = pod.set("records.sample", json!(0.0)).set("sources.engine.enabled", json!(false));
            pod.set("experiments", experiment.clone()).start().await.unwrap()
        };
        let pods = [pod().await, pod().await];
        Some(Self { pods, server, _engines: engines, client: Client::new() })
    }

    /// Asks a pod as a user (nobody, without a number); gives the id of the answer and who gave it.
    async fn ask(&self, pod: usize, user: Option<u32>) -> (String, String) {
        let mut request = self.client.post(self.pods[pod].tap_url("/v1/chat/completions"));
        if let Some(user) = user {
            request = request.header("x-user-id", format!("u{user}"));
        }
        let question = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        let answer: Value = request.json(&question).send().await.unwrap().json().await.unwrap();
        (answer["id"].as_str().unwrap().to_owned(), answer["model"].as_str().unwrap().to_owned())
    }

    async fn tell(&self, pod: usize, id: &str, value: bool) {
        let said = json!({"inference_id": id, "metric_name": "task_success", "value": value});
        let answer = self.client.post(self.pods[pod].api_url("/api/v1/feedback")).json(&said).send().await.unwrap();
        assert_eq!(answer.status(), 202, "{}", answer.text().await.unwrap());
    }

    async fn view(&self, pod: usize) -> anyhow::Result<Value> {
        Ok(get_json(&self.pods[pod].api_url(&format!("/api/v1/experiments/{ID}"))).await?["data"].clone())
    }
}

fn luck(user: u32) -> bool {
    fastrand::Rng::with_seed(u64::from(user) + 7).f64() < 0.8
}

#[tokio::test(flavor = "multi_thread")]
async fn feedback_through_either_pod_joins() {
    let Some(fleet) = Fleet::start().await else { return };
    let (id, _) = fleet.ask(0, None).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    fleet.tell(1, &id, true).await;
    let pool = AnyPool::connect(&fleet.server.url()).await.unwrap();
    eventually("the feedback has its exchange", SOON, async || {
        let sql = "SELECT count(*) FROM feedback JOIN exchanges ON target = exchanges.id WHERE feedback.model = 'base'";
        let count: i64 = sqlx::query_scalar(sql).fetch_one(&pool).await?;
        anyhow::ensure!(count == 1, "{count}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_experiment_counts_over_both_what_one_pod_would() {
    let Some(mut fleet) = Fleet::start().await else { return };
    for user in 0..USERS {
        let pod = (user % 2) as usize;
        let (id, name) = fleet.ask(pod, Some(user)).await;
        let arm = arm_at(unit_hash(ID, Phase::Split, format!("u{user}").as_bytes()), 0.5);
        assert_eq!(name == "new", arm == Arm::Treatment, "user {user}");
        // told at the other pod
        fleet.tell(1 - pod, &id, luck(user)).await;
    }
    let whole = |view: &Value| view["units"][0].as_u64().zip(view["units"][1].as_u64()).map(|(a, b)| a + b);
    let mut views = Vec::new();
    for pod in 0..2 {
        views.push(
            eventually("every unit is in, at both", SOON, async || {
                let view = fleet.view(pod).await?;
                anyhow::ensure!(whole(&view) == Some(u64::from(USERS)), "{view:#}");
                Ok(view)
            })
            .await,
        );
    }
    assert_eq!(views[0]["state_hash"], views[1]["state_hash"]);
    assert_eq!(views[0]["metrics"], views[1]["metrics"]);

    // a machine of its own, over the same units in the order they were taken in
    let pool = AnyPool::connect(&fleet.server.url()).await.unwrap();
    let sql =
        "SELECT unit, arm, propensity, outcome, closed_seq FROM assignments WHERE experiment = $1 ORDER BY closed_seq";
    let rows = sqlx::query(sql).bind(ID).fetch_all(&pool).await.unwrap();
    let saved: String = sqlx::query_scalar("SELECT state FROM experiment_states").fetch_one(&pool).await.unwrap();
    let saved: Value = serde_json::from_str(&saved).unwrap();
    let spec: ExperimentSpec = serde_json::from_value(saved[0]["spec"].clone()).unwrap();
    let mut alone = Experiment::new(spec);
    let mut good = [0, 0];
    for (at, row) in rows.iter().enumerate() {
        assert_eq!(row.get::<i64, _>(4), i64::try_from(at + 1).unwrap(), "each unit is taken in once, in one order");
        let result: UnitResult = serde_json::from_str(&row.get::<String, _>(3)).unwrap();
        good[result.arm.index()] += u32::from(result.values[0] == Some(1.0));
        alone.close(&result, Timestamp::from_millis(0));
    }
    let expected = (0..USERS).filter(|user| luck(*user)).count();
    assert_eq!(usize::try_from(good[0] + good[1]).unwrap(), expected, "no feedback is lost, whoever took it");
    let of_one_pod: Vec<u64> = alone.units().to_vec();
    assert_eq!(json!(of_one_pod), views[0]["units"]);
    for (at, (_, metric)) in alone.metrics().enumerate() {
        assert_eq!(views[0]["metrics"][at]["log_e_harm"].as_f64(), Some(metric.log_e_harm()));
    }

    // one of them ends in the middle, the other goes on
    fleet.pods[0].process.signal(libc::SIGKILL);
    fleet.pods[0].process.wait(SOON).expect("it ends");
    for user in USERS..USERS + 20 {
        let (id, _) = fleet.ask(1, Some(user)).await;
        fleet.tell(1, &id, true).await;
    }
    eventually("it goes on alone", SOON, async || {
        let view = fleet.view(1).await?;
        anyhow::ensure!(whole(&view) == Some(u64::from(USERS) + 20), "{view:#}");
        Ok(())
    })
    .await;
    let figures = fleet.pods[1].scrape().await.unwrap();
    assert_eq!(series(&figures, "plimsoll_collector_up", &["source=\"records\""]), Some(1.0), "{figures}");
}
