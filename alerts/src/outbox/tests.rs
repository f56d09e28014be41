//! The outbox as scripts of events.

use super::entry::Item;
use super::*;
use crate::notification::tests::{firing, resolved};
use crate::verdict::Failure;

pub(super) const HOUR: i64 = 3600;

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis((1_000_000 + seconds) * 1000)
}

pub(super) fn outbox(limits: OutboxLimits, sinks: &[(&str, Policy)]) -> Outbox {
    let mut outbox = Outbox::new(limits);
    outbox.configure(&sinks.iter().map(|(name, policy)| (Arc::from(*name), *policy)).collect(), &[]);
    outbox
}

pub(super) const PEER: Policy = Policy { batch: 4, digest: 0, rate: None, direct: None };
const HOOK: Policy =
    Policy { batch: 1, digest: 0, rate: None, direct: Some(Unnamed::Alone(Duration::from_secs(4 * 3600))) };

pub(super) fn put(outbox: &mut Outbox, notification: Notification, now: i64) {
    outbox.put(&Arc::new(notification), at(now));
}

pub(super) fn retry(after: Option<u64>) -> Verdict {
    Verdict::Retry { failure: Failure::new("http_503", "HTTP 503"), after: after.map(Duration::from_secs) }
}

pub(super) fn refused() -> Verdict {
    Verdict::Refused(Failure::new("http_400", "HTTP 400"))
}

pub(super) fn disabled() -> Verdict {
    Verdict::Disabled(Failure::new("http_401", "HTTP 401"))
}

/// The batch that `sink` is to send now.
pub(super) fn batch(outbox: &mut Outbox, sink: &str, now: i64) -> Option<Batch> {
    match outbox.next(sink, at(now)) {
        Step::Send(batch) => Some(batch),
        Step::Wait(_) | Step::Idle => None,
    }
}

/// What `sink` is to send now, as `name status`, and what becomes of it.
fn send(outbox: &mut Outbox, sink: &str, now: i64, verdict: &Verdict) -> Vec<String> {
    let Some(batch) = batch(outbox, sink, now) else { return Vec::new() };
    outbox.done(sink, &batch, verdict, at(now), 1.0);
    batch.items.iter().map(said).collect()
}

fn said(item: &Item) -> String {
    format!("{} {}", item.notification.labels["alertname"], item.notification.status.as_str())
}

pub(super) fn counts(outbox: &Outbox, sink: &str) -> Counts {
    outbox.counts().find(|(name, _)| &***name == sink).map(|(_, counts)| counts).unwrap_or_default()
}

#[test]
fn the_latest_state_replaces_an_undelivered_one() {
    let mut box_ = outbox(OutboxLimits::default(), &[("a", PEER), ("b", PEER)]);
    put(&mut box_, firing("Hot", 1), 1);
    assert_eq!(send(&mut box_, "a", 1, &Verdict::Delivered), ["Hot firing"]);
    assert_eq!(send(&mut box_, "b", 1, &retry(None)), ["Hot firing"]);
    put(&mut box_, resolved("Hot", 1, 60), 60);
    assert_eq!(send(&mut box_, "a", 60, &Verdict::Delivered), ["Hot resolved"]);
    assert_eq!(send(&mut box_, "b", 60, &Verdict::Delivered), ["Hot resolved"], "never heard of it, still told");
    assert!(batch(&mut box_, "b", 60).is_none());
    assert_eq!((counts(&box_, "a").sent, counts(&box_, "b").sent), (2, 1));
}

#[test]
fn an_answer_for_an_older_state_does_not_remove_a_newer_one() {
    for verdict in [Verdict::Delivered, retry(None), refused()] {
        let mut box_ = outbox(OutboxLimits::default(), &[("a", PEER)]);
        put(&mut box_, firing("Hot", 1), 1);
        let sent = batch(&mut box_, "a", 1).unwrap();
        put(&mut box_, resolved("Hot", 1, 2), 2);
        box_.done("a", &sent, &verdict, at(3), 1.0);
        assert_eq!(send(&mut box_, "a", 10, &Verdict::Delivered), ["Hot resolved"], "{verdict:?}");
        assert_eq!(counts(&box_, "a").dead, 0);
    }
}

#[test]
fn a_fresher_copy_that_comes_during_delivery_goes_to_alertmanager_only() {
    for (policy, again) in [(PEER, 1), (HOOK, 0)] {
        let mut box_ = outbox(OutboxLimits::default(), &[("a", policy)]);
        put(&mut box_, firing("Hot", 1), 1);
        let sent = batch(&mut box_, "a", 1).unwrap();
        put(&mut box_, Notification { value: 0.97, ..firing("Hot", 1) }, 2);
        box_.done("a", &sent, &Verdict::Delivered, at(3), 1.0);
        assert_eq!(send(&mut box_, "a", 3, &Verdict::Delivered).len(), again, "{policy:?}");
    }
}

