//! The verbs of the command line, one file each.

mod backtest;
mod baselines;
mod check;
mod child;
mod csv_cells;
mod curves;
mod dataset;
pub mod demo;
mod detect;
mod drift;
mod embed;
mod experiment;
mod finetune;
mod gate;
mod jsonl;
mod judge;
mod mask;
mod model_args;
mod outbox;
mod probe;
mod promql;
mod records;
mod rules;
mod run;
mod running;
mod schema;
mod score;
mod shadow;
mod status;
mod test_rules;
pub(crate) mod trainer_options;
mod versions;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::shutdown::Shutdown;

/// Exit code of a bad configuration (`EX_CONFIG` of sysexits.h).
pub const EXIT_CONFIG: u8 = 78;

/// Watches an LLM inference server: collects, judges, tells.
#[derive(Debug, Parser)]
#[command(name = "plimsoll", version, about, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Watch an inference server: proxy its traffic, scrape it, judge it, tell.
    #[command(after_help = "Example:\n  plimsoll run --upstream http://127.0.0.1:8000\n\nThen send requests to :8080 \
        instead of :8000, and look at http://127.0.0.1:9464/metrics")]
    Run(run::Args),
    /// Play a scene on this machine: a stand-in engine, traffic, planted trouble, and what was found.
    #[command(after_help = "Example:\n  plimsoll demo\n  plimsoll demo --format json > demo.json")]
    Demo(demo::DemoArgs),
    /// Check a configuration file and its rule files; every mistake at once. Exit code 78 on a bad one.
    #[command(after_help = "Example:\n  plimsoll check plimsoll.yaml")]
    Check(check::Args),
    /// Say what is here: CPU and memory limits, GPUs, the inference engine.
    #[command(after_help = "Example:\n  plimsoll probe --upstream http://127.0.0.1:8000")]
    Probe(probe::Args),
    /// Ask a running agent how it is.
    #[command(after_help = "Example:\n  plimsoll status --format json")]
    Status(status::Args),
    /// List what could not be delivered, or try it again.
    #[command(after_help = "Example:\n  plimsoll outbox list\n  plimsoll outbox retry --sink ops")]
    Outbox(outbox::Args),
    /// What is kept of exchanges, feedback and experiments: count it, write it to Parquet files, take it in.
    #[command(after_help = records::HELP)]
    Records(records::Args),
    /// Examples to learn, chosen from the records: good answers, corrections, what was held out and what not to forget.
    #[command(after_help = dataset::HELP)]
    Dataset(dataset::Args),
    /// What is usual: list, show, pin, accept, compare and roll back the baselines of a running agent.
    #[command(after_help = "Example:\n  plimsoll baselines list\n  plimsoll baselines accept --signal input_tokens")]
    Baselines(baselines::Args),
    /// Print the JSON Schema of the configuration, or its manual.
    #[command(after_help = "Example:\n  plimsoll schema > plimsoll.schema.json\n  plimsoll schema --markdown")]
    Schema(schema::Args),
    /// Print the built-in rules, a rule file in Prometheus' format.
    #[command(after_help = "Example:\n  plimsoll rules > builtin.yml && promtool check rules builtin.yml")]
    Rules(rules::Args),
    /// Test rules before they page anybody.
    Test(test_rules::Args),
    /// Play past data through rules: when each alert would have been pending and firing, how long, how often a day.
    #[command(after_help = backtest::HELP)]
    Backtest(backtest::Args),
    /// Hide private and secret values in a text, or say what would be hidden.
    #[command(after_help = mask::HELP)]
    Mask(mask::Args),
    /// Score one series in a CSV file for anomalies, row by row, without looking ahead.
    #[command(after_help = detect::HELP)]
    Detect(detect::Args),
    /// Has the data changed? Compare two files, column by column: by how much, which way, and whether that is chance.
    #[command(after_help = drift::HELP)]
    Drift(drift::Args),
    /// Judge an A/B test from a file, valid however often one looks; or plan one.
    #[command(after_help = experiment::HELP)]
    Experiment(experiment::Args),
    /// Read meaning beside the served model: the worker with the shadow models, as a process of its own.
    #[command(after_help = shadow::HELP)]
    Shadow(shadow::Args),
    /// Turn texts into vectors: JSON lines in, JSON lines out.
    #[command(after_help = embed::HELP)]
    Embed(embed::Args),
    /// Say how surprising prompts and answers are to a language model: JSON lines in, JSON lines out.
    #[command(after_help = score::HELP)]
    Score(score::Args),
    /// Ask a language model which of two answers is better, both ways round: JSON lines in, JSON lines out.
    #[command(after_help = judge::HELP)]
    Judge(judge::Args),
    /// Teach a language model from examples: a LoRA adapter that PEFT, vLLM and `plimsoll score` read.
    #[command(after_help = finetune::HELP)]
    Finetune(Box<finetune::Args>),
    /// Versions of the served model: list, promote, roll back, pin; the runs that made them: begin, approve, cancel.
    #[command(after_help = versions::HELP)]
    Versions(versions::Args),
    /// May a trained version be tried on users? Failures better, anchors not worse, nothing dangerous new. Exit code 1: no.
    #[command(after_help = gate::HELP)]
    Gate(gate::Args),
    /// Answer PromQL over standard input and output, one JSON object a line.
    #[command(after_help = promql::HELP)]
    Promql(promql::Args),
}

