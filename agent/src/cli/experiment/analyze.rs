//! `plimsoll experiment analyze`: plays a file's units, in time, through the decision machine.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use plimsoll_rules::Timestamp;
use plimsoll_rules::verdict::experiment::{
    Arm, Decision, Experiment, ExperimentSpec, Interval, Metric, MetricSpec, RampStep, SameTwice, UnitResult,
};
use plimsoll_rules::verdict::{AsymptoticSequence, FEWEST_UNITS, Moments, Unit as Drawn, ppi_value};

use super::rows::{File, Reading, Seen, Unit, read};
use super::{html, inner_share, json, metrics, table};
use crate::cli::{ReportFormat, print};
use crate::config::Margin;

/// Shown below `--help`.
pub(super) const HELP: &str = "Examples:
  plimsoll experiment analyze outcomes.csv
  plimsoll experiment analyze outcomes.parquet --control v1 --margin completed=2% --guardrail cost --margin cost=0.05 \\
      --lower-is-better cost --html report.html

The file has the columns ts, unit, variant, metric, value, and may have propensity (the probability of the treatment when
the unit was drawn), judge (a shadow judge's score) and label_prob (how likely the value was to be asked for). A unit is
what was randomised: a user or an episode, never a request. CSV, JSONL (both also with gzip) or Parquet.
Exit code 0: promoted, or no verdict; 1: rolled back, only with --fail-on-harm; 2: a file or an argument cannot be used";

/// How often the course is noted, at most.
const COURSE: usize = 240;
/// Units at which an interval is narrowest.
const NARROWEST: f64 = 1000.0;

/// Arguments of `experiment analyze`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Outcomes, one a row.
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// The variant that is served now; that of the first row in time where nothing is said.
    #[arg(long, value_name = "VARIANT")]
    control: Option<String>,
    /// Probability of the treatment, where the file has no column propensity.
    #[arg(long, value_name = "SHARE", default_value = "50%", value_parser = inner_share)]
    propensity: f64,
    /// How much worse still counts as no worse, for one metric or for all: shares for binary ones, shares of the range for
    /// bounded ones (3% where nothing is said), for a mean a number in its own unit, which has to be said.
    #[arg(long, value_name = "[METRIC=]MARGIN", value_delimiter = ',', value_parser = margin)]
    pub(super) margin: Vec<(Option<String>, Margin)>,
    /// How long after its first row a unit's outcomes count, in seconds; as long as the longest unit where nothing is said.
    /// A unit is taken in when its window has closed.
    #[arg(long, value_name = "SECONDS", value_parser = window)]
    window: Option<Duration>,
    /// Bounds of a metric that is neither 0/1 nor a plain mean.
    #[arg(long, value_name = "METRIC=LOW:HIGH", value_delimiter = ',', value_parser = bounds)]
    pub(super) bounds: Vec<(String, f64, f64)>,
    /// Metrics of which less is better.
    #[arg(long, value_name = "METRIC", value_delimiter = ',')]
    pub(super) lower_is_better: Vec<String>,
    /// Metrics that must not get worse, beside the primary ones.
    #[arg(long, value_name = "METRIC", value_delimiter = ',')]
    pub(super) guardrail: Vec<String>,
    /// Metrics that are shown and decide nothing.
    #[arg(long, value_name = "METRIC", value_delimiter = ',')]
    pub(super) signal: Vec<String>,
    /// Largest probability of a wrong rollback, and of a wrong promotion.
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = inner_share)]
    alpha: f64,
    /// After so many units without a verdict control is kept.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_units: Option<u64>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: ReportFormat,
    /// Write a report with pictures as one HTML file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Exit with 1 when the treatment does harm.
    #[arg(long)]
    fail_on_harm: bool,
}

fn margin(text: &str) -> Result<(Option<String>, Margin), String> {
    let (name, value) = text.rsplit_once('=').map_or((None, text), |(name, value)| (Some(name.to_owned()), value));
    let margin = Margin::parse(value)?;
    if margin.value > 0.0 { Ok((name, margin)) } else { Err(format!("{text:?}: a margin above 0 is wanted")) }
}

fn window(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| format!("{text:?}: seconds are wanted, such as 1800"))
}

