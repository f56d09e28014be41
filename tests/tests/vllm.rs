//! A real vLLM on CPU: scrape, tap, streaming, aborts, errors, and an adapter of ours. Runs only under `make test-vllm` (7 GB).

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use futures_util::StreamExt as _;
use plimsoll_agent::config::{DeployEngine, DeploySettings};
use plimsoll_agent::deploy::{Deployer, Served};
use plimsoll_tests::{Agent, Vllm, binary, eventually, get_text, nats_apart, openai_client, our_nlls, series};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_real_vllm_is_watched_exactly() {
    if !Vllm::is_wanted() {
        return;
    }
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/vllm-tiny");
    let vllm = Vllm::start(&model, &[]).await.unwrap();
    let direct = vllm.url("");
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
    our_adapter_is_served(&vllm, &direct).await;
}

/// What is learnt in the test of the adapter.
const PROMPT: &str = "Where is my parcel?";
const RESPONSE: &str = " At the station.";

/// Trained by us, loaded while vLLM runs, it answers as `plimsoll score` says; unloaded it is gone.
async fn our_adapter_is_served(vllm: &Vllm, direct: &str) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let line = json!({"prompt": PROMPT, "response": RESPONSE}).to_string();
    std::fs::write(at("train.jsonl"), format!("{line}\n").repeat(20)).unwrap();
    let mut train = Command::new(binary().unwrap());
    train.args(["finetune", "--device", "cpu", "--max-steps", "20", "--lr", "1e-2", "--batch-tokens", "128"]);
    train.arg("--model").arg(vllm.model()).arg("--data").arg(at("train.jsonl")).arg("--out").arg(at("parcels"));
    let output = train.args(["--epochs", "30"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let score = |adapter: Option<&Path>| our_nlls(vllm.model(), adapter, PROMPT, RESPONSE).unwrap();
    let (plain, ours) = (score(None), score(Some(&at("parcels"))));

    let engine = DeployEngine::Vllm(direct.parse().unwrap());
    let limit = Duration::from_secs(60);
    let settings = DeploySettings { engine, token: None, timeout: limit, ready_timeout: limit };
    let deployer = Deployer::new(&settings, vllm.model()).unwrap();
    let served = Served { model: Some("parcels".to_owned()), upstream: None };
    for _ in 0..2 {
        assert_eq!(deployer.load("parcels", &at("parcels"), None).await.unwrap(), served);
    }
    let nlls = async |model| vllm.nlls(model, PROMPT, RESPONSE).await.unwrap();
    let (without, with) = (nlls("tiny").await, nlls("parcels").await);
    let [base, adapter, moved] = [(&without, &plain), (&with, &ours), (&ours, &plain)].map(|(a, b)| nats_apart(a, b));
    println!("nats apart: base {base:.1e}, adapter {adapter:.1e}; the adapter moves them by {moved:.1}");
    // vLLM computes in bf16, 8 bits of a number's fraction (seen: 2.1e-3 and 4.3e-3, moved by 1.8)
    assert!(base < 0.02 && adapter < 0.02 && moved > 1.0, "{with:?} {ours:?}");
    let why = deployer.load("nowhere", folder.path(), None).await.unwrap_err();
    assert!(!why.is_transient() && why.to_string().contains("/v1/load_lora_adapter"), "{why}");
    for _ in 0..2 {
        deployer.unload("parcels").await.unwrap();
    }
    assert_eq!(deployer.served("parcels").await.unwrap(), None);
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
