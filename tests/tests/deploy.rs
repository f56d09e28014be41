//! Adapters into engines: a real llama.cpp answers with the adapter exactly as `plimsoll score` reads it; engines that do not
//! run here are stood in for by the forms that they answer in.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use plimsoll_agent::config::{DeployEngine, DeploySettings, DeploySlot};
use plimsoll_agent::deploy::{DeployError, Deployer, Served};
use plimsoll_tests::{LlamaSlot, TinyModel, binary, get_json};
use serde_json::{Value, json};

/// What is asked and what a trained adapter answers.
const PROMPT: &str = "Where is my parcel?";
const RESPONSE: &str = " At the café.";

/// How far llama.cpp's log-probabilities may be from ours, in nats: both compute in f32 (seen: 1.4e-6).
const NEAR: f64 = 1e-5;

/// A tiny model and an adapter of it, trained.
struct Scene {
    folder: tempfile::TempDir,
    model: TinyModel,
}

impl Scene {
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let model = TinyModel::make(&folder.path().join("model"), 7).unwrap()?;
        model.gguf(&folder.path().join("base.gguf")).unwrap();
        let scene = Self { folder, model };
        scene.train("v1", &["--max-steps", "12"]);
        scene.train("v2", &["--max-steps", "30", "--rslora", "--rank", "2"]);
        Some(scene)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn train(&self, out: &str, more: &[&str]) {
        let line = json!({"prompt": PROMPT, "response": RESPONSE}).to_string();
        std::fs::write(self.path("train.jsonl"), format!("{line}\n").repeat(20)).unwrap();
        let mut command = Command::new(binary().unwrap());
        command.current_dir(self.folder.path()).arg("finetune").arg("--model").arg(&self.model.folder);
        command.args([
            "--data",
            "train.jsonl",
            "--out",
            out,
            "--epochs",
            "30",
            "--lr",
            "2e-2",
            "--batch-tokens",
            "128",
        ]);
        command.args(["--threads", "1", "--device", "cpu", "--gguf"]).arg(format!("{out}.gguf"));
        let output = command.args(more).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Negative log-likelihoods of the response's tokens as `plimsoll score` tells them, in nats.
    fn score(&self, adapter: Option<&str>) -> Vec<f64> {
        std::fs::write(self.path("pair.jsonl"), json!({"prompt": PROMPT, "response": RESPONSE}).to_string()).unwrap();
        let mut command = Command::new(binary().unwrap());
        command.arg("score").arg("--model").arg(&self.model.folder).args(["--per-token", "--device", "cpu"]);
        if let Some(adapter) = adapter {
            command.arg("--adapter").arg(self.path(adapter));
        }
        let output = command.arg(self.path("pair.jsonl")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let scored: Value = serde_json::from_slice(&output.stdout).unwrap();
        let tokens = scored["response_token_nlls"].as_array().unwrap();
        tokens.iter().map(|nll| nll.as_f64().unwrap()).collect()
    }
}

/// The same from a llama.cpp server, which sees the tokens before each and tells how likely every next one is.
async fn served_nlls(upstream: &str) -> Vec<f64> {
    let ids: Vec<u8> = [PROMPT, RESPONSE].concat().into_bytes();
    let mut nlls = Vec::new();
    for at in PROMPT.len()..ids.len() {
        // an `a` is answered: what is told of an end, or of half a letter, is left out; the bias comes after the probabilities
        let body = json!({"prompt": ids[..at], "n_predict": 1, "n_probs": 300, "temperature": 0, "cache_prompt": false,
            "logit_bias": [[97, 1000.0]]});
        let answer = reqwest::Client::new().post(format!("{upstream}/completion")).json(&body).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        let all =
            answer["completion_probabilities"][0]["top_logprobs"].as_array().unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(all.len(), 259, "every token is told");
        let own = all.iter().find(|token| token["id"] == ids[at]).unwrap();
        nlls.push(-own["logprob"].as_f64().unwrap());
    }
    nlls
}

/// The largest difference, in nats.
fn apart(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn settings(engine: DeployEngine) -> DeploySettings {
    DeploySettings { engine, token: None, timeout: Duration::from_secs(10), ready_timeout: Duration::from_secs(120) }
}

fn slot(of: &LlamaSlot) -> DeploySlot {
    DeploySlot { upstream: of.upstream.parse().unwrap(), adapter: of.adapter.clone(), restart: of.restart.clone() }
}

fn at(slot: &LlamaSlot) -> Served {
    Served { model: None, upstream: Some(slot.upstream.clone()) }
}

async fn load(deployer: &Deployer, scene: &Scene, name: &str, live: Option<&str>) -> Result<Served, DeployError> {
    deployer.load(&format!("parcels-{name}"), &scene.path(name), live).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_llama_cpp_answers_with_the_adapter() {
    let Some(scene) = Scene::new() else { return };
    let base = scene.path("base.gguf");
    let (Some(first), Some(second)) = (LlamaSlot::start(&base).await.unwrap(), LlamaSlot::start(&base).await.unwrap())
    else {
        return;
    };
    let engine = DeployEngine::LlamaCpp(vec![slot(&first), slot(&second)]);
    let deployer = Deployer::new(&settings(engine), &scene.model.folder).unwrap();
    let plain = scene.score(None);
    let without = apart(&served_nlls(&first.upstream).await, &plain);
    assert_eq!(deployer.served("parcels-v1").await.unwrap(), None);

    // the first version; a second call changes nothing
    assert_eq!(load(&deployer, &scene, "v1", None).await.unwrap(), at(&first));
    assert_eq!(load(&deployer, &scene, "v1", None).await.unwrap(), at(&first));
    assert_eq!(deployer.served("parcels-v1").await.unwrap(), Some(at(&first)));
    let (v1, v2) = (scene.score(Some("v1")), scene.score(Some("v2")));
    let with = apart(&served_nlls(&first.upstream).await, &v1);
    let moved = apart(&v1, &plain);

    // the next one goes beside the one that serves
    let live = Some("parcels-v1");
    assert_eq!(load(&deployer, &scene, "v2", live).await.unwrap(), at(&second));
    let rslora = apart(&served_nlls(&second.upstream).await, &v2);
    let still = apart(&served_nlls(&first.upstream).await, &v1);
    println!(
        "nats apart: base {without:.1e}, adapter {with:.1e}, rsLoRA {rslora:.1e}, the one that serves {still:.1e}"
    );
    println!("the adapter moves them by {moved:.1}");
    assert!([without, with, rslora, still].into_iter().all(|apart| apart < NEAR));
    assert!(moved > 1.0 && apart(&v1, &v2) > 0.1);

    // unloaded it is the base model, whose slot the next version may take
    deployer.unload("parcels-v2").await.unwrap();
    deployer.unload("parcels-v2").await.unwrap();
    assert_eq!(deployer.served("parcels-v2").await.unwrap(), None);
    assert!(apart(&served_nlls(&second.upstream).await, &plain) < NEAR);
    assert_eq!(load(&deployer, &scene, "v2", live).await.unwrap(), at(&second));
    assert!(apart(&served_nlls(&second.upstream).await, &v2) < NEAR);
    lost_and_told(&deployer, &scene, [&first, &second]).await;
}

/// What a restart, a slot too few and a command that does nothing come to.
async fn lost_and_told(deployer: &Deployer, scene: &Scene, [first, second]: [&LlamaSlot; 2]) {
    // somebody else's adapter in the file, and a restart: the engine has lost the version, and is given it again
    std::fs::copy(scene.path("v1.gguf"), &second.adapter).unwrap();
    assert!(Command::new("sh").args(&second.restart[1..]).status().unwrap().success());
    let adapters = format!("{}/lora-adapters", second.upstream);
    plimsoll_tests::eventually("the slot serves another adapter", Duration::from_secs(60), async || {
        let listed = get_json(&adapters).await.map_err(|why| why.to_string())?;
        if listed[0]["task_name"] == "v1" { Ok(()) } else { Err(listed.to_string()) }
    })
    .await;
    assert_eq!(deployer.served("parcels-v2").await.unwrap(), None);
    assert_eq!(load(deployer, scene, "v2", Some("parcels-v1")).await.unwrap(), at(second));

    let still = DeploySlot { restart: vec!["true".to_owned()], ..slot(first) };
    let both = DeployEngine::LlamaCpp(vec![still, slot(second)]);
    let hasty = DeploySettings { ready_timeout: Duration::from_secs(1), ..settings(both) };
    let deployer = Deployer::new(&hasty, &scene.model.folder).unwrap();
    let why = deployer.load("parcels-v3", &scene.path("v1"), Some("parcels-v2")).await.unwrap_err();
    assert!(why.is_transient() && why.to_string().contains("still serves what it was started with"), "{why}");

    let one = DeployEngine::LlamaCpp(vec![slot(second)]);
    let deployer = Deployer::new(&settings(one), &scene.model.folder).unwrap();
    let why = deployer.load("parcels-v3", &scene.path("v1"), Some("parcels-v2")).await.unwrap_err();
    assert!(why.to_string().contains("each of 1 holds parcels-v2, which serves now"), "{why}");
    let why = deployer.load("x", Path::new("nowhere"), None).await.unwrap_err();
    assert!(!why.is_transient() && why.to_string().starts_with("nowhere: "), "{why}");
}
