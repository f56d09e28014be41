//! Reload and shutdown.

use super::*;
use crate::receiver::{OK, Receiver, Reply};

#[tokio::test]
async fn the_end_sends_what_can_be_sent_even_to_a_sink_that_is_being_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(&[Reply::Status(503, "retry-after: 600\r\n", ""), OK]).await;
    let pool = database(folder.path()).await;
    let running = Running::start(vec![hook("hook", &receiver.url("/x"))], Some(pool.clone())).await;
    running.dispatcher.notify(&[firing("A"), firing("B"), firing("C")]).await;
    receiver.requests(1).await;
    running.end().await;
    assert_eq!(receiver.seen().len(), 4);
    assert_eq!(rows(&pool).await, []);
}

#[tokio::test]
async fn the_end_comes_in_time_and_the_rest_stays_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(&[Reply::Slow(Duration::from_secs(60))]).await;
    let pool = database(folder.path()).await;
    let hanging = WebhookSink::new("hook", &receiver.url("/x")).unwrap().timeout(Duration::from_secs(60)).unwrap();
    let running = Running::start(vec![hanging.into()], Some(pool.clone())).await;
    running.dispatcher.notify(&[firing("A"), firing("B")]).await;
    receiver.requests(1).await;
    let took = running.end().await;
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(5), "{took:?}");
    assert_eq!(rows(&pool).await.len(), 2);
}

#[tokio::test]
async fn a_reload_keeps_the_queues_of_sinks_that_stay() {
    let folder = tempfile::tempdir().unwrap();
    let (moved, added) = (Receiver::start(&[OK]).await, Receiver::start(&[OK]).await);
    let pool = database(folder.path()).await;
    let down = "http://127.0.0.1:9";
    let running = Running::start(vec![peer("stays", down), peer("goes", down)], Some(pool.clone())).await;
    running.dispatcher.notify(&[firing("Hot")]).await;
    let sinks = vec![peer("stays", &moved.url("")), peer("new", &added.url(""))];
    running.dispatcher.reconfigure(sinks, Routing::default()).unwrap();
    running.sent("stays", 1).await;
    assert_eq!(moved.seen()[0].names(), ["Hot"]);
    assert_eq!(added.seen().len(), 0, "a new sink hears of the next state, not of the past");
    running.dispatcher.notify(&[firing("Cold")]).await;
    running.sent("new", 1).await;
    assert_eq!(running.dispatcher.stats().iter().map(|s| &*s.sink).collect::<Vec<_>>(), ["new", "stays"]);
    running.end().await;
    assert_eq!(rows(&pool).await, []);
}

#[tokio::test]
async fn two_sinks_of_one_name_are_refused_and_nothing_changes() {
    let receiver = Receiver::start(&[OK]).await;
    let running = Running::start(vec![peer("am", &receiver.url(""))], None).await;
    let refused = running
        .dispatcher
        .reconfigure(vec![hook("x", "http://h/1"), hook("x", "http://h/2")], Routing::default())
        .unwrap_err();
    assert_eq!(refused.to_string(), "two sinks are named \"x\"; give each its own name");
    running.dispatcher.notify(&[firing("Hot")]).await;
    running.sent("am", 1).await;
}
