//! What looks like a secret and comes through any door is afterwards nowhere: not on disk, not in the log, not with the worker,
//! not with a receiver of alerts, in no metric, no answer and no export. Where text is expected, its tokens are.

mod doors;
mod secrets;
mod servers;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use plimsoll_rules::builtin_scaled;
use plimsoll_tests::{Agent, AgentBuilder, Hook, Message, Mood, Upstream, binary, eventually, series};
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

use secrets::{MARIGOLD, PATTERN, lacking, leak};

const SOON: Duration = Duration::from_secs(60);
/// Texts that are learned from.
const TEXTS: usize = 500;

/// An agent with everything on that sees text.
fn agent(control: &Upstream, treatment: &Upstream, worker: &Upstream, hook: &Hook) -> AgentBuilder {
    let experiment = json!([{
        "id": "mirrored", "unit": {"header": "x-user-id"}, "split": "mirror", "window": "1s", "ramp": [{"share": "90%"}],
        "treatment": {"name": "v2", "model": "m2", "upstream": treatment.url()}, "judge": {"labels": "100%"},
        "metrics": [{"name": "error", "direction": "decrease", "role": "primary", "margin": "20%"}],
    }]);
    Agent::before(&control.url())
        .rules("builtin.yml", &builtin_scaled(1.0 / 15.0))
        .set("log", json!({"level": "debug"}))
        .set("api", json!({"viewers": ["of-viewer"], "ingest": ["of-ingest"], "admins": ["of-admin"]}))
        .set("text", json!({"sample": 1.0}))
        .set("masking", json!({"patterns": {PATTERN.0: PATTERN.1}}))
        .set("records", json!({"sample": 1.0, "store_text": "masked"}))
        .set("shadow", json!({"url": worker.url(), "sample": 1.0}))
        .set("experiments", experiment)
        .set("drift.reference", json!({"observations": 300, "texts": TEXTS}))
        .set("alerts.receivers", json!([{"name": "ops", "webhook": {"url": hook.url("/x")}}]))
        .set("alerts.webhooks", json!([{"url": "http://127.0.0.1:9/nobody"}])) // what it should have heard stays in the outbox
        .set("alerts.route", json!({"group_by": ["..."], "group_wait": "0s", "group_interval": "0s"}))
        .set("alerts.resend_delay", json!("1s"))
}

/// Every page of the API that is read, as it stands in the code, with what is asked of it.
const PAGES: [(&str, &str); 28] = [
    ("/api/v1/alerts", ""),
    ("/api/v1/audit", "?limit=1000"),
    ("/api/v1/drift", ""),
    ("/api/v1/drift/log", ""),
    ("/api/v1/drift/{signal}/baselines", "embedding?model=d"),
    ("/api/v1/drift/{signal}/compare", "embedding?model=d&a=1&b=1"),
    ("/api/v1/experiments", ""),
    ("/api/v1/experiments/{id}", "mirrored"),
    ("/api/v1/experiments/{id}/argo", "mirrored"),
    ("/api/v1/experiments/{id}/decisions", "mirrored"),
    ("/api/v1/experiments/{id}/pairs", "mirrored"),
    ("/api/v1/finetunes", ""),
    ("/api/v1/finetunes/{id}/ranks", "job"),
    ("/api/v1/format_query", "?query=up"),
    ("/api/v1/label/{name}/values", "item"),
    ("/api/v1/labels", ""),
    ("/api/v1/metadata", ""),
    ("/api/v1/outbox", ""),
    ("/api/v1/query", "?query=%7B__name__%3D~%22.%2B%22%7D"),
    ("/api/v1/query_exemplars", "?query=up&start=0&end=1"),
    ("/api/v1/query_range", "?query=plimsoll_drift_top&start=0&end=1&step=1"),
    ("/api/v1/rules", ""),
    ("/api/v1/scaling", ""),
    ("/api/v1/series", "?match%5B%5D=%7B__name__%3D~%22.%2B%22%7D"),
    ("/api/v1/silences", ""),
    ("/api/v1/status", ""),
    ("/api/v1/status/buildinfo", ""),
    ("/api/v1/versions", ""),
];
/// Pages that this story has nothing for.
const EMPTY: [&str; 3] = ["/api/v1/finetunes/{id}", "/api/v1/silences/{id}", "/api/v1/versions/{version}"];

/// The answer to each page, with this token; a page that it may not see answers 403.
async fn pages(agent: &Agent, token: &str) -> Vec<(String, u16, String)> {
    let (client, mut all) = (Client::new(), Vec::new());
    for (template, asked) in PAGES {
        let (id, query) = asked.split_at(asked.find('?').unwrap_or(asked.len()));
        let path = match (template.find('{'), template.find('}')) {
            (Some(from), Some(to)) => format!("{}{id}{}{query}", &template[..from], &template[to + 1..]),
            _ => format!("{template}{query}"),
        };
        let answer = client.get(agent.api_url(&path)).bearer_auth(token).send().await.unwrap();
        all.push((path, answer.status().as_u16(), answer.text().await.unwrap()));
    }
    all
}

