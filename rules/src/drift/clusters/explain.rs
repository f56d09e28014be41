//! From counts to sentences.

use serde::{Deserialize, Serialize};

use super::EmbeddingClusters;
use crate::text::{DistinctiveTerm, distinctive_terms};

/// Examples given for a cluster.
const EXAMPLES: usize = 3;
/// Terms given.
const TERMS: usize = 8;
/// Standard errors from which a share counts as moved.
const NOTABLE: f64 = 3.0;

/// A cluster whose share has moved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterShift {
    /// Which, from 0; `None` stands for texts unlike all clusters of the reference.
    pub cluster: Option<usize>,
    /// Share of the reference, 0 to 1.
    pub reference: f64,
    /// Share of what is recent (half-life 256 observations).
    pub recent: f64,
    /// Difference of the shares over its standard error; positive when it grew.
    pub z: f64,
    /// Recent masked texts, nearest to the centre first; texts of the reference when none are recent.
    pub examples: Vec<String>,
}

/// What has changed since the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Clusters whose share moved by more than three standard errors, the largest move first.
    pub clusters: Vec<ClusterShift>,
    /// Terms that are more frequent than in the reference, most telling first.
    pub terms: Vec<DistinctiveTerm>,
}

impl std::fmt::Display for ClusterShift {
    /// `cluster 7 is 4.0x its share (2.5 % -> 10.0 %)`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.cluster {
            Some(cluster) => write!(f, "cluster {cluster}")?,
            None => write!(f, "texts unlike the reference")?,
        }
        if self.reference > 0.0 {
            write!(f, " is {:.1}x its share", self.recent / self.reference)?;
        } else {
            write!(f, " is new")?;
        }
        write!(f, " ({:.1} % -> {:.1} %)", self.reference * 100.0, self.recent * 100.0)
    }
}

impl EmbeddingClusters {
    /// What has changed since the reference; empty when nothing came or nothing moved.
    pub fn explain(&self) -> Explanation {
        let mut clusters: Vec<ClusterShift> = (0..self.recent.len()).filter_map(|at| self.shift(at)).collect();
        clusters.sort_by(|a, b| b.z.abs().total_cmp(&a.z.abs()));
        let mut recent = self.earlier.terms.clone();
        recent.merge(&self.latest.terms);
        Explanation { clusters, terms: distinctive_terms(&recent, &self.usual.terms, TERMS) }
    }

    /// Two-sample score test of a share, the decayed counts taken as they are: they scatter less than that (as twice as
    /// many would), so `z` is on the careful side.
    fn shift(&self, at: usize) -> Option<ClusterShift> {
        let (m, n) = (self.reference.iter().sum::<f64>(), self.recent.iter().sum::<f64>());
        if n < 1.0 {
            return None;
        }
        let (reference, recent) = (self.reference[at] / m, self.recent[at] / n);
        let pooled = (self.reference[at] + self.recent[at] + 0.5) / (m + n + 1.0);
        let z = (recent - reference) / (pooled * (1.0 - pooled) * (1.0 / m + 1.0 / n)).sqrt();
        let named = at < self.centres.height();
        (z.abs() > NOTABLE).then(|| {
            let examples = self.examples(at);
            ClusterShift { cluster: named.then_some(at), reference, recent, z, examples }
        })
    }

    fn examples(&self, at: usize) -> Vec<String> {
        let times = [&self.latest, &self.earlier, &self.usual];
        times.iter().map(|texts| texts.examples[at].first(EXAMPLES)).find(|found| !found.is_empty()).unwrap_or_default()
    }
}
