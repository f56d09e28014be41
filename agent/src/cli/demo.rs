//! `plimsoll demo`: plays the scene and prints its table.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::Format;
use crate::demo::{self, Options};
use crate::shutdown::Shutdown;

/// Play a scene of about three minutes in front of the agent: calm, longer prompts, falling completion, CPU load,
/// recovery; then say what was planted, what fired and what it cost.
///
/// Everything stays on this machine. Ends with 0 when everything planted was found and nothing was false, else with 1.
///
/// Example: plimsoll demo --format json --svg demo.svg
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Play against this OpenAI-compatible server instead of the built-in stand-in.
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// Model to ask that server for; its first one when absent.
    #[arg(long, value_name = "NAME", requires = "upstream")]
    model: Option<String>,
    /// Requests a second (20 with the stand-in, 4 with a real server when absent).
    #[arg(long, value_name = "N", value_parser = positive)]
    rate: Option<f64>,
    /// Prompt lengths as a multiple of the real trace's (1 with the stand-in, 0.05 with a real server when absent).
    #[arg(long, value_name = "X", value_parser = positive)]
    prompt_scale: Option<f64>,
    /// An Alertmanager that the agent is to tell too; may be given several times.
    #[arg(long, value_name = "URL")]
    alertmanager: Vec<String>,
    /// How the table is printed on standard output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Write a picture of the scene's end to this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Let acts and rules last this many times as long.
    #[arg(long, hide = true, default_value_t = 1.0, value_parser = positive)]
    duration_scale: f64,
    /// Only serve the stand-in engine.
    #[arg(long, hide = true)]
    engine_only: bool,
    /// The stand-in's port; any free one when 0.
    #[arg(long, hide = true, default_value_t = 0, requires = "engine_only")]
    port: u16,
}

/// A number above zero; NaN is none.
fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err(format!("{text:?} is not a number above 0")),
    }
}

/// Plays the scene; gives the exit status. Ends early when `shutdown` begins.
///
/// # Errors
/// It could not be played, or its result not be written.
pub async fn run(args: DemoArgs, shutdown: Shutdown) -> anyhow::Result<u8> {
    if args.engine_only {
        let announce = |address| drop(writeln!(std::io::stdout(), "listening on http://{address}"));
        demo::engine_only(args.port, &shutdown, announce).await?;
        return Ok(0);
    }
    end_on_signals(&shutdown)?;
    let format = args.format;
    let ended = demo::play(options(args), shutdown).await?;
    let text = match format {
        Format::Table => ended.text(),
        Format::Json => ended.json()? + "\n",
    };
    std::io::stdout().write_all(text.as_bytes()).context("cannot write the result to standard output")?;
    Ok(u8::from(!ended.passed()))
}

/// A scene that is ended from outside still puts the terminal right, stops its agent and removes its files.
fn end_on_signals(shutdown: &Shutdown) -> anyhow::Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt()] {
        let mut signal = signal(kind).context("no signal handler")?;
        let stop = shutdown.clone();
        shutdown.spawn("demo signals", async move {
            tokio::select! {
                _ = signal.recv() => stop.begin(),
                () = stop.begun() => {}
            }
        });
    }
    Ok(())
}

fn options(args: DemoArgs) -> Options {
    Options {
        upstream: args.upstream,
        model: args.model,
        alertmanagers: args.alertmanager,
        rate: args.rate,
        prompt_scale: args.prompt_scale,
        duration_scale: args.duration_scale,
        svg: args.svg,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_above_zero_are_taken() {
        for (text, good) in
            [("1", true), ("0.05", true), ("0", false), ("-1", false), ("nan", false), ("inf", false), ("x", false)]
        {
            assert_eq!(positive(text).is_ok(), good, "{text}");
        }
    }
}
