//! `finetune:` as meant: rules compiled to matchers, files and folders looked at, every mistake with its place.

mod safety;
mod trainer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use plimsoll_alerts::Signer;
use plimsoll_rules::promql::{Selection, parse_selection};
use plimsoll_rules::retrain::{Gate, Trigger};
use plimsoll_rules::{Action, Group};
use plimsoll_shadow_model::{Family, Folder};
use reqwest::Url;

use super::StoreText;
use super::checked::Check;
use super::deploy::{self, Settings as DeploySettings};
use super::experiments::{self, Experiment};
use super::raw::finetune as raw;
use super::units::Share;
use super::{Mode, Raw};

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

/// Checks the section; `None` where it names no model and asks for nothing. Mistakes are noted in `c`; `groups` are all rules,
/// where all could be read.
pub(super) fn check(c: &mut Check<'_>, raw: &Raw, folder: &Path, groups: Option<&[Group]>) -> Option<Finetune> {
    let one = &raw.finetune;
    let deploy = deploy::check(c, "finetune.deploy", &one.deploy);
    if one.model.is_none() && one.mode == Mode::Off {
        return None;
    }
    let model = base(c, one.model.as_deref(), folder);
    if deploy.is_none() && one.deploy == raw::Finetune::default().deploy {
        c.refuse("finetune.deploy.kind", "is missing; write one of vllm, sglang, llamacpp, webhook");
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
    let anchors = file(c, "finetune.dataset.anchors", one.dataset.anchors.as_deref(), folder);
    let safety = file(c, "finetune.gate.safety", one.gate.safety.as_deref(), folder);
    if let Some(why) = safety.as_deref().and_then(safety::mistake) {
        c.refuse("finetune.gate.safety", why);
    }
    let experiment = experiments::template(c, "finetune.experiment", &one.experiment, raw);
    let trainer = trainer::check(c, "finetune.trainer", &one.trainer, folder);
    let units_share = share(c, "finetune.mirror.share", one.mirror.share);
    let mirror = experiment.as_ref().filter(|_| one.mirror.units > 0);
    let usual = raw::Trigger::default();
    let mut selections = |key: &str, texts: &[String], usual: &[String]| {
        // what is usual may be missing: a run can be begun by hand
        alerts(c, &format!("finetune.trigger.{key}"), texts, groups.filter(|_| texts != usual))
    };
    let alerts = selections("alerts", &one.trigger.alerts, &usual.alerts);
    let explained_by = selections("explained_by", &one.trigger.explained_by, &usual.explained_by);
    let trigger = trigger(c, one);
    let dataset = Dataset {
        before: one.dataset.before.0,
        holdout: share(c, "finetune.dataset.holdout", one.dataset.holdout),
        anchors,
        draw: usize::try_from(one.dataset.draw).unwrap_or(usize::MAX),
        replay: share(c, "finetune.dataset.replay", one.dataset.replay),
    };
    let gate = gate(c, &one.gate);
    Some(Finetune {
        mode: one.mode,
        model: model?,
        interval: one.interval.0,
        alerts,
        explained_by,
        trigger,
        release: one.trigger.release.0,
        time: one.budget.time.0,
        dataset,
        trainer: trainer?,
        gate,
        safety,
        deploy: deploy?,
        mirror: mirror.map(|experiment| Arc::new(experiments::mirror(experiment, one.mirror.units, units_share))),
        experiment: Arc::new(experiment?),
        keep: usize::try_from(one.keep).unwrap_or(usize::MAX),
    })
}

/// The base model's folder: of a model that can be taught.
fn base(c: &mut Check<'_>, model: Option<&str>, folder: &Path) -> Option<PathBuf> {
    let key = "finetune.model";
    let Some(model) = model else {
        c.refuse(key, "is missing; name the folder of the served base model, in Hugging Face's form");
        return None;
    };
    let model = folder.join(model);
    if !model.join("config.json").is_file() {
        c.refuse(key, format!("{} has no config.json; name a model's folder", model.display()));
        return Some(model);
    }
    match Folder::open(&model) {
        Ok(opened) if opened.family().is_ok_and(Family::is_decoder) => {}
        Ok(opened) => {
            let found = opened.config().get("model_type").map_or_else(|| "missing".to_owned(), ToString::to_string);
            let right = "name the folder of a llama, qwen2 or qwen3";
            c.refuse(key, format!("the model_type of {} is {found}; {right}", model.display()));
        }
        Err(why) => c.refuse(key, why.to_string()),
    }
    Some(model)
}

fn file(c: &mut Check<'_>, key: &str, path: Option<&str>, folder: &Path) -> Option<PathBuf> {
    let path = folder.join(path?);
    if !path.is_file() {
        c.refuse(key, format!("{} is no file", path.display()));
        return None;
    }
    Some(path)
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

/// Which alerts are meant; where the rules are known, one of them has to have each name.
fn alerts(c: &mut Check<'_>, key: &str, texts: &[String], groups: Option<&[Group]>) -> Vec<Selection> {
    let has_alert = |group: &Group, name: &str| {
        group.rules.iter().any(|rule| rule.name == name && matches!(rule.action, Action::Alert { .. }))
    };
    let mut all = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        let key = format!("{key}.{at}");
        let selection = match parse_selection(text) {
            Ok(selection) => selection,
            Err(why) => {
                let right = "write an alert's name, or NAME{label=\"value\"}";
                c.refuse(&key, format!("{text:?} cannot be read: {why}; {right}"));
                continue;
            }
        };
        if let (Some(groups), Some(name)) = (groups, selection.name())
            && !groups.iter().any(|group| has_alert(group, name))
        {
            c.refuse(
                &key,
                format!("no rule has an alert {name:?}; write the name of one in rules.files or builtin.yml"),
            );
        }
        all.push(selection);
    }
    all
}

fn trigger(c: &mut Check<'_>, one: &raw::Finetune) -> Trigger {
    let raw::Trigger { at_once, examples, failures, .. } = one.trigger;
    if !(at_once > 0.0 && at_once.is_finite()) {
        c.refuse("finetune.trigger.at_once", format!("{at_once} found; a number above 0 is right, such as 9.21"));
    }
    if failures > examples {
        let right = format!("at most finetune.trigger.examples ({examples}), of which they are");
        c.refuse("finetune.trigger.failures", format!("{failures} found; {right}"));
    }
    Trigger {
        at_once,
        days: usize::try_from(one.trigger.days).unwrap_or(3),
        examples,
        failures,
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

#[cfg(test)]
mod tests;
