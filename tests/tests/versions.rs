//! Versions by hand, and trainers that are not ours: a program, somebody who hears a post, a Job. The engine is told by webhook;
//! what is asked goes through the tap to a real llama.cpp.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use plimsoll_tests::{Agent, Hook, LlamaCpp, Mood, TinyModel, binary, eventually, get_json, series};
use serde_json::{Value, json};

const WORDS: [&str; 12] =
    ["stone", "river", "cloud", "maple", "amber", "brick", "ember", "flute", "grain", "iron", "lemon", "ocean"];

struct Scene {
    agent: Agent,
    hook: Hook,
    model: TinyModel,
    client: reqwest::Client,
    _engine: LlamaCpp,
    _folder: tempfile::TempDir,
}

/// Arguments of a training that takes a moment.
const QUICK: [&str; 8] = ["--max-steps", "80", "--lr", "1e-2", "--batch-tokens", "512", "--device", "cpu"];

impl Scene {
    /// An agent whose records hold old good answers and new failures with their corrections.
    async fn start(trainer: impl FnOnce(&Hook, &Path) -> Value) -> Option<Self> {
        Self::start_with(trainer, &json!({"mirror": {"units": 0}})).await
    }

    /// The same with some keys of `finetune` otherwise.
    async fn start_with(trainer: impl FnOnce(&Hook, &Path) -> Value, more: &Value) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let model = TinyModel::make(&folder.path().join("model"), 11).unwrap()?;
        let (engine, hook) = (LlamaCpp::start().await.unwrap()?, Hook::start(Mood::Well).await.unwrap());
        let mut finetune = json!({
            "mode": "propose",
            "model": model.folder,
            "interval": "1s",
            "trainer": trainer(&hook, folder.path()),
            "deploy": {"kind": "webhook", "url": hook.url("/deploy"), "secret": "s3cret"},
            "experiment": {"unit": {"header": "x-user-id"}},
        });
        finetune.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let agent = Agent::before(&format!("http://127.0.0.1:{}", engine.port))
            .set("records.store_text", json!("masked"))
            .set("records.sample", json!(1.0))
            .set("drift.enabled", json!(false))
            .set("sources.engine.enabled", json!(false))
            .set("finetune", finetune);
        let agent = agent.start().await.unwrap();
        let client = reqwest::Client::new();
        let scene = Self { agent, hook, model, client, _engine: engine, _folder: folder };
        scene.records().await;
        Some(scene)
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.client.post(self.agent.api_url(path)).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    async fn records(&self) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
        let mut rng = fastrand::Rng::with_seed(1);
        let (mut exchanges, mut feedback) = (Vec::new(), Vec::new());
        for at in 0..270 {
            let (old, id) = (at < 120, format!("e{at}"));
            let words: Vec<&str> = (0..8).map(|_| WORDS[rng.usize(..WORDS.len())]).collect();
            let started = now - if old { 7200.0 } else { 60.0 };
            exchanges.push(json!({
                "id": id, "model": "m", "duration_seconds": 0.1, "started": started, "prompt": words.join(" "),
                "response": if old { "all is well" } else { "who knows" },
            }));
            feedback.push(json!({"inference_id": id, "metric_name": "task_success", "value": old}));
            if !old {
                feedback.push(json!({"inference_id": id, "metric_name": "correction", "value": "ask the harbour"}));
            }
        }
        assert_eq!(self.post("/api/v1/exchanges", &json!(exchanges)).await.0, 202);
        assert_eq!(self.post("/api/v1/feedback", &json!(feedback)).await.0, 202);
        let since = json!({"since": now - 600.0});
        assert_eq!(self.post("/api/v1/finetunes", &since).await.0, 202);
        let (status, why) = self.post("/api/v1/finetunes", &since).await;
        assert_eq!(status, 409, "one at a time: {why}");
    }

    async fn get(&self, path: &str) -> Value {
        get_json(&self.agent.api_url(path)).await.unwrap()["data"].clone()
    }

    async fn until(&self, stage: &str) -> Value {
        eventually(&format!("the run is {stage}"), Duration::from_secs(120), async || {
            let run = self.get("/api/v1/finetunes/1").await;
            assert!(run["stage"] == stage || (run["stage"] != "failed" && run["stage"] != "refused"), "{run:#}");
            if run["stage"] == stage { Ok(run) } else { Err(format!("{run:#}")) }
        })
        .await
    }

    async fn until_live(&self, version: &Value) {
        eventually(&format!("{version} serves"), Duration::from_secs(30), async || {
            let live = self.get("/api/v1/versions").await["live"].clone();
            if live == *version { Ok(()) } else { Err(live) }
        })
        .await;
    }

    /// Asks through the tap until an answer is labelled with a variant.
    async fn until_asked(&self, variant: &str) {
        let label = format!("variant=\"{variant}\"");
        let count = async || {
            let text = self.agent.scrape().await.map_err(|why| why.to_string())?;
            Ok::<f64, String>(series(&text, "plimsoll_requests_total", &[&label, "outcome=\"ok\""]).unwrap_or(0.0))
        };
        let before = count().await.unwrap();
        eventually(&format!("{variant} answers"), Duration::from_secs(30), async || {
            self.user("ann").await;
            if count().await? > before { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await;
    }

    /// A user comes with one request, and is answered.
    async fn user(&self, name: &str) {
        let body = json!({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "hello"}]});
        let asked = self.client.post(self.agent.tap_url("/v1/chat/completions")).header("x-user-id", name);
        let answer = asked.json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
    }

    /// Users come until the run is somewhere.
    async fn users_until(&self, stage: &str) -> Value {
        let mut users = 0;
        eventually(&format!("the run is {stage}"), Duration::from_secs(120), async || {
            for _ in 0..10 {
                users += 1;
                self.user(&format!("user-{users}")).await;
            }
            let run = self.get("/api/v1/finetunes/1").await;
            if run["stage"] == stage { Ok(run) } else { Err(format!("{run:#}")) }
        })
        .await
    }

    /// What the webhook heard of a version, oldest first.
    fn told(&self, action: &str, name: &str) -> usize {
        let is = |body: &&Value| body["action"] == action && body["name"] == name;
        self.hook.bodies().iter().filter(is).count()
    }

    /// What a trainer elsewhere does with what it was told.
    fn train(&self, dataset: &Path, out: &Path) {
        let mut command = Command::new(binary().unwrap());
        command.arg("finetune").arg("--model").arg(&self.model.folder).arg("--out").arg(out).args(QUICK);
        command.arg("--data").arg(dataset.join("train.jsonl")).arg("--replay").arg(dataset.join("replay.jsonl"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// A verb of `plimsoll versions`.
    fn verb(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new(binary().unwrap());
        command.arg("versions").args(arguments).arg("--api").arg(self.agent.api_url(""));
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }
}

/// `plimsoll finetune` by a shell, as somebody else's program would be.
fn program(_: &Hook, _: &Path) -> Value {
    let plimsoll = binary().unwrap();
    let script = format!(
        "{} finetune --model \"$PLIMSOLL_MODEL\" --data \"$PLIMSOLL_DATASET/train.jsonl\" --replay \
         \"$PLIMSOLL_DATASET/replay.jsonl\" --out \"$PLIMSOLL_OUT\" {}",
        plimsoll.display(),
        QUICK.join(" ")
    );
    json!({"kind": "command", "command": ["sh", "-c", script]})
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_promoted_and_rolled_back_by_hand() {
    let Some(mut scene) = Scene::start(program).await else { return };
    let run = scene.until("trying").await;
    assert_eq!((&run["reason"], &run["gate"]["passed"]), (&Value::Null, &json!(true)), "{run:#}");
    assert_eq!(scene.told("load", "plimsoll-v1"), 1);
    let (status, why) = scene.post("/api/v1/versions/1/promote", &json!({})).await;
    assert_eq!(status, 409, "it is before users: {why}");
    assert!(why["error"].as_str().unwrap().contains("plimsoll versions cancel 1 ends it"), "{why}");
    let (status, _) = scene.post("/api/v1/finetunes/1/cancel?dry_run=true", &json!({})).await;
    assert_eq!((status, scene.until("trying").await["stage"].clone()), (200, json!("trying")), "nothing was done");

    // a person ends the experiment
    assert_eq!(scene.post("/api/v1/experiments/finetune-1/promote", &json!({})).await.0, 200);
    scene.until("promoted").await;
    scene.until_live(&json!(1)).await;
    scene.until_asked("plimsoll-v1").await;

    // killed, it goes on as it was
    scene.agent.process.kill();
    scene.agent.restart().await.unwrap();
    scene.until_live(&json!(1)).await;
    scene.until_asked("plimsoll-v1").await;

    // back to the model without an adapter, and forth again
    let (done, said) = scene.verb(&["rollback", "--dry-run"]);
    assert!(done && said.contains("nothing is in the way of it; nothing was done"), "{said}");
    assert_eq!(scene.get("/api/v1/versions").await["live"], 1);
    assert_eq!(scene.verb(&["rollback"]), (true, "base serves\n".to_owned()));
    scene.until_asked("base").await;
    eventually("it has left the engine", Duration::from_secs(20), async || {
        if scene.told("unload", "plimsoll-v1") > 0 { Ok(()) } else { Err(scene.hook.bodies()) }
    })
    .await;
    let (done, said) = scene.verb(&["rollback"]);
    assert!(!done && said.contains("there is nothing to roll back"), "{said}");
    // said, it is so: the very next request is its
    let asked = async || {
        let text = scene.agent.scrape().await.map_err(|why| why.to_string())?;
        let labels = ["source=\"tap\"", "variant=\"plimsoll-v1\""];
        Ok::<f64, String>(series(&text, "plimsoll_requests_total", &labels).unwrap_or(0.0))
    };
    let before = asked().await.unwrap();
    assert_eq!(scene.verb(&["promote", "1"]), (true, "plimsoll-v1 serves\n".to_owned()));
    scene.user("bob").await;
    eventually("the first request is counted for it", Duration::from_secs(10), async || {
        if asked().await? > before { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    scene.until_asked("plimsoll-v1").await;
    assert!(scene.told("load", "plimsoll-v1") >= 2);

    assert!(scene.verb(&["pin", "1"]).0);
    let (_, said) = scene.verb(&["list"]);
    assert!(said.contains("plimsoll-v1") && said.contains("live") && said.contains("(pinned)"), "{said}");
    let (_, said) = scene.verb(&["runs"]);
    assert!(said.contains("promoted") && said.contains("by hand"), "{said}");
    for (arguments, why) in [
        (&["promote", "7"][..], "there is no version 7"),
        (&["promote", "7", "--dry-run"], "there is no version 7"),
        (&["promote", "1", "--dry-run"], "it serves already"),
        (&["pin", "base"], "the base model is no version"),
        (&["promote", "x"], "is no version; write its number, such as 3, or base"),
        (&["approve", "1"], "run 1 is over: promoted"),
        (&["approve", "9"], "there is no run 9"),
        (&["close-circuit"], "the circuit is closed"),
    ] {
        let (done, said) = scene.verb(arguments);
        assert!(!done && said.contains(why), "{arguments:?}: {said}");
    }
    let audit = get_json(&scene.agent.api_url("/api/v1/audit?limit=100")).await.unwrap();
    for action in ["finetunes.create", "versions.rollback", "versions.promote", "versions.pin"] {
        assert!(audit.to_string().contains(action), "{action}: {audit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elsewhere_trains_what_a_post_says() {
    let trainer = |hook: &Hook, _: &Path| json!({"kind": "webhook", "url": hook.url("/train"), "secret": "s3cret"});
    let Some(scene) = Scene::start(trainer).await else { return };
    let job = eventually("the trainer is told", Duration::from_secs(30), async || {
        scene.hook.bodies().into_iter().find(|body| body["action"] == "train").ok_or("nothing yet")
    })
    .await;
    assert_eq!((&job["run"], &job["model"]), (&json!(1), &json!(scene.model.folder)));
    let (status, why) = scene.post("/api/v1/finetunes/1/trained", &json!({})).await;
    assert!(status == 409 && why["error"].as_str().unwrap().contains("adapter_config.json is not there yet"), "{why}");
    let path = |key: &str| PathBuf::from(job[key].as_str().unwrap());
    scene.train(&path("dataset"), &path("out"));
    assert_eq!(scene.post("/api/v1/finetunes/1/trained", &json!({"by": "them"})).await.0, 202);
    let run = scene.until("trying").await;
    assert_eq!(run["training"]["by"], "them", "{run:#}");
    assert_eq!(scene.post("/api/v1/experiments/finetune-1/rollback", &json!({})).await.0, 200);
    scene.until("rolled_back").await;
    assert_eq!(scene.get("/api/v1/versions/1").await["status"], "rolled_back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_written_from_a_template() {
    let trainer = |_: &Hook, folder: &Path| {
        let applied = folder.join("applied");
        std::fs::create_dir(&applied).unwrap();
        let template = "kind: Job\nargs: [train, $(PLIMSOLL_DATASET), $(PLIMSOLL_OUT), run-$(PLIMSOLL_RUN)]\n";
        std::fs::write(folder.join("template.yaml"), template).unwrap();
        json!({"kind": "job", "template": folder.join("template.yaml"), "command": ["cp", "-t", applied]})
    };
    let Some(scene) = Scene::start(trainer).await else { return };
    let applied = scene._folder.path().join("applied/job.yaml");
    let manifest =
        eventually("the manifest is applied", Duration::from_secs(30), async || std::fs::read_to_string(&applied))
            .await;
    let words: Vec<&str> =
        manifest.split_once("args: [train, ").unwrap().1.trim_end_matches("]\n").split(", ").collect();
    assert_eq!(words[2], "run-1", "{manifest}");
    scene.train(Path::new(words[0]), Path::new(words[1]));
    std::fs::write(Path::new(words[1]).join("trained.json"), r#"{"by": "a job"}"#).unwrap();
    assert_eq!(scene.until("trying").await["training"]["by"], "a job");
}

/// Settings of the loop with a mirror, and windows that close soon.
fn mirrored(units: u64) -> Value {
    let experiment = json!({"unit": {"header": "x-user-id"}, "window": "1s"});
    json!({"mirror": {"units": units, "share": "50%"}, "experiment": experiment})
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_go_to_a_version_before_users_do() {
    let Some(scene) = Scene::start_with(program, &mirrored(40)).await else { return };
    scene.until("mirroring").await;
    let run = scene.users_until("trying").await;
    assert_eq!(run["experiment"], "finetune-2", "{run:#}");
    let text = scene.agent.scrape().await.unwrap();
    let copied = series(&text, "plimsoll_requests_total", &["source=\"mirror\"", "outcome=\"ok\""]);
    assert!(copied.is_some_and(|copied| copied >= 5.0), "{copied:?}");
    assert_eq!(run["version"], 1, "{run:#}");
    // what is said of episodes counts for it
    for at in 0..10 {
        let episode = format!("episode-{at}");
        scene.user(&episode).await;
        let said = json!({"episode_id": episode, "metric_name": "task_success", "value": true});
        assert_eq!(scene.post("/api/v1/feedback", &said).await.0, 202);
    }
    eventually("ten outcomes are in", Duration::from_secs(30), async || {
        let view = get_json(&scene.agent.api_url("/api/v1/experiments/finetune-2")).await;
        let metric = view.map_err(|why| json!(why.to_string()))?["data"]["metrics"][0].clone();
        let units: u64 = metric["units"].as_array().map_or(0, |units| units.iter().filter_map(Value::as_u64).sum());
        if metric["name"] == "task_success" && units == 10 { Ok(()) } else { Err(metric) }
    })
    .await;
    // a run before users can be ended
    let (done, said) = scene.verb(&["cancel", "1"]);
    assert!(done, "{said}");
    scene.until("rolled_back").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_fails_copies_is_sent_back_and_nobody_saw_it() {
    fails_copies(400, "harm of error").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_that_fail_need_not_be_many() {
    fails_copies(8, "out_of_units").await;
}

/// A version on a server that is away: `why` it comes back from a mirror of so many units.
async fn fails_copies(units: u64, why: &str) {
    let nobody = format!("http://127.0.0.1:{}", plimsoll_tests::free_port().unwrap());
    let told = json!({"upstream": nobody}).to_string();
    let answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{told}", told.len());
    let engine = plimsoll_tests::Upstream::start(move |mut wire, _| {
        let answer = answer.clone();
        async move { while wire.request().await.is_some() && wire.send(answer.clone()).await.is_ok() {} }
    });
    let engine = engine.await.unwrap();
    let mut more = mirrored(units);
    more["deploy"] = json!({"kind": "webhook", "url": format!("{}/deploy", engine.url())});
    let Some(scene) = Scene::start_with(program, &more).await else { return };
    scene.until("mirroring").await;
    let run = scene.users_until("rolled_back").await;
    assert!(run["why"].as_str().unwrap().contains(why), "{run:#}");
    assert_eq!(scene.get("/api/v1/versions").await["live"], Value::Null);
    let text = scene.agent.scrape().await.unwrap();
    assert_eq!(series(&text, "plimsoll_requests_total", &["source=\"tap\"", "variant=\"plimsoll-v1\""]), None);
    let (done, said) = scene.verb(&["promote", "1"]);
    assert!(!done && said.contains("it was rolled back; with force (--force)"), "{said}");
    // whoever insists has it, and no user is without an answer all the same
    assert_eq!(scene.verb(&["promote", "1", "--force"]), (true, "plimsoll-v1 serves\n".to_owned()));
    scene.user("ann").await;
    // and it is as it was once it serves no longer
    assert_eq!(scene.verb(&["rollback"]), (true, "base serves\n".to_owned()));
    let (done, said) = scene.verb(&["promote", "1", "--dry-run"]);
    assert!(!done && said.contains("it was rolled back; with force (--force)"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_hangs_stops_nobody_from_going_back() {
    let hangs = Arc::new(AtomicBool::new(false));
    let engine = plimsoll_tests::Upstream::start({
        let hangs = hangs.clone();
        move |mut wire, _| {
            let hangs = hangs.clone();
            async move {
                while let Some(asked) = wire.request().await {
                    let loads = String::from_utf8_lossy(&asked.body).contains("\"load\"");
                    while loads && hangs.load(Ordering::Relaxed) {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    if wire.send("HTTP/1.1 204 No Content\r\n\r\n".to_owned()).await.is_err() {
                        return;
                    }
                }
            }
        }
    });
    let engine = engine.await.unwrap();
    let deploy = json!({"kind": "webhook", "url": format!("{}/deploy", engine.url())});
    let Some(scene) = Scene::start_with(program, &json!({"mirror": {"units": 0}, "deploy": deploy})).await else {
        return;
    };
    scene.until("trying").await;
    assert_eq!(scene.post("/api/v1/experiments/finetune-1/promote", &json!({})).await.0, 200);
    scene.until_live(&json!(1)).await;
    assert_eq!(scene.verb(&["rollback"]), (true, "base serves\n".to_owned()));
    hangs.store(true, Ordering::Relaxed);
    let (done, said) = scene.verb(&["promote", "1", "--wait", "1"]);
    assert!(!done && said.contains("version 1 is still being loaded after 1 s"), "{said}");
    let (_, said) = scene.verb(&["list"]);
    assert!(said.contains("version 1 is being loaded") && said.contains("the base model serves"), "{said}");
    assert_eq!(scene.verb(&["rollback"]), (true, "base serves\n".to_owned()));
    let (_, said) = scene.verb(&["list"]);
    assert!(!said.contains("is being loaded"), "{said}");
    hangs.store(false, Ordering::Relaxed);
    assert_eq!(scene.verb(&["promote", "1"]), (true, "plimsoll-v1 serves\n".to_owned()));
}
