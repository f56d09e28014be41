//! `plimsoll mask`: what it prints, what it never prints, and tokens that stay the same.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use plimsoll_tests::binary;
use serde_json::Value;

const TEXT: &str = "hello\ncall 138-1234-5678 or mail a@example.com, EMP-123456\n";

/// Runs the verb over `input` with its data in `folder`.
fn mask(folder: &Path, args: &[&str], input: &str) -> Output {
    let config = folder.join("p.yaml");
    let data = folder.join("data").display().to_string();
    let text = format!("limits: {{data: '{data}'}}\nmasking: {{patterns: {{employee_id: 'EMP-[0-9]{{6}}'}}}}\n");
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(binary().unwrap());
    command.arg("mask").arg("--config").arg(config).args(args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn said(folder: &Path, args: &[&str], input: &str) -> String {
    let output = mask(folder, args, input);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn values_become_tokens_that_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let masked = said(folder.path(), &[], TEXT);
    for kind in ["<PHONE:", "<EMAIL:", "<EMPLOYEE_ID:"] {
        assert!(masked.contains(kind), "{masked}");
    }
    assert!(!masked.contains("138") && !masked.contains("example.com") && !masked.contains("EMP-"), "{masked}");
    assert_eq!(said(folder.path(), &[], TEXT), masked, "the salt is kept");
    assert_eq!(said(folder.path(), &[], &masked), masked, "masking twice changes nothing");
    let elsewhere = tempfile::tempdir().unwrap();
    assert_ne!(said(elsewhere.path(), &[], TEXT), masked, "another folder has another salt");
}

#[test]
fn the_report_has_places_and_no_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let table = said(folder.path(), &["--report"], TEXT);
    assert!(table.contains("2:6 ") && table.contains("found: email 1, phone 1, employee_id 1"), "{table}");
    let json = said(folder.path(), &["--format", "json"], TEXT);
    for secret in ["138-1234", "a@example", "EMP-1"] {
        assert!(!table.contains(secret) && !json.contains(secret), "{table}{json}");
    }
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["found"][0]["line"], &json["found"][0]["column"]), (&2.into(), &6.into()));
    let shown = said(folder.path(), &["--report", "--show-secrets"], TEXT);
    assert!(shown.contains("138-1234-5678"), "{shown}");
}

#[test]
fn fields_of_json_lines_are_masked_and_others_left() {
    let folder = tempfile::tempdir().unwrap();
    let line = "{\"to\":\"a@example.com\",\"messages\":[{\"content\":\"b@example.com\"}]}\n";
    let masked = said(folder.path(), &["--field", "messages.content"], line);
    assert!(masked.contains("a@example.com") && !masked.contains("b@example.com"), "{masked}");
    let line = "{\"user\":{\"phone\":13812345678,\"password\":\"hunter2\",\"a@example.com\":[4111111111111111,true]},\"n\":7}\n";
    let masked = said(folder.path(), &["--field", "user"], line);
    for secret in ["13812345678", "hunter2", "a@example.com", "4111111111111111"] {
        assert!(!masked.contains(secret), "{masked}");
    }
    assert!(
        masked.contains("\"phone\":\"<PHONE:") && masked.contains("true") && masked.contains("\"n\":7"),
        "{masked}"
    );
    assert_eq!(said(folder.path(), &["--field", "user"], &masked), masked, "masking twice changes nothing");
    let lacking = mask(folder.path(), &["--field", "user.phone"], &format!("{line}{{\"user\":{{}}}}\n{{}}\n"));
    let complaint = String::from_utf8_lossy(&lacking.stderr);
    assert!(complaint.contains("--field user.phone: 2 of 3 lines lack it, the first is line 2"), "{complaint}");
    let broken = mask(folder.path(), &["--field", "x"], "{}\n{\n");
    assert!(!broken.status.success() && String::from_utf8_lossy(&broken.stderr).contains("standard input:2:"));
}
