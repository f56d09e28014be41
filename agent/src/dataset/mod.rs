//! A folder of examples to learn, from the records: the same records and settings give the same bytes.
//!
//! `plimsoll_rules::dataset` chooses; here records are read, files written and checked. Called by `plimsoll dataset` and by
//! whoever trains.

mod anchors;
mod child;
mod files;
mod manifest;
mod verify;

use std::path::Path;

use anyhow::{Context as _, bail};
use plimsoll_rules::dataset::{Candidates, Dataset, METHOD, curate};
pub use plimsoll_rules::dataset::{Counts, Settings};

use serde_json::json;

pub use crate::records::{Source, SourceKind};
use anchors::Anchors;
pub use child::{Order, child};
pub use manifest::{FileFacts, MANIFEST, Manifest};
pub use verify::verify;

/// Where a dataset is written.
#[derive(Clone, Copy, Debug)]
pub enum Out<'a> {
    /// A folder that is not there, is empty, or holds what an attempt that was cut short has left.
    New(&'a Path),
    /// The same, or one that holds a dataset: it goes once all is read and chosen.
    Over(&'a Path),
}

/// Hears what was chosen; an error leaves it unwritten.
pub type Accept<'a> = &'a (dyn Fn(&Counts) -> anyhow::Result<()> + Sync);

/// Chooses examples of `source` and writes them into a folder: `train`, `holdout`, `anchors` and `replay`, each as
/// `.jsonl` and `.parquet`, and `manifest.json` last. `frozen_anchors` is a file of anchors that were drawn before; it becomes
/// `anchors.jsonl` as it is. `accept` hears what was chosen and may refuse it before anything is written; `tell` hears how many
/// exchanges have been read. A row in the table `audit` says so.
///
/// # Errors
/// A setting makes no sense, the records cannot be read, `out` holds something else or a dataset already, what was chosen is
/// refused, or a file cannot be written.
pub async fn build(
    source: &Source,
    settings: &Settings,
    frozen_anchors: Option<&Path>,
    out: Out<'_>,
    accept: Accept<'_>,
    tell: &mut (dyn FnMut(u64) + Send),
) -> anyhow::Result<Manifest> {
    let outcome = write(source, settings, frozen_anchors, out, accept, tell).await;
    let (end, hash, rows) = match &outcome {
        Ok(manifest) => ("whole".to_owned(), manifest.sha256.clone(), manifest.counts.kept()),
        Err(why) => (why.to_string(), String::new(), 0),
    };
    let (Out::New(folder) | Out::Over(folder)) = out;
    let place = folder.display().to_string();
    let detail = json!({"place": place, "rows": rows, "sha256": hash, "end": end});
    source.audit("dataset", detail).await.context("the table audit cannot be written")?;
    outcome
}

/// [`build`], of which nobody takes note.
async fn write(
    source: &Source,
    settings: &Settings,
    frozen_anchors: Option<&Path>,
    out: Out<'_>,
    accept: Accept<'_>,
    tell: &mut (dyn FnMut(u64) + Send),
) -> anyhow::Result<Manifest> {
    let folder = files::free(out)?;
    let frozen = frozen_anchors.map(Anchors::read).transpose()?;
    let dataset = choose(source, settings, frozen.clone(), tell).await?;
    accept(&dataset.counts)?;
    let (out, settings, kind) = (folder.to_owned(), settings.clone(), source.kind());
    let work = move || -> anyhow::Result<Manifest> {
        let files = files::write(&out, &dataset, frozen.as_ref())?;
        let manifest = Manifest {
            plimsoll: env!("CARGO_PKG_VERSION").to_owned(),
            method: METHOD,
            sha256: files::hash_of_all(&out)?,
            source: kind,
            settings,
            anchors_given: frozen.is_some(),
            counts: dataset.counts,
            drift: dataset.drift,
            files,
        };
        manifest.write(&out)?;
        Ok(manifest)
    };
    tokio::task::spawn_blocking(work).await?
}

/// The choice alone; nothing is written.
///
/// # Errors
/// A setting makes no sense, the anchors or the records cannot be read.
pub async fn preview(
    source: &Source,
    settings: &Settings,
    frozen_anchors: Option<&Path>,
    tell: &mut (dyn FnMut(u64) + Send),
) -> anyhow::Result<Dataset> {
    choose(source, settings, frozen_anchors.map(Anchors::read).transpose()?, tell).await
}

/// What [`build`] would find among new exchanges, without reading old ones: so without drift, and without keeping out what is
/// like an anchor.
///
/// # Errors
/// A setting makes no sense, or the records cannot be read.
pub async fn count(source: &Source, settings: &Settings) -> anyhow::Result<Counts> {
    check(settings)?;
    let settings = Settings { drift_weight: 1, ..settings.clone() };
    let (since, until) = (settings.since, settings.until);
    let mut candidates = Candidates::new(settings);
    source.each(Some(since), until, &mut |told| candidates.take(told)).await?;
    Ok(tokio::task::spawn_blocking(move || curate(candidates, None).counts).await?)
}

async fn choose(
    source: &Source,
    settings: &Settings,
    frozen: Option<Anchors>,
    tell: &mut (dyn FnMut(u64) + Send),
) -> anyhow::Result<Dataset> {
    check(settings)?;
    let mut candidates = Candidates::new(settings.clone());
    let mut read = 0;
    let mut take = |told| {
        candidates.take(told);
        read += 1;
        tell(read);
    };
    source.each(None, settings.until, &mut take).await?;
    let frozen = frozen.map(|anchors| anchors.examples);
    Ok(tokio::task::spawn_blocking(move || curate(candidates, frozen)).await?)
}

fn check(settings: &Settings) -> anyhow::Result<()> {
    if let Err(wrong) = settings.check() {
        bail!("{}", wrong.join("\n"));
    }
    Ok(())
}
