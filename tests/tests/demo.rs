//! The whole scene, against a real Alertmanager and a real Prometheus: everything planted is found, nothing else fires,
//! and each of the mission's three rules shows up in Alertmanager as firing and then as resolved.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use plimsoll_tests::{Alertmanager, binary, get_json};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn the_scene_plays_and_alertmanager_holds_its_alerts() {
    let Some(manager) = Alertmanager::start(None).await.unwrap() else { return };
    let mut command = Command::new(binary().unwrap());
    command
        .args(["demo", "--format", "json", "--alertmanager", &manager.url()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let playing = tokio::task::spawn_blocking(move || command.output().unwrap());
    let (mut active_once, mut last) = (BTreeSet::new(), BTreeSet::new());
    while !playing.is_finished() {
        if let Ok(names) = manager.active().await {
            last = names.into_iter().collect();
            active_once.extend(last.iter().cloned());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let output = playing.await.unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("not one JSON object: {e}"));
    println!("{said:#}");
    assert_eq!(said["false_alarms"], 0, "{}", String::from_utf8_lossy(&output.stderr));
    for event in said["events"].as_array().unwrap() {
        assert_eq!(event["detected"], true, "{event}");
        let alert = event["alert"].as_str().unwrap().to_owned();
        assert!(active_once.contains(&alert), "Alertmanager never held {alert}; it held {active_once:?}");
        assert!(!last.contains(&alert), "Alertmanager still holds {alert} at the end");
    }
    assert!(output.status.success());
    let held = get_json(&format!("{}/api/v2/status", manager.url())).await.unwrap();
    println!("Alertmanager {} held and let go: {active_once:?}", held["versionInfo"]["version"]);
}