#[test]
fn the_id_stays_over_retries_and_repeats_and_changes_with_the_state() {
    let mut box_ = outbox(OutboxLimits::default(), &[("a", HOOK)]);
    let id = |box_: &mut Outbox, now| {
        let batch = batch(box_, "a", now).unwrap();
        box_.done("a", &batch, &retry(None), at(now), 0.0);
        batch.items[0].id.clone()
    };
    put(&mut box_, firing("Hot", 1), 1);
    let first = id(&mut box_, 1);
    assert_eq!(id(&mut box_, 30), first, "retry");
    put(&mut box_, Notification { value: 0.97, ..firing("Hot", 1) }, 60);
    assert_eq!(id(&mut box_, 60), first, "fresher copy of the same message");
    put(&mut box_, resolved("Hot", 1, 70), 70);
    assert_ne!(id(&mut box_, 400), first, "another message");
}

#[test]
fn repeats_do_not_hide_how_long_and_how_often_a_sink_has_failed() {
    let mut box_ = outbox(OutboxLimits::default(), &[("a", PEER)]);
    let again = |value: f64| Notification { value, ..firing("Hot", 1) };
    put(&mut box_, again(0.0), 1);
    let mut now = 1;
    for tries in 1..=5 {
        // the request times out after 10 s; meanwhile the alert is handed over again
        let sent = batch(&mut box_, "a", now).unwrap();
        put(&mut box_, again(f64::from(tries)), now + 5);
        now += 10;
        box_.done("a", &sent, &retry(None), at(now), 0.0);
        put(&mut box_, again(f64::from(tries) + 0.5), now + 1);
        now += 3600;
        let shown = &box_.list(at(now))[0];
        assert_eq!((shown.queued_at, shown.attempts), (at(1), tries));
        assert_eq!(shown.last_error.as_deref(), Some("HTTP 503"));
    }
    assert_eq!(send(&mut box_, "a", now, &refused()), ["Hot firing"]);
    let shown = &box_.list(at(now))[0];
    assert_eq!((shown.standing, shown.queued_at, shown.attempts), (Standing::Dead, at(1), 6));
}

#[test]
fn a_refused_batch_is_halved_until_the_culprit_stands_alone() {
    let mut box_ = outbox(OutboxLimits::default(), &[("a", PEER)]);
    for name in ["A", "B", "Bad", "D", "E"] {
        put(&mut box_, firing(name, 1), 1);
    }
    let mut requests = Vec::new();
    while let Some(batch) = batch(&mut box_, "a", 1) {
        let names: Vec<&str> = batch.items.iter().map(|i| &*i.notification.labels["alertname"]).collect();
        let verdict = if names.contains(&"Bad") { refused() } else { Verdict::Delivered };
        requests.push(names.join(" "));
        box_.done("a", &batch, &verdict, at(1), 1.0);
    }
    assert_eq!(requests, ["A B Bad D", "A B", "Bad D", "Bad", "D", "E"]);
    let found = counts(&box_, "a");
    assert_eq!((found.sent, found.dead, found.waiting, found.failed["http_400"]), (4, 1, 0, 3));
    let listed = box_.list(at(0));
    assert_eq!(
        (listed.len(), listed[0].standing, listed[0].last_error.as_deref()),
        (1, Standing::Dead, Some("HTTP 400"))
    );
}

#[test]
fn a_refused_alert_is_tried_again_only_with_other_words_or_after_an_hour() {
    for (why, later, now, expected) in [
        ("a repeat", firing("Hot", 1), 60, 0),
        ("an hour later", firing("Hot", 1), HOUR + 1, 1),
        ("over", resolved("Hot", 1, 60), 60, 1),
        ("another turn", firing("Hot", 50), 60, 1),
        ("other words", Notification { annotations: [].into(), ..firing("Hot", 1) }, 60, 1),
    ] {
        let mut box_ = outbox(OutboxLimits::default(), &[("a", PEER)]);
        put(&mut box_, firing("Hot", 1), 1);
        send(&mut box_, "a", 1, &refused());
        put(&mut box_, later, now);
        assert_eq!(send(&mut box_, "a", now, &Verdict::Delivered).len(), expected, "{why}");
        assert_eq!(counts(&box_, "a").dead, 1 - expected as u64, "{why}");
    }
}

