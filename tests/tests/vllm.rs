//! A real vLLM on CPU: scrape, tap, streaming, aborts and errors. Runs only under `make test-vllm` (7 GB).

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use futures_util::StreamExt as _;
use plimsoll_tests::{Agent, Process, eventually, free_port, get_text, openai_client, series};
use serde_json::json;

struct Vllm {
    process: Process,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Vllm {
    /// In order, or its engine process outlives it.
    fn drop(&mut self) {
        self.process.signal(libc::SIGTERM);
        let _ = self.process.wait(Duration::from_secs(30));
    }
}

#[expect(clippy::disallowed_methods, reason = "make test-vllm says through the environment that it is wanted")]
async fn start() -> Option<Vllm> {
    if std::env::var("PLIMSOLL_VLLM").is_err() {
        println!("SKIPPED: a real vLLM is 7 GB; run make test-vllm");
        return None;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let venv = std::env::var("PLIMSOLL_VLLM_VENV").map_or_else(|_| root.join("target/vllm"), Into::into);
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port().unwrap());
    let mut command = Command::new(venv.join("bin/vllm"));
    command
        .env("VLLM_CPU_KVCACHE_SPACE", "1")
        .env("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        .arg("serve")
        .arg(root.join("target/vllm-tiny"))
        .args(["--served-model-name", "tiny", "--host", "127.0.0.1", "--port", &port.to_string()])
        .args(["--max-model-len", "1024", "--enforce-eager"]);
    let process = Process::start(&mut command, &folder.path().join("vllm.log")).unwrap();
    let health = format!("http://127.0.0.1:{port}/health");
    eventually("vLLM is ready", Duration::from_secs(300), async || get_text(&health).await).await;
    Some(Vllm { process, port, _folder: folder })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_vllm_is_watched_exactly() {
    let Some(vllm) = start().await else { return };
    let direct = format!("http://127.0.0.1:{}", vllm.port);
    let agent = Agent::before(&direct).start().await.unwrap();
    let before = get_text(&format!("{direct}/metrics")).await.unwrap();
    let asked = openai_client(&direct, &agent.tap_url(""), "tiny").unwrap();
    let tap = ["source=\"tap\"", "model=\"tiny\""];
    let wanted = (asked["requests"].as_f64(), asked["input_tokens"].as_f64(), asked["output_tokens"].as_f64());
    eventually("the tap counts exactly", Duration::from_secs(10), async || {
        let text = agent.scrape().await.map_err(|e| e.to_string())?;
        let ok = [tap[0], tap[1], "outcome=\"ok\""];
        let seen = (
            series(&text, "plimsoll_requests_total", &ok),
            series(&text, "plimsoll_input_tokens_sum", &tap),
            series(&text, "plimsoll_output_tokens_sum", &tap),
        );
        if seen == wanted { Ok(()) } else { Err(format!("{seen:?}, expected {wanted:?}")) }
    })
    .await;
    // the client asked three rounds, one of them through the tap: vLLM has counted all, our scrape shows what vLLM says
    eventually("the scrape shows vLLM's own figures", Duration::from_secs(15), async || {
        let theirs = get_text(&format!("{direct}/metrics")).await.map_err(|e| e.to_string())?;
        let ours = agent.scrape().await.map_err(|e| e.to_string())?;
        let grown = |name: &str| Some(series(&theirs, name, &[])? - series(&before, name, &[]).unwrap_or(0.0));
        let engine = ["source=\"engine\""];
        let prompts = grown("vllm:prompt_tokens_total") == wanted.1.map(|n| n * 3.0);
        let same = series(&ours, "plimsoll_generation_tokens_total", &engine)
            == series(&theirs, "vllm:generation_tokens_total", &[])
            && series(&ours, "plimsoll_input_tokens_count", &engine)
                == series(&theirs, "vllm:request_prompt_tokens_count", &[]);
        if prompts && same { Ok(()) } else { Err(format!("prompts {prompts}, same {same}")) }
    })
    .await;
    abort_is_seen(&agent, &direct).await;
}

/// A client that goes away in the middle of a long answer: counted as such, and vLLM stops generating.
async fn abort_is_seen(agent: &Agent, direct: &str) {
    let body = json!({"model": "tiny", "stream": true, "max_tokens": 900, "ignore_eos": true,
        "messages": [{"role": "user", "content": "go on"}]});
    let answer = reqwest::Client::new().post(agent.tap_url("/v1/chat/completions")).json(&body).send().await.unwrap();
    let mut stream = answer.bytes_stream();
    let _ = stream.next().await.unwrap().unwrap();
    drop(stream);
    eventually("the abort is counted", Duration::from_secs(10), async || {
        let text = agent.scrape().await.map_err(|e| e.to_string())?;
        series(&text, "plimsoll_requests_total", &["outcome=\"client_abort\""]).ok_or(text)
    })
    .await;
    eventually("vLLM has stopped", Duration::from_secs(10), async || {
        let text = get_text(&format!("{direct}/metrics")).await.map_err(|e| e.to_string())?;
        if series(&text, "vllm:num_requests_running", &[]) == Some(0.0) { Ok(()) } else { Err("running") }
            .map_err(str::to_owned)
    })
    .await;
}