/// Whoever adds a page adds it here too.
#[test]
fn every_page_that_can_be_read_is_looked_at() {
    fn routes(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                routes(&path, found);
            } else if let Ok(code) = std::fs::read_to_string(&path) {
                let all = code.split(".route(\"").skip(1).filter_map(|rest| rest.split_once("\", "));
                let read = all.filter(|(path, rest)| path.starts_with("/api/") && rest.starts_with("get("));
                found.extend(read.map(|(path, _)| path.to_owned()));
            }
        }
    }
    let mut found = BTreeSet::new();
    routes(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/src"), &mut found);
    let known: BTreeSet<String> = PAGES.iter().map(|(path, _)| *path).chain(EMPTY).map(ToOwned::to_owned).collect();
    assert_eq!(found, known);
}

fn clean(whose: &str, bytes: &[u8]) {
    if let Some(found) = leak(bytes) {
        panic!("{whose} holds {found}");
    }
}

/// Every file below `folder` but the configuration.
fn files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if !path.ends_with("plimsoll.yaml")
            && let Ok(bytes) = std::fs::read(&path)
        {
            found.push((path.display().to_string(), bytes));
        }
    }
}

/// Files while the agent runs, and after it has ended well.
fn files_of(agent: &mut Agent) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    files(agent.folder.path(), &mut all);
    agent.process.signal(libc::SIGTERM);
    assert!(agent.process.wait(Duration::from_secs(30)).is_some_and(|status| status.success()));
    files(agent.folder.path(), &mut all);
    for name in ["plimsoll.db", "plimsoll.db-wal", "series.snapshot", "alerts.state.json", "agent.log"] {
        assert!(all.iter().any(|(path, bytes)| path.ends_with(name) && !bytes.is_empty()), "no {name}");
    }
    all
}

async fn database(path: &Path) -> SqlitePool {
    SqlitePool::connect_with(SqliteConnectOptions::new().filename(path)).await.unwrap()
}

/// What of a table of texts lacks a token.
async fn texts(pool: &SqlitePool, sql: &'static str) -> Vec<(String, String)> {
    sqlx::query_as(sql).fetch_all(pool).await.unwrap()
}

/// Waits for an alert on the texts that has examples.
async fn examples_told(hook: &Hook) -> String {
    eventually("an alert has examples", SOON, async || {
        let all: Vec<Value> =
            hook.bodies().iter().filter_map(|body| body["alerts"].as_array().cloned()).flatten().collect();
        let examples = all
            .iter()
            .filter_map(|alert| alert["annotations"]["examples"].as_str())
            .find(|said| said.contains("<EMAIL:"));
        examples.map(ToOwned::to_owned).ok_or(all.len())
    })
    .await
}

