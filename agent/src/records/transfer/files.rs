//! Where files are: a folder, or an object store by its URL. `TABLE/date=2026-11-30/part-00000.parquet`.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};

use super::tables::Table;

/// A place for files.
#[derive(Debug)]
pub struct Files {
    store: Arc<dyn ObjectStore>,
    root: Path,
    /// As the user wrote it.
    written: String,
}

impl Files {
    /// Where an export would go that only says what it would write: a folder that is not there is empty.
    ///
    /// # Errors
    /// As [`Files::at`].
    pub fn would_be(written: &str) -> anyhow::Result<Self> {
        if written.contains("://") || std::path::Path::new(written).exists() {
            return Self::at(written, false);
        }
        Ok(Self { store: Arc::new(InMemory::new()), root: Path::default(), written: written.to_owned() })
    }

    /// A folder, or `s3://BUCKET/PATH`, `gs://...`, `az://...`; their settings come from the usual variables
    /// (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT`, ...). A folder is made where `make`.
    ///
    /// # Errors
    /// The place is not there, or its URL says nothing to us.
    pub fn at(written: &str, make: bool) -> anyhow::Result<Self> {
        let (store, root): (Arc<dyn ObjectStore>, Path) = if written.contains("://") {
            let url = reqwest::Url::parse(written).with_context(|| format!("{written:?} is no URL"))?;
            let settings = std::env::vars().map(|(name, value)| (name.to_ascii_lowercase(), value));
            let wrong = || format!("{written:?}: write a folder, or s3://BUCKET/PATH, gs://... or az://...");
            let (store, root) = object_store::parse_url_opts(&url, settings).with_context(wrong)?;
            (Arc::from(store), root)
        } else {
            if make {
                std::fs::create_dir_all(written).with_context(|| format!("{written} cannot be made"))?;
            }
            let folder = std::path::absolute(written)?;
            let store = LocalFileSystem::new_with_prefix(folder).with_context(|| format!("{written} is no folder"))?;
            (Arc::new(store), Path::default())
        };
        Ok(Self { store, root, written: written.trim_end_matches('/').to_owned() })
    }

    /// A file, as the user would write it.
    pub(super) fn shown(&self, file: &Path) -> String {
        let below = file.as_ref().strip_prefix(self.root.as_ref()).unwrap_or(file.as_ref());
        format!("{}/{}", self.written, below.trim_start_matches('/'))
    }

    fn folder(&self, table: &str, date: &str) -> Path {
        self.root.clone().join(table).join(format!("date={date}"))
    }

    /// Files of one day of a table.
    pub(super) async fn parts(&self, table: &str, date: &str) -> anyhow::Result<Vec<Path>> {
        let folder = self.folder(table, date);
        let found: Vec<_> = self.store.list(Some(&folder)).try_collect().await.with_context(|| self.shown(&folder))?;
        let mut parts: Vec<Path> = found.into_iter().map(|meta| meta.location).filter(is_parquet).collect();
        parts.sort();
        Ok(parts)
    }

    pub(super) async fn write(&self, table: &str, date: &str, part: u64, bytes: Vec<u8>) -> anyhow::Result<()> {
        let file = self.folder(table, date).join(format!("part-{part:05}.parquet"));
        self.store.put(&file, bytes.into()).await.with_context(|| self.shown(&file))?;
        Ok(())
    }

    pub(super) async fn read(&self, file: &Path) -> anyhow::Result<Bytes> {
        let got = self.store.get(file).await.with_context(|| self.shown(file))?;
        got.bytes().await.with_context(|| self.shown(file))
    }

    /// Removes those of `files`, parts of ours, that are numbered from `parts` on.
    pub(super) async fn forget(&self, files: &[Path], parts: u64) -> anyhow::Result<()> {
        let number =
            |file: &Path| file.filename()?.strip_prefix("part-")?.strip_suffix(".parquet")?.parse::<u64>().ok();
        for file in files.iter().filter(|file| number(file).is_some_and(|number| number >= parts)) {
            self.store.delete(file).await.with_context(|| self.shown(file))?;
        }
        Ok(())
    }

    /// Every file of a table of ours, by table and day.
    pub(in crate::records) async fn all(&self) -> anyhow::Result<Vec<(&'static Table, String, Vec<Path>)>> {
        let root = Some(&self.root).filter(|root| !root.as_ref().is_empty());
        let found: Vec<_> = self.store.list(root).try_collect().await.with_context(|| self.written.clone())?;
        let mut days: BTreeMap<(String, String), Vec<Path>> = BTreeMap::new();
        let depth = self.root.parts().count();
        for file in found.into_iter().map(|meta| meta.location).filter(is_parquet) {
            let parts: Vec<String> = file.parts().skip(depth).map(|part| part.as_ref().to_owned()).collect();
            let [table, date, _] = parts.as_slice() else { continue };
            let date = date.strip_prefix("date=").unwrap_or(date).to_owned();
            days.entry((table.clone(), date)).or_default().push(file);
        }
        if days.is_empty() {
            bail!("{}: no TABLE/date=DAY/part-N.parquet is there", self.written);
        }
        let mut all = Vec::new();
        for ((table, date), mut files) in days {
            let Some(table) = Table::named(&table) else {
                bail!("{}: no table of ours is called {table:?}", self.written)
            };
            files.sort();
            all.push((table, date, files));
        }
        Ok(all)
    }
}

fn is_parquet(file: &Path) -> bool {
    file.extension() == Some("parquet")
}
