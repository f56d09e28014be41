//! The outbox's promises, on random events.

use proptest::prelude::*;

use super::entry::Item;
use super::tests::{HOUR, PEER, at, batch, counts, disabled, outbox, put, refused, retry, save};
use super::*;
use crate::notification::tests::firing;

#[derive(Clone, Debug)]
enum Event {
    Put { alert: u8, resolved: bool },
    Answer { kind: u8 },
    Pass { seconds: u16 },
    Save,
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..6_u8, any::<bool>()).prop_map(|(alert, resolved)| Event::Put { alert, resolved }),
        6 => (0..10_u8).prop_map(|kind| Event::Answer { kind }),
        2 => (0..600_u16).prop_map(|seconds| Event::Pass { seconds }),
        2 => Just(Event::Save),
        1 => Just(Event::Restart),
    ]
}

fn verdict(kind: u8) -> Verdict {
    match kind {
        0..5 => Verdict::Delivered,
        5..8 => retry(None),
        8 => retry(Some(30)),
        _ => disabled(),
    }
}

proptest! {
    /// However puts, answers, time and restarts mix: once the sink answers well again, the last thing that it
    /// accepted about each alert is the last thing that was said, and nothing older ever follows it.
    #[test]
    fn the_last_word_arrives_and_nothing_goes_back(events in prop::collection::vec(event(), 1..200)) {
        let limits = OutboxLimits::default();
        let (mut now, mut disk, mut box_) = (0_i64, BTreeMap::new(), outbox(limits, &[("a", PEER)]));
        let (mut said, mut heard) = (BTreeMap::new(), BTreeMap::new());
        let hear = |heard: &mut BTreeMap<String, i64>, batch: &Batch| {
            for item in &batch.items {
                let word = item.notification.starts_at.millis();
                let before = heard.insert(item.notification.labels["alertname"].clone(), word);
                assert!(before.is_none_or(|before| before <= word), "went back to {word}");
            }
        };
        for (step, event) in events.iter().enumerate() {
            match event {
                Event::Put { alert, resolved } => {
                    let (name, turn) = (format!("A{alert}"), i64::try_from(step).unwrap());
                    let status = if *resolved { crate::Status::Resolved } else { crate::Status::Firing };
                    put(&mut box_, Notification { status, ..firing(&name, turn) }, now);
                    said.insert(name, turn * 1000);
                    // As `notify` does: it returns once this is on disk.
                    save(&mut box_, &mut disk);
                }
                Event::Answer { kind } => {
                    if let Some(batch) = batch(&mut box_, "a", now) {
                        let verdict = verdict(*kind);
                        if verdict == Verdict::Delivered {
                            hear(&mut heard, &batch);
                        }
                        box_.done("a", &batch, &verdict, at(now), 1.0);
                    }
                }
                Event::Pass { seconds } => now += i64::from(*seconds),
                Event::Save => save(&mut box_, &mut disk),
                Event::Restart => {
                    box_ = outbox(limits, &[("a", PEER)]);
                    box_.restore(disk.clone().into_iter().collect(), at(now));
                }
            }
        }
        now += HOUR;
        while let Some(batch) = batch(&mut box_, "a", now) {
            hear(&mut heard, &batch);
            box_.done("a", &batch, &Verdict::Delivered, at(now), 1.0);
        }
        prop_assert_eq!(said, heard);
        prop_assert_eq!(counts(&box_, "a").waiting, 0);
    }

    /// Whatever is refused, the rest arrives, and it takes few requests.
    #[test]
    fn bisection_ends_and_loses_no_good_alert(bad in prop::collection::vec(any::<bool>(), 1..64)) {
        let mut box_ = outbox(OutboxLimits::default(), &[("a", Policy { batch: 64, repeat: None })]);
        for i in 0..bad.len() {
            put(&mut box_, firing(&format!("{i}"), 1), 0);
        }
        let mut requests = 0;
        while let Some(batch) = batch(&mut box_, "a", 0) {
            requests += 1;
            let is_bad = |item: &Item| bad[item.notification.labels["alertname"].parse::<usize>().unwrap()];
            let verdict = if batch.items.iter().any(is_bad) { refused() } else { Verdict::Delivered };
            box_.done("a", &batch, &verdict, at(0), 1.0);
        }
        let culprits = bad.iter().filter(|b| **b).count() as u64;
        let found = counts(&box_, "a");
        prop_assert_eq!((found.dead, found.sent), (culprits, bad.len() as u64 - culprits));
        prop_assert!(requests <= 1 + 2 * 7 * culprits, "{} requests for {} culprits", requests, culprits);
    }
}
