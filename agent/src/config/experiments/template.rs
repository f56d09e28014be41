//! The experiments of trained versions: what the configuration says of all of them, and the mirror before each.

use std::time::Duration;

use plimsoll_rules::verdict::experiment::RampStep;

use super::raw::{self, SplitKind};
use super::{Check, Experiment, Raw, Split, experiment, metrics};

/// What is told of a copy is told soon.
const MIRROR_WINDOW: Duration = Duration::from_secs(60);

/// What the experiments of trained versions have in common; their variants are not in it.
pub(in crate::config) fn template(
    c: &mut Check<'_>,
    key: &str,
    one: &raw::Experiment,
    raw: &Raw,
) -> Option<Experiment> {
    let plain = raw::Variant::default();
    for (name, given) in [
        ("id", !one.id.is_empty()),
        ("control", one.control != plain),
        ("treatment", one.treatment != plain),
        ("split", one.split != SplitKind::Route),
    ] {
        if given {
            c.refuse(&format!("{key}.{name}"), "is the loop's own; leave it out");
        }
    }
    let model = Some("candidate".to_owned());
    let filled = raw::Experiment {
        id: "finetune".to_owned(),
        split: SplitKind::Route,
        control: plain.clone(),
        treatment: raw::Variant { model, ..plain },
        ..one.clone()
    };
    experiment(c, key, &filled, raw)
}

/// The mirror before an experiment: what the traffic itself says of so many units, a share of them copied.
pub(in crate::config) fn mirror(experiment: &Experiment, units: u64, share: f64) -> Experiment {
    let mut mirror = experiment.clone();
    let spec = &mut mirror.spec;
    spec.metrics.retain(|metric| metrics::FROM_TRAFFIC.contains(&metric.name.as_str()));
    if !spec.metrics.iter().any(|metric| metric.name == "error") {
        spec.metrics.push(metrics::errors());
    }
    spec.ramp = vec![RampStep { share, units: 0, time: Duration::ZERO }];
    (spec.aa_units, spec.max_units, spec.promotes) = (0, units, false);
    spec.window = spec.window.min(MIRROR_WINDOW);
    mirror.split = Split::Mirror;
    mirror
}
