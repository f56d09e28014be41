//! Step after step of instant vectors to series over time.

use std::collections::HashMap;

use super::Sample;
use crate::{Labels, Timestamp};

/// One series of a range vector.
#[derive(Clone, Debug)]
pub(in crate::promql) struct Track {
    pub(super) labels: Labels,
    pub(super) drop_name: bool,
    pub(super) points: Vec<(i64, f64)>,
}

impl Track {
    pub(super) fn finish(self) -> (Labels, Vec<(Timestamp, f64)>) {
        let points = self.points.into_iter().map(|(at, value)| (Timestamp::from_millis(at), value)).collect();
        let labels = if self.drop_name { super::labels::without_metadata(&self.labels) } else { self.labels };
        (labels, points)
    }
}

/// Tracks under way. Steps mostly give the same series in the same order, so the next one is tried before the index.
#[derive(Debug, Default)]
pub(super) struct Tracks {
    list: Vec<Track>,
    index: HashMap<(Labels, bool), usize>,
    next: usize,
}

impl Tracks {
    pub(super) fn push(&mut self, at: i64, sample: Sample) {
        let expected = |track: &&mut Track| track.drop_name == sample.drop_name && track.labels == sample.labels;
        if let Some(track) = self.list.get_mut(self.next).filter(expected) {
            track.points.push((at, sample.value));
            self.next += 1;
            return;
        }
        let fresh = self.list.len();
        let place = *self.index.entry((sample.labels.clone(), sample.drop_name)).or_insert(fresh);
        if place == fresh {
            let Sample { labels, drop_name, .. } = sample;
            self.list.push(Track { labels, drop_name, points: Vec::new() });
        }
        self.list[place].points.push((at, sample.value));
        self.next = place + 1;
    }

    pub(super) fn end_step(&mut self) {
        self.next = 0;
    }
}

impl IntoIterator for Tracks {
    type Item = Track;
    type IntoIter = std::vec::IntoIter<Track>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}
