//! What goes wrong around a running agent: disks, clients, engines. Traffic and watching go on.

use std::process::Command;
use std::time::Duration;

use plimsoll_tests::{Agent, binary, eventually, free_port, get_json};
use serde_json::{Value, json};

async fn feedback(agent: &Agent, id: &str) -> u16 {
    let body = json!({"inference_id": id, "metric_name": "task_completed", "value": true});
    let client = reqwest::Client::new();
    client.post(agent.api_url("/api/v1/feedback")).json(&body).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_garbage_refuses_feedback_but_the_agent_watches() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.db");
    std::fs::write(&file, [b'#'; 4096]).unwrap();
    let url = format!("sqlite://{}", file.display());
    let agent = Agent::before("http://127.0.0.1:9").set("records.url", json!(url)).start().await.unwrap();
    assert_eq!(feedback(&agent, "a").await, 503);
    let text = agent.scrape().await.unwrap();
    assert!(text.contains("plimsoll_collector_up{source=\"records\"} 0"), "{text}");
    assert!(text.contains("plimsoll_cpu_limit_cores"), "the rest goes on");
    let status = get_json(&agent.api_url("/api/v1/status")).await.unwrap();
    assert!(status["sources"]["records"]["why"].as_str().unwrap().contains("bad.db"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_feedback_and_it_is_taken_again_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let small = folder.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let mount = |arguments: &[&str]| std::process::Command::new(arguments[0]).args(&arguments[1..]).status();
    let path = small.to_str().unwrap();
    if !mount(&["mount", "-t", "tmpfs", "-o", "size=1m", "none", path]).is_ok_and(|s| s.success()) {
        println!("SKIPPED: mounting a small file system takes root");
        return;
    }
    let outcome = full_disk(&small).await;
    let _ = mount(&["umount", "-l", path]);
    outcome.unwrap();
}

async fn full_disk(small: &std::path::Path) -> Result<(), String> {
    let url = format!("sqlite://{}/p.db", small.display());
    let agent =
        Agent::before("http://127.0.0.1:9").set("records.url", json!(url)).start().await.map_err(|e| e.to_string())?;
    if feedback(&agent, "before").await != 202 {
        return Err("not taken while there was room".into());
    }
    let filler = small.join("filler");
    let _ = std::fs::write(&filler, vec![0_u8; 2 << 20]);
    let mut refused = false;
    for n in 0..2000 {
        if feedback(&agent, &format!("full-{n}")).await == 503 {
            refused = true;
            break;
        }
    }
    if !refused {
        return Err("never refused on a full disk".into());
    }
    std::fs::remove_file(&filler).map_err(|e| e.to_string())?;
    eventually("taken again", Duration::from_secs(20), async || match feedback(&agent, "after").await {
        202 => Ok(()),
        other => Err(other),
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_data_folder_is_survived() {
    let mut agent = Agent::before("http://127.0.0.1:9");
    agent = agent.set("records.url", json!("sqlite:///proc/plimsoll/p.db"));
    let agent = agent.start().await.unwrap();
    assert_eq!(feedback(&agent, "a").await, 503);
    assert!(agent.scrape().await.unwrap().contains("plimsoll_collector_up{source=\"records\"} 0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_label_values_do_not_grow_the_agent() {
    let agent = Agent::before("http://127.0.0.1:9").set("limits.series", json!(500)).start().await.unwrap();
    let client = reqwest::Client::new();
    for batch in 0..100 {
        let items: Vec<_> = (0..1000)
            .map(|n| {
                let id = batch * 1000 + n;
                json!({"id": format!("x{id}"), "model": format!("model-{id}"), "duration_seconds": 1, "input_tokens": 5})
            })
            .collect();
        let answer = client.post(agent.api_url("/api/v1/exchanges")).json(&items).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 202, "{}", answer.text().await.unwrap());
    }
    let text = agent.scrape().await.unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(lines < 500 * 30, "{lines} lines");
    assert!(text.contains("plimsoll_dropped_total{what=\"label_sets\"}"));
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.process.id())).unwrap();
    let rss: u64 =
        status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok()).unwrap();
    assert!(rss < 128 * 1024, "{rss} KiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_answers_garbage_is_down_by_name_and_its_traffic_passes() {
    let port = free_port().unwrap();
    let mut engine = std::process::Command::new(binary().unwrap());
    engine.args(["demo", "--engine-only", "--port", &port.to_string()]);
    let log = tempfile::NamedTempFile::new().unwrap();
    let _engine = plimsoll_tests::Process::start(&mut engine, log.path()).unwrap();
    let upstream = format!("http://127.0.0.1:{port}");
    let web = format!("{upstream}/v1/models");
    let agent = Agent::before(&upstream).set("sources.engine.url", json!(web)).start().await.unwrap();
    eventually("the engine's metrics are called no exposition", Duration::from_secs(10), async || {
        let status = get_json(&agent.api_url("/api/v1/status")).await.map_err(|e| e.to_string())?;
        let why = status["sources"]["engine"]["why"].as_str().unwrap_or("").to_owned();
        if why.contains("not an exposition") { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    let models = get_json(&agent.tap_url("/v1/models")).await.unwrap();
    assert!(models["data"].is_array(), "{models}");
}

/// Nobody is told that nothing was observed when nothing could be read, nor shares a folder, nor gets other than JSON.
#[tokio::test(flavor = "multi_thread")]
async fn drift_that_cannot_be_read_says_why_and_a_folder_has_one_agent() {
    let mut agent = Agent::before("http://127.0.0.1:9").start().await.unwrap();
    let config = agent.folder.path().join("plimsoll.yaml");
    let other = agent.folder.path().join("other.yaml");
    let mut text = std::fs::read_to_string(&config).unwrap();
    for port in [agent.tap, agent.metrics, agent.api] {
        text = text.replace(&format!(":{port}\""), ":0\"");
    }
    std::fs::write(&other, text).unwrap();
    let refused = Command::new(binary().unwrap()).arg("run").arg("--config").arg(&other).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr) + String::from_utf8_lossy(&refused.stdout);
    assert!(
        !refused.status.success() && said.contains("another plimsoll agent uses this data folder or database"),
        "{said}"
    );

    let get = async |agent: &Agent, path: &str| {
        let answer = reqwest::get(agent.api_url(path)).await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap()["error"].as_str().unwrap_or("").to_owned())
    };
    for path in
        ["/api/v1/drift/log?limit=x", "/api/v1/drift/latency/compare?a=1", "/api/v1/drift/latency/baselines?x=1"]
    {
        let (status, error) = get(&agent, path).await;
        assert!(status == 400 && !error.is_empty(), "{path}: {status} {error}");
    }
    agent.process.kill();
    let database = agent.folder.path().join("data/plimsoll.db");
    std::fs::write(&database, vec![b'x'; 40_000]).unwrap();
    // from which SQLite would make it whole again
    let _ = std::fs::remove_file(database.with_extension("db-wal"));
    agent.restart().await.unwrap();
    for path in ["/api/v1/drift", "/api/v1/drift/log", "/api/v1/drift/latency/baselines"] {
        let (status, error) = get(&agent, path).await;
        assert!(status == 503 && error.contains("plimsoll.db"), "{path}: {status} {error}");
    }
    let api = agent.api_url("");
    let listed = Command::new(binary().unwrap()).args(["baselines", "list", "--api", &api]).output().unwrap();
    let said = String::from_utf8_lossy(&listed.stderr);
    assert!(listed.status.code() == Some(1) && said.contains("503") && said.contains("plimsoll.db"), "{said}");
}
