//! `plimsoll run`: the agent itself.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{EXIT_CONFIG, block_on, complain};
use crate::config::{self, Overrides};
use crate::run;

/// Arguments of `run`; each overrides its key of the configuration file.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Configuration file (YAML). Without one the defaults hold.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The inference server.
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// Where clients connect [default: 0.0.0.0:8080].
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Where /metrics and health are [default: 0.0.0.0:9464].
    #[arg(long, value_name = "HOST:PORT")]
    metrics: Option<String>,
    /// Where the API is [default: 127.0.0.1:9465].
    #[arg(long, value_name = "HOST:PORT")]
    api: Option<String>,
    /// Folder of state and records.
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
}

impl Args {
    fn overrides(&self) -> Overrides {
        [
            ("sources.tap.upstream", &self.upstream),
            ("sources.tap.listen", &self.listen),
            ("listen.metrics", &self.metrics),
            ("listen.api", &self.api),
            ("limits.data", &self.data),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.clone()?)))
        .collect()
    }
}

/// Runs until a signal ends it.
pub fn main(args: Args) -> ExitCode {
    let overrides = args.overrides();
    let config = match config::load(args.config.as_deref(), &overrides) {
        Ok(config) => config,
        Err(problems) => {
            complain(&problems);
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    crate::telemetry::start(config.raw.log.format, config.raw.log.level);
    raise_file_limit();
    block_on(async move {
        run::run(run::Start { config, file: args.config, overrides }).await?;
        Ok(ExitCode::SUCCESS)
    })
}

/// A connection through the tap takes two descriptors, and many shells still start with 1024: the hard limit is ours to use.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
    {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}
