//! `plimsoll dataset` end to end: from posted traffic, feedback and corrections to files that are learnt from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use plimsoll_agent::dataset::{Settings, Source, count};
use plimsoll_agent::records::Location;
use plimsoll_rules::Timestamp;
use plimsoll_tests::{Agent, Postgres, binary};
use serde_json::{Value, json};

const DAY: f64 = 86_400.0;
/// What must be nowhere, written by users into prompts, answers and corrections.
const SECRETS: [&str; 3] = ["ann@example.org", "4111 1111 1111 1111", "13812345678"];

fn plimsoll(arguments: &[&str]) -> Output {
    Command::new(binary().unwrap()).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

/// Runs, and gives the answer as JSON.
fn told(arguments: &[&str]) -> Value {
    let output = plimsoll(&[arguments, &["--format", "json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(arguments: &[&str]) -> String {
    let output = plimsoll(arguments);
    assert!(!output.status.success(), "{arguments:?}: {}", said(&output));
    said(&output)
}

/// An agent that keeps text.
async fn agent(store_text: &str) -> Agent {
    let agent = Agent::before("http://127.0.0.1:9").set("records.store_text", json!(store_text));
    agent.start().await.unwrap()
}

/// Posts and gives the status and the body.
async fn post(agent: &Agent, path: &str, items: &[Value]) -> (u16, String) {
    let request = reqwest::Client::new().post(agent.api_url(path)).json(&items);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Exchanges and their feedback, to be posted.
struct Traffic {
    now: f64,
    exchanges: Vec<Value>,
    feedback: Vec<Value>,
}

impl Traffic {
    /// An exchange of `days` days ago.
    fn asked(&mut self, id: &str, days: f64, prompt: &str, response: &str) {
        self.exchanges.push(json!({"id": id, "model": "m", "duration_seconds": 1, "started": self.now - days * DAY,
            "prompt": prompt, "response": response, "finish_reason": "stop"}));
    }

    fn said(&mut self, id: &str, metric: &str, value: &Value) {
        self.feedback.push(json!({"inference_id": id, "metric_name": metric, "value": value}));
    }

    fn good(&mut self, id: &str, days: f64, prompt: &str, response: &str) {
        self.asked(id, days, prompt, response);
        self.said(id, "task_completed", &json!(true));
    }

    fn corrected(&mut self, id: &str, days: f64, prompt: &str, right: &str) {
        self.asked(id, days, prompt, "wrong");
        self.said(id, "thumbs", &json!("down"));
        self.said(id, "correction", &json!(right));
    }
}

/// A sentence of its own for each number.
fn sentence(n: usize) -> String {
    const WORDS: [&str; 16] = [
        "card", "office", "invoice", "garden", "window", "train", "coffee", "winter", "letter", "bridge", "piano",
        "river", "ticket", "doctor", "market", "camera",
    ];
    let mut random = fastrand::Rng::with_seed(n as u64);
    (0..10).map(|_| WORDS[random.usize(..16)]).collect::<Vec<_>>().join(" ")
}

/// Old good ones, new good ones and new failures with corrections; and what is to be left out.
fn traffic(now: f64) -> Traffic {
    let mut traffic = Traffic { now, exchanges: Vec::new(), feedback: Vec::new() };
    for n in 0..90 {
        traffic.good(&format!("old-{n}"), 6.0 + n as f64 / 100.0, &sentence(n), &format!("answer {n}"));
    }
    for n in 100..150 {
        traffic.good(&format!("new-{n}"), 1.0 + n as f64 / 1000.0, &sentence(n), &format!("answer {n}"));
    }
    for n in 200..220 {
        traffic.corrected(&format!("bad-{n}"), 1.0 + n as f64 / 1000.0, &sentence(n), &format!("right {n}"));
    }
    traffic.corrected("mail", 1.0, "whom do I write to", "write to ann@example.org, or pay 4111 1111 1111 1111");
    traffic.good("phone", 1.0, "my number is 13812345678 and I wait for a call", "we call 13812345678");
    // the same again, in other letters; another answer to it; and an old answer that the correction contradicts
    traffic.good("again", 0.5, &sentence(100).to_uppercase(), "ANSWER 100");
    traffic.corrected("first", 0.9, "when does the office open", "at nine");
    traffic.corrected("second", 0.8, "when does the office open", "at ten");
    traffic.good("contradicted", 6.0, "When does the office open", "at eight");
    traffic.asked("failed", 1.0, "what is the answer to everything", "none");
    traffic.said("failed", "task_completed", &json!(false));
    for n in 0..600 {
        // more than a page, all of one moment
        traffic.asked(&format!("unjudged-{n}"), 1.0, "what is the weather in winter", "cold");
    }
    traffic
}

/// A folder's files, by name.
fn bytes(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|e| (e.file_name().into_string().unwrap(), std::fs::read(e.path()).unwrap())).collect()
}

fn lines(folder: &Path, part: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join(format!("{part}.jsonl"))).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ids(lines: &[Value]) -> Vec<String> {
    lines.iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}

/// Everything below a folder, whatever it is called.
fn nothing_secret_below(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            nothing_secret_below(&path);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        for secret in SECRETS {
            assert!(!holds(&bytes, secret), "{}: {secret}", path.display());
        }
    }
}

/// An agent that has been told everything, and what its records are called.
struct Scene {
    agent: Agent,
    url: String,
    since: String,
    out: PathBuf,
}

impl Scene {
    async fn filled() -> Self {
        let agent = agent("masked").await;
        let now = plimsoll_agent::clock::wall();
        let traffic = traffic(now.secs_f64());
        for (path, items) in [("/api/v1/exchanges", &traffic.exchanges), ("/api/v1/feedback", &traffic.feedback)] {
            for part in items.chunks(900) {
                let (status, body) = post(&agent, path, part).await;
                assert_eq!(status, 202, "{path}: {body}");
            }
        }
        let since = Timestamp::from_secs_f64(now.secs_f64() - 3.0 * DAY).rfc3339();
        let url = format!("sqlite://{}", agent.folder.path().join("data/plimsoll.db").display());
        let out = agent.folder.path().join("sets");
        std::fs::create_dir(&out).unwrap();
        Self { agent, url, since, out }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.out.join(name)
    }

    /// Builds into the folder `name` and gives the manifest. Feedback is of now, so what is looked at ends later.
    fn build(&self, name: &str, from: &[&str], more: &[&str]) -> Value {
        let out = self.path(name);
        let fixed = ["--since", &self.since, "--until", "2999-01-01", "--out", out.to_str().unwrap()];
        told(&[&["dataset", "build"], from, &fixed, more].concat())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_traffic_to_files_that_are_learnt_from() {
    let scene = Scene::filled().await;
    let from = ["--url", &scene.url];
    let manifest = scene.build("a", &from, &[]);
    let counts = &manifest["counts"];
    let left = |why: &str| counts["left_out"][why].as_u64().unwrap();
    assert_eq!(counts["read"], 90 + 50 + 20 + 2 + 5 + 600);
    assert_eq!((counts["new_good"].as_u64(), counts["new_corrected"].as_u64()), (Some(51), Some(22)), "{counts:#}");
    assert_eq!(
        [left("duplicates"), left("contradicted"), left("failed_without_correction"), left("unjudged")],
        [1, 2, 1, 600],
        "{counts:#}"
    );
    assert_eq!(counts["anchors_drawn"], 30, "a third of the old ones");
    assert_eq!(manifest["drift"]["state"], "not_found", "{manifest:#}");

    let folder = scene.path("a");
    let [train, holdout, anchors, replay] = ["train", "holdout", "anchors", "replay"].map(|part| lines(&folder, part));
    assert_eq!((train.len(), holdout.len(), anchors.len(), replay.len()), (59, 14, 30, 59));
    let of = |part: &[Value], origin: &str| part.iter().filter(|line| line["origin"] == origin).count();
    assert_eq!((of(&holdout, "good"), of(&holdout, "corrected"), of(&replay, "replay")), (10, 4, 59));
    let of_the_office: Vec<&Value> = [&train, &holdout, &anchors, &replay]
        .into_iter()
        .flatten()
        .filter(|line| line["messages"][0]["content"].as_str().unwrap().to_lowercase().contains("office open"))
        .collect();
    assert_eq!(of_the_office.len(), 1);
    assert_eq!(of_the_office[0]["messages"][1], json!({"role": "assistant", "content": "at ten"}));
    assert!(train.iter().chain(&holdout).any(|line| line.to_string().contains("write to <EMAIL:")));
    nothing_secret_below(scene.agent.folder.path());

    // the same again is the same to the byte, and so is what an export gives
    let again = scene.build("b", &from, &[]);
    assert_eq!(bytes(&folder), bytes(&scene.path("b")), "{again:#}");
    let export = scene.path("export");
    let export = export.to_str().unwrap();
    told(&["records", "export", "--url", &scene.url, "--to", export, "--until", "2999-01-01"]);
    let exported = scene.build("c", &["--from", export], &[]);
    assert_eq!(exported["source"], "export");
    assert_eq!(
        (&exported["files"], &exported["sha256"], &exported["counts"]),
        (&manifest["files"], &manifest["sha256"], counts)
    );
    if let Some(server) = Postgres::start().await.unwrap() {
        told(&["records", "import", "--url", &server.url(), "--from", export]);
        let shared = scene.build("d", &["--url", &server.url()], &[]);
        assert_eq!((&shared["source"], &shared["sha256"]), (&json!("postgres"), &manifest["sha256"]));
    }
    assert_eq!(
        rows(&scene.url, "SELECT count(*) FROM audit WHERE action = 'dataset' AND detail LIKE '%whole%'").await,
        2
    );

    let [from_ms, to_ms] = ["since_ms", "until_ms"].map(|key| manifest["settings"][key].as_i64().unwrap());
    let settings = Settings::between(Timestamp::from_millis(from_ms), Timestamp::from_millis(to_ms));
    let source = Source::open(&Location::Sqlite(scene.url.trim_start_matches("sqlite://").into())).await.unwrap();
    let found = count(&source, &settings).await.unwrap();
    assert_eq!((found.new_good, found.new_corrected, found.read), (51, 22, 676), "without the old ones");

    learnt_from(&scene, &folder);
    anchors_stay(&scene, &from, &anchors);
    what_differs_is_told(&scene, &from, &folder);
}

async fn rows(url: &str, sql: &'static str) -> i64 {
    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(url).await.unwrap();
    let count = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
    pool.close().await;
    count
}

/// `plimsoll finetune` takes the files.
fn learnt_from(scene: &Scene, folder: &Path) {
    let golden = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/golden/shadow/qwen3"));
    let model = scene.path("model");
    std::fs::create_dir(&model).unwrap();
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        std::fs::copy(golden.join(name), model.join(name)).unwrap();
    }
    let template = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}\
                    {% if add_generation_prompt %}assistant: {% endif %}";
    std::fs::write(model.join("chat_template.jinja"), template).unwrap();
    let [train, holdout, replay] = ["train", "holdout", "replay"].map(|part| folder.join(format!("{part}.jsonl")));
    let paths = [&model, &train, &holdout, &replay, &scene.path("adapter")].map(|path| path.display().to_string());
    let [model, train, holdout, replay, out] = paths.each_ref().map(String::as_str);
    let plan = told(&[
        "finetune",
        "--model",
        model,
        "--data",
        train,
        "--eval",
        holdout,
        "--replay",
        replay,
        "--out",
        out,
        "--device",
        "cpu",
        "--dry-run",
    ]);
    assert_eq!(plan["data"]["train"]["examples"], 59, "{plan:#}");
}

/// Anchors of one dataset are those of the next, and what is like them stays out of it.
fn anchors_stay(scene: &Scene, from: &[&str], anchors: &[Value]) {
    let given = scene.path("a").join("anchors.jsonl");
    let next = scene.build("next", from, &["--seed", "7", "--anchors", given.to_str().unwrap()]);
    assert_eq!((&next["anchors_given"], &next["counts"]["anchors_drawn"]), (&json!(true), &json!(0)));
    assert_eq!(next["counts"]["left_out"]["anchors_kept_out"], 30);
    let folder = scene.path("next");
    assert_eq!(std::fs::read(&given).unwrap(), std::fs::read(folder.join("anchors.jsonl")).unwrap());
    let kept: Vec<String> = ["train", "holdout", "replay"].iter().flat_map(|part| ids(&lines(&folder, part))).collect();
    assert!(ids(anchors).iter().all(|id| !kept.contains(id)));
    let verified = plimsoll(&[&["dataset", "verify", folder.to_str().unwrap()], from].concat());
    assert!(verified.status.success(), "{}", said(&verified));
}

fn what_differs_is_told(scene: &Scene, from: &[&str], folder: &Path) {
    let (shown, sets) = (folder.to_str().unwrap(), scene.out.to_str().unwrap());
    let verify = [&["dataset", "verify", shown], from].concat();
    let whole = plimsoll(&verify);
    assert!(whole.status.success() && said(&whole).contains("the records give it again"), "{}", said(&whole));
    let files = plimsoll(&["dataset", "verify", shown]);
    assert!(files.status.success() && said(&files).contains("only the records can tell"), "{}", said(&files));
    let table = plimsoll(&["dataset", "show", shown]);
    assert!(
        said(&table).contains("left out: contradicted") && said(&table).contains("train.parquet"),
        "{}",
        said(&table)
    );

    let fixed = ["dataset", "build", "--since", &scene.since, "--until", "2999-01-01"];
    let build = [&fixed[..], from].concat();
    let with = |more: &[&'static str]| -> Vec<&str> { build.iter().chain(more).copied().collect() };
    let over = |more: &[&'static str]| -> Vec<&str> { [&with(&["--out"])[..], &[shown], more].concat() };
    for (arguments, expected) in [
        (over(&[]), "holds a dataset already"),
        ([&with(&["--out"])[..], &[sets]].concat(), "which is no part of a dataset"),
        (over(&["--holdout-share", "1.5", "--replace"]), "holdout_share: 1.5 found; from 0 to below 1"),
        (over(&["--anchors", "/nowhere.jsonl", "--replace"]), "/nowhere.jsonl cannot be read"),
        (
            over(&["--model", "nosuch", "--replace"]),
            "no example among 767 exchanges (other_model: 767): there is no dataset",
        ),
        (vec!["dataset", "build", "--since", "2026-02-30", "--out", shown], "\"2026-02-30\" is no time"),
        (vec!["dataset", "build", "--since", "2026-02-03", "--out", shown], "which records?"),
        (
            vec!["dataset", "build", "--since", "2026-02-03", "--out", "x", "--url", "sqlite:///nowhere/a.db"],
            "there are no records",
        ),
        (vec!["dataset", "verify", sets], "manifest.json cannot be read"),
    ] {
        let said = refused(&arguments);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    assert!(folder.join("manifest.json").exists(), "a mistake takes no dataset away");
    let empty = plimsoll(&with(&["--model", "nosuch", "--dry-run"]));
    assert!(empty.status.success() && said(&empty).contains("(other_model: 767)"), "{}", said(&empty));
    let plan = told(&with(&["--dry-run"]));
    assert_eq!((&plan["examples"]["train"], &plan["examples"]["holdout"]), (&json!(59), &json!(14)));

    let train = folder.join("train.jsonl");
    let good = std::fs::read_to_string(&train).unwrap();
    std::fs::write(&train, good.replacen("right", "wrong", 1)).unwrap();
    let tampered = refused(&verify);
    assert!(tampered.contains("train.jsonl: SHA-256") && !tampered.contains("holdout.jsonl"), "{tampered}");
    assert!(plimsoll(&over(&["--replace"])).status.success());
    assert_eq!(std::fs::read_to_string(&train).unwrap(), good);
    let other = scene.path("export");
    std::fs::remove_dir_all(other.join("feedback")).unwrap();
    let differs = refused(&["dataset", "verify", shown, "--from", other.to_str().unwrap()]);
    assert!(differs.contains("train.jsonl: the records now give 0 lines"), "{differs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn corrections_are_refused_where_text_is_not_stored() {
    let agent = agent("none").await;
    let item = json!({"inference_id": "a", "metric_name": "correction", "value": "write to ann@example.org"});
    let (status, body) = post(&agent, "/api/v1/feedback", &[item]).await;
    assert_eq!(status, 422, "{body}");
    assert!(body.contains("records.store_text: masked keeps them") && !body.contains("ann@"), "{body}");
}
