//! `plimsoll backtest`: what rules would have done with past data.

mod csv;
mod metrics_text;
mod prometheus;
mod replay;
mod report;
mod ticks;
mod timeline;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use plimsoll_rules::promql::parse_duration;
use plimsoll_rules::{BUILTIN_RULES, Group, RuleProblem, Timestamp, load_rules};

use super::{EXIT_CONFIG, Format, block_on, complain, print};
pub(super) use csv::{TIME_HEADS, split};
use replay::Replay;
pub(super) use report::{aligned, escape};
pub(super) use ticks::moment as time;

pub(super) const HELP: &str = "Examples:
  plimsoll backtest --rules rules.yml --data cpu.csv --metric cpu_utilization_ratio
  plimsoll backtest --rules builtin --data metrics.txt --html timeline.html
  plimsoll backtest --rules rules.yml --data http://prometheus:9090 --start 7d --format json

DATA is a CSV file (columns timestamp and value, others are labels; or timestamp and one column a series), a file of
OpenMetrics text with timestamps, a Prometheus server, or a query_range URL. See docs/rules.md";

/// Arguments of `backtest`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Rule file; may be given several times. `builtin` means the rules that come with the agent.
    #[arg(long, required = true, value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// CSV, OpenMetrics text with timestamps, or URL.
    #[arg(long, value_name = "FILE|URL")]
    data: String,
    /// Name of the metric, where the data does not name it.
    #[arg(long, value_name = "NAME")]
    metric: Option<String>,
    /// First evaluation: RFC 3339, seconds since 1970, or how long ago (7d). What lies before is looked back on.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    start: Option<Timestamp>,
    /// Last evaluation.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    end: Option<Timestamp>,
    /// From a Prometheus: query_range with this step, instead of the samples themselves.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    step: Option<Duration>,
    /// How often groups without `interval` are evaluated.
    #[arg(long, value_name = "DURATION", value_parser = interval, default_value = "1m")]
    interval: Duration,
    /// File that holds a bearer token for the URL.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Write a timeline with tables as one HTML file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the timeline alone as an SVG file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// `2026-08-04T10:00:00Z`, seconds since 1970, or a duration before now.
fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(ago) = parse_duration(text) {
        return Ok(crate::clock::wall() - ago);
    }
    let wrong = || format!("{text:?} is no time; write 2026-08-04T10:00:00Z, seconds since 1970, or how long ago (7d)");
    ticks::moment(text).ok_or_else(wrong)
}

/// A duration that is not zero.
fn interval(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err(format!("{text:?} would evaluate without end; write how often, such as 15s or 1m")),
        interval => Ok(interval),
    }
}

/// Plays it; exit code 78 when a rule file is bad, 1 when the data is.
pub fn main(args: &Args) -> ExitCode {
    let groups = match rules(args) {
        Ok(groups) => groups,
        Err(problems) => {
            problems.iter().for_each(complain);
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    block_on(async {
        let mut replay = Replay::new(&groups, args.start, args.end);
        feed(args, &mut replay).await?;
        let report = replay.finish()?;
        for warning in report::warnings(&report) {
            complain(&format!("warning: {warning}"));
        }
        if let Some(path) = &args.svg {
            write(path, &timeline::svg(&report))?;
        }
        if let Some(path) = &args.html {
            write(path, &report::html(&report))?;
        }
        Ok(print(&match args.format {
            Format::Table => report::table(&report),
            Format::Json => format!("{:#}\n", report::json(&report)),
        }))
    })
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}

/// All groups of all files, or every mistake in them.
fn rules(args: &Args) -> Result<Vec<Group>, Vec<String>> {
    let (mut groups, mut problems) = (Vec::new(), Vec::new());
    for path in &args.rules {
        let file = path.display().to_string();
        let text = match file.as_str() {
            "builtin" => Ok(BUILTIN_RULES.to_owned()),
            _ => std::fs::read_to_string(path),
        };
        match text {
            Err(why) => problems.push(format!("{file}: cannot be read: {why}")),
            Ok(text) => match load_rules(&file, &text, args.interval) {
                Ok(more) => groups.extend(more),
                Err(wrong) => {
                    let placed = |p: RuleProblem| format!("{file}:{}:{}: {}", p.line, p.column, p.message);
                    problems.extend(wrong.into_iter().map(placed));
                }
            },
        }
    }
    if problems.is_empty() { Ok(groups) } else { Err(problems) }
}

async fn feed(args: &Args, replay: &mut Replay) -> anyhow::Result<()> {
    if args.data.starts_with("http://") || args.data.starts_with("https://") {
        return prometheus::feed(args, replay).await;
    }
    let path = Path::new(&args.data);
    anyhow::ensure!(args.step.is_none(), "--step is for data from a Prometheus; {} is a file", path.display());
    match kind(path)? {
        Kind::Csv => csv::feed(path, args.metric.as_deref(), replay),
        Kind::MetricsText => metrics_text::feed(path, replay),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Csv,
    MetricsText,
}

/// By its first line that says anything: an exposition begins with a comment or a sample.
fn kind(path: &Path) -> anyhow::Result<Kind> {
    use std::io::BufRead as _;
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv")) {
        return Ok(Kind::Csv);
    }
    let file = std::fs::File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    for line in std::io::BufReader::new(file).lines().take(1000) {
        let line = line.with_context(|| format!("{} cannot be read as text", path.display()))?;
        if line.trim().is_empty() {
            continue;
        }
        let text = line.starts_with('#') || plimsoll_exporters::parse::sample(line.trim()).is_some();
        return Ok(if text { Kind::MetricsText } else { Kind::Csv });
    }
    anyhow::bail!("{} is empty", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_of_zero_is_refused() {
        for zero in ["0", "0s", "0ms"] {
            assert!(interval(zero).unwrap_err().contains("write how often, such as 15s or 1m"), "{zero}");
        }
        assert_eq!(interval("15s"), Ok(Duration::from_secs(15)));
    }
}
