//! The dispatcher and real Alertmanagers: what they hold, what they refuse, what they catch up on.

use std::sync::Once;
use std::time::{Duration, SystemTime};

use plimsoll_alerts::{
    AlertmanagerSink, Dispatcher, DispatcherOptions, Notification, OutboxLimits, Routing, Sink, SinkStats, Status,
};
use plimsoll_rules::Timestamp;
use plimsoll_tests::{Alertmanager, eventually, free_port, get_json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const SOON: Duration = Duration::from_secs(20);

fn now() -> Timestamp {
    Timestamp::default() + SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

fn firing(name: &str) -> Notification {
    let (minute, five_minutes) = (Duration::from_secs(60), Duration::from_secs(300));
    Notification {
        status: Status::Firing,
        labels: [("alertname", name), ("severity", "warning")].map(|(k, v)| (k.into(), v.into())).into(),
        annotations: [("summary".into(), format!("{name}: 93 % of 85 %"))].into(),
        starts_at: now() - minute,
        ends_at: now() + five_minutes,
        value: 0.93,
        generator_url: "http://127.0.0.1:9465/api/v1/alerts".into(),
        expr: String::new(),
    }
}

fn resolved(name: &str) -> Notification {
    Notification { status: Status::Resolved, ends_at: now(), ..firing(name) }
}

/// A real Alertmanager on `port` or a free one; `None`, said loudly, where it is not installed.
async fn alertmanager(port: Option<u16>) -> Option<Alertmanager> {
    static RING: Once = Once::new();
    RING.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    Alertmanager::start(port).await.unwrap()
}

async fn telling(urls: &[String]) -> Dispatcher {
    let peers = urls.iter().enumerate().map(|(i, url)| AlertmanagerSink::new(&format!("am-{i}"), url).unwrap());
    let options = DispatcherOptions {
        sinks: peers.map(Sink::from).collect(),
        routing: Routing::default(),
        pool: None,
        limits: OutboxLimits::default(),
        tracker: TaskTracker::new(),
        token: CancellationToken::new(),
        drain: Duration::from_secs(1),
    };
    Dispatcher::start(options).await.unwrap()
}

/// Waits until `manager` holds exactly `names` as active.
async fn holds(manager: &Alertmanager, names: &[&str]) {
    eventually("Alertmanager holds the alerts", SOON, async || {
        let mut active = manager.active().await.map_err(|e| e.to_string())?;
        active.sort();
        if active == names { Ok(()) } else { Err(format!("{active:?} instead of {names:?}")) }
    })
    .await;
}

/// Waits until nothing is on its way to peer `i`.
async fn settled(dispatcher: &Dispatcher, i: usize) -> SinkStats {
    eventually("everything is delivered", SOON, async || {
        let stats = dispatcher.stats().swap_remove(i);
        if stats.pending == 0 { Ok(stats) } else { Err(stats) }
    })
    .await
}

#[tokio::test]
async fn an_alert_shows_up_with_all_its_words_and_goes_when_resolved() {
    let Some(manager) = alertmanager(None).await else { return };
    let dispatcher = telling(&[manager.url()]).await;
    let (hot, cold) = (firing("Hot"), firing("Cold"));
    dispatcher.notify(&[hot.clone(), cold]).await;
    holds(&manager, &["Cold", "Hot"]).await;
    let url = format!("{}/api/v2/alerts?filter=alertname=Hot", manager.url());
    let seen = get_json(&url).await.unwrap()[0].clone();
    assert_eq!(seen["labels"]["severity"], "warning");
    assert_eq!(seen["annotations"]["summary"], "Hot: 93 % of 85 %");
    assert_eq!(seen["generatorURL"], hot.generator_url.as_str());
    assert_eq!((&seen["startsAt"], &seen["endsAt"]), (&hot.starts_at.rfc3339().into(), &hot.ends_at.rfc3339().into()));

    dispatcher.notify(&[resolved("Hot")]).await;
    holds(&manager, &["Cold"]).await;
    dispatcher.notify(&[firing("Hot")]).await;
    holds(&manager, &["Cold", "Hot"]).await;
    assert_eq!(settled(&dispatcher, 0).await.sent, 4);
}

#[tokio::test]
async fn a_peer_that_was_down_catches_up_and_holds_up_no_other() {
    let Some(one) = alertmanager(None).await else { return };
    let port = free_port().unwrap();
    let dispatcher = telling(&[one.url(), format!("http://127.0.0.1:{port}")]).await;
    dispatcher.notify(&[firing("Stays"), firing("Passes")]).await;
    holds(&one, &["Passes", "Stays"]).await;
    dispatcher.notify(&[resolved("Passes")]).await;
    holds(&one, &["Stays"]).await;
    assert_eq!(dispatcher.stats()[1].pending, 2);

    let two = alertmanager(Some(port)).await.unwrap();
    holds(&two, &["Stays"]).await;
    let stats = settled(&dispatcher, 1).await;
    assert_eq!(stats.sent, 2, "the resolved one too, though it never heard of its beginning");
    assert!(stats.failed.iter().all(|(reason, _)| reason == "connect"), "{stats:?}");
    dispatcher.notify(&[firing("Later")]).await;
    for manager in [&one, &two] {
        holds(manager, &["Later", "Stays"]).await;
    }
}

#[tokio::test]
async fn a_bad_alert_among_many_costs_no_other() {
    let Some(manager) = alertmanager(None).await else { return };
    let dispatcher = telling(&[manager.url()]).await;
    let mut alerts: Vec<Notification> = (0..150).map(|i| firing(&format!("A{i:03}"))).collect();
    alerts[40].labels = [("not-a-label-name".into(), "x".into())].into();
    alerts[90].labels = [("empty-values-do-not-count".into(), String::new())].into();
    dispatcher.notify(&alerts).await;
    let good: Vec<String> = (0..150).filter(|i| ![40, 90].contains(i)).map(|i| format!("A{i:03}")).collect();
    holds(&manager, &good.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let stats = settled(&dispatcher, 0).await;
    assert_eq!((stats.sent, stats.dead, stats.disabled), (148, 2, false));
    for dead in dispatcher.list() {
        println!("Alertmanager refused {:?}: {:?}", dead.notification.labels, dead.last_error);
    }
}

#[tokio::test]
async fn the_end_of_an_alert_it_never_heard_of_is_taken_and_tells_nobody() {
    let Some(manager) = alertmanager(None).await else { return };
    let dispatcher = telling(&[manager.url()]).await;
    dispatcher.notify(&[resolved("Unheard")]).await;
    assert_eq!(settled(&dispatcher, 0).await.sent, 1);
    holds(&manager, &[]).await;
}
