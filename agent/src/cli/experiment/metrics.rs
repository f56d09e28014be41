//! What the metrics of a file are: as the arguments say, and else as their values look.

use anyhow::bail;
use plimsoll_rules::verdict::experiment::{Direction, MetricKind, MetricSpec, Role};

use super::analyze::Args;
use super::rows::{File, Seen};
use crate::config::Margin;

/// Specs in the order of the file's metrics.
///
/// # Errors
/// An argument names a metric that the file lacks, or leaves none to decide.
pub(super) fn specs(file: &File, args: &Args) -> anyhow::Result<Vec<MetricSpec>> {
    let named = args.margin.iter().filter_map(|(name, _)| name.as_ref());
    let bounded = args.bounds.iter().map(|(name, ..)| name);
    for name in named.chain(bounded).chain(&args.lower_is_better).chain(&args.guardrail).chain(&args.signal) {
        if !file.metrics.iter().any(|seen| seen.name == *name) {
            let have: Vec<&str> = file.metrics.iter().map(|seen| seen.name.as_str()).collect();
            bail!("no metric {name:?} in the file; it has {}", have.join(", "));
        }
    }
    let specs = file.metrics.iter().map(|seen| spec(args, seen)).collect::<anyhow::Result<Vec<MetricSpec>>>()?;
    if file.metrics.iter().all(|seen| args.signal.contains(&seen.name)) {
        bail!("every metric is a signal; one at least has to decide");
    }
    Ok(specs)
}

fn spec(args: &Args, seen: &Seen) -> anyhow::Result<MetricSpec> {
    let name = &seen.name;
    let kind = kind(args, seen);
    let role = match () {
        // What was asked for with different probabilities cannot be compared as it stands.
        () if args.signal.contains(name) || seen.labels_vary() => Role::Signal,
        () if args.guardrail.contains(name) => Role::Guardrail,
        () => Role::Primary,
    };
    let direction = if args.lower_is_better.contains(name) { Direction::Decrease } else { Direction::Increase };
    Ok(MetricSpec { name: name.clone(), kind, direction, role, margin: margin(args, seen, kind, role)? })
}

/// The margin: shares below 1 for binary and bounded metrics, 3 points where nothing is said; a number for a mean.
fn margin(args: &Args, seen: &Seen, kind: MetricKind, role: Role) -> anyhow::Result<f64> {
    let name = &seen.name;
    let of = |wanted: Option<&String>| args.margin.iter().rev().find(|(named, _)| named.as_ref() == wanted);
    let own = of(Some(name));
    if kind != MetricKind::Mean {
        let Margin { value, .. } = own.or_else(|| of(None)).map_or(Margin::default(), |(_, margin)| *margin);
        if value >= 1.0 {
            bail!("--margin {name}={value}: a share below 1 is wanted, such as 0.03 or 3%");
        }
        return Ok(value);
    }
    match own {
        Some((_, margin)) if margin.percent => {
            bail!("--margin {name}: {name} is a mean, whose margin is a number in its own unit, not a percentage")
        }
        Some((_, margin)) => Ok(margin.value),
        None if role == Role::Signal => Ok(1.0),
        None => {
            let why = seen.other.as_ref().map_or(String::new(), |(value, place)| format!(" ({value} at {place})"));
            bail!(
                "{name} has values other than 0 and 1{why}, so it is a mean: say how much worse still counts as no worse, \
                 --margin {name}=NUMBER; or its range, --bounds {name}=LOW:HIGH; or --signal {name}"
            )
        }
    }
}

/// Bounded where bounds are given, binary where every value is 0 or 1, else a mean.
fn kind(args: &Args, seen: &Seen) -> MetricKind {
    if let Some((_, low, high)) = args.bounds.iter().find(|(named, ..)| *named == seen.name) {
        return MetricKind::Bounded { low: *low, high: *high };
    }
    if seen.other.is_none() { MetricKind::Binary } else { MetricKind::Mean }
}
