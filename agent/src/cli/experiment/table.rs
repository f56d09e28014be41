//! The verdict for people at a terminal, and its words.

use plimsoll_rules::verdict::experiment::{Arm, BROKEN, Interval, MetricKind, Reason, Role, State};

use super::analyze::{MetricReport, Report};
use crate::cli::backtest::aligned;
use crate::cli::drift::words::short;
use crate::cli::visible;

impl Report {
    /// Whether the arms' sizes are not what the propensities say.
    pub(super) fn split_is_off(&self) -> bool {
        self.log_e_split >= BROKEN
    }

    /// Whether outcomes are missing more often in one arm.
    pub(super) fn missing_differs(&self) -> bool {
        self.log_e_missing >= BROKEN
    }
}

impl MetricReport {
    /// A word for its kind.
    pub(super) fn kind(&self) -> &'static str {
        match self.spec.kind {
            MetricKind::Binary => "binary",
            MetricKind::Bounded { .. } => "bounded",
            MetricKind::Quantile { .. } => "quantile",
            MetricKind::Mean => "mean",
        }
    }

    /// A word for its role.
    pub(super) fn role(&self) -> &'static str {
        match self.spec.role {
            Role::Primary => "primary",
            Role::Guardrail => "guardrail",
            Role::Signal => "signal",
        }
    }
}

/// Why nothing in the file can be trusted, if so: a whole file is at hand, so all of it is looked at.
pub(super) fn broken(report: &Report) -> Option<&'static str> {
    match () {
        () if report.split_is_off() => Some("sample_ratio_mismatch"),
        () if report.missing_differs() => Some("missing_differs"),
        () if report.file.crossed * 100 > report.file.units.len() as u64 => Some("units_in_both_variants"),
        () => None,
    }
}

/// The decision in one word: `promote`, `roll_back`, `keep_control`, `hold`, or `none` where nobody can say yet.
pub(super) fn action(report: &Report) -> &'static str {
    match report.decision.as_ref().map(|decision| decision.to) {
        _ if broken(report).is_some() => "hold",
        Some(State::Promoted) => "promote",
        Some(State::RolledBack) => "roll_back",
        Some(State::KeptControl) => "keep_control",
        Some(State::Hold(_)) => "hold",
        _ => "none",
    }
}

/// The decision as a sentence.
pub(super) fn sentence(report: &Report) -> String {
    let [control, treatment] = &report.file.variants;
    match broken(report) {
        Some("sample_ratio_mismatch") => {
            return "Hold: the variants' sizes are not what the propensities say. Nothing else can be trusted before that is explained.".to_owned();
        }
        Some("missing_differs") => {
            return "Hold: outcomes are missing more often in one variant than in the other. Nothing else can be trusted before that is explained.".to_owned();
        }
        Some(_) => {
            return "Hold: more than one unit in a hundred was seen in both variants. Is the unit what was randomised?"
                .to_owned();
        }
        None => {}
    }
    let Some(decision) = &report.decision else {
        return format!("No verdict yet: {treatment} is neither shown to be worse than {control} nor to be no worse.");
    };
    let after = report.decided_after.unwrap_or(0);
    let metric = decision.metric.as_deref().unwrap_or("the outcome");
    match decision.reason {
        Reason::Harm => {
            format!("Roll back {treatment}: it is worse than {control} in {metric}, clear after {after} units.")
        }
        Reason::NoWorse => {
            format!("Promote {treatment}: no metric is worse than its margin, clear after {after} units.")
        }
        Reason::OutOfUnits => format!("Keep {control}: no verdict within {after} units."),
        _ => format!("{} after {after} units.", decision.to.as_str()),
    }
}

/// What a reader should know besides.
pub(super) fn notes(report: &Report) -> Vec<String> {
    let (mut notes, file) = (Vec::new(), &report.file);
    if !file.control_told {
        notes.push(format!("control is taken to be {}, the first in time; --control says otherwise", file.variants[0]));
    }
    if file.crossed > 0 {
        notes.push(format!("{} units were seen in both variants and are left out", file.crossed));
    }
    if file.late > 0 {
        notes.push(format!("{} rows came after their unit's window and do not count", file.late));
    }
    if !file.propensities {
        notes.push(format!(
            "the file has no column propensity: every unit is taken to have had the treatment with probability {}",
            short(report.spec.ramp.first().map_or(0.5, |step| step.share))
        ));
    }
    for metric in report.metrics.iter().filter(|metric| metric.labels_vary) {
        notes.push(format!(
            "{}: label_prob differs between units, so it decides nothing; its effect is weighed by it",
            metric.spec.name
        ));
    }
    for metric in report.metrics.iter().filter(|metric| metric.interval.is_none()) {
        notes.push(format!(
            "{}: no interval (200 units a variant are needed, of a binary metric also 20 of the rarer outcome)",
            metric.spec.name
        ));
    }
    notes
}

/// An interval as `-0.031 [-0.052, -0.01]`.
pub(super) fn interval(interval: Option<Interval>) -> String {
    interval.map_or("too few".to_owned(), |found| {
        format!("{} [{}, {}]", short(found.effect), short(found.lower), short(found.upper))
    })
}

/// The verdict, and one line a metric.
pub(super) fn text(report: &Report) -> String {
    let [control, treatment] = &report.file.variants;
    let mut out = format!(
        "{}\n{control}: {} units, {treatment}: {} units, {} rows, alpha {}\n\n",
        sentence(report),
        report.units[0],
        report.units[1],
        report.file.rows,
        report.spec.alpha
    );
    let header = ["METRIC", "KIND", "ROLE", "CONTROL", "TREATMENT", "EFFECT", "MARGIN", "E HARM", "E NO WORSE"];
    let row = |metric: &MetricReport| {
        [
            metric.spec.name.clone(),
            metric.kind().to_owned(),
            metric.role().to_owned(),
            short(metric.state.arm(Arm::Control).mean()),
            short(metric.state.arm(Arm::Treatment).mean()),
            interval(metric.interval),
            short(metric.spec.margin),
            short(metric.state.log_e_harm().exp()),
            short(metric.state.log_e_no_worse().exp()),
        ]
    };
    let rows: Vec<[String; 9]> =
        std::iter::once(header.map(str::to_owned)).chain(report.metrics.iter().map(row)).collect();
    aligned(&rows, &mut out);
    for metric in &report.metrics {
        if metric.weighed.is_some() {
            let how = if metric.judged { "with the judge's scores" } else { "weighed by label_prob" };
            out += &format!("{} {how}: {}\n", metric.spec.name, interval(metric.weighed));
        }
    }
    for note in notes(report) {
        out += &format!("note: {note}\n");
    }
    visible(&out, "\n\t").into_owned()
}
