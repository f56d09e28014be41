//! Groups, rates, silences and second chances, as scripts of events.

use super::tests::{HOUR, at, batch, counts, disabled, outbox, put, refused, retry, save, write};
use super::*;
use crate::group::{GroupBy, Timing};
use crate::notification::tests::{firing, resolved};
use crate::rate::Rate;
use crate::route::Unnamed;
use crate::silence::tests::silence;

const CHAT: Policy = Policy { batch: 3, digest: 10, rate: None, direct: Some(Unnamed::Grouped) };

/// Groups by `team`, waits 30 s, 5 min and 4 h.
fn routing() -> Routing {
    Routing { group_by: GroupBy::Labels(vec!["team".into()]), timing: Timing::default(), ..Routing::default() }
}

fn chat(policy: Policy) -> Outbox {
    let mut outbox = outbox(OutboxLimits::default(), &[("chat", policy)]);
    outbox.route(routing());
    outbox
}

fn of(team: &str, alert: Notification) -> Notification {
    let mut alert = alert;
    alert.labels.insert("team".into(), team.into());
    alert
}

/// What goes out at `now`: names, `+` before what is only mentioned, `digest` when it is one.
fn send(outbox: &mut Outbox, now: i64, verdict: &Verdict) -> Option<(String, Arc<str>)> {
    let batch = batch(outbox, "chat", now)?;
    outbox.done("chat", &batch, verdict, at(now), 1.0);
    let mut said: Vec<String> = batch
        .items
        .iter()
        .map(|item| {
            let over = if item.notification.status == Status::Resolved { "-" } else { "" };
            format!("{over}{}", item.notification.labels["alertname"])
        })
        .chain(batch.context.iter().map(|alert| format!("+{}", alert.labels["alertname"])))
        .collect();
    said.sort();
    let digest = if batch.group.is_none() { "digest " } else { "" };
    Some((format!("{digest}{}", said.join(" ")), batch.id.clone()))
}

fn text(outbox: &mut Outbox, now: i64) -> String {
    send(outbox, now, &Verdict::Delivered).map_or_else(|| "nothing".into(), |(said, _)| said)
}

#[test]
fn a_group_waits_for_company_then_for_its_interval_and_repeats() {
    let mut box_ = chat(CHAT);
    put(&mut box_, of("a", firing("A", 0)), 0);
    put(&mut box_, of("a", firing("B", 10)), 10);
    put(&mut box_, of("b", firing("C", 20)), 20);
    for (now, expected) in [(29, "nothing"), (30, "A B"), (30, "nothing"), (49, "nothing"), (50, "C"), (50, "nothing")]
    {
        assert_eq!(text(&mut box_, now), expected, "{now}");
    }
    put(&mut box_, of("a", resolved("B", 10, 60)), 60);
    put(&mut box_, of("a", firing("D", 70)), 70);
    for (now, expected) in [(329, "nothing"), (330, "+A -B D"), (331, "nothing")] {
        assert_eq!(text(&mut box_, now), expected, "{now}");
    }
    for minute in 1..=300 {
        for (name, began) in [("A", 0), ("D", 70)] {
            put(&mut box_, of("a", firing(name, began)), 330 + 60 * minute);
        }
    }
    assert_eq!(text(&mut box_, 330 + 300 * 60), "A D", "repeated four hours after they were told");
}

#[test]
fn a_group_that_is_over_begins_anew() {
    let mut box_ = chat(CHAT);
    put(&mut box_, of("a", firing("A", 0)), 0);
    assert_eq!(text(&mut box_, 30), "A");
    put(&mut box_, of("a", resolved("A", 0, 40)), 40);
    assert_eq!(text(&mut box_, 330), "-A");
    put(&mut box_, of("a", firing("A", 340)), 340);
    assert_eq!(text(&mut box_, 369), "nothing");
    assert_eq!(text(&mut box_, 370), "A");
}

#[test]
fn what_ends_while_it_waits_for_company_is_told_as_over() {
    let mut box_ = chat(CHAT);
    put(&mut box_, of("a", firing("A", 0)), 0);
    put(&mut box_, of("a", resolved("A", 0, 20)), 20);
    assert_eq!(text(&mut box_, 30), "-A", "30 s after it began, not after it ended");
}

