//! The metrics of an experiment as meant.

use plimsoll_rules::verdict::experiment::{Direction, MetricKind, MetricSpec, Role};

use super::super::checked::Check;
use super::super::raw::experiments::{Better, Kind, MetricRow};
use super::LONGEST;

/// Metrics of an experiment.
const MOST: usize = 16;

/// Metrics that need no feedback.
pub(super) const FROM_TRAFFIC: [&str; 4] =
    ["error", "duration_seconds", "time_to_first_token_seconds", "output_tokens"];

/// Whether a request failed.
pub(super) fn errors() -> MetricSpec {
    MetricSpec {
        name: FROM_TRAFFIC[0].to_owned(),
        kind: MetricKind::Binary,
        direction: Direction::Decrease,
        role: Role::Primary,
        margin: 0.01,
    }
}

pub(super) fn metrics(c: &mut Check<'_>, key: &str, rows: &[MetricRow]) -> Vec<MetricSpec> {
    if rows.len() > MOST {
        c.refuse(&format!("{key}.metrics"), format!("{} metrics; at most {MOST}", rows.len()));
    }
    let specs: Vec<MetricSpec> = rows
        .iter()
        .enumerate()
        .map(|(i, row)| {
            let at = format!("{key}.metrics.{i}");
            if row.name.is_empty() || row.name.len() > 4 * LONGEST {
                c.refuse(&at, "has no name; write metric_name of feedback, or error, duration_seconds and the like");
            } else if rows[..i].iter().any(|other| other.name == row.name && other.kind == row.kind) {
                c.refuse(&at, format!("{:?} is measured twice in the same way", row.name));
            }
            metric(c, &at, row)
        })
        .collect();
    if !specs.iter().any(|spec| spec.role == Role::Primary) {
        c.refuse(&format!("{key}.metrics"), "none is primary; a promotion rests on one with role: primary");
    }
    specs
}

/// What the traffic itself says has a meaning of its own.
fn from_traffic(c: &mut Check<'_>, key: &str, row: &MetricRow) {
    let seconds = ["duration_seconds", "time_to_first_token_seconds"].contains(&row.name.as_str());
    if row.name == "error" && (row.kind != Kind::Binary || row.direction == Better::Increase) {
        c.refuse(key, "error is 0 or 1, and fewer are better; write kind: binary, direction: decrease");
    }
    if (seconds || row.name == "output_tokens") && row.kind == Kind::Binary {
        c.refuse(&format!("{key}.kind"), format!("{} is no 0 or 1; write kind: quantile, mean or bounded", row.name));
    }
}

fn metric(c: &mut Check<'_>, key: &str, row: &MetricRow) -> MetricSpec {
    let margin = row.margin.value;
    if !(margin > 0.0 && margin.is_finite()) {
        c.refuse(
            &format!("{key}.margin"),
            format!("{margin} is not above 0; nothing can be shown to be no worse at all"),
        );
    } else if row.kind == Kind::Mean && row.margin.percent {
        let right = "write a number in the unit of its values";
        c.refuse(&format!("{key}.margin"), format!("{} is a share, and {} is a mean; {right}", row.margin, row.name));
    } else if row.kind != Kind::Mean && margin >= 1.0 {
        c.refuse(&format!("{key}.margin"), format!("{margin} is a share of 1 or more; write one such as 3%"));
    }
    from_traffic(c, key, row);
    for (name, value, kind) in [
        ("low", row.low, Kind::Bounded),
        ("high", row.high, Kind::Bounded),
        ("quantile", row.quantile, Kind::Quantile),
        ("limit", row.limit, Kind::Quantile),
    ] {
        if value.is_some() && row.kind != kind {
            c.refuse(&format!("{key}.{name}"), format!("is for kind: {}", format!("{kind:?}").to_lowercase()));
        }
    }
    let kind = match row.kind {
        Kind::Binary => MetricKind::Binary,
        Kind::Mean => MetricKind::Mean,
        Kind::Bounded => {
            let (low, high) = (row.low.unwrap_or(0.0), row.high.unwrap_or(1.0));
            let fits = low < high && low.is_finite() && high.is_finite();
            if !fits {
                c.refuse(key, format!("low {low} is not below high {high}"));
            }
            MetricKind::Bounded { low, high }
        }
        Kind::Quantile => MetricKind::Quantile { quantile: row.quantile.unwrap_or(0.95), limit: row.limit },
    };
    MetricSpec { name: row.name.clone(), kind, direction: row.direction.into(), role: row.role.into(), margin }
}
