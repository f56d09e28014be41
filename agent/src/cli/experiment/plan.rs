//! `plimsoll experiment plan`: plays the experiment many times before it is run once.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use plimsoll_rules::Timestamp;
use plimsoll_rules::verdict::experiment::{
    Arm, Direction, Experiment, ExperimentSpec, MetricKind, MetricSpec, RampStep, Role, State, UnitResult,
};
use serde_json::{Value, json};

use super::{inner_share, share};
use crate::cli::backtest::aligned;
use crate::cli::drift::words::percent;
use crate::cli::{ReportFormat, print};

/// Shown below `--help`.
pub(super) const HELP: &str = "Examples:
  plimsoll experiment plan --baseline 90% --effect=-3%
  plimsoll experiment plan --baseline 95% --effect=-2%,-5% --margin 2% --ramp 5%:500,25%:500,50% --units-per-day 4000

Each line is one true effect; the experiment is played --runs times with fixed seeds. Units are users or episodes.";

/// Arguments of `experiment plan`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Share of units that succeed under control.
    #[arg(long, value_name = "SHARE", value_parser = inner_share)]
    baseline: f64,
    /// True effects of the treatment that the plan is for, in points; no effect is always shown.
    #[arg(long, value_name = "POINTS", value_delimiter = ',', allow_hyphen_values = true, value_parser = share)]
    effect: Vec<f64>,
    /// How much worse still counts as no worse.
    #[arg(long, value_name = "POINTS", default_value = "3%", value_parser = inner_share)]
    margin: f64,
    /// Largest probability of a wrong rollback, and of a wrong promotion.
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = inner_share)]
    alpha: f64,
    /// The share of runs that is to have a verdict within the units told.
    #[arg(long, value_name = "SHARE", default_value = "80%", value_parser = inner_share)]
    power: f64,
    /// Shares of the treatment and the units at each.
    #[arg(long, value_name = "SHARE[:UNITS]", default_value = "50%", value_delimiter = ',', value_parser = step)]
    ramp: Vec<RampStep>,
    /// Units of an A/A check before.
    #[arg(long, value_name = "N", default_value_t = 0)]
    aa_units: u64,
    /// Give up after so many.
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    max_units: u64,
    /// Units a day, to tell days.
    #[arg(long, value_name = "N", value_parser = above_zero)]
    units_per_day: Option<f64>,
    /// Runs a line.
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    runs: u64,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: ReportFormat,
}

fn above_zero(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value: &f64| *value > 0.0 && value.is_finite());
    value.ok_or_else(|| format!("{text:?}: a number above 0 is wanted"))
}

fn step(text: &str) -> Result<RampStep, String> {
    let (size, units) = text.split_once(':').unwrap_or((text, "0"));
    let units = units.parse().map_err(|_| format!("{text:?}: write SHARE or SHARE:UNITS, such as 5%:500"))?;
    Ok(RampStep { share: inner_share(size)?, units, time: Duration::ZERO })
}

/// What became of one true effect.
struct Line {
    effect: f64,
    promoted: f64,
    rolled_back: f64,
    kept: f64,
    hold: f64,
    mean: f64,
    /// Units within which the wanted share of runs has a verdict; `None` where it has not within all.
    within: Option<u64>,
}

/// Plays and prints.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.ramp.windows(2).any(|pair| pair[0].share >= pair[1].share) {
        bail!("--ramp: shares have to grow from step to step");
    }
    let mut effects = vec![0.0];
    effects.extend(args.effect.iter().copied().filter(|effect| *effect != 0.0));
    for effect in &effects {
        let served = args.baseline + effect;
        if !(0.0..=1.0).contains(&served) {
            bail!("--effect {}: {} and that is no share", percent(*effect), percent(args.baseline));
        }
    }
    let lines: Vec<Line> = effects.iter().map(|effect| line(args, *effect)).collect();
    Ok(print(&match args.format {
        ReportFormat::Table => table(args, &lines),
        ReportFormat::Json => format!("{:#}\n", json(args, &lines)),
        ReportFormat::Html => page(args, &lines),
    }))
}

fn spec(args: &Args) -> ExperimentSpec {
    ExperimentSpec {
        id: "plan".to_owned(),
        metrics: vec![MetricSpec {
            name: "success".to_owned(),
            kind: MetricKind::Binary,
            direction: Direction::Increase,
            role: Role::Primary,
            margin: args.margin,
        }],
        alpha: args.alpha,
        ramp: args.ramp.clone(),
        aa_units: args.aa_units,
        max_units: args.max_units,
        promotes: true,
        window: Duration::ZERO,
    }
}

