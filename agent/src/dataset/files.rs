//! The files of a dataset: JSON lines in chat format, and the same as Parquet.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use plimsoll_rules::dataset::{Dataset, Example};
use plimsoll_shadow_model::train::{sha256, write_whole};
use serde_json::json;

use super::Out;
use super::anchors::Anchors;
use super::manifest::{FileFacts, MANIFEST};
use crate::records::transfer::{Batch, Kind, Table, Values, parquet_file};

/// The parts; each is `NAME.jsonl` and `NAME.parquet`.
pub(super) const PARTS: [&str; 4] = ["train", "holdout", "anchors", "replay"];

static EXAMPLES: Table = Table {
    name: "examples",
    at: "started_ms",
    columns: &[
        ("id", Kind::Text),
        ("origin", Kind::Text),
        ("started_ms", Kind::Time),
        ("prompt", Kind::Text),
        ("response", Kind::Text),
    ],
};

/// Every file but the manifest, in the order of the manifest.
pub(super) fn names() -> impl Iterator<Item = String> {
    PARTS.into_iter().flat_map(|part| ["jsonl", "parquet"].map(|kind| format!("{part}.{kind}")))
}

/// The folder to write into. Refuses one that holds a dataset already where it is to be new, or anything that is no part of one. What an attempt that was cut short has
/// left is no obstacle.
pub(super) fn free(out: Out<'_>) -> anyhow::Result<&Path> {
    let (Out::New(folder) | Out::Over(folder)) = out;
    let shown = folder.display();
    if !folder.exists() {
        return Ok(folder);
    }
    for entry in std::fs::read_dir(folder).with_context(|| format!("{shown} is no folder"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name == MANIFEST && matches!(out, Out::New(_)) {
            bail!("{shown} holds a dataset already; name another folder, or replace it");
        }
        let whole = name.trim_end_matches(".part");
        if whole != MANIFEST && names().all(|known| known != whole) {
            bail!("{shown} holds {name:?}, which is no part of a dataset; name another folder");
        }
    }
    Ok(folder)
}

/// Writes all but the manifest; each file is whole before it has its name.
pub(super) fn write(out: &Path, dataset: &Dataset, frozen: Option<&Anchors>) -> anyhow::Result<Vec<FileFacts>> {
    std::fs::create_dir_all(out).with_context(|| format!("{} cannot be made", out.display()))?;
    let manifest = out.join(MANIFEST);
    if manifest.exists() {
        std::fs::remove_file(&manifest).with_context(|| format!("{} cannot be removed", manifest.display()))?;
    }
    let mut facts = Vec::new();
    for (part, examples) in PARTS.into_iter().zip([&dataset.train, &dataset.holdout, &dataset.anchors, &dataset.replay])
    {
        let (lines, columns) = (out.join(format!("{part}.jsonl")), out.join(format!("{part}.parquet")));
        match frozen.filter(|_| part == "anchors") {
            Some(anchors) => write_whole(&lines, &mut |file| file.write_all(&anchors.bytes))?,
            None => write_whole(&lines, &mut |file| repeated(examples).try_for_each(|one| line(file, one)))?,
        }
        let parquet = parquet_file(&batch(examples)).with_context(|| columns.display().to_string())?;
        write_whole(&columns, &mut |file| file.write_all(&parquet))?;
        for path in [lines, columns] {
            facts.push(FileFacts {
                name: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
                examples: examples.len() as u64,
                lines: repeated(examples).count() as u64,
                bytes: std::fs::metadata(&path)?.len(),
                sha256: sha256(&[path])?,
            });
        }
    }
    Ok(facts)
}

/// Each as often as it weighs.
fn repeated(examples: &[Example]) -> impl Iterator<Item = &Example> {
    examples.iter().flat_map(|one| std::iter::repeat_n(one, one.weight as usize))
}

fn line(file: &mut dyn Write, one: &Example) -> std::io::Result<()> {
    let messages = json!([
        {"role": "user", "content": one.prompt},
        {"role": "assistant", "content": one.response},
    ]);
    let line = json!({
        "messages": messages, "id": one.id, "origin": one.origin.as_str(), "started_ms": one.started.millis(),
    });
    writeln!(file, "{line}")
}

fn batch(examples: &[Example]) -> Batch {
    let texts =
        |of: fn(&Example) -> &str| Values::Text(repeated(examples).map(|one| Some(of(one).to_owned())).collect());
    let columns = vec![
        texts(|one| &one.id),
        texts(|one| one.origin.as_str()),
        Values::Integer(repeated(examples).map(|one| Some(one.started.millis())).collect()),
        texts(|one| &one.prompt),
        texts(|one| &one.response),
    ];
    Batch::from_columns(&EXAMPLES, columns, repeated(examples).count())
}

/// SHA-256 of all files one after another.
pub(super) fn hash_of_all(folder: &Path) -> anyhow::Result<String> {
    let all: Vec<PathBuf> = names().map(|name| folder.join(name)).collect();
    Ok(sha256(&all)?)
}
