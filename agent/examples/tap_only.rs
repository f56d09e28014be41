//! Serves nothing but the tap: `tap_only LISTEN UPSTREAM [TEXT_SAMPLE]` (benchmarks measure this process). Ends on SIGTERM
//! and prints what it counted.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_agent::shutdown::Shutdown;
use plimsoll_agent::tap::{Outlets, TapOptions, serve};
use plimsoll_exporters::Registry;
use plimsoll_rules::mask::{MaskOptions, Masker};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(upstream)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("usage: tap_only LISTEN UPSTREAM, such as tap_only 127.0.0.1:8080 http://127.0.0.1:8000");
    };
    let listener = TcpListener::bind(&listen).await?;
    let registry = Registry::new(10_000);
    let text_sample = arguments.next().map_or(Ok(0.0), |share| share.parse())?;
    let options = TapOptions { text_sample, ..TapOptions::new(upstream.parse()?) };
    let (_keep, options) = watch::channel(Arc::new(options));
    let (records, mut received) = mpsc::channel(1024);
    let masker = Arc::new(Masker::new(b"salt of the benchmark", &MaskOptions::default())?);
    let outlets = Outlets { records, feeds: plimsoll_agent::feed::Feeds::default(), pairs: None, masker };
    let shutdown = Shutdown::default();
    shutdown.spawn("tap", serve(listener, options, registry.clone(), outlets, shutdown.clone()));
    shutdown.spawn("records", async move { while received.recv().await.is_some() {} });
    signal(SignalKind::terminate())?.recv().await;
    shutdown.finish(Duration::from_secs(5)).await;
    let mut samples = registry.samples();
    samples.retain(|(labels, _)| labels.get("le").is_none());
    for (labels, value) in samples {
        use std::io::Write;
        writeln!(std::io::stdout(), "{labels} {value}")?;
    }
    Ok(())
}