#[test]
fn large_groups_come_in_parts_and_a_message_is_tried_again_as_it_was() {
    let mut box_ = chat(CHAT);
    for name in ["A", "B", "C", "D"] {
        put(&mut box_, of("a", firing(name, 0)), 0);
    }
    let (said, id) = send(&mut box_, 30, &retry(None)).unwrap();
    assert_eq!(said, "A B C");
    put(&mut box_, of("a", resolved("B", 0, 31)), 31);
    put(&mut box_, of("a", firing("A", 0)), 31);
    let others: Vec<String> = (0..3).map(|i| text(&mut box_, 40 + i)).collect();
    assert_eq!(others[0], "-B D", "news does not share a message with what failed");
    assert_eq!(others[1], "+D A C", "the rest of the first message");
    assert_eq!(others[2], "nothing");
    let mut box_ = chat(CHAT);
    for name in ["A", "B"] {
        put(&mut box_, of("a", firing(name, 0)), 0);
    }
    let (_, first) = send(&mut box_, 30, &retry(None)).unwrap();
    put(&mut box_, of("a", firing("C", 40)), 31);
    assert_eq!(text(&mut box_, 62), "C");
    let (said, again) = send(&mut box_, 400, &Verdict::Delivered).unwrap();
    assert_eq!((said.as_str(), &again), ("+C A B", &first));
    assert_ne!(id, first);
}

#[test]
fn what_does_not_fit_into_one_message_follows_at_once() {
    for rate in [None, Some(Rate::per_minute(8))] {
        let mut box_ = chat(Policy { rate, ..CHAT });
        for name in ["A", "B", "C", "D"] {
            put(&mut box_, of("a", firing(name, 0)), 0);
        }
        assert_eq!(text(&mut box_, 30), "A B C");
        put(&mut box_, of("a", firing("E", 31)), 31);
        assert_eq!(text(&mut box_, 31), "+A +B +C D");
        assert_eq!(text(&mut box_, 60), "nothing");
        assert_eq!(text(&mut box_, 331), "+A +B +C +D E");
    }
}

#[test]
fn ids_and_what_was_told_survive_a_restart() {
    let (mut disk, mut told) = (BTreeMap::new(), BTreeMap::new());
    let mut keep = |outbox: &mut Outbox| {
        let unsaved = outbox.unsaved();
        for row in &unsaved.rows {
            let key = (row.sink.clone(), row.fingerprint);
            match row.told.clone() {
                Some(row) => told.insert(key, row),
                None => told.remove(&key),
            };
        }
        write(&unsaved, &mut disk);
        outbox.saved(&unsaved);
        (disk.clone().into_iter().collect::<Vec<_>>(), told.clone().into_iter().collect::<Vec<_>>())
    };
    let mut box_ = chat(CHAT);
    for name in ["A", "B"] {
        put(&mut box_, of("a", firing(name, 0)), 0);
    }
    keep(&mut box_);
    let (_, id) = send(&mut box_, 30, &Verdict::Delivered).unwrap();
    put(&mut box_, of("b", firing("C", 31)), 31);
    // The answer came, but the process died before the disk knew.
    let mut early = chat(CHAT);
    early.restore(keep(&mut chat(CHAT)).0, at(40));
    assert_eq!(send(&mut early, 40, &Verdict::Delivered).unwrap(), ("A B".into(), id));

    let (rows, memory) = keep(&mut box_);
    assert_eq!((rows.len(), memory.len()), (1, 2));
    let mut next = chat(CHAT);
    next.restore_told(memory, at(50));
    next.restore(rows, at(50));
    put(&mut next, of("a", firing("A", 0)), 50);
    put(&mut next, of("a", firing("D", 50)), 50);
    assert_eq!(text(&mut next, 61), "C", "A was told before the restart");
    assert_eq!(text(&mut next, 329), "nothing");
    assert_eq!(text(&mut next, 330), "+A +B D", "its group spoke at 30 s");
    put(&mut next, of("a", firing("A", 0)), 4 * HOUR + 30);
    assert_eq!(text(&mut next, 4 * HOUR + 30), "+B +D A", "repeated four hours after it was told");
}

#[test]
fn more_than_the_rate_lets_through_comes_as_a_digest() {
    let mut box_ = chat(Policy { rate: Some(Rate::per_minute(8)), ..CHAT });
    for team in ["a", "b"] {
        put(&mut box_, of(team, firing(team, 0)), 0);
    }
    assert_eq!(text(&mut box_, 30), "a", "two messages, and two may go out");
    assert_eq!(text(&mut box_, 30), "b");
    assert_eq!(text(&mut box_, 30), "nothing");
    for i in 0..25 {
        put(&mut box_, of(&format!("t{i}"), firing(&format!("T{i:02}"), 31)), 31);
    }
    assert_eq!(text(&mut box_, 61).split(' ').count(), 11, "a digest of ten");
    assert_eq!(text(&mut box_, 61).split(' ').count(), 11);
    assert_eq!(text(&mut box_, 61), "nothing", "the bucket is empty");
    assert_eq!(text(&mut box_, 72).split(' ').count(), 6, "the last five");
    assert_eq!(counts(&box_, "chat").waiting, 0);
}

