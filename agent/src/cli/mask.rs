//! `plimsoll mask`: what masking does to a text, without an agent.

mod input;
mod report;

use std::borrow::Cow;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use plimsoll_rules::mask::Masker;
use serde_json::Value;

use super::{EXIT_CONFIG, Format, complain, print};
use crate::config::{self, Problems};
use input::Input;
use report::{Report, Values};

pub(super) const HELP: &str = "Examples:
  echo 'call 138-1234-5678' | plimsoll mask
  plimsoll mask chat.txt --report
  plimsoll mask log.jsonl --field messages.content --config plimsoll.yaml > masked.jsonl
  plimsoll mask chat.txt --format json

Tokens are the agent's own when it uses the same salt: masking.salt of --config, else the one in the data folder.";

/// Arguments of `mask`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Text or JSONL; standard input when absent or `-`.
    file: Option<PathBuf>,
    /// Configuration file: its `masking` is what is tried.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The input is JSONL: mask the texts at this dotted key of each line, in every element of lists on the way. May be
    /// given several times; `.` means every text of the line.
    #[arg(long, value_name = "KEY")]
    field: Vec<String>,
    /// Print what was found instead of the masked text: kind, line and column, token.
    #[arg(long)]
    report: bool,
    /// How to print the report; `json` implies --report.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Show the values found in the report. They are secrets: mind where the output goes.
    #[arg(long)]
    show_secrets: bool,
}

/// Masks; exit code 78 when the configuration is bad, 1 when the input cannot be read.
pub fn main(args: &Args) -> ExitCode {
    let masker = match masker(args) {
        Ok(masker) => masker,
        Err(refused) => return refused,
    };
    match run(args, &masker) {
        Ok(code) => code,
        // a reader that has gone away has seen what it wanted
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("plimsoll mask: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn masker(args: &Args) -> Result<Masker, ExitCode> {
    let config = config::load(args.config.as_deref(), &Vec::new()).map_err(|problems: Problems| {
        complain(&problems);
        ExitCode::from(EXIT_CONFIG)
    })?;
    config.masking.masker(&config.data).map_err(|why| {
        complain(&format!("plimsoll mask: {why:#}"));
        ExitCode::FAILURE
    })
}

fn run(args: &Args, masker: &Masker) -> std::io::Result<ExitCode> {
    let input = Input::open(args.file.as_ref())?;
    if args.report || args.format == Format::Json {
        let values = if args.show_secrets { Values::Shown } else { Values::Hidden };
        let report = look(args, input, Report::new(masker, values))?;
        return Ok(print(&match args.format {
            Format::Table => report.table(),
            Format::Json => format!("{:#}\n", report.json()),
        }));
    }
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if args.field.is_empty() {
        out.write_all(masker.mask(&input.text()?).text.as_bytes())?;
    } else {
        input.lines(|_, mut line| {
            each_field(args, &mut line, |_, text| {
                if let Cow::Owned(masked) = masker.mask(text).text {
                    *text = masked;
                }
            });
            writeln!(out, "{line}")
        })?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn look<'m>(args: &Args, input: Input, mut report: Report<'m>) -> std::io::Result<Report<'m>> {
    if args.field.is_empty() {
        report.text(&input.text()?);
    } else {
        input.lines(|number, mut line| {
            each_field(args, &mut line, |field, text| report.field(number, field, text));
            Ok(())
        })?;
    }
    Ok(report)
}

fn each_field(args: &Args, line: &mut Value, mut each: impl FnMut(&str, &mut String)) {
    for field in &args.field {
        let path: Vec<&str> = field.split('.').filter(|key| !key.is_empty()).collect();
        input::texts(line, &path, "", &mut each);
    }
}
