//! What `finetune:` may say, and what is said about it.

use super::*;
use crate::config::parse;

/// What is made of a section, with a model's folder for `MODEL` and files beside it; the only alert is A.
fn load(section: &str) -> Result<Finetune, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("config.json", r#"{"model_type": "qwen2"}"#);
    write("rules.yml", "groups: [{name: g, rules: [{alert: A, expr: x}, {record: b, expr: x}]}]");
    write("unsafe.jsonl", "{\"prompt\": \"p\", \"response\": \"r\", \"rejected\": \"x\"}\n\n{\"messages\": []}\n");
    write("safe.jsonl", "\u{feff}{\"prompt\": \"p\", \"response\": \"r\", \"rejected\": \"x\"}\n");
    write("none.jsonl", "\n");
    std::fs::create_dir(folder.path().join("bert")).unwrap();
    write("bert/config.json", r#"{"model_type": "bert"}"#);
    let section = section.replace("MODEL", &folder.path().display().to_string());
    let rules = folder.path().join("rules.yml");
    let rules = format!("rules: {{builtin: false, files: [{}]}}", rules.display());
    let text = format!("records: {{store_text: masked}}\n{rules}\nfinetune: {section}\n");
    parse("p.yaml", &text, &Vec::new(), None, &|_| None)
        .map(|checked| checked.finetune.unwrap())
        .map_err(|problems| problems.0.iter().map(ToString::to_string).collect())
}

const VLLM: &str = "deploy: {kind: vllm, url: 'http://h:1'}";

#[test]
fn the_loop_means_what_it_says() {
    let one = load(&format!(
        "{{mode: auto, model: MODEL, {VLLM}, trigger: {{alerts: ['A{{x=\"1\"}}'], days: 3}}, keep: 3, \
         trainer: {{options: [--rank, '4']}}, gate: {{anchor_loss: 2%}}, experiment: {{unit: {{header: x-u}}}}}}"
    ))
    .unwrap();
    assert_eq!((one.mode, one.keep, one.trigger.days, one.gate.anchor_loss), (Mode::Auto, 3, 3, 0.02));
    assert_eq!((one.alerts[0].name(), one.explained_by.len()), (Some("A"), 3));
    assert_eq!(one.trainer, Trainer::Builtin(vec!["--rank".into(), "4".into()]));
    assert_eq!(one.experiment.spec.id, "finetune");
    let none = parse("p.yaml", "rules: {builtin: false}\n", &Vec::new(), None, &|_| None).unwrap();
    assert!(none.finetune.is_none());
}

#[test]
fn mistakes_are_named_with_their_place() {
    let with = |more: &str| format!("{{model: MODEL, {VLLM}, {more}}}");
    for (section, expected) in [
        ("{mode: auto}".to_owned(), "finetune.model: is missing"),
        ("{model: MODEL}".to_owned(), "finetune.deploy.kind: is missing"),
        (format!("{{model: /nowhere, {VLLM}}}"), "finetune.model: /nowhere has no config.json"),
        (format!("{{model: MODEL/bert, {VLLM}}}"), "/bert is \"bert\"; name the folder of a llama, qwen2 or qwen3"),
        (with("trigger: {alerts: ['A{']}"), "finetune.trigger.alerts.0: \"A{\" cannot be read"),
        (with("trigger: {alerts: [A, NoSuch]}"), "finetune.trigger.alerts.1: no rule has an alert \"NoSuch\""),
        (with("trigger: {alerts: [b]}"), "finetune.trigger.alerts.0: no rule has an alert \"b\""),
        (
            with("trigger: {explained_by: ['X{a=\"b\"}']}"),
            "finetune.trigger.explained_by.0: no rule has an alert \"X\"",
        ),
        (with("trigger: {at_once: 0}"), "finetune.trigger.at_once: 0 found; a number above 0 is right"),
        (with("trigger: {at_once: -1}"), "finetune.trigger.at_once: -1 found"),
        (with("trigger: {at_once: .inf}"), "finetune.trigger.at_once is the text"),
        (with("trigger: {examples: 0}"), "finetune.trigger.examples: 0 is below 1"),
        (with("trigger: {examples: 10, failures: 50000}"), "finetune.trigger.failures: 50000 found; at most"),
        (with("trainer: {options: ['--out=x']}"), "finetune.trainer.options.0: --out is given by the loop"),
        (with("trainer: {options: ['--foo']}"), "p.yaml:3:"),
        (
            with("trainer: {options: ['--foo']}"),
            "finetune.trainer.options: plimsoll finetune would refuse them: unexpected",
        ),
        (with("trainer: {options: ['--help']}"), "would refuse them: unexpected argument '--help'"),
        (with("trainer: {options: ['--rank']}"), "would refuse them: a value is required for '--rank <N>'"),
        (with("trainer: {options: ['--rank', '0']}"), "would refuse them: rank: expected 1 to 4096"),
        (with("trainer: {options: ['--targets', 'q_proj,x']}"), "would refuse them: targets: found `x`"),
        (with("trainer: {options: ['--lr', '0']}"), "would refuse them: lr: expected a number above 0"),
        (with("trainer: {command: [sh]}"), "finetune.trainer.command: is for finetune.trainer.kind: command or job"),
        (with("trainer: {url: 'http://h', secret: s}"), "finetune.trainer.url: is for finetune.trainer.kind: webhook"),
        (
            with("trainer: {url: 'http://h', secret: s}"),
            "finetune.trainer.secret: is for finetune.trainer.kind: webhook",
        ),
        (with("trainer: {template: x}"), "finetune.trainer.template: is for finetune.trainer.kind: job"),
        (
            with("trainer: {kind: command, command: [sh], options: [a]}"),
            "finetune.trainer.options: is for finetune.trainer.kind: builtin",
        ),
        (with("trainer: {kind: command, command: [/nope/prog]}"), "command.0: \"/nope/prog\" cannot be run: no such"),
        (
            with("trainer: {kind: command, command: [nope-prog]}"),
            "\"nope-prog\" cannot be run: no such program is on PATH",
        ),
        (with("trainer: {kind: command, command: [MODEL/none.jsonl]}"), "cannot be run: no such program is there"),
        (with("trainer: {kind: job, template: MODEL/rules.yml, command: [nope-prog]}"), "\"nope-prog\" cannot be run"),
        (with("trainer: {kind: command}"), "finetune.trainer.command: is empty"),
        (with("trainer: {kind: webhook, url: x}"), "finetune.trainer.url: \"x\" is not a URL"),
        (with("trainer: {kind: job, template: x}"), "finetune.trainer.template: \"x\" is no file"),
        (with("gate: {safety: /none}"), "finetune.gate.safety: /none is no file"),
        (with("gate: {safety: MODEL/none.jsonl}"), "none.jsonl has no question in it"),
        (with("gate: {safety: MODEL/unsafe.jsonl}"), "unsafe.jsonl:3: no text as rejected"),
        (with("gate: {safety: MODEL/config.json}"), "config.json:1: no messages, nor prompt and response"),
        (with("gate: {anchor_loss: 0}"), "finetune.gate.anchor_loss: 0% is outside"),
        (with("experiment: {id: a}"), "finetune.experiment.id: is the loop's own"),
        (with("experiment: {treatment: {model: m}}"), "finetune.experiment.treatment: is the loop's own"),
        (with("experiment: {split: mirror}"), "finetune.experiment.split: is the loop's own"),
    ] {
        let found = load(&section).err().unwrap_or_default();
        assert!(found.iter().any(|one| one.contains(expected)), "{section}: {found:?}, expected {expected:?}");
    }
    let unread = "finetune: {mode: auto, model: /m, deploy: {kind: vllm, url: 'http://h'}}";
    let found = parse("p.yaml", unread, &Vec::new(), None, &|_| None).unwrap_err().to_string();
    assert!(found.contains("nothing can be learnt while records.store_text is none"), "{found}");
}

#[test]
fn what_is_right_is_taken() {
    for more in [
        "trigger: {alerts: ['{severity=\"page\"}'], explained_by: [A]}",
        "trainer: {options: [--rank=4, --dora, --targets, 'q_proj,v_proj', --device, cpu, --max-steps, '80']}",
        "trainer: {kind: command, command: [sh, -c, 'true']}",
        "trainer: {kind: command, command: [/bin/sh]}",
        "trainer: {kind: job, template: MODEL/rules.yml}",
        "gate: {safety: MODEL/safe.jsonl}",
    ] {
        let found = load(&format!("{{model: MODEL, {VLLM}, {more}}}"));
        assert!(found.is_ok(), "{more}: {found:?}");
    }
}

#[test]
fn every_mistake_is_named_at_once() {
    let all = |section: &str, expected: &[&str]| {
        let found = load(section).err().unwrap_or_default();
        assert_eq!(found.len(), expected.len(), "{section}: {found:#?}");
        for wanted in expected {
            assert!(found.iter().any(|one| one.contains(wanted)), "{section}: {found:#?}, expected {wanted:?}");
        }
    };
    all("{mode: auto}", &["finetune.model: is missing", "finetune.deploy.kind: is missing"]);
    all(
        &format!(
            "{{model: MODEL, {VLLM}, trigger: {{alerts: [], explained_by: ['X{{'], at_once: -1, days: 9, release: x}}}}"
        ),
        &["trigger.explained_by.0: ", "trigger.at_once: -1", "trigger.days: 9", "trigger.release: \"x\""],
    );
    all(
        &format!(
            "{{model: MODEL, {VLLM}, budget: {{runs: 0, period: 0s, time: 0s}}, gate: {{alpha: 0, safety: /nope}}}}"
        ),
        &["budget.runs: 0", "budget.period: 0s", "budget.time: 0s", "gate.alpha: 0", "gate.safety: /nope is no file"],
    );
    // what would only be missing because it could not be read is not told
    all(
        "{mode: auto, modle: /m, deploy: {kind: vlm, url: 'http://h'}}",
        &["unknown key finetune.modle", "\"vlm\" is not"],
    );
    all(&format!("{{model: MODEL, {VLLM}, trainer: {{kind: comand, command: [sh]}}}}"), &["\"comand\" is not one of"]);
}
