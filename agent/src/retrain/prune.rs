//! What goes when newer versions come: old ones with their files, and what failed runs have left.

use plimsoll_rules::retrain::to_prune;

use super::run::Version;
use super::task::Task;
use crate::records::{LoopChange, Refused};

impl Task {
    /// Versions beyond those that are kept go, with their files.
    pub(super) async fn prune(&mut self) -> Result<(), Refused> {
        let facts: Vec<_> = self.versions.iter().map(Version::facts).collect();
        // where a rollback would go stays too
        let before = self.standing.live.and_then(|live| self.version(live)?.before);
        let mut gone = to_prune(&facts, self.settings.keep);
        gone.retain(|number| {
            Some(*number) != before && self.open().is_none_or(|at| self.runs[at].version != Some(*number))
        });
        self.forget_failures().await;
        if gone.is_empty() {
            return Ok(());
        }
        self.store(&LoopChange { gone: gone.clone(), ..LoopChange::default() }).await?;
        let (left, kept) = std::mem::take(&mut self.versions).into_iter().partition(|v| gone.contains(&v.number));
        self.versions = kept;
        for version in left {
            tracing::info!(version = version.name, "finetune: pruned");
            self.remove(version.run).await;
        }
        Ok(())
    }

    /// What runs without a version have left goes once a later one has begun.
    async fn forget_failures(&self) {
        let Some((_, earlier)) = self.runs.split_last() else { return };
        for run in earlier.iter().filter(|run| run.stage.is_over() && run.version.is_none()) {
            if self.places.run(run.id).exists() {
                self.remove(run.id).await;
            }
        }
    }

    async fn remove(&self, run: u32) {
        let folder = self.places.run(run);
        let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(folder)).await;
        if let Ok(Err(why)) = removed {
            tracing::warn!(run, %why, "finetune: its files stay");
        }
    }
}
