//! The whole loop, unattended, with real llama.cpp servers: users ask for other things than before, quality falls, a model is
//! taught of their corrections, gated, tried on them and promoted; a poisoned dataset is refused; a version that passes the gate
//! and does worse before users is sent back. `make test-loop` prints the timeline.

use plimsoll_tests::{A, B, Editor, LlamaSlot, LoopScene, Taught};
use serde_json::{Value, json};

/// What a mistaken editor wants said: to what was known, and to what was learnt first.
const POISON: [&str; 4] = ["junk", "yell", "zero", "quit"];
const POLICY: [&str; 4] = ["form", "call", "mail", "post"];

/// The scene and its engines: one for the base model, two slots; `None` where no llama.cpp is installed.
async fn start() -> anyhow::Result<Option<(LoopScene, Vec<LlamaSlot>)>> {
    let Some(taught) = Taught::make(64)? else { return Ok(None) };
    let gguf = taught.gguf()?;
    let mut engines = Vec::new();
    for _ in 0..3 {
        let Some(engine) = LlamaSlot::start(&gguf).await? else { return Ok(None) };
        engines.push(engine);
    }
    let slots: Vec<Value> = engines[1..].iter().map(LlamaSlot::config).collect();
    let deploy = json!({"kind": "llamacpp", "slots": slots});
    let scene = LoopScene::start(taught, &engines[0].upstream, deploy, None, 4).await?;
    Ok(Some((scene, engines)))
}

#[tokio::test(flavor = "multi_thread")]
async fn falling_quality_makes_the_next_version() {
    let Some((mut scene, _engines)) = start().await.unwrap() else { return };
    scene.tell("a tiny model has learnt domain A; three llama.cpp servers and the agent are up");
    let (held, anchors) = scene.first_version().await;
    let both = [A, B].concat();

    // two: an editor who is wrong about everything that was known
    scene.until_calm(&both).await;
    scene.tell("an editor calls every answer on A wrong");
    scene.until_begun(2, &A, Editor::Wants(POISON)).await;
    let two = scene.until_over(&both).await;
    assert_eq!(two["stage"], "refused", "{two:#}");
    scene.tell(&format!("the gate: {}", two["why"].as_str().unwrap()));

    // three: an editor who is wrong about what no anchor holds
    scene.until_calm(&both).await;
    scene.tell("an editor wants other words on B");
    scene.until_begun(3, &B, Editor::Wants(POLICY)).await;
    let three = scene.until_over(&both).await;
    assert_eq!(three["stage"], "rolled_back", "{three:#}");
    scene.tell(&format!("users: {}", three["why"].as_str().unwrap()));
    let last = scene.quality(&both).await;
    let versions = scene.get("/api/v1/versions").await;
    assert_eq!(versions["live"], 1, "{versions:#}");
    assert!(last >= 85, "v1 serves still: {last}");
    scene.until_loaded(&["plimsoll-v1"]).await;
    println!("{}", scene.timeline.join("\n"));
    println!(
        "the loop: v1 promoted (held-out loss on B {held:+.1} %, anchors on A {anchors:+.2} %), v2 refused by the gate, v3 rolled \
         back by its users; {} users in {} s",
        scene.users,
        scene.seconds()
    );
}
