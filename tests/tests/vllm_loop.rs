//! The loop with a real vLLM on CPU: its adapters are loaded while it serves, users are split by the model that their requests
//! name, a verdict promotes one version and sends the next one back. Runs only under `make test-vllm` (7 GB).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use plimsoll_tests::{A, B, Editor, LoopScene, Taught, Vllm, eventually, nats_apart, our_nlls, series};
use serde_json::json;

/// What a mistaken editor wants said to what was learnt first.
const POLICY: [&str; 4] = ["form", "call", "mail", "post"];

#[tokio::test(flavor = "multi_thread")]
async fn a_real_vllm_serves_the_versions_of_the_loop() {
    if !Vllm::is_wanted() {
        return;
    }
    let Some(taught) = Taught::make(128).unwrap() else { return };
    let mut vllm = Vllm::start(&taught.base, &["--max-loras", "4"]).await.unwrap();
    let deploy = json!({"kind": "vllm", "url": vllm.url("")});
    let mut scene = LoopScene::start(taught, &vllm.url(""), deploy, Some("tiny"), 6).await.unwrap();
    scene.tell("a tiny model has learnt domain A; vLLM and the agent are up");

    // one: tried beside the base model, promoted
    let (held, anchors) = scene.first_version().await;
    assert_eq!(vllm.models().await.unwrap(), ["tiny", "plimsoll-v1"]);
    only_v1_answers(&mut scene).await;
    let apart = log_probabilities(&mut scene, &vllm).await;

    // two: tried beside version 1, sent back
    let both = [A, B].concat();
    scene.until_calm(&both).await;
    scene.tell("an editor wants other words on B");
    scene.until_begun(2, &B, Editor::Wants(POLICY)).await;
    let two = scene.until_over(&both).await;
    assert_eq!(two["stage"], "rolled_back", "{two:#}");
    scene.tell(&format!("users: {}", two["why"].as_str().unwrap()));
    scene.until_loaded(&["plimsoll-v1"]).await;
    assert_eq!(vllm.models().await.unwrap(), ["tiny", "plimsoll-v1"]);
    assert!(scene.answered.contains_key("plimsoll-v2"), "{:?}", scene.answered);
    only_v1_answers(&mut scene).await;

    // vLLM is lost, and everything that it had loaded
    vllm.kill().unwrap();
    scene.tell("vLLM is killed");
    vllm.restart().await.unwrap();
    scene.tell("vLLM is up again");
    eventually("the version that serves is loaded again", Duration::from_secs(30), async || {
        let models = vllm.models().await.map_err(|why| why.to_string())?;
        if models == ["tiny", "plimsoll-v1"] { Ok(()) } else { Err(format!("{models:?}")) }
    })
    .await;
    scene.tell("plimsoll-v1 is loaded again");
    only_v1_answers(&mut scene).await;
    println!("{}", scene.timeline.join("\n"));
    println!(
        "the loop with vLLM: v1 promoted (held-out loss on B {held:+.1} %, anchors on A {anchors:+.2} %, log-probabilities \
         {apart:.1e} nats from ours), v2 rolled back by its users and unloaded, v1 loaded again after a kill; answers {:?}; {} s",
        scene.answered,
        scene.seconds()
    );
}

/// Whoever comes now is answered by version 1, well, says the answer and the tap's count, which is that of the users.
async fn only_v1_answers(scene: &mut LoopScene) {
    let before = scene.answered.clone();
    let right = scene.quality(&[A, B].concat()).await;
    let all: u32 = scene.answered.values().sum::<u32>() - before.values().sum::<u32>();
    let others = |answered: &BTreeMap<String, u32>| {
        let mut answered = answered.clone();
        answered.remove("plimsoll-v1");
        answered
    };
    assert_eq!(others(&scene.answered), others(&before), "{all} users");
    scene.tell(&format!("plimsoll-v1 answers all of {all} users, {right} % right"));
    assert!(right >= 85, "{right}");
    let scene = &*scene;
    eventually("the tap counts every answer under its model", Duration::from_secs(10), async || {
        let text = scene.agent.scrape().await.map_err(|why| why.to_string())?;
        for (model, answers) in &scene.answered {
            let parts = ["source=\"tap\"", "outcome=\"ok\"", &format!("model=\"{model}\"")];
            let counted = series(&text, "plimsoll_requests_total", &parts);
            if counted != Some(f64::from(*answers)) {
                return Err(format!("{model}: {counted:?}, expected {answers}"));
            }
        }
        Ok(())
    })
    .await;
}

/// vLLM's log-probabilities with the adapter are those of `plimsoll score`; gives the largest difference in nats.
async fn log_probabilities(scene: &mut LoopScene, vllm: &Vllm) -> f64 {
    let version = scene.get("/api/v1/versions/1").await;
    let adapter = Path::new(version["adapter"].as_str().unwrap());
    let [mut base, mut with, mut moved] = [0.0_f64; 3];
    for topic in [A, B].concat() {
        let (question, answer) = scene.pair(topic);
        let prompt = format!("<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n");
        let ours = |adapter| our_nlls(vllm.model(), adapter, &prompt, &answer).unwrap();
        let theirs = async |model| vllm.nlls(model, &prompt, &answer).await.unwrap();
        let (plain, adapted) = (ours(None), ours(Some(adapter)));
        base = base.max(nats_apart(&theirs("tiny").await, &plain));
        with = with.max(nats_apart(&theirs("plimsoll-v1").await, &adapted));
        moved = moved.max(nats_apart(&plain, &adapted));
    }
    scene.tell(&format!(
        "log-probabilities of vLLM and plimsoll score: {with:.1e} nats apart with the adapter, {base:.1e} without; it moves them by {moved:.1}"
    ));
    // vLLM computes in bf16: of a logit of 16, one rounding takes up to 0.03; what is right on B lies 16 nats deep in the base model
    // (seen: at most 0.04 and 0.12, moved by 16)
    assert!(with < 0.2 && base < 0.5 && moved > 5.0, "{with} {base} {moved}");
    with
}
