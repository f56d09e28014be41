//! What the metrics of a file are: as the arguments say, and else as their values look.

use anyhow::bail;
use plimsoll_rules::verdict::experiment::{Direction, MetricKind, MetricSpec, Role};

use super::analyze::Args;
use super::rows::File;

/// Specs in the order of the file's metrics.
///
/// # Errors
/// An argument names a metric that the file lacks, or leaves none to decide.
pub(super) fn specs(file: &File, args: &Args) -> anyhow::Result<Vec<MetricSpec>> {
    let named = args.margin.iter().filter_map(|(name, _)| name.as_ref());
    let bounded = args.bounds.iter().map(|(name, ..)| name);
    for name in named.chain(bounded).chain(&args.lower_is_better).chain(&args.guardrail).chain(&args.signal) {
        if !file.metrics.contains(name) {
            bail!("no metric {name:?} in the file; it has {}", file.metrics.join(", "));
        }
    }
    let specs: Vec<MetricSpec> = file.metrics.iter().enumerate().map(|(at, name)| spec(file, args, at, name)).collect();
    if specs.iter().all(|spec| spec.role == Role::Signal) {
        bail!("every metric is a signal; one at least has to decide");
    }
    Ok(specs)
}

fn spec(file: &File, args: &Args, at: usize, name: &String) -> MetricSpec {
    let margin_of = |wanted: Option<&String>| args.margin.iter().rev().find(|(named, _)| named.as_ref() == wanted);
    let margin = margin_of(Some(name)).or_else(|| margin_of(None)).map_or(0.03, |(_, margin)| *margin);
    MetricSpec {
        name: name.clone(),
        kind: kind(file, args, at, name),
        direction: if args.lower_is_better.contains(name) { Direction::Decrease } else { Direction::Increase },
        role: match () {
            () if args.signal.contains(name) => Role::Signal,
            () if args.guardrail.contains(name) => Role::Guardrail,
            () => Role::Primary,
        },
        margin,
    }
}

/// Bounded where bounds are given, binary where every unit's value lies between 0 and 1, else a mean.
fn kind(file: &File, args: &Args, at: usize, name: &String) -> MetricKind {
    if let Some((_, low, high)) = args.bounds.iter().find(|(named, ..)| named == name) {
        return MetricKind::Bounded { low: *low, high: *high };
    }
    let mut values = file.units.iter().filter_map(|unit| unit.outcomes.get(at)?.value.get());
    if values.all(|value| (0.0..=1.0).contains(&value)) { MetricKind::Binary } else { MetricKind::Mean }
}
