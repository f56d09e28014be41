//! `plimsoll mask`: what masking does to a text, without an agent.

mod input;
mod report;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use plimsoll_rules::mask::{Finding, Kind, Masker};
use serde_json::Value;

use super::{EXIT_CONFIG, Format, complain, print};
use crate::config::{self, Problems};
use input::{Input, Place};
use report::{Report, Values};

pub(super) const HELP: &str = "Examples:
  echo 'call 138-1234-5678' | plimsoll mask
  plimsoll mask chat.txt --report
  plimsoll mask log.jsonl --field messages.content --config plimsoll.yaml > masked.jsonl
  plimsoll mask chat.txt --format json

Tokens are the agent's own when it uses the same salt: masking.salt of --config, else the one in the data folder.";

/// Kinds that a key may call its text.
const TOLD: [Kind; 4] = [Kind::Secret, Kind::Passport, Kind::BirthDate, Kind::Ssn];

/// Longest key that is read beside its text.
const LONGEST_LABEL: usize = 66;

/// Arguments of `mask`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Text or JSONL; standard input when absent or `-`.
    file: Option<PathBuf>,
    /// Configuration file: its `masking` is what is tried.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The input is JSONL: mask the texts and numbers at this dotted key of each line, in every element of lists on the way,
    /// and below it the keys too. May be given several times; `.` means all of the line.
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
        let mut lacking = Lacking::new(args);
        input.lines(|number, mut line| {
            lacking.line(number, &mut line, &mut |place, text| {
                let found = labelled(masker, place.label, text);
                (!found.is_empty()).then(|| Masker::replaced(text, &found))
            });
            writeln!(out, "{line}")
        })?;
        lacking.say();
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn look<'m>(args: &Args, input: Input, mut report: Report<'m>) -> std::io::Result<Report<'m>> {
    if args.field.is_empty() {
        report.text(&input.text()?);
    } else {
        let mut lacking = Lacking::new(args);
        input.lines(|number, mut line| {
            lacking.line(number, &mut line, &mut |place, text| {
                report.field(number, place.at, text, labelled(report.masker(), place.label, text));
                None
            });
            Ok(())
        })?;
        lacking.say();
    }
    Ok(report)
}

/// What is found in `text` under the key `label`, which may call it secret as `label: text` would.
fn labelled(masker: &Masker, label: &str, text: &str) -> Vec<Finding> {
    let alone = masker.find(text);
    let lead = format!("{label}: ");
    if label.is_empty() || lead.len() > LONGEST_LABEL {
        return alone;
    }
    let inside = |finding: Finding| {
        let range = finding.range.start.checked_sub(lead.len())?..finding.range.end - lead.len();
        Some(Finding { range, ..finding })
    };
    let told: Vec<Finding> = masker.find(&(lead.clone() + text)).into_iter().filter_map(inside).collect();
    let hidden = |found: &[Finding]| found.iter().map(|finding| finding.range.len()).sum::<usize>();
    // such a key is about all of its text; others ("text") are words of their own
    let meant = told.first().is_some_and(|first| first.range.start == 0 && TOLD.contains(&first.kind));
    if meant && hidden(&told) > hidden(&alone) { told } else { alone }
}

/// Fields of `--field`, and the lines that lack them.
struct Lacking {
    fields: Vec<Field>,
    lines: usize,
}

struct Field {
    name: String,
    lacking: usize,
    /// The first line without it.
    first: usize,
}

impl Lacking {
    fn new(args: &Args) -> Self {
        let fields = args.field.iter().map(|name| Field { name: name.clone(), lacking: 0, first: 0 });
        Self { fields: fields.collect(), lines: 0 }
    }

    /// Calls `each` with every text of every field of a line.
    fn line(&mut self, number: usize, line: &mut Value, each: &mut input::Each<'_>) {
        self.lines += 1;
        for Field { name, lacking, first } in &mut self.fields {
            let path: Vec<&str> = name.split('.').filter(|key| !key.is_empty()).collect();
            if !input::texts(line, &path, Place { at: "", label: "" }, each) {
                *first = if *lacking == 0 { number } else { *first };
                *lacking += 1;
            }
        }
    }

    /// A field that is not there hides nothing: whoever misspelt it must hear of it.
    fn say(&self) {
        for Field { name, lacking, first } in self.fields.iter().filter(|field| field.lacking > 0) {
            let (lines, unit) = (self.lines, if self.lines == 1 { "line" } else { "lines" });
            complain(&format!(
                "plimsoll mask: --field {name}: {lacking} of {lines} {unit} lack it, the first is line {first}"
            ));
        }
    }
}