#[test]
fn a_refused_digest_is_taken_apart() {
    let mut box_ = chat(Policy { rate: Some(Rate::per_minute(4)), ..CHAT });
    for team in ["a", "b", "c", "d"] {
        put(&mut box_, of(team, firing(team, 0)), 0);
    }
    let mut said = Vec::new();
    for now in (30..400).step_by(21) {
        let Some(batch) = batch(&mut box_, "chat", now) else { continue };
        let names: Vec<&str> = batch.items.iter().map(|i| &*i.notification.labels["alertname"]).collect();
        said.push(names.join(" "));
        let verdict = if names.contains(&"c") { refused() } else { Verdict::Delivered };
        box_.done("chat", &batch, &verdict, at(now), 1.0);
    }
    assert_eq!(said, ["a b c d", "a b", "c d", "c", "d"]);
}

#[test]
fn a_silence_mutes_beginnings_but_not_the_end_of_what_was_told() {
    let mut box_ = chat(CHAT);
    put(&mut box_, of("a", firing("Told", 0)), 0);
    assert_eq!(text(&mut box_, 30), "Told");
    put(&mut box_, of("a", firing("Waits", 31)), 31);
    let now = at(40).millis() / 1000;
    box_.silence(vec![silence("team=a", now, now + 4000)], at(40));
    put(&mut box_, of("a", firing("Muted", 50)), 50);
    put(&mut box_, of("b", firing("Other", 50)), 50);
    assert_eq!(text(&mut box_, 80), "Other");
    assert_eq!(text(&mut box_, 330), "nothing", "what waited is muted too");
    for alert in ["Told", "Waits", "Muted"] {
        put(&mut box_, of("a", resolved(alert, if alert == "Told" { 0 } else { 50 }, 400)), 400);
    }
    assert_eq!(text(&mut box_, 400), "-Told");
    assert_eq!(text(&mut box_, 800), "nothing");
    put(&mut box_, of("a", firing("Later", 4041)), 4041);
    assert_eq!(text(&mut box_, 4071), "Later", "the silence is over");
}

#[test]
fn alertmanagers_hear_of_silenced_and_unrouted_alerts_all_the_same() {
    let mut box_ = outbox(OutboxLimits::default(), &[("chat", CHAT), ("am", super::tests::PEER)]);
    box_.route(Routing { receivers: vec!["nobody".into()], ..routing() });
    put(&mut box_, of("a", firing("A", 0)), 0);
    assert_eq!((counts(&box_, "chat").waiting, counts(&box_, "am").waiting), (0, 1));
    box_.route(routing());
    let now = at(0).millis() / 1000;
    box_.silence(vec![silence("team=a", now, now + 100)], at(0));
    put(&mut box_, of("a", firing("B", 0)), 1);
    assert_eq!((counts(&box_, "chat").waiting, counts(&box_, "am").waiting), (0, 2));
}

#[test]
fn what_was_given_up_can_be_sent_again() {
    let mut box_ = chat(CHAT);
    put(&mut box_, of("a", firing("A", 0)), 0);
    put(&mut box_, of("b", firing("B", 0)), 0);
    let (_, id) = send(&mut box_, 30, &refused()).unwrap();
    send(&mut box_, 30, &refused()).unwrap();
    assert_eq!(counts(&box_, "chat").dead, 2);
    assert_eq!(box_.retry(Some("other"), None, at(40)), 0);
    assert_eq!(box_.retry(Some("chat"), Some(&id), at(40)), 1);
    let (said, again) = send(&mut box_, 40, &Verdict::Delivered).unwrap();
    assert_eq!((said.as_str(), again), ("A", id), "at once, under its old id");
    assert_eq!(box_.retry(None, None, at(41)), 1);
    assert_eq!(text(&mut box_, 41), "B");
    put(&mut box_, of("c", firing("C", 50)), 50);
    send(&mut box_, 80, &disabled()).unwrap();
    assert_eq!(text(&mut box_, 81), "nothing");
    assert_eq!(box_.retry(None, None, at(82)), 1, "parked ones too");
    assert_eq!(text(&mut box_, 82), "C");
    save(&mut box_, &mut BTreeMap::new());
}

