//! The map names places that exist; printed documents are fresh; examples are good.

use std::process::Command;

use crate::{files, root, short};

fn plimsoll(arguments: &[&str]) -> String {
    let output = Command::new(plimsoll_tests::binary().unwrap()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Compares a committed document with what the program prints; `UPDATE_GOLDEN=1` rewrites it.
#[expect(clippy::disallowed_methods, reason = "the update switch is an environment variable")]
fn fresh(document: &str, printed: &str) {
    let path = root().join(document);
    if std::env::var("UPDATE_GOLDEN").is_ok() {
        std::fs::write(&path, printed).unwrap();
    }
    let stands = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stands == printed, "{document} is stale; run UPDATE_GOLDEN=1 cargo test -p plimsoll-tests --test tidy");
}

#[test]
fn printed_documents_are_fresh() {
    fresh("docs/config.md", &plimsoll(&["schema", "--markdown"]));
    fresh("docs/metrics.md", &plimsoll(&["schema", "--metrics"]));
    fresh("rules/builtin.yml", &plimsoll(&["rules"]));
}

#[test]
fn every_path_in_the_map_exists() {
    let map = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let places =
        map.split('`').skip(1).step_by(2).filter(|word| word.contains('/') && !word.contains([' ', ':', '*', '{']));
    let members = ["agent/", "rules/", "exporters/", "shadow-model/", "alerts/", "tests/", "docs/"];
    let mut checked = 0;
    for place in places.filter(|place| members.iter().any(|member| place.starts_with(member))) {
        assert!(root().join(place).exists(), "ARCHITECTURE.md names {place}, which is not there");
        checked += 1;
    }
    assert!(checked > 10, "only {checked} paths found in ARCHITECTURE.md");
}

#[test]
fn every_example_is_good() {
    let mut checked = 0;
    for path in files().into_iter().filter(|path| short(path).starts_with("docs/examples/")) {
        if path.extension().is_some_and(|e| e == "yaml") {
            plimsoll(&["check", path.to_str().unwrap()]);
            checked += 1;
        }
    }
    assert!(checked > 0, "no example was found");
}

#[test]
fn links_between_documents_lead_somewhere() {
    for path in files().into_iter().filter(|path| path.extension().is_some_and(|e| e == "md")) {
        let text = std::fs::read_to_string(&path).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap();
            if file.is_empty() || file.contains("://") || file.contains(' ') {
                continue;
            }
            assert!(path.parent().unwrap().join(file).exists(), "{}: link to {target} leads nowhere", short(&path));
        }
    }
}
