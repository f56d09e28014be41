//! `finetune.trainer` as meant: options that `plimsoll finetune` takes, programs that are there, no key of another kind.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use plimsoll_alerts::Signer;
use reqwest::Url;

use super::Trainer;
use crate::cli::trainer_options;
use crate::config::checked::{Check, Secret};
use crate::config::environment;
use crate::config::raw::finetune::{self as raw, TrainerKind};

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

/// Who trains, if that can be told; mistakes are noted in `c`.
pub(super) fn check(c: &mut Check<'_>, key: &str, one: &raw::Trainer, folder: &Path) -> Option<Trainer> {
    others(c, key, one);
    match one.kind {
        TrainerKind::Builtin => {
            options(c, &format!("{key}.options"), &one.options);
            Some(Trainer::Builtin(one.options.clone()))
        }
        TrainerKind::Command if one.command.first().is_none_or(String::is_empty) => {
            c.refuse(&format!("{key}.command"), "is empty; write [PROGRAM, ARGUMENT, ...]");
            None
        }
        TrainerKind::Command => {
            program(c, &format!("{key}.command.0"), &one.command);
            Some(Trainer::Command(one.command.clone()))
        }
        TrainerKind::Webhook => webhook(c, key, one),
        TrainerKind::Job => {
            program(c, &format!("{key}.command.0"), &one.command);
            let template = one.template.as_ref().map(|path| folder.join(path)).filter(|path| path.is_file());
            if template.is_none() {
                let found = one.template.as_deref().unwrap_or_default();
                c.refuse(&format!("{key}.template"), format!("{found:?} is no file; name a manifest of a Job"));
            }
            Some(Trainer::Job(template?, one.command.clone()))
        }
    }
}

/// Keys of another kind, which nobody would read.
fn others(c: &mut Check<'_>, key: &str, one: &raw::Trainer) {
    use TrainerKind::{Builtin, Command, Job, Webhook};
    for (name, given, kinds, right) in [
        ("options", !one.options.is_empty(), &[Builtin][..], "builtin"),
        ("command", !one.command.is_empty(), &[Command, Job], "command or job"),
        ("url", one.url.is_some(), &[Webhook], "webhook"),
        ("secret", one.secret.is_some(), &[Webhook], "webhook"),
        ("template", one.template.is_some(), &[Job], "job"),
    ] {
        if given && !kinds.contains(&one.kind) {
            c.refuse(&format!("{key}.{name}"), format!("is for {key}.kind: {right}; leave it out, or write that kind"));
        }
    }
}

/// What the loop gives itself is not to be given, and `plimsoll finetune` has to understand the rest.
fn options(c: &mut Check<'_>, key: &str, options: &[String]) {
    let mut all_theirs = true;
    for (at, option) in options.iter().enumerate() {
        let name = option.split('=').next().unwrap_or_default();
        if OURS.contains(&name) {
            c.refuse(&format!("{key}.{at}"), format!("{name} is given by the loop; leave it out"));
            all_theirs = false;
        }
    }
    if all_theirs && let Err(why) = trainer_options::check(options) {
        c.refuse(key, format!("plimsoll finetune would refuse them: {why}"));
    }
}

/// Refuses a program that cannot be run; without one there is nothing to run.
fn program(c: &mut Check<'_>, key: &str, words: &[String]) {
    let Some(program) = words.first() else { return };
    let runs = |path: &Path| path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
    let path = environment("PATH").unwrap_or_default();
    let (found, place) = match program.contains('/') {
        true => (runs(Path::new(program)), "there"),
        false => (path.split(':').any(|folder| runs(&Path::new(folder).join(program))), "on PATH"),
    };
    if !found {
        c.refuse(key, format!("{program:?} cannot be run: no such program is {place}; write [PROGRAM, ARGUMENT, ...]"));
    }
}

fn webhook(c: &mut Check<'_>, key: &str, one: &raw::Trainer) -> Option<Trainer> {
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
