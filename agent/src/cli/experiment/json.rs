//! The verdict for programs. A number that does not exist is absent.

use plimsoll_rules::verdict::experiment::{Arm, Interval};
use serde_json::{Map, Value, json};

use super::analyze::{MetricReport, Report};
use super::table::{action, broken, notes};

/// The whole report.
pub(super) fn value(report: &Report) -> Value {
    let mut out = Map::new();
    out.insert("decision".into(), action(report).into());
    if let Some(why) = broken(report) {
        out.insert("reason".into(), why.into());
    } else if let Some(decision) = &report.decision {
        out.insert("reason".into(), decision.reason.as_str().into());
        if let Some(metric) = &decision.metric {
            out.insert("metric".into(), metric.as_str().into());
        }
        if let Some(log_e) = decision.log_e {
            out.insert("log_e".into(), log_e.into());
        }
        out.insert("decided_at".into(), decision.at.rfc3339().into());
        out.insert("decided_after_units".into(), report.decided_after.into());
    }
    out.insert("alpha".into(), report.spec.alpha.into());
    let [control, treatment] = &report.file.variants;
    out.insert("control".into(), control.as_str().into());
    out.insert("treatment".into(), treatment.as_str().into());
    out.insert("units".into(), json!({"control": report.units[0], "treatment": report.units[1]}));
    out.insert("rows".into(), report.file.rows.into());
    out.insert("window_seconds".into(), report.file.window.as_secs_f64().into());
    out.insert("units_in_both_variants".into(), report.file.crossed.into());
    out.insert(
        "sample_ratio".into(),
        json!({"log_bayes_factor": report.log_e_split, "mismatch": report.split_is_off()}),
    );
    out.insert("missing".into(), json!({"log_e": report.log_e_missing, "differs": report.missing_differs()}));
    out.insert("metrics".into(), report.metrics.iter().map(metric).collect());
    out.insert("notes".into(), notes(report).into());
    Value::Object(out)
}

fn metric(metric: &MetricReport) -> Value {
    let arm = |arm| {
        let moments = metric.state.arm(arm);
        match moments.count() {
            0 => json!({"units": 0}),
            units => json!({"units": units, "mean": moments.mean()}),
        }
    };
    let mut out = json!({
        "name": metric.spec.name,
        "kind": metric.kind(),
        "direction": metric.spec.direction,
        "role": metric.spec.role,
        "margin": metric.spec.margin,
        "control": arm(Arm::Control),
        "treatment": arm(Arm::Treatment),
        "log_e_harm": metric.state.log_e_harm(),
        "log_e_no_worse": metric.state.log_e_no_worse(),
    });
    let Value::Object(map) = &mut out else { return out };
    let shown = |interval: Interval| json!({"estimate": interval.effect, "interval": [interval.lower, interval.upper]});
    if let Some(interval) = metric.interval {
        map.insert("effect".into(), shown(interval));
    }
    if let Some(interval) = metric.weighed {
        let key = if metric.judged { "effect_with_judge" } else { "effect_weighed" };
        map.insert(key.into(), shown(interval));
    }
    let course = metric.course.iter().map(|point| {
        let mut out = json!({
            "units": point.units,
            "ts": point.at.secs_f64(),
            "log_e_harm": point.log_e_harm,
            "log_e_no_worse": point.log_e_no_worse,
        });
        if let (Some(interval), Value::Object(map)) = (point.interval, &mut out) {
            map.insert("estimate".into(), interval.effect.into());
            map.insert("interval".into(), json!([interval.lower, interval.upper]));
        }
        out
    });
    map.insert("course".into(), course.collect());
    out
}
