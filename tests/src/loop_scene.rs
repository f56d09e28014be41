//! The scene of the loop, whatever the engine: users ask, some of what they get is wrong, an editor says what was wanted, and
//! the agent makes versions of it. Tests say which engine, who asks for what, and what must come of it.

mod school;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

pub use school::{A, B, Taught, Topic};
use school::{answer, question};

use crate::agent::Agent;
use crate::wait::{eventually, get_json};

/// Users that come at once.
const WAVE: u32 = 24;
/// How long each part may take; a training beside vLLM on two cores that others use too took 150 s.
const PATIENCE: Duration = Duration::from_secs(400);

/// What an editor says of answers that failed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Editor {
    /// Nothing.
    Silent,
    /// What is right.
    Right,
    /// These words instead, by topic, and that everything failed.
    Wants([&'static str; 4]),
}

/// An agent with the loop, its users and what happened.
#[derive(Debug)]
pub struct LoopScene {
    /// The agent.
    pub agent: Agent,
    /// Users so far: each came once.
    pub users: u32,
    /// Of sampling. Colder than what the model was taught at first, as servers are: what is replayed is then learnt better than
    /// it was known, and an anchor's loss has somewhere to go.
    pub temperature: f64,
    /// Answers by the model that they say they are of.
    pub answered: BTreeMap<String, u32>,
    /// What was told.
    pub timeline: Vec<String>,
    taught: Taught,
    model: Option<&'static str>,
    client: reqwest::Client,
}

impl LoopScene {
    /// An agent before `upstream`, which serves the taught model; `deploy` is `finetune.deploy`, `model` what users name, if
    /// anything; a training reads its examples `epochs` times.
    ///
    /// # Errors
    /// The agent does not start.
    pub async fn start(
        taught: Taught,
        upstream: &str,
        deploy: Value,
        model: Option<&'static str>,
        epochs: u32,
    ) -> anyhow::Result<Self> {
        let epochs = epochs.to_string();
        let metric = json!({"name": "task_success", "kind": "binary", "direction": "increase", "role": "primary", "margin": "5%"});
        let finetune = json!({
            "mode": "auto",
            "model": taught.base,
            "interval": "1s",
            "trigger": {"examples": 300, "failures": 150, "cooldown": "30s"},
            "budget": {"runs": 10},
            "dataset": {"before": "5s", "replay": "50%"},
            // v1 knows A as well as it can be known: the next lessons cost some percent of so small a loss, the poisoned ones 100;
            // that the promoted version stays within 1 % is asserted below
            "gate": {"anchor_loss": "25%"},
            "trainer": {"options": ["--rank", "8", "--epochs", epochs, "--lr", "5e-3", "--batch-tokens", "512", "--threads", "2"]},
            "deploy": deploy,
            "mirror": {"units": 40, "share": "50%"},
            "experiment": {
                "unit": {"header": "x-user-id"},
                "ramp": [{"share": "50%", "units": 0, "time": "0s"}],
                "window": "3s",
                "metrics": [metric],
            },
        });
        let agent = Agent::before(upstream)
            .set("rules.builtin", json!(true))
            .set("text.sample", json!(1.0))
            .set("records.sample", json!(1.0))
            .set("records.store_text", json!("masked"))
            .set("business.window", json!("20s"))
            .set("drift.enabled", json!(false))
            .set("finetune", finetune);
        let agent = agent.start().await?;
        let client = reqwest::Client::new();
        let (answered, timeline) = (BTreeMap::new(), Vec::new());
        Ok(Self { agent, users: 0, temperature: 0.5, answered, timeline, taught, model, client })
    }

    /// Notes what happens, with the seconds since the scene began.
    pub fn tell(&mut self, what: &str) {
        let line = format!("{:>4} s  {what}", self.seconds());
        println!("{line}");
        self.timeline.push(line);
    }

    /// Seconds since the scene began.
    pub fn seconds(&self) -> u64 {
        self.taught.begun.elapsed().as_secs()
    }

    /// A question on a topic, and a right answer.
    pub fn pair(&mut self, topic: Topic) -> (String, String) {
        (question(&mut self.taught.rng, topic), answer(&mut self.taught.rng, topic.1, 0.8))
    }

    /// More users, each with one question, and what came of it; gives how many were answered right.
    ///
    /// # Panics
    /// One of them gets no answer, or cannot say what came of it.
    pub async fn wave(&mut self, topics: &[Topic], editor: Editor) -> u32 {
        let mut asked = Vec::new();
        for _ in 0..WAVE {
            let at = self.taught.rng.usize(..topics.len());
            let question = question(&mut self.taught.rng, topics[at]);
            let wanted = match editor {
                Editor::Wants(words) => words[at % 4],
                _ => topics[at].1,
            };
            let correction = answer(&mut self.taught.rng, wanted, 0.8);
            asked.push((self.users, question, topics[at].1, correction));
            self.users += 1;
        }
        let scene = &*self;
        let each = asked.into_iter().map(|(user, question, right, correction)| async move {
            let answer = scene.ask(user, &question).await;
            let said = answer["choices"][0]["message"]["content"].as_str().unwrap_or_default();
            let good = said.starts_with(right);
            let success = good && !matches!(editor, Editor::Wants(_));
            let id = &answer["id"];
            let mut told = vec![json!({"inference_id": id, "metric_name": "task_success", "value": success})];
            if !success && editor != Editor::Silent {
                told.push(json!({"inference_id": id, "metric_name": "correction", "value": correction}));
            }
            let told = scene.client.post(scene.agent.api_url("/api/v1/feedback")).json(&told).send().await.unwrap();
            assert_eq!(told.status(), 202, "{user}: {}", told.text().await.unwrap());
            (good, answer["model"].as_str().unwrap_or_default().to_owned())
        });
        let mut right = 0;
        for (good, model) in join_all(each).await {
            right += u32::from(good);
            *self.answered.entry(model).or_default() += 1;
        }
        right
    }

    async fn ask(&self, user: u32, question: &str) -> Value {
        let messages = json!([{"role": "user", "content": question}]);
        let mut body = json!({"messages": messages, "max_tokens": 12, "temperature": self.temperature});
        if let Some(model) = self.model {
            body["model"] = json!(model);
        }
        let request = self.client.post(self.agent.tap_url("/v1/chat/completions"));
        let answer = request.header("x-user-id", format!("u{user}")).json(&body).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{user}: {status}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// What the API says at a path.
    ///
    /// # Panics
    /// It does not answer.
    pub async fn get(&self, path: &str) -> Value {
        get_json(&self.agent.api_url(path)).await.unwrap()["data"].clone()
    }

    /// The newest run.
    async fn run(&self) -> Value {
        let runs = self.get("/api/v1/finetunes").await;
        runs["runs"].as_array().unwrap().last().cloned().unwrap_or_default()
    }

    /// Users come until the newest run is number `id`.
    ///
    /// # Panics
    /// It does not begin in time, or for another reason than tasks that fail.
    pub async fn until_begun(&mut self, id: u32, topics: &[Topic], editor: Editor) {
        let begun = Instant::now();
        loop {
            self.wave(topics, editor).await;
            let run = self.run().await;
            if run["id"] == id {
                let reason = &run["reason"];
                assert_eq!(reason["alert"], "PlimsollTaskCompletionFell", "{run:#}");
                let nats = reason["value"].as_f64().unwrap();
                return self.tell(&format!("run {id} begins: PlimsollTaskCompletionFell at {nats:.1} nats"));
            }
            if begun.elapsed() > PATIENCE {
                panic!("run {id} does not begin: {:#}", self.get("/api/v1/finetunes").await);
            }
            tokio::time::sleep(Duration::from_millis(1200)).await;
        }
    }

    /// Users come until the run is over; every stage is told.
    ///
    /// # Panics
    /// It is not over in time.
    pub async fn until_over(&mut self, topics: &[Topic]) -> Value {
        let (begun, mut told) = (Instant::now(), 0);
        loop {
            self.wave(topics, Editor::Silent).await;
            let run = self.run().await;
            let stages = run["stages"].as_array().unwrap().clone();
            for stage in &stages[told..] {
                let what = format!("run {} is {}", run["id"], stage["stage"].as_str().unwrap());
                self.tell(&what);
            }
            told = stages.len();
            let stage = run["stage"].as_str().unwrap();
            if ["promoted", "rolled_back", "kept", "refused", "failed", "cancelled"].contains(&stage) {
                return run;
            }
            assert!(begun.elapsed() < PATIENCE, "{run:#}");
            // a training has the lowest priority: users who never pause would leave it nothing of two cores
            let pause = if ["mirroring", "trying"].contains(&stage) { 300 } else { 2000 };
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Users come until the last ones were happy for a while and no alert of quality fires.
    ///
    /// # Panics
    /// It still fires after a while.
    pub async fn until_calm(&mut self, topics: &[Topic]) {
        let begun = Instant::now();
        loop {
            self.wave(topics, Editor::Silent).await;
            let holds = self.get("/api/v1/finetunes").await["holds"].clone();
            if holds.as_array().unwrap().iter().any(|hold| hold.as_str().unwrap().starts_with("no alert")) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{holds}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// The versions in the engine are these and no others, as the loop says.
    ///
    /// # Panics
    /// They are not in time.
    pub async fn until_loaded(&self, names: &[&str]) {
        eventually("the losers are unloaded", Duration::from_secs(20), async || {
            let versions = get_json(&self.agent.api_url("/api/v1/versions")).await.map_err(|why| why.to_string())?;
            let versions = versions["data"]["versions"].as_array().cloned().unwrap_or_default();
            let loaded = versions.iter().filter(|one| !one["address"].is_null());
            let loaded: Vec<&str> = loaded.filter_map(|one| one["name"].as_str()).collect();
            if loaded == names { Ok(()) } else { Err(format!("{loaded:?}")) }
        })
        .await;
    }

    /// Share of answers that are right, in percent.
    pub async fn quality(&mut self, topics: &[Topic]) -> u32 {
        let mut right = 0;
        for _ in 0..4 {
            right += self.wave(topics, Editor::Silent).await;
        }
        100 * right / (4 * WAVE)
    }

    /// The first act: users of what is known turn to what is not; what they say makes version 1, which then serves. Gives how
    /// the gate saw the loss change on held-out new examples and on anchors, in percent.
    ///
    /// # Panics
    /// Anything of it does not come so.
    pub async fn first_version(&mut self) -> (f64, f64) {
        for _ in 0..25 {
            self.wave(&A, Editor::Right).await;
        }
        let before = self.quality(&A).await;
        assert!(before >= 93, "the base model knows A: {before} %");
        tokio::time::sleep(Duration::from_secs(6)).await;
        self.tell(&format!("{before} % of A are answered right; users turn to domain B"));

        self.until_begun(1, &B, Editor::Right).await;
        let run = self.until_over(&[A, B].concat()).await;
        assert_eq!(run["stage"], "promoted", "{run:#}");
        let (held, anchors) = (change(&run, "failures_loss"), change(&run, "anchors_loss"));
        assert!(held <= -30.0 && anchors <= 1.0, "{run:#}");
        self.temperature = 1.0;
        let after = self.quality(&B).await;
        let losses = format!("held-out loss on B {held:+.1} %, anchors on A {anchors:+.2} %");
        self.tell(&format!("v1 serves: {losses}, {after} % of B right"));
        assert!(after >= 80, "{after}");
        (held, anchors)
    }
}

/// The change of a loss that the gate of a run saw, in percent.
fn change(run: &Value, key: &str) -> f64 {
    let at = |at: usize| run["gate"][key][at].as_f64().unwrap();
    100.0 * (at(1) / at(0) - 1.0)
}