#[test]
fn a_webhook_hears_the_same_state_once_in_a_while_and_alertmanager_each_time() {
    let mut box_ = outbox(OutboxLimits::default(), &[("hook", HOOK), ("peer", PEER)]);
    for (now, alert, hook) in [
        (1, firing("Hot", 1), 1),
        (61, firing("Hot", 1), 0),
        (4 * HOUR, firing("Hot", 1), 0),
        (4 * HOUR + 1, firing("Hot", 1), 1),
        (4 * HOUR + 2, resolved("Hot", 1, 4 * HOUR), 1),
        (4 * HOUR + 3, resolved("Hot", 1, 4 * HOUR), 0),
        (4 * HOUR + 4, firing("Hot", 4 * HOUR + 4), 1),
    ] {
        put(&mut box_, alert, now);
        assert_eq!(send(&mut box_, "hook", now, &Verdict::Delivered).len(), hook, "hook at {now}");
        assert_eq!(send(&mut box_, "peer", now, &Verdict::Delivered).len(), 1, "peer at {now}");
    }
}

#[test]
fn a_disabled_sink_parks_its_queue_and_gets_it_all_once_it_wants_us_again() {
    let mut box_ = outbox(OutboxLimits::default(), &[("a", PEER)]);
    put(&mut box_, firing("Hot", 1), 0);
    send(&mut box_, "a", 0, &disabled());
    put(&mut box_, firing("Cold", 1), 1);
    let found = counts(&box_, "a");
    assert_eq!((found.disabled, found.waiting, found.dead, found.failed["http_401"]), (true, 0, 2, 1));
    assert!(box_.list(at(0)).iter().all(|p| p.standing == Standing::Parked));
    assert!(batch(&mut box_, "a", 59).is_none(), "not even for news");
    assert_eq!(send(&mut box_, "a", 60, &Verdict::Delivered), ["Cold firing"], "news first");
    assert_eq!(send(&mut box_, "a", 60, &Verdict::Delivered), ["Hot firing"]);
    let found = counts(&box_, "a");
    assert_eq!((found.disabled, found.waiting, found.dead), (false, 0, 0));
}

#[test]
fn one_bad_alert_does_not_stall_the_others_of_its_sink() {
    let mut box_ = outbox(OutboxLimits::default(), &[("a", HOOK)]);
    put(&mut box_, firing("Bad", 1), 0);
    let mut now = 0;
    for _ in 0..20 {
        let Step::Wait(until) = box_.next("a", at(now)) else {
            send(&mut box_, "a", now, &retry(None));
            continue;
        };
        now = until.since(at(0)).as_secs().try_into().unwrap();
    }
    assert!(now > 100, "the sink has been failing for long");
    put(&mut box_, firing("Good", 1), now);
    assert!(batch(&mut box_, "a", now + 15).is_some(), "news waits 15 s at most");
    assert_eq!(send(&mut box_, "a", now + 15, &Verdict::Delivered), ["Good firing"]);
}

#[test]
fn a_wish_of_the_sink_is_honoured() {
    let mut box_ = outbox(OutboxLimits::default(), &[("a", PEER)]);
    put(&mut box_, firing("Hot", 1), 0);
    send(&mut box_, "a", 0, &retry(Some(90)));
    put(&mut box_, firing("Cold", 1), 1);
    for (now, sends) in [(1, false), (89, false), (90, true)] {
        assert_eq!(batch(&mut box_, "a", now).is_some(), sends, "{now}");
    }
}

#[test]
fn bounds_drop_the_oldest_and_time_gives_up() {
    let limits = OutboxLimits { entries: 2, ..OutboxLimits::default() };
    let mut box_ = outbox(limits, &[("a", PEER)]);
    for name in ["A", "B", "C"] {
        put(&mut box_, firing(name, 1), 0);
    }
    assert_eq!((counts(&box_, "a").waiting, counts(&box_, "a").dropped), (2, 1));
    assert_eq!(send(&mut box_, "a", 0, &retry(None)), ["B firing", "C firing"]);
    put(&mut box_, firing("C", 1), HOUR);
    assert_eq!(send(&mut box_, "a", 24 * HOUR, &retry(None)), ["C firing"], "B is too old, C was refreshed");
    assert_eq!(counts(&box_, "a").dead, 1);
    let listed = box_.list(at(0));
    let dead = listed.iter().find(|entry| entry.standing == Standing::Dead);
    assert_eq!(dead.and_then(|dead| dead.last_error.as_deref()), Some("expired"));
    assert!(matches!(box_.next("a", at(48 * HOUR + 1)), Step::Idle));
    assert_eq!(counts(&box_, "a").dead, 1, "B is forgotten, C is too old now");

    let limits = OutboxLimits { bytes: 3 * firing("A", 1).size(), ..OutboxLimits::default() };
    let mut box_ = outbox(limits, &[("a", PEER)]);
    for name in ["A", "B", "C", "D", "E"] {
        put(&mut box_, firing(name, 1), 0);
    }
    assert_eq!((counts(&box_, "a").waiting, counts(&box_, "a").dropped), (3, 2));
}

