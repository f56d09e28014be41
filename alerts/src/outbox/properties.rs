//! The outbox's promises, on random events.

use proptest::prelude::*;

use super::entry::Item;
use super::tests::{HOUR, PEER, at, batch, counts, disabled, outbox, put, refused, retry, save, write};
use super::*;
use crate::notification::tests::firing;
use crate::rate::Rate;

/// Alertmanager; a webhook; a chat room with digests.
const POLICIES: [Policy; 3] = [
    PEER,
    Policy { batch: 1, digest: 0, rate: None, direct: Some(Unnamed::Alone(Duration::from_secs(3600))) },
    Policy { batch: 2, digest: 4, rate: Some(Rate::per_minute(20)), direct: Some(Unnamed::Grouped) },
];

#[derive(Clone, Debug)]
enum Event {
    /// `notify`: returns once the disk has it.
    Put { alert: u8, resolved: bool },
    /// A request begins.
    Send,
    /// Its answer comes.
    Answer { kind: u8 },
    /// Time passes.
    Pass { seconds: u16 },
    /// A write to disk begins.
    Write,
    /// It is committed.
    Commit,
    /// The process dies and starts again.
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..6_u8, any::<bool>()).prop_map(|(alert, resolved)| Event::Put { alert, resolved }),
        6 => Just(Event::Send),
        6 => (0..10_u8).prop_map(|kind| Event::Answer { kind }),
        2 => (0..600_u16).prop_map(|seconds| Event::Pass { seconds }),
        2 => Just(Event::Write),
        2 => Just(Event::Commit),
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

/// An outbox, its disk, and a receiver that remembers the last word about each alert.
struct World {
    policy: Policy,
    now: i64,
    outbox: Outbox,
    disk: BTreeMap<Key, Saved>,
    sending: Option<Batch>,
    writing: Option<Unsaved>,
    said: BTreeMap<String, i64>,
    heard: BTreeMap<String, i64>,
}

impl World {
    fn new(policy: Policy) -> Self {
        let outbox = outbox(OutboxLimits::default(), &[("a", policy)]);
        let (disk, said, heard) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { policy, now: 0, outbox, disk, sending: None, writing: None, said, heard }
    }

    /// Everything that waits goes out, whatever it waits for.
    fn run_dry(&mut self) {
        loop {
            match self.outbox.next("a", at(self.now)) {
                Step::Send(batch) => {
                    self.sending = Some(batch);
                    self.answer(&Verdict::Delivered);
                }
                Step::Wait(until) => self.now += i64::try_from(until.since(at(self.now)).as_secs()).unwrap() + 1,
                Step::Idle => return,
            }
        }
    }

    fn happens(&mut self, turn: i64, event: &Event) {
        match event {
            Event::Put { alert, resolved } => {
                let status = if *resolved { crate::Status::Resolved } else { crate::Status::Firing };
                let name = format!("A{alert}");
                put(&mut self.outbox, Notification { status, ..firing(&name, turn) }, self.now);
                self.said.insert(name, turn * 1000);
                self.commit();
                save(&mut self.outbox, &mut self.disk);
            }
            Event::Send if self.sending.is_none() => self.sending = batch(&mut self.outbox, "a", self.now),
            Event::Send => {}
            Event::Answer { kind } => self.answer(&verdict(*kind)),
            Event::Pass { seconds } => self.now += i64::from(*seconds),
            Event::Write => self.writing = Some(self.outbox.unsaved()),
            Event::Commit => self.commit(),
            Event::Restart => {
                (self.sending, self.writing) = (None, None);
                self.outbox = outbox(OutboxLimits::default(), &[("a", self.policy)]);
                self.outbox.restore(self.disk.clone().into_iter().collect(), at(self.now));
            }
        }
    }

    fn commit(&mut self) {
        if let Some(unsaved) = self.writing.take() {
            write(&unsaved, &mut self.disk);
            self.outbox.saved(&unsaved);
        }
    }

    fn answer(&mut self, verdict: &Verdict) {
        let Some(batch) = self.sending.take() else { return };
        for item in batch.items.iter().filter(|_| *verdict == Verdict::Delivered) {
            let word = item.notification.starts_at.millis();
            let before = self.heard.insert(item.notification.labels["alertname"].clone(), word);
            assert!(before.is_none_or(|before| before <= word), "went back to {word}");
        }
        self.outbox.done("a", &batch, verdict, at(self.now), 1.0);
    }
}

proptest! {
    /// However puts, answers, writes, time and restarts mix: once the sink answers well again, the last thing that it
    /// accepted about each alert is the last thing that was said, and nothing older ever follows it.
    #[test]
    fn the_last_word_arrives_and_nothing_goes_back(
        policy in prop::sample::select(POLICIES.to_vec()),
        events in prop::collection::vec(event(), 1..300),
    ) {
        let mut world = World::new(policy);
        for (turn, event) in (0..).zip(&events) {
            world.happens(turn, event);
        }
        world.now += HOUR;
        world.answer(&retry(None));
        world.now += HOUR;
        world.run_dry();
        prop_assert_eq!(&world.said, &world.heard);
        world.commit();
        save(&mut world.outbox, &mut world.disk);
        prop_assert!(world.disk.is_empty());
    }

    /// Whatever is refused, the rest arrives, and it takes few requests.
    #[test]
    fn bisection_ends_and_loses_no_good_alert(bad in prop::collection::vec(any::<bool>(), 1..64)) {
        let mut box_ = outbox(OutboxLimits::default(), &[("a", Policy { batch: 64, ..PEER })]);
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