/// How a verb prints its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// How a report is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ReportFormat {
    /// For people at a terminal.
    #[default]
    Table,
    /// For programs.
    Json,
    /// One page with pictures, as `--html` writes it where there is such an option.
    Html,
}

/// Runs the verb that the arguments name.
pub fn main() -> ExitCode {
    // both reqwest and the tap ask rustls for the process's provider; a second install is harmless
    let _ = rustls::crypto::ring::default_provider().install_default();
    match Cli::parse().verb {
        Verb::Run(args) => run::main(args),
        Verb::Demo(args) => play(args),
        Verb::Check(args) => check::main(&args),
        Verb::Probe(args) => probe::main(&args),
        Verb::Status(args) => status::main(&args),
        Verb::Outbox(args) => outbox::main(&args),
        Verb::Records(args) => records::main(&args),
        Verb::Dataset(args) => dataset::main(&args),
        Verb::Baselines(args) => baselines::main(&args),
        Verb::Schema(args) => schema::main(&args),
        Verb::Rules(args) => rules::main(&args),
        Verb::Mask(args) => mask::main(&args),
        Verb::Promql(args) => promql::main(&args),
        Verb::Backtest(args) => backtest::main(&args),
        Verb::Detect(args) => detect::main(&args),
        Verb::Drift(args) => drift::main(&args),
        Verb::Experiment(args) => experiment::main(&args),
        Verb::Shadow(args) => shadow::main(&args),
        Verb::Embed(args) => embed::main(&args),
        Verb::Score(args) => score::main(&args),
        Verb::Judge(args) => judge::main(&args),
        Verb::Finetune(args) => finetune::main(&args),
        Verb::Gate(args) => gate::main(&args),
        Verb::Versions(args) => versions::main(&args),
        Verb::Test(args) => test_rules::main(&args),
    }
}

/// The demo ends early, and tidily, on ctrl-c.
fn play(args: demo::DemoArgs) -> ExitCode {
    block_on(async {
        let (shutdown, interrupted) = (Shutdown::default(), Shutdown::default());
        interrupted.spawn("ctrl-c", {
            let shutdown = shutdown.clone();
            async move {
                if tokio::signal::ctrl_c().await.is_ok() {
                    shutdown.begin();
                }
            }
        });
        Ok(ExitCode::from(demo::run(args, shutdown).await?))
    })
}

/// Prints to standard output; a reader that has gone away (`| head`) ends the verb quietly.
pub fn print(text: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Says what went wrong, on standard error.
pub fn complain(message: &impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{}", visible(&message.to_string(), "\n\t"));
}

/// `text` with its control characters, but for those of `kept`, written as escapes: a name that a client sent must not steer
/// the terminal. So are marks that turn the direction of a text.
pub(crate) fn visible<'t>(text: &'t str, kept: &str) -> std::borrow::Cow<'t, str> {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let steers = |c: char| (c.is_control() || turns(c)) && !kept.contains(c);
    if !text.contains(steers) {
        return text.into();
    }
    let each = |c: char| if steers(c) { c.escape_unicode().to_string() } else { c.to_string() };
    text.chars().map(each).collect::<String>().into()
}

/// A runtime for verbs that talk to the network.
///
/// # Errors
/// The operating system gives no threads.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    // a node of 192 cores is no reason for 192 threads beside one pod
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().thread_name("plimsoll").build()
}

/// Runs one asynchronous verb to its end.
pub fn block_on(verb: impl Future<Output = anyhow::Result<ExitCode>>) -> ExitCode {
    let outcome = runtime().map_err(anyhow::Error::from).and_then(|runtime| {
        let outcome = runtime.block_on(verb);
        // what is still blocking (a hung driver call) must not keep the process
        runtime.shutdown_timeout(std::time::Duration::from_millis(200));
        outcome
    });
    outcome.unwrap_or_else(|error| {
        complain(&format!("plimsoll: {error:#}"));
        ExitCode::FAILURE
    })
}
