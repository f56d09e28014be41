//! `promtool query` in all its forms.

use std::process::Command;

use super::{agent, get};

/// What `promtool query` prints; `None`, said loudly, when it is not installed.
fn promtool(arguments: &[&str]) -> Option<String> {
    let Ok(output) = Command::new("promtool").arg("query").args(arguments).output() else {
        println!("SKIPPED: promtool is not installed; tests/setup.sh installs it");
        return None;
    };
    let said = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "promtool query {arguments:?}: {said}{complaint}");
    Some(said)
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_queries_the_agent() {
    let agent = agent().await;
    let server = agent.api_url("");
    let Some(instant) = promtool(&["instant", &server, "plimsoll_cpu_limit_cores * 2"]) else { return };
    println!("{instant}");
    let (_, answer) = get(&agent.api_url("/api/v1/query?query=plimsoll_cpu_limit_cores*2")).await;
    let value = answer["data"]["result"][0]["value"][1].as_str().unwrap();
    assert!(instant.contains(&format!("=> {value} @")), "{instant} beside {value}");
    let scalar = promtool(&["instant", &server, "1 / 3"]).unwrap();
    assert!(scalar.starts_with("scalar: 0.333333333"), "{scalar}");
    let json = promtool(&["-o", "json", "instant", &server, "cores:double"]).unwrap();
    assert!(json.contains(r#""team":"a""#) && json.contains(r#""__name__":"cores:double""#), "{json}");

    let range = promtool(&["range", "--step=1s", &server, "plimsoll_cpu_limit_cores"]).unwrap();
    assert!(range.starts_with("plimsoll_cpu_limit_cores =>") && range.lines().count() >= 4, "{range}");
    let series = promtool(&["series", &server, "--match=plimsoll_collector_up"]).unwrap();
    assert!(series.contains("{__name__=\"plimsoll_collector_up\", source=\"system\"}"), "{series}");
    let labels = promtool(&["labels", &server, "source", "--match=plimsoll_collector_up"]).unwrap();
    assert!(labels.lines().any(|line| line == "system"), "{labels}");
    let alerts = promtool(&["instant", &server, "ALERTS"]).unwrap();
    for part in ["alertname=\"Always\", alertstate=\"firing\"", "alertname=\"Waiting\", alertstate=\"pending\""] {
        assert!(alerts.contains(part), "{alerts}");
    }
}
