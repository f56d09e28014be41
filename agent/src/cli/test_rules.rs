//! `plimsoll test rules`: promtool's unit tests of rule files, with a diff where they fail.

mod diff;
mod paths;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use plimsoll_rules::{Failure, Group, Remark, UnitTests, load_rules, load_tests};
use serde::Serialize;

use super::{Format, complain, print};

/// Arguments of `test`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum What {
    /// Run unit tests of rule files, in promtool's format. Exit code 1 when one fails.
    #[command(
        after_help = "Example:\n  plimsoll test rules rules_test.yml\n\nA test file names its rule files, input \
        series, and the alerts and samples to expect; see docs/rules.md"
    )]
    Rules(RulesArgs),
}

#[derive(Clone, Debug, clap::Args)]
struct RulesArgs {
    /// Test files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How the verdict is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What became of one test file.
#[derive(Debug, Default, Serialize)]
struct Verdict {
    file: String,
    ok: bool,
    tests: usize,
    expectations: usize,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

/// A mistake in a file, or an expectation that was not met.
#[derive(Debug, Serialize)]
struct Problem {
    file: String,
    line: usize,
    column: usize,
    #[serde(skip_serializing_if = "String::is_empty")]
    test: String,
    message: String,
    expected: Vec<String>,
    got: Vec<String>,
}

/// Tests every file.
pub fn main(args: &Args) -> ExitCode {
    let What::Rules(args) = &args.what;
    let verdicts: Vec<Verdict> = args.files.iter().map(|file| judge(file)).collect();
    let ok = verdicts.iter().all(|verdict| verdict.ok);
    for warning in verdicts.iter().flat_map(|verdict| &verdict.warnings) {
        complain(warning);
    }
    let text = match args.format {
        Format::Table => verdicts.iter().map(table).collect(),
        Format::Json => format!("{}\n", serde_json::json!({"ok": ok, "files": verdicts})),
    };
    if print(&text) == ExitCode::SUCCESS && ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn judge(path: &Path) -> Verdict {
    let file = path.display().to_string();
    let mut verdict = Verdict { file: file.clone(), ..Verdict::default() };
    match read(path, &mut verdict) {
        Ok((tests, groups)) => {
            (verdict.tests, verdict.expectations) = tests.counts();
            let remark = |Remark { line, column, message }| format!("{file}:{line}:{column}: warning: {message}");
            verdict.warnings.extend(tests.remarks(&groups).into_iter().map(remark));
            verdict.problems.extend(tests.run(&groups).into_iter().map(|failure| unmet(&file, failure)));
        }
        Err(problems) => verdict.problems.extend(problems),
    }
    verdict.ok = verdict.problems.is_empty();
    verdict
}

fn unmet(file: &str, failure: Failure) -> Problem {
    let Failure { line, column, test, message, expected, got } = failure;
    Problem { file: file.to_owned(), line, column, test, message, expected, got }
}

/// The tests of a file and the groups of the rule files it names; or every mistake in all of them.
fn read(path: &Path, verdict: &mut Verdict) -> Result<(UnitTests, Vec<Group>), Vec<Problem>> {
    let tests = load(path, load_tests)?;
    if tests.counts().0 == 0 {
        return Ok((tests, Vec::new())); // promtool reads no rule file then
    }
    let (mut groups, mut problems) = (Vec::new(), Vec::new());
    let found = paths::find(path.parent().unwrap_or(Path::new("")), &tests.rule_files);
    for (pattern, why) in found.wrong {
        problems.push(elsewhere(path, format!("rule_files: {pattern:?} is not a path pattern: {why}")));
    }
    for pattern in found.empty {
        verdict.warnings.push(format!("{}: warning: no file matches {pattern}", path.display()));
    }
    for rules in found.files {
        match load(&rules, |file, text| load_rules(file, text, Duration::from_secs(60))) {
            Ok(more) => groups.extend(more),
            Err(wrong) => problems.extend(wrong),
        }
    }
    if problems.is_empty() { Ok((tests, groups)) } else { Err(problems) }
}

type Loaded<T> = Result<T, Vec<plimsoll_rules::RuleProblem>>;

fn load<T>(path: &Path, parse: impl Fn(&str, &str) -> Loaded<T>) -> Result<T, Vec<Problem>> {
    let text = std::fs::read_to_string(path).map_err(|why| vec![elsewhere(path, format!("cannot be read: {why}"))])?;
    let place = |wrong: plimsoll_rules::RuleProblem| Problem {
        line: wrong.line,
        column: wrong.column,
        ..elsewhere(path, wrong.message)
    };
    parse(&path.display().to_string(), &text).map_err(|wrong| wrong.into_iter().map(place).collect())
}

fn elsewhere(path: &Path, message: String) -> Problem {
    let file = path.display().to_string();
    Problem { file, line: 0, column: 0, test: String::new(), message, expected: Vec::new(), got: Vec::new() }
}

fn table(verdict: &Verdict) -> String {
    let mut out = String::new();
    for Problem { file, line, column, test, message, expected, got } in &verdict.problems {
        let place = if *line == 0 { file.clone() } else { format!("{file}:{line}:{column}") };
        let test = if test.is_empty() { String::new() } else { format!("{test}: ") };
        let _ = writeln!(out, "{place}: {test}{message}");
        for (mark, text) in diff::lines(expected, got) {
            let _ = writeln!(out, "  {mark} {text}");
        }
    }
    let Verdict { file, tests, expectations, .. } = verdict;
    let word = if verdict.ok { "ok" } else { "FAILED" };
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let _ = writeln!(out, "{file}: {word}, {}, {}", count(*tests, "test"), count(*expectations, "expectation"));
    out
}
