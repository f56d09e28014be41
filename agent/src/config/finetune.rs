//! `finetune:` as meant: rules compiled to matchers, files and folders looked at, every mistake with its place.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use plimsoll_alerts::Signer;
use plimsoll_rules::promql::{Selection, parse_selection};
use plimsoll_rules::retrain::{Gate, Trigger};
use reqwest::Url;

use super::StoreText;
use super::checked::{Check, Secret};
use super::deploy::{self, Settings as DeploySettings};
use super::experiments::{self, Experiment};
use super::raw::finetune::{self as raw, TrainerKind};
use super::units::Share;
use super::{Mode, Raw};

/// Arguments of the builtin trainer that the loop gives itself.
const OURS: [&str; 12] = [
    "--model",
    "--data",
    "--eval",
    "--replay",
    "--replay-share",
    "--out",
    "--from",
    "--resume",
    "--dry-run",
    "--full",
    "--format",
    "--stage",
];

/// The loop.
#[derive(Clone, Debug)]
pub struct Finetune {
    /// How far it goes by itself.
    pub mode: Mode,
    /// Folder of the base model.
    pub model: PathBuf,
    /// How often it looks.
    pub interval: Duration,
    /// Alerts that say that quality fell.
    pub alerts: Vec<Selection>,
    /// Alerts that explain it.
    pub explained_by: Vec<Selection>,
    /// What else is asked before a run.
    pub trigger: Trigger,
    /// A change of the engine's models explains a fall for this long.
    pub release: Duration,
    /// The longest that a training may take.
    pub time: Duration,
    /// What is learnt from.
    pub dataset: Dataset,
    /// Who trains.
    pub trainer: Trainer,
    /// What a trained version has to show.
    pub gate: Gate,
    /// Questions with answers that must not be given.
    pub safety: Option<PathBuf>,
    /// The engine.
    pub deploy: DeploySettings,
    /// The mirror before that experiment, where there is one; its variants aside.
    pub mirror: Option<Arc<Experiment>>,
    /// The experiment of a version, its variants aside.
    pub experiment: Arc<Experiment>,
    /// How many versions stay.
    pub keep: usize,
}

/// What is learnt from.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// Examples that began within this long before the fall are new too.
    pub before: Duration,
    /// Share that is held out.
    pub holdout: f64,
    /// Anchors that are given.
    pub anchors: Option<PathBuf>,
    /// Anchors that are drawn.
    pub draw: usize,
    /// Share of old examples in training.
    pub replay: f64,
}

/// Who trains.
#[derive(Clone, Debug, PartialEq)]
pub enum Trainer {
    /// A child with these further arguments.
    Builtin(Vec<String>),
    /// A program and its arguments.
    Command(Vec<String>),
    /// A signed post.
    Webhook(Url, Option<Signer>),
    /// A manifest from a template, and what it is given to.
    Job(PathBuf, Vec<String>),
}

/// Checks the section; `None` where it names no model. Mistakes are noted in `c`.
pub(super) fn check(c: &mut Check<'_>, raw: &Raw, folder: &Path) -> Option<Finetune> {
    let one = &raw.finetune;
    let deploy = deploy::check(c, "finetune.deploy", &one.deploy);
    let Some(model) = &one.model else {
        if one.mode != Mode::Off {
            c.refuse("finetune.model", "is missing; name the folder of the served base model, in Hugging Face's form");
        }
        return None;
    };
    if deploy.is_none() && one.deploy.kind.is_none() {
        c.refuse("finetune.deploy.kind", "is missing; write one of vllm, sglang, llamacpp, webhook");
    }
    let model = folder.join(model);
    if !model.join("config.json").is_file() {
        c.refuse("finetune.model", format!("{} has no config.json; name a model's folder", model.display()));
    }
    if one.mode != Mode::Off {
        sources(c, raw);
    }
    let spans = [
        ("finetune.interval", one.interval, Duration::from_millis(100)),
        ("finetune.budget.time", one.budget.time, Duration::from_secs(1)),
        ("finetune.budget.period", one.budget.period, Duration::from_secs(1)),
    ];
    spans.into_iter().for_each(|(key, span, least)| c.at_least(key, span, least));
    let file = |c: &mut Check<'_>, key: &str, path: &Option<String>| {
        let path = path.as_ref().map(|path| folder.join(path))?;
        if !path.is_file() {
            c.refuse(key, format!("{} is no file", path.display()));
        }
        Some(path)
    };
    let anchors = file(c, "finetune.dataset.anchors", &one.dataset.anchors);
    let safety = file(c, "finetune.gate.safety", &one.gate.safety);
    let experiment = experiments::template(c, "finetune.experiment", &one.experiment, raw);
    let trainer = trainer(c, &one.trainer, folder);
    let units_share = share(c, "finetune.mirror.share", one.mirror.share);
    let mirror = experiment.as_ref().filter(|_| one.mirror.units > 0);
    Some(Finetune {
        mode: one.mode,
        model,
        interval: one.interval.0,
        alerts: selections(c, "finetune.trigger.alerts", &one.trigger.alerts),
        explained_by: selections(c, "finetune.trigger.explained_by", &one.trigger.explained_by),
        trigger: trigger(one),
        release: one.trigger.release.0,
        time: one.budget.time.0,
        dataset: Dataset {
            before: one.dataset.before.0,
            holdout: share(c, "finetune.dataset.holdout", one.dataset.holdout),
            anchors,
            draw: usize::try_from(one.dataset.draw).unwrap_or(usize::MAX),
            replay: share(c, "finetune.dataset.replay", one.dataset.replay),
        },
        trainer: trainer?,
        gate: gate(c, &one.gate),
        safety,
        deploy: deploy?,
        mirror: mirror.map(|experiment| Arc::new(experiments::mirror(experiment, one.mirror.units, units_share))),
        experiment: Arc::new(experiment?),
        keep: usize::try_from(one.keep).unwrap_or(usize::MAX),
    })
}

