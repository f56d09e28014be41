//! `plimsoll probe`: what is here.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{Format, block_on, print};
use crate::collect::engine::{self, Target};
use crate::collect::gpu::Gpu;
use crate::collect::system::{Roots, System};
use crate::config::EngineKind;

/// Arguments of `probe`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The inference server to look at.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8000")]
    upstream: String,
    /// Path of `libnvidia-ml.so.1` when it is not where the loader looks.
    #[arg(long, value_name = "FILE")]
    gpu_library: Option<String>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Looks and prints; finding nothing is no error.
pub fn main(args: &Args) -> ExitCode {
    block_on(async {
        let system = System::new("auto", Roots::default()).info();
        let gpu = match Gpu::open(args.gpu_library.as_deref()) {
            Ok(gpu) => json!({"driver": gpu.driver_version(), "cards": gpu.info()}),
            Err(why) => json!(why.to_string()),
        };
        let found = json!({"system": system, "gpu": gpu, "engine": engine(&args.upstream).await?});
        Ok(match args.format {
            Format::Json => print(&format!("{found:#}\n")),
            Format::Table => print(&table(&found)),
        })
    })
}

/// What answers at the upstream's `/metrics`.
async fn engine(upstream: &str) -> anyhow::Result<Value> {
    let url = reqwest::Url::parse(upstream).with_context(|| format!("--upstream {upstream:?}"))?.join("/metrics")?;
    let target = Target { url, kind: EngineKind::Auto, timeout: Duration::from_secs(5), max_size: 64 << 20 };
    Ok(match engine::scrape(&engine::client(), &target).await {
        Ok(scrape) => {
            json!({"kind": engine::word(scrape.kind), "url": target.url.as_str(), "series": scrape.readings.len()})
        }
        Err(why) => json!(why.to_string()),
    })
}

/// `section.key  value`, one a line.
fn table(found: &Value) -> String {
    let mut lines = Vec::new();
    flatten("", found, &mut lines);
    let width = lines.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    lines.iter().map(|(key, value)| format!("{key:width$}  {value}\n")).collect()
}

fn flatten(path: &str, value: &Value, out: &mut Vec<(String, String)>) {
    let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, inner)| flatten(&join(key), inner, out)),
        Value::Array(list) => list.iter().enumerate().for_each(|(i, inner)| flatten(&join(&i.to_string()), inner, out)),
        Value::String(text) => out.push((path.to_owned(), text.clone())),
        other => out.push((path.to_owned(), other.to_string())),
    }
}
