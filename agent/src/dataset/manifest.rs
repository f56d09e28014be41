//! What is in a dataset, how it came about, and what shows that it is whole.

use std::path::Path;

use anyhow::{Context as _, bail};
use plimsoll_rules::dataset::{Counts, Drift, METHOD, Settings};
use plimsoll_shadow_model::train::write_whole;
use serde::{Deserialize, Serialize};

use crate::records::SourceKind;

/// Its file.
pub const MANIFEST: &str = "manifest.json";

/// `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the program that wrote it.
    pub plimsoll: String,
    /// [`METHOD`] of the program that wrote it.
    pub method: u32,
    /// SHA-256 of all files one after another: what names this dataset.
    pub sha256: String,
    /// What the records were read from.
    pub source: SourceKind,
    /// What was asked for.
    pub settings: Settings,
    /// Whether the anchors were given; `anchors.jsonl` then is the file that was given.
    pub anchors_given: bool,
    /// What became of all exchanges.
    pub counts: Counts,
    /// How new prompts compare with old ones.
    pub drift: Drift,
    /// The files.
    pub files: Vec<FileFacts>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// Its name.
    pub name: String,
    /// Different examples.
    pub examples: u64,
    /// Lines or rows: an over-weighted example has several.
    pub lines: u64,
    /// Its length.
    pub bytes: u64,
    /// SHA-256, in hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// Of the dataset in `folder`.
    ///
    /// # Errors
    /// It is not there, or no manifest of ours.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(MANIFEST);
        let shown = path.display();
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{shown} cannot be read; plimsoll dataset build writes it last"))?;
        let manifest: Self = serde_json::from_str(&text).with_context(|| format!("{shown} is no manifest"))?;
        if manifest.method > METHOD {
            bail!("{shown}: method {} found; this program knows up to {METHOD}", manifest.method);
        }
        Ok(manifest)
    }

    /// The facts of a file.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&FileFacts> {
        self.files.iter().find(|file| file.name == name)
    }

    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        Ok(write_whole(&folder.join(MANIFEST), &mut |file| writeln!(file, "{text}"))?)
    }
}
