//! Which alerts of one queue differ between memory and disk.

use std::collections::BTreeMap;

/// Numbers the changes of a queue and remembers the latest one of each alert until it is on disk.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    version: u64,
    changed: BTreeMap<u64, u64>,
    rewrite: bool,
}

impl Ledger {
    /// The number of a change that is on disk already.
    pub(super) fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// Notes a change. When more than `most` alerts have changed, because the disk has not taken anything for long, what
    /// is gone need not be remembered one by one: the sink's rows are to be replaced by what is `left`.
    pub(super) fn touch<I: Iterator<Item = u64>>(
        &mut self,
        fingerprint: u64,
        most: usize,
        left: impl FnOnce() -> I,
    ) -> u64 {
        let version = self.next_version();
        self.changed.insert(fingerprint, version);
        if self.changed.len() > most {
            self.rewrite = true;
            self.changed = left().map(|fingerprint| (fingerprint, version)).collect();
        }
        version
    }

    /// Whether this alert changed.
    pub(super) fn knows(&self, fingerprint: u64) -> bool {
        self.changed.contains_key(&fingerprint)
    }

    /// Alerts that changed, each with the number of its latest change.
    pub(super) fn changed(&self) -> impl Iterator<Item = (u64, u64)> {
        self.changed.iter().map(|(fingerprint, version)| (*fingerprint, *version))
    }

    /// The alert is on disk as it was after change `version`.
    pub(super) fn saved(&mut self, fingerprint: u64, version: u64) {
        if self.changed.get(&fingerprint) == Some(&version) {
            self.changed.remove(&fingerprint);
        }
    }

    /// Whether all rows of the sink are to be replaced.
    pub(super) fn rewrite(&self) -> bool {
        self.rewrite
    }

    /// Sets whether all rows of the sink are to be replaced.
    pub(super) fn set_rewrite(&mut self, rewrite: bool) {
        self.rewrite = rewrite;
    }
}
