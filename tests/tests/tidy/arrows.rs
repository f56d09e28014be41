//! rules <- exporters, alerts, shadow-model <- agent; `rules` stays pure.

use crate::root;

/// Which members each member may depend on.
const ALLOWED: [(&str, &[&str]); 6] = [
    ("rules", &[]),
    ("exporters", &["rules"]),
    ("alerts", &["rules"]),
    ("shadow-model", &["rules"]),
    ("agent", &["rules", "exporters", "alerts", "shadow-model"]),
    ("tests", &["rules", "exporters", "alerts", "shadow-model", "agent"]),
];

/// What `rules` must never depend on: it cannot do I/O, wait or read a clock.
const IMPURE: [&str; 8] = ["tokio", "reqwest", "hyper", "axum", "sqlx", "candle-core", "sysinfo", "tracing"];

fn manifest(member: &str) -> String {
    std::fs::read_to_string(root().join(member).join("Cargo.toml")).unwrap()
}

#[test]
fn members_depend_only_downwards() {
    for (member, allowed) in ALLOWED {
        for line in manifest(member).lines() {
            let Some(rest) = line.strip_prefix("plimsoll-") else { continue };
            let name = rest.split(['.', ' ']).next().unwrap();
            assert!(allowed.contains(&name), "{member} must not depend on {name}");
        }
    }
}

#[test]
fn rules_stays_pure() {
    let text = manifest("rules");
    let dependencies = text.split("[dev-dependencies]").next().unwrap();
    for name in IMPURE {
        let used = dependencies.lines().any(|line| line.split(['.', ' ', '=']).next() == Some(name));
        assert!(!used, "rules must not depend on {name}");
    }
}

#[test]
fn versions_are_pinned_in_one_place() {
    let text = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let section = text.split("[workspace.dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    for line in section.lines().filter(|line| line.contains('=') && !line.contains("path =")) {
        assert!(line.contains("\"="), "pin it with =: {line}");
    }
    for (member, _) in ALLOWED {
        for line in manifest(member).lines().filter(|line| line.contains("version = \"")) {
            assert!(line.contains("workspace"), "{member}: versions belong in the workspace's Cargo.toml: {line}");
        }
    }
}