#[test]
fn the_end_waits_for_no_company() {
    let mut box_ = chat(CHAT);
    put(&mut box_, of("a", firing("A", 0)), 0);
    assert_eq!(text(&mut box_, 1), "nothing");
    box_.hurry("chat");
    assert_eq!(text(&mut box_, 1), "A");
}

#[test]
fn a_sink_that_works_hears_beginning_and_end_and_one_that_fails_the_latest() {
    use super::tests::PEER;
    let names = |box_: &mut Outbox, now: i64, verdict: &Verdict| {
        let batch = batch(box_, "a", now)?;
        box_.done("a", &batch, verdict, at(now), 1.0);
        Some((batch.items[0].notification.status, batch.items[0].id.clone()))
    };
    let alone = Policy { batch: 1, direct: Some(Unnamed::Alone(Duration::from_secs(60))), ..PEER };
    for policy in [PEER, alone] {
        let mut box_ = outbox(OutboxLimits::default(), &[("a", policy)]);
        put(&mut box_, firing("Hot", 1), 1);
        let on_its_way = batch(&mut box_, "a", 1).unwrap();
        put(&mut box_, resolved("Hot", 1, 2), 2);
        put(&mut box_, resolved("Hot", 1, 2), 3);
        let mut disk = BTreeMap::new();
        save(&mut box_, &mut disk);
        box_.done("a", &on_its_way, &Verdict::Delivered, at(4), 1.0);
        let (status, end) = names(&mut box_, 4, &Verdict::Delivered).unwrap();
        assert_eq!(status, Status::Resolved);
        assert!(names(&mut box_, 5, &Verdict::Delivered).is_none());
        save(&mut box_, &mut BTreeMap::new());

        // The process died before any answer came.
        let mut next = outbox(OutboxLimits::default(), &[("a", policy)]);
        next.restore(disk.into_iter().collect(), at(10));
        let first = names(&mut next, 10, &Verdict::Delivered).unwrap();
        assert_eq!(first, (Status::Firing, on_its_way.id.clone()));
        assert_eq!(names(&mut next, 10, &Verdict::Delivered).unwrap(), (Status::Resolved, end));

        let mut box_ = outbox(OutboxLimits::default(), &[("a", policy)]);
        put(&mut box_, firing("Hot", 1), 1);
        put(&mut box_, resolved("Hot", 1, 2), 2);
        assert_eq!(names(&mut box_, 2, &retry(None)).unwrap().0, Status::Firing);
        assert_eq!(names(&mut box_, 3, &Verdict::Delivered).unwrap().0, Status::Resolved, "it fails: the latest");
        assert!(names(&mut box_, 4, &Verdict::Delivered).is_none());

        let mut box_ = outbox(OutboxLimits::default(), &[("a", policy)]);
        put(&mut box_, firing("Hot", 1), 1);
        put(&mut box_, resolved("Hot", 1, 2), 2);
        put(&mut box_, firing("Hot", 3), 3);
        assert_eq!(names(&mut box_, 3, &Verdict::Delivered).unwrap().0, Status::Firing);
        assert!(names(&mut box_, 4, &Verdict::Delivered).is_none(), "a new turn replaces both");
    }
}

#[test]
fn the_same_words_have_the_same_id_even_when_no_disk_knew_of_them() {
    let alone = Policy { batch: 1, direct: Some(Unnamed::Alone(Duration::from_secs(60))), ..super::tests::PEER };
    let ids = |sink: &'static str, alert: Notification| {
        let mut box_ = outbox(OutboxLimits::default(), &[(sink, alone)]);
        let mut say = |now: i64| {
            put(&mut box_, alert.clone(), now);
            let batch = batch(&mut box_, sink, now)?;
            box_.done(sink, &batch, &Verdict::Delivered, at(now), 1.0);
            Some(batch.id)
        };
        (say(1), say(61))
    };
    let (first, repeat) = ids("a", firing("Hot", 1));
    assert_eq!(ids("a", firing("Hot", 1)), (first.clone(), repeat.clone()));
    assert_ne!(first, repeat, "a repeat is another message");
    for other in [ids("b", firing("Hot", 1)), ids("a", firing("Hot", 2)), ids("a", resolved("Hot", 1, 2))] {
        assert!(other.0 != first && other.0 != repeat);
    }
}