fn sent(heard: &[Message], path: &str) -> String {
    let of = heard.iter().filter(|message| message.start.contains(path));
    of.map(|message| String::from_utf8_lossy(&message.body).into_owned()).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_anywhere_and_tokens_are_where_text_is() {
    let (control, treatment) = (servers::engine("control").await, servers::engine("treatment").await);
    let ((worker, heard), hook) = (servers::worker().await, Hook::start(Mood::Well).await.unwrap());
    let mut agent = agent(&control, &treatment, &worker, &hook).start().await.unwrap();
    let answered = doors::tap(&agent).await;
    for answer in doors::api(&agent).await {
        clean("an answer to a post", answer.as_bytes());
    }
    eventually("all is counted and judged", SOON, async || {
        let figures = agent.scrape().await.map_err(|why| why.to_string())?;
        let count = |name: &str, labels: &[&str]| series(&figures, name, labels).unwrap_or(0.0);
        let seen = count("plimsoll_requests_total", &["source=\"tap\"", "outcome=\"ok\""]);
        let judged = count("plimsoll_experiment_judgements_total", &[]);
        if seen >= answered as f64 && judged >= 2.0 { Ok(()) } else { Err(format!("{seen} of {answered}, {judged}")) }
    })
    .await;
    doors::drift(&agent, TEXTS).await;
    let examples = examples_told(&hook).await;

    // what a person can look at
    clean("/metrics", agent.scrape().await.unwrap().as_bytes());
    let (all, of_viewer) = (pages(&agent, "of-admin").await, pages(&agent, "of-viewer").await);
    for (path, status, text) in &all {
        assert_eq!(*status, 200, "{path}: {text}");
        clean(path, text.as_bytes());
    }
    let page = |all: &[(String, u16, String)], name: &str| {
        all.iter().find(|(path, ..)| path == name).map(|(_, status, text)| (*status, text.clone())).unwrap()
    };
    let (_, pairs) = page(&all, "/api/v1/experiments/mirrored/pairs");
    assert_eq!(lacking(&pairs), Vec::<&str>::new(), "{pairs}");
    assert!(page(&all, "/api/v1/drift").1.contains("<EMAIL:"));
    for (path, status, text) in &of_viewer {
        let admins = path.ends_with("/pairs") || path.contains("/audit");
        assert_eq!(*status, if admins { 403 } else { 200 }, "{path}: {text}");
        for word in ["<EMAIL:", "<CARD:", MARIGOLD, "here it is"] {
            assert!(!text.contains(word), "{path} shows a viewer text: {word} in {text}");
        }
    }
    assert!(page(&of_viewer, "/api/v1/drift").1.contains("\"text_shown\":false"));

    // who else was told
    let bodies = Value::from(hook.bodies()).to_string();
    clean("the webhook", bodies.as_bytes());
    clean("the examples", examples.as_bytes());
    {
        let heard = heard.lock().unwrap();
        heard.iter().for_each(|message| {
            clean("the worker", &message.body);
            clean("the worker's headers", message.headers.join("\n").as_bytes());
        });
        for path in ["/v1/embeddings", "/v1/score", "/v1/judge"] {
            assert_eq!(lacking(&sent(&heard, path)), Vec::<&str>::new(), "{path}");
        }
    }
    tokio::time::sleep(Duration::from_millis(1500)).await; // the tap's exchanges are written every second
    let export = agent.folder.path().join("export");
    let copy = agent.folder.path().join("copy.db");
    out_and_in(agent.folder.path(), &export, &copy);
    for (path, bytes) in files_of(&mut agent) {
        clean(&path, &bytes);
        let holds = |word: &str| memchr::memmem::find(&bytes, word.as_bytes()).is_some();
        let may = [".db", ".db-wal", ".parquet"].iter().any(|end| path.ends_with(end));
        assert!(may || !(holds(MARIGOLD) || holds("<EMAIL:")), "{path} holds text");
    }
    for path in [agent.folder.path().join("data/plimsoll.db"), copy] {
        stored(&database(&path).await, answered).await;
    }
}

/// The records as Parquet, which is compressed, and back into a file that can be searched.
fn out_and_in(folder: &Path, export: &Path, copy: &Path) {
    let run = |arguments: &[&str]| {
        let output = Command::new(binary().unwrap()).arg("records").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        clean("records", &output.stdout);
    };
    let (config, url) = (folder.join("plimsoll.yaml"), format!("sqlite://{}", copy.display()));
    let (config, place) = (config.to_str().unwrap(), export.to_str().unwrap());
    run(&["export", "--config", config, "--to", place, "--until", "2999-01-01"]);
    run(&["import", "--url", &url, "--from", place]);
    run(&["audit", "--config", config]);
}

/// Each text that is stored has a token of every kind, and the same address has the same token everywhere.
async fn stored(pool: &SqlitePool, answered: usize) {
    let sql = "SELECT source || ' ' || endpoint || ' ' || stream, prompt || response FROM exchanges
               WHERE model <> 'd' AND response IS NOT NULL";
    let all = texts(pool, sql).await;
    assert!(all.len() > answered, "{} of {answered}", all.len()); // of the mirror and the API too
    for (whose, text) in &all {
        assert_eq!(lacking(text), Vec::<&str>::new(), "{whose}: {text}");
        assert!(text.contains(MARIGOLD), "{whose}: {text}");
    }
    for source in ["tap", "mirror", "push"] {
        assert!(all.iter().any(|(whose, _)| whose.starts_with(source)), "nothing of {source}");
    }
    let tags = texts(pool, "SELECT key, tags FROM feedback WHERE tags IS NOT NULL").await;
    let tags: String = tags.into_iter().map(|(_, tags)| tags).collect();
    assert_eq!(lacking(&tags), Vec::<&str>::new(), "{tags}");
    assert!(tags.contains("\"call\":\"<PHONE:"), "{tags}");
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_not_stored_unless_asked_for() {
    let control = servers::engine("control").await;
    let mut agent = Agent::before(&control.url())
        .set("log", json!({"level": "debug"}))
        .set("text", json!({"sample": 1.0}))
        .set("api", json!({"viewers": ["of-viewer"], "ingest": ["of-ingest"], "admins": ["of-admin"]}))
        .set("records", json!({"sample": 1.0}))
        .start()
        .await
        .unwrap();
    let answered = doors::tap(&agent).await;
    doors::api(&agent).await;
    eventually("all is counted", SOON, async || {
        let figures = agent.scrape().await.map_err(|why| why.to_string())?;
        let seen = series(&figures, "plimsoll_requests_total", &["source=\"tap\"", "outcome=\"ok\""]);
        if seen >= Some(answered as f64) { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    for (path, bytes) in files_of(&mut agent) {
        let found = memchr::memmem::find(&bytes, MARIGOLD.as_bytes());
        assert!(found.is_none(), "{path} holds text");
    }
    let pool = database(&agent.folder.path().join("data/plimsoll.db")).await;
    let sql = "SELECT id, 'text' FROM exchanges WHERE coalesce(prompt, response, prompt_truncated, response_truncated) IS NOT NULL";
    assert_eq!(texts(&pool, sql).await, []);
}