fn line(args: &Args, effect: f64) -> Line {
    let spec = spec(args);
    let mut ends: Vec<(State, u64)> =
        (0..args.runs).map(|seed| play(&spec, [args.baseline, args.baseline + effect], seed)).collect();
    let rate = |is: fn(&State) -> bool| ends.iter().filter(|(state, _)| is(state)).count() as f64 / ends.len() as f64;
    let rates = [
        rate(|state| *state == State::Promoted),
        rate(|state| *state == State::RolledBack),
        rate(|state| *state == State::KeptControl),
        rate(|state| matches!(state, State::Hold(_))),
    ];
    let mean = ends.iter().map(|(_, units)| *units as f64).sum::<f64>() / ends.len() as f64;
    ends.retain(|(state, _)| matches!(state, State::Promoted | State::RolledBack));
    ends.sort_by_key(|(_, units)| *units);
    let wanted = (args.power * args.runs as f64).ceil() as usize;
    let within = ends.get(wanted.max(1) - 1).map(|(_, units)| *units);
    let [promoted, rolled_back, kept, hold] = rates;
    Line { effect, promoted, rolled_back, kept, hold, mean, within }
}

fn play(spec: &ExperimentSpec, served: [f64; 2], seed: u64) -> (State, u64) {
    let mut rng = fastrand::Rng::with_seed(seed + 1);
    let mut experiment = Experiment::new(spec.clone());
    let mut units = 0_u64;
    while let Some(propensity) = experiment.propensity() {
        let state = experiment.state();
        if matches!(state, State::Hold(_)) {
            break;
        }
        let arm = if rng.f64() < propensity { Arm::Treatment } else { Arm::Control };
        let truth = if state == State::AaCheck { served[0] } else { served[arm.index()] };
        let value = if rng.f64() < truth { 1.0 } else { 0.0 };
        units += 1;
        let result = UnitResult { arm, propensity, values: vec![Some(value)], asked: true };
        experiment.close(&result, Timestamp::from_millis(0));
    }
    (experiment.state(), units)
}

fn rows(args: &Args, lines: &[Line]) -> Vec<[String; 8]> {
    let header =
        ["TRUE EFFECT", "PROMOTED", "ROLLED BACK", "KEPT CONTROL", "ON HOLD", "UNITS, MEAN"].map(str::to_owned);
    let [a, b, c, d, e, f] = header;
    let head = [a, b, c, d, e, f, format!("VERDICT IN {}", percent(args.power)), "DAYS".to_owned()];
    let row = |line: &Line| {
        let days = args.units_per_day.zip(line.within).map(|(a_day, units)| units as f64 / a_day);
        [
            percent(line.effect),
            percent(line.promoted),
            percent(line.rolled_back),
            percent(line.kept),
            percent(line.hold),
            format!("{:.0}", line.mean),
            line.within.map_or(format!("not within {}", args.max_units), |units| format!("{units} units")),
            days.map_or(String::new(), |days| format!("{days:.1}")),
        ]
    };
    std::iter::once(head).chain(lines.iter().map(row)).collect()
}

fn about(args: &Args) -> String {
    let steps: Vec<String> = args.ramp.iter().map(|step| percent(step.share)).collect();
    format!(
        "baseline {}, margin {}, alpha {}, ramp {}, {} runs a line",
        percent(args.baseline),
        percent(args.margin),
        percent(args.alpha),
        steps.join(", "),
        args.runs
    )
}

fn table(args: &Args, lines: &[Line]) -> String {
    let mut out = format!("{}\n\n", about(args));
    aligned(&rows(args, lines), &mut out);
    out
}

fn json(args: &Args, lines: &[Line]) -> Value {
    let line = |line: &Line| {
        json!({
            "effect": line.effect, "promoted": line.promoted, "rolled_back": line.rolled_back,
            "kept_control": line.kept, "hold": line.hold, "units_mean": line.mean,
            "units_for_power": line.within,
            "days": args.units_per_day.zip(line.within).map(|(a_day, units)| units as f64 / a_day),
        })
    };
    json!({
        "baseline": args.baseline, "margin": args.margin, "alpha": args.alpha, "power": args.power, "runs": args.runs,
        "ramp": args.ramp.iter().map(|step| json!({"share": step.share, "units": step.units})).collect::<Vec<_>>(),
        "effects": lines.iter().map(line).collect::<Vec<_>>(),
    })
}

fn page(args: &Args, lines: &[Line]) -> String {
    let mut out = format!(
        "<div class=\"banner\"><p class=\"eyebrow\">Experiment plan</p><h1>How many units does it take?</h1>\
         <p class=\"meta\" style=\"margin:0\">{}</p></div><section class=\"card\"><div class=\"scroll\"><table><tbody>\n",
        about(args)
    );
    for (at, row) in rows(args, lines).iter().enumerate() {
        let tag = if at == 0 { "th" } else { "td" };
        let cells: Vec<String> = row.iter().map(|cell| format!("<{tag}>{cell}</{tag}>")).collect();
        out += &format!("<tr>{}</tr>\n", cells.concat());
    }
    out += "</tbody></table></div></section>\n";
    crate::cli::curves::frame("Experiment plan", &out)
}
