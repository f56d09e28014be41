//! Shows the judge what both variants of an experiment answered to one request, and keeps what it says.

use std::sync::Arc;

use plimsoll_exporters::{Metric, Registry};
use plimsoll_rules::MaskedText;
use plimsoll_rules::verdict::JudgedPair;
use tokio::sync::mpsc;

use super::client::{Client, ClientError};
use crate::pairs::{Half, Matcher, Pair, Shelf};
use crate::records::{Judgement, Records};

/// Where pairs come from and go to.
pub(super) struct Judging {
    inbox: mpsc::Receiver<Half>,
    matcher: Matcher,
    shelf: Shelf,
    records: Records,
    registry: Registry,
    /// Which model judges.
    identity: Arc<str>,
}

impl Judging {
    pub(super) fn new(
        (inbox, shelf): (mpsc::Receiver<Half>, Shelf),
        records: Records,
        registry: Registry,
        identity: Arc<str>,
    ) -> Self {
        Self { inbox, matcher: Matcher::new(registry.clone()), shelf, records, registry, identity }
    }

    /// The next pair; never when no half comes any more.
    pub(super) async fn next(&mut self) -> Pair {
        loop {
            let Some(half) = self.inbox.recv().await else { std::future::pending().await };
            if let Some(pair) = self.matcher.take(half) {
                return pair;
            }
        }
    }

    /// A pair stays without a judgement.
    pub(super) fn leave(&self) {
        self.matcher.count_dropped();
    }

    /// Asks, and keeps the answer.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(super) async fn judge(&self, client: &Client, pair: &Pair) -> Result<(), ClientError> {
        let [a, b] = pair.answers.each_ref().map(MaskedText::as_str);
        let logits = client.judge(pair.prompt.as_str(), a, b).await?;
        self.shelf.lay(pair);
        let place = &pair.place;
        let judged = JudgedPair {
            unit: place.unit,
            logits,
            length_b_minus_a: pair.length_b_minus_a(),
            asked: pair.asked,
            label: None,
        };
        let kept = self.records.judged(Judgement {
            id: pair.id.clone(),
            control: pair.control.clone(),
            experiment: place.experiment.to_string(),
            treatment: pair.treatment.clone(),
            at: crate::clock::wall(),
            judge: self.identity.to_string(),
            pair: judged,
        });
        if !kept {
            self.leave();
        }
        self.registry.add(Metric::ExperimentJudgements, &[&place.experiment], 1.0);
        Ok(())
    }
}