#[test]
fn sinks_come_and_go_and_keep_their_queues() {
    let mut box_ = outbox(OutboxLimits::default(), &[("a", PEER), ("b", PEER)]);
    put(&mut box_, firing("Hot", 1), 0);
    send(&mut box_, "a", 0, &disabled());
    let sinks = [("a", PEER), ("c", PEER)].map(|(name, policy)| (Arc::from(name), policy));
    box_.configure(&sinks.into(), &["a".into()]);
    assert_eq!(box_.unsaved().emptied, ["b".into()]);
    assert_eq!(send(&mut box_, "a", 1, &Verdict::Delivered), ["Hot firing"], "new settings are tried at once");
    assert!(batch(&mut box_, "b", 1).is_none() && batch(&mut box_, "c", 1).is_none());
}

/// Applies what is unsaved to a pretended disk.
pub(super) fn save(outbox: &mut Outbox, disk: &mut BTreeMap<Key, Saved>) {
    let unsaved = outbox.unsaved();
    write(&unsaved, disk);
    outbox.saved(&unsaved);
    assert!(outbox.unsaved().is_empty());
}

/// As the journal does.
pub(super) fn write(unsaved: &Unsaved, disk: &mut BTreeMap<Key, Saved>) {
    disk.retain(|(sink, _), _| !unsaved.emptied.contains(sink));
    for row in unsaved.rows.iter().cloned() {
        match row.saved {
            Some(saved) => disk.insert((row.sink, row.fingerprint), saved),
            None => disk.remove(&(row.sink, row.fingerprint)),
        };
    }
}

#[test]
fn a_restart_restores_what_is_not_known_newer() {
    let mut disk = BTreeMap::new();
    let mut box_ = outbox(OutboxLimits::default(), &[("a", HOOK), ("gone", HOOK)]);
    for name in ["Old", "Both", "Bad"] {
        put(&mut box_, firing(name, 1), 0);
    }
    send(&mut box_, "a", 0, &Verdict::Delivered);
    send(&mut box_, "a", 0, &retry(None));
    send(&mut box_, "a", 10, &refused());
    put(&mut box_, firing("Old", 5), 10);
    save(&mut box_, &mut disk);
    assert_eq!(disk.keys().filter(|(sink, _)| &**sink == "a").count(), 3);

    let mut next = outbox(OutboxLimits::default(), &[("a", HOOK)]);
    put(&mut next, resolved("Both", 1, 30), 30);
    next.restore(disk.clone().into_iter().collect(), at(5));
    assert_eq!(next.unsaved().emptied, ["gone".into()]);
    assert_eq!(send(&mut next, "a", 40, &Verdict::Delivered), ["Both resolved"]);
    assert_eq!(send(&mut next, "a", 40, &Verdict::Delivered), ["Old firing"]);
    assert_eq!(counts(&next, "a").dead, 1, "what was given up is still listed");
    save(&mut next, &mut disk);
    assert_eq!(disk.len(), 1);
}

#[test]
fn a_clock_that_was_set_back_over_a_restart_makes_nothing_immortal() {
    let (mut disk, mut box_) = (BTreeMap::new(), outbox(OutboxLimits::default(), &[("a", PEER)]));
    put(&mut box_, firing("Hot", 1), 1000 * HOUR);
    save(&mut box_, &mut disk);
    let mut box_ = outbox(OutboxLimits::default(), &[("a", PEER)]);
    box_.restore(disk.into_iter().collect(), at(0));
    for (now, waiting) in [(0, 1), (24 * HOUR, 0)] {
        send(&mut box_, "a", now, &retry(None));
        assert_eq!(counts(&box_, "a").waiting, waiting, "{now}");
    }
}

#[test]
fn a_disk_that_takes_nothing_for_long_does_not_fill_memory() {
    let limits = OutboxLimits { entries: 50, ..OutboxLimits::default() };
    let (mut disk, mut box_) = (BTreeMap::new(), outbox(limits, &[("a", PEER)]));
    for i in 0..40 {
        put(&mut box_, firing(&format!("Early{i}"), 1), 0);
    }
    save(&mut box_, &mut disk);
    for i in 0..5_000 {
        put(&mut box_, firing(&format!("Hot{i}"), 1), 0);
        send(&mut box_, "a", 0, &Verdict::Delivered);
    }
    assert!(box_.unsaved().rows.len() <= 801, "{}", box_.unsaved().rows.len());
    while !send(&mut box_, "a", 0, &Verdict::Delivered).is_empty() {}
    put(&mut box_, firing("Last", 1), 0);
    save(&mut box_, &mut disk);
    assert_eq!(disk.len(), 1, "the disk forgets what was delivered meanwhile");
}