/// The loop rests on the tap, which routes, and on texts, which are learnt.
fn sources(c: &mut Check<'_>, raw: &Raw) {
    if !raw.sources.tap.enabled {
        c.refuse("finetune.mode", "the tap splits, and sources.tap.enabled is false; turn it on");
    }
    if raw.records.store_text == StoreText::None {
        c.refuse("finetune.mode", "nothing can be learnt while records.store_text is none; write store_text: masked");
    }
}

fn share(c: &mut Check<'_>, key: &str, share: Share) -> f64 {
    if !(share.0 > 0.0 && share.0 < 1.0) {
        c.refuse(key, format!("{share} is outside 0 to 100%, both excluded"));
    }
    share.0
}

fn selections(c: &mut Check<'_>, key: &str, texts: &[String]) -> Vec<Selection> {
    let mut all = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        match parse_selection(text) {
            Ok(selection) => all.push(selection),
            Err(why) => {
                let right = "write an alert's name, or NAME{label=\"value\"}";
                c.refuse(&format!("{key}.{at}"), format!("{text:?} cannot be read: {why}; {right}"));
            }
        }
    }
    all
}

fn trigger(one: &raw::Finetune) -> Trigger {
    Trigger {
        at_once: one.trigger.at_once,
        days: usize::try_from(one.trigger.days).unwrap_or(3),
        examples: one.trigger.examples,
        failures: one.trigger.failures,
        cooldown: one.trigger.cooldown.0,
        runs: usize::try_from(one.budget.runs).unwrap_or(usize::MAX),
        period: one.budget.period.0,
    }
}

fn gate(c: &mut Check<'_>, one: &raw::Gate) -> Gate {
    Gate {
        alpha: one.alpha,
        pairs: one.pairs,
        anchor_margin: share(c, "finetune.gate.anchor_margin", one.anchor_margin),
        anchor_loss: share(c, "finetune.gate.anchor_loss", one.anchor_loss),
        ..Gate::default()
    }
}

fn trainer(c: &mut Check<'_>, one: &raw::Trainer, folder: &Path) -> Option<Trainer> {
    let key = "finetune.trainer";
    match one.kind {
        TrainerKind::Builtin => {
            for (at, option) in one.options.iter().enumerate() {
                let name = option.split('=').next().unwrap_or_default();
                if OURS.contains(&name) {
                    c.refuse(&format!("{key}.options.{at}"), format!("{name} is given by the loop; leave it out"));
                }
            }
            Some(Trainer::Builtin(one.options.clone()))
        }
        TrainerKind::Command if one.command.first().is_none_or(String::is_empty) => {
            c.refuse(&format!("{key}.command"), "is empty; write [PROGRAM, ARGUMENT, ...]");
            None
        }
        TrainerKind::Command => Some(Trainer::Command(one.command.clone())),
        TrainerKind::Webhook => {
            let text = one.url.as_deref().unwrap_or_default();
            let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
            if url.is_none() {
                c.refuse(&format!("{key}.url"), format!("{text:?} is no http:// or https:// URL"));
            }
            let signer = one.secret.as_ref().and_then(|text| {
                let Secret(secret) = c.secret(&format!("{key}.secret"), text);
                Signer::new(&secret).map_err(|why| c.refuse(&format!("{key}.secret"), why.to_string())).ok()
            });
            Some(Trainer::Webhook(url?, signer))
        }
        TrainerKind::Job => {
            let template = one.template.as_ref().map(|path| folder.join(path)).filter(|path| path.is_file());
            if template.is_none() {
                let found = one.template.as_deref().unwrap_or_default();
                c.refuse(&format!("{key}.template"), format!("{found:?} is no file; name a manifest of a Job"));
            }
            Some(Trainer::Job(template?, one.command.clone()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    /// What is made of a section, with a model's folder for `MODEL`.
    fn load(section: &str) -> Result<Finetune, Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), "{}").unwrap();
        let section = section.replace("MODEL", &folder.path().display().to_string());
        let text = format!("records: {{store_text: masked}}\nrules: {{builtin: false}}\nfinetune: {section}\n");
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
            (with("trigger: {alerts: ['A{']}"), "finetune.trigger.alerts.0: \"A{\" cannot be read"),
            (with("trainer: {options: ['--out=x']}"), "finetune.trainer.options.0: --out is given by the loop"),
            (with("trainer: {kind: command}"), "finetune.trainer.command: is empty"),
            (with("trainer: {kind: webhook, url: x}"), "finetune.trainer.url: \"x\" is not a URL"),
            (with("trainer: {kind: job, template: x}"), "finetune.trainer.template: \"x\" is no file"),
            (with("gate: {safety: /none}"), "finetune.gate.safety: /none is no file"),
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
}