fn bounds(text: &str) -> Result<(String, f64, f64), String> {
    let wrong = || format!("{text:?}: write METRIC=LOW:HIGH, such as rating=1:5");
    let (name, range) = text.rsplit_once('=').ok_or_else(wrong)?;
    let (low, high) = range.split_once(':').ok_or_else(wrong)?;
    let (low, high): (f64, f64) = (low.parse().map_err(|_| wrong())?, high.parse().map_err(|_| wrong())?);
    if low < high && low.is_finite() && high.is_finite() { Ok((name.to_owned(), low, high)) } else { Err(wrong()) }
}

/// Where one metric stood after some units.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) units: u64,
    pub(super) at: Timestamp,
    pub(super) interval: Option<Interval>,
    pub(super) log_e_harm: f64,
    pub(super) log_e_no_worse: f64,
}

/// One metric of the report.
#[derive(Debug)]
pub(super) struct MetricReport {
    pub(super) spec: MetricSpec,
    pub(super) state: Metric,
    pub(super) interval: Option<Interval>,
    /// Weighed by how likely each value was to be asked for, with a judge's scores where there are some (PPI++).
    pub(super) weighed: Option<Interval>,
    /// A judge's scores went into it.
    pub(super) judged: bool,
    /// Why it decides nothing, and what is wrong with its plain numbers.
    pub(super) labels_vary: bool,
    pub(super) course: Vec<Point>,
}

/// All that is told.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) file: File,
    pub(super) name: String,
    pub(super) spec: ExperimentSpec,
    pub(super) decision: Option<Decision>,
    /// How many units it took.
    pub(super) decided_after: Option<u64>,
    pub(super) metrics: Vec<MetricReport>,
    pub(super) log_e_split: f64,
    pub(super) log_e_missing: f64,
    pub(super) units: [u64; 2],
}

/// Reads, plays, prints.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let reading = Reading {
        control: args.control.as_deref(),
        propensity: args.propensity,
        bounds: &args.bounds,
        window: args.window,
    };
    let file = read(&args.file, &reading)?;
    let spec = ExperimentSpec {
        id: args.file.display().to_string(),
        metrics: metrics::specs(&file, args)?,
        alpha: args.alpha,
        ramp: vec![RampStep { share: args.propensity, units: 0, time: Duration::ZERO }],
        aa_units: 0,
        max_units: args.max_units.unwrap_or(u64::MAX),
        promotes: true,
        window: Duration::ZERO,
    };
    let report = play(file, spec);
    if let Some(path) = &args.html {
        std::fs::write(path, html::page(&report)).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    let printed = match args.format {
        ReportFormat::Table => table::text(&report),
        ReportFormat::Json => format!("{:#}\n", json::value(&report)),
        ReportFormat::Html => html::page(&report),
    };
    let harm = table::action(&report) == "roll_back";
    let printed = print(&printed);
    Ok(if harm && args.fail_on_harm { ExitCode::from(1) } else { printed })
}

/// The first decision is the verdict; intervals and the course go on to the end of the file.
fn play(file: File, spec: ExperimentSpec) -> Report {
    let mut deciding = Experiment::new(spec.clone());
    let mut watching = Experiment::new(spec.clone());
    let every = (file.units.len() / COURSE).max(1);
    let mut courses: Vec<Vec<Point>> = vec![Vec::new(); spec.metrics.len()];
    let (mut decision, mut decided_after) = (None, None);
    let mut judged: Vec<Judged> = file.metrics.iter().map(Judged::new).collect();
    let mut labels = SameTwice::default();
    for (at, unit) in file.units.iter().enumerate() {
        let result = result_of(unit);
        if decision.is_none()
            && let Some(found) = deciding.close(&result, unit.at)
        {
            decision = Some(found);
            decided_after = Some(at as u64 + 1);
        }
        watching.observe(&result);
        for (seen, outcome) in file.metrics.iter().zip(&unit.outcomes) {
            // Weighed by the least probability, what was asked for is as likely in either arm.
            if let (Some((least, _)), Some(share)) = (seen.label_probs, outcome.label_prob) {
                let asked = if outcome.value.get().is_some() { least / share } else { 0.0 };
                labels.add(&Drawn { outcome: asked, treated: unit.arm == Arm::Treatment, propensity: unit.propensity });
            }
        }
        for (metric, judged) in judged.iter_mut().enumerate() {
            judged.add(unit, metric);
        }
        if (at + 1).is_multiple_of(every) || at + 1 == file.units.len() || decided_after == Some(at as u64 + 1) {
            for (course, (metric, state)) in courses.iter_mut().zip(watching.metrics()) {
                course.push(Point {
                    units: at as u64 + 1,
                    at: unit.at,
                    interval: state.interval(metric, spec.alpha),
                    log_e_harm: state.log_e_harm(),
                    log_e_no_worse: state.log_e_no_worse(),
                });
            }
        }
    }
    let reports = watching.metrics().zip(courses).zip(&judged).map(|(((metric, state), course), judged)| {
        // What was asked for with different probabilities cannot be compared as it stands.
        let plain = !judged.vary;
        let weighed = judged.interval(spec.alpha);
        MetricReport {
            spec: metric.clone(),
            state: if plain { state.clone() } else { Metric::new(metric) },
            interval: if plain { state.interval(metric, spec.alpha) } else { weighed },
            weighed,
            judged: judged.scores.count() > 0,
            labels_vary: judged.vary,
            course: if plain { course } else { Vec::new() },
        }
    });
    Report {
        name: spec.id.clone(),
        decision,
        decided_after,
        metrics: reports.collect(),
        log_e_split: watching.log_e_split(),
        log_e_missing: watching.log_e_missing().max(labels.log_e()),
        units: watching.units(),
        file,
        spec,
    }
}

