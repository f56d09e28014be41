//! How many exchanges with text the records take in a second, on one thread: `make bench-records`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use plimsoll_agent::config::StoreText;
use plimsoll_agent::feed::Feeds;
use plimsoll_agent::health::Health;
use plimsoll_agent::records::{Location, Records, RecordsOptions};
use plimsoll_agent::shutdown::Shutdown;
use plimsoll_exporters::Registry;
use plimsoll_rules::mask::{MaskOptions, Masker};
use plimsoll_rules::{Exchange, ExchangeText, MaskedText, Timestamp, TokenCount};
use tokio::sync::mpsc;

/// Exchanges of one run.
const COUNT: usize = 50_000;
/// Exchanges of one transaction.
const BATCH: usize = 250;
/// Characters of prompt and of answer.
const TEXT: usize = 600;

fn exchange(number: usize, text: &Arc<ExchangeText>) -> Exchange {
    Exchange {
        finish_reason: Some("stop".into()),
        stream: true,
        input_tokens: TokenCount::Reported(150),
        output_tokens: TokenCount::Reported(150),
        time_to_first_token: Some(Duration::from_millis(80)),
        duration: Duration::from_millis(2500),
        text: Some(text.clone()),
        ..Exchange::chat(
            format!("chatcmpl-{number:08}"),
            "m",
            Timestamp::from_millis(1_790_000_000_000 + number as i64),
        )
    }
}

#[expect(clippy::print_stdout, reason = "the figures")]
fn main() -> anyhow::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "target".to_owned());
    let path = std::path::Path::new(&folder).join("records-ingest.db");
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
    let masker = Masker::new(b"salt of the benchmark", &MaskOptions::default())?;
    let words = MaskedText::of(&masker, &"what is said goes on ".repeat(TEXT / 21 + 1)[..TEXT]);
    let text = ExchangeText { prompt: Some(words.clone()), response: Some(words), ..ExchangeText::default() };
    let text = Arc::new(text);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (registry, shutdown) = (Registry::new(1000), Shutdown::default());
        let options = RecordsOptions {
            location: Location::Sqlite(path.clone()),
            path,
            sample: 1.0,
            store_text: StoreText::Masked,
            retention: Duration::from_secs(3650 * 86_400),
            disk: 8 << 30,
            window: Duration::from_secs(300),
            outcomes: None,
        };
        let records = Records::open(options, registry.clone(), Health::new(registry), Feeds::default()).await;
        let (_seen, queue) = mpsc::channel(1);
        records.spawn(queue, &shutdown);
        let began = Instant::now();
        for start in (0..COUNT).step_by(BATCH) {
            let batch = (start..start + BATCH).map(|number| exchange(number, &text)).collect();
            records.exchanges(batch).await?;
        }
        let seconds = began.elapsed().as_secs_f64();
        println!("{:.0}", COUNT as f64 / seconds);
        shutdown.finish(Duration::from_secs(5)).await;
        anyhow::Ok(())
    })
}