/// A value that was not asked for is not missing: it is known to be absent by chance alone.
fn result_of(unit: &Unit) -> UnitResult {
    UnitResult {
        arm: unit.arm,
        propensity: unit.propensity,
        values: unit.outcomes.iter().map(|outcome| outcome.value.get()).collect(),
        asked: unit.outcomes.iter().all(|outcome| outcome.label_prob.is_none()),
    }
}

/// The effect where values were asked for by chance, with a judge's help if there is one: PPI++'s value of each unit,
/// weighed by what could have been drawn.
#[derive(Clone, Debug, Default)]
struct Judged {
    /// There is something to tell beside the plain effect, and it can be told.
    on: bool,
    vary: bool,
    effect: Moments,
    past: Moments,
    /// The judge's scores of all units.
    all_scores: Moments,
    /// For the judge's weight, of labelled units so far: scores, outcomes, and the sum of their products.
    scores: Moments,
    outcomes: Moments,
    products: f64,
}

impl Judged {
    /// Of a metric; without label_prob a missing value says nothing of how likely it was.
    fn new(seen: &Seen) -> Self {
        Self { on: seen.label_probs.is_some() || !seen.missing, vary: seen.labels_vary(), ..Self::default() }
    }

    fn add(&mut self, unit: &Unit, metric: usize) {
        let Some(outcome) = unit.outcomes.get(metric).filter(|_| self.on) else { return };
        let (score, value) = (outcome.judge.get(), outcome.value.get());
        if score.is_none() && outcome.label_prob.is_none() {
            return;
        }
        // A guess from the past, moved by the score as far as scores have told outcomes: right on average or not, it only
        // narrows.
        let guess = self.outcomes.mean() + score.map_or(0.0, |score| self.weight() * (score - self.all_scores.mean()));
        let Some(psi) = ppi_value(guess, value, outcome.label_prob.unwrap_or(1.0), 1.0) else { return };
        let drawn = if unit.arm == Arm::Treatment { 1.0 } else { 0.0 };
        let variance = unit.propensity * (1.0 - unit.propensity);
        self.effect.add((psi - self.past.mean()) * (drawn - unit.propensity) / variance);
        self.past.add(psi);
        score.into_iter().for_each(|score| self.all_scores.add(score));
        if let Some(value) = value {
            self.outcomes.add(value);
            if let Some(score) = score {
                self.scores.add(score);
                self.products += (score - self.all_scores.mean()) * (value - self.outcomes.mean());
            }
        }
    }

    /// The regression of outcomes on scores, from the past, between 0 and 1.
    fn weight(&self) -> f64 {
        let n = self.scores.count() as f64;
        if n < 20.0 || self.scores.variance() <= 0.0 {
            return 0.0;
        }
        (self.products / n / self.scores.variance()).clamp(0.0, 1.0)
    }

    fn interval(&self, alpha: f64) -> Option<Interval> {
        if self.effect.count() < 2 * FEWEST_UNITS {
            return None;
        }
        let sequence = AsymptoticSequence::new(alpha, NARROWEST)?;
        let room = sequence.half_width(self.effect.count(), self.effect.variance())?;
        let effect = self.effect.mean();
        Some(Interval { effect, lower: effect - room, upper: effect + room })
    }
}
