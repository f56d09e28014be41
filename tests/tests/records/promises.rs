//! The promises of the records, on whatever they are kept: acknowledged is durable, once is once, late is joined.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_agent::config::StoreText;
use plimsoll_agent::records::{Feedback, RecordsOptions, Refused};
use plimsoll_rules::{Exchange, ExchangeText, MaskedText, Source};
use serde_json::json;

use super::scene::{Running, Store, exchange, item, masker};

const COMPLETED: &str = r#"plimsoll_tasks_total{model="m", outcome="completed"}"#;

pub fn said(id: &str, words: &str) -> Exchange {
    let prompt = Some(MaskedText::of(&masker(), words));
    let text = ExchangeText { prompt, response_truncated: true, ..ExchangeText::default() };
    Exchange { text: Some(Arc::new(text)), ..exchange(id) }
}

pub async fn feedback_is_joined_counted_once_and_survives(store: Store) {
    let Some(store) = store.open().await else { return };
    let running = Running::start(store.options()).await;
    running.seen.send(exchange("a")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    for _ in 0..3 {
        running.records.feedback(vec![item("a", "task_completed", json!(true))]).await.unwrap();
    }
    running.records.feedback(vec![item("req-a", "thumbs", json!("down"))]).await.unwrap();
    assert_eq!(running.value(COMPLETED), Some(1.0), "three times the same is once");
    assert_eq!(running.value(r#"plimsoll_tasks_total{model="m", outcome="failed"}"#), Some(0.0));
    assert_eq!(running.value(r#"plimsoll_user_satisfaction_ratings_total{model="m"}"#), Some(1.0));
    running.stop().await;
    assert_eq!(store.rows("SELECT count(*) FROM exchanges").await, 1, "what has an outcome is kept, sampled or not");
    assert_eq!(store.rows("SELECT count(*) FROM feedback WHERE model = 'm'").await, 2);
    let again = Running::start(store.options()).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(again.value(r#"plimsoll_task_completion_ratio{model="m"}"#), Some(1.0), "the window is read back");
    again.records.feedback(vec![item("a", "task_completed", json!(true))]).await.unwrap();
    assert_eq!(again.value(COMPLETED), None, "known from before the restart");
    again.stop().await;
}

pub async fn early_feedback_waits_for_its_exchange_over_a_restart(store: Store) {
    let Some(store) = store.open().await else { return };
    let running = Running::start(store.options()).await;
    running.records.feedback(vec![item("late", "task_completed", json!(false))]).await.unwrap();
    assert_eq!(running.value("plimsoll_feedback_unjoined{}"), Some(1.0));
    running.stop().await;
    let again = Running::start(store.options()).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    again.seen.send(exchange("late")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    again.stop().await;
    assert_eq!(store.rows("SELECT count(*) FROM feedback WHERE model = 'm'").await, 1);
}

pub async fn a_changed_mind_replaces_and_is_not_counted_twice(store: Store) {
    let Some(store) = store.open().await else { return };
    let running = Running::start(store.options()).await;
    running.records.exchanges(vec![exchange("a")]).await.unwrap();
    running.records.feedback(vec![item("a", "task_completed", json!(false))]).await.unwrap();
    running.records.feedback(vec![item("a", "task_completed", json!(true))]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(running.value(r#"plimsoll_task_window_count{model="m"}"#), Some(1.0));
    running.stop().await;
}

pub async fn an_exchange_posted_twice_is_counted_once(store: Store) {
    let Some(store) = store.open().await else { return };
    let running = Running::start(store.options()).await;
    let posted = || vec![Exchange { source: Source::Push, ..exchange("a") }];
    running.records.exchanges(posted()).await.unwrap();
    running.records.exchanges(posted()).await.unwrap();
    assert_eq!(running.value(r#"plimsoll_prompt_tokens_total{model="m", source="push"}"#), Some(10.0));
    running.stop().await;
}

pub async fn an_id_that_stands_for_something_else_is_refused_with_its_whole_request(store: Store) {
    let Some(store) = store.open().await else { return };
    let running = Running::start(store.options()).await;
    let keyed = |target: &str, metric: &str| {
        let item = json!({"id": "k", "inference_id": target, "metric_name": metric, "value": true});
        Feedback::parse(&item, None, &masker()).unwrap()
    };
    running.records.feedback(vec![keyed("a", "task_completed")]).await.unwrap();
    for other in [keyed("b", "task_completed"), keyed("a", "thumbs")] {
        let (first, same) = tokio::join!(
            running.records.feedback(vec![item("c", "task_completed", json!(true)), other]),
            running.records.feedback(vec![keyed("a", "task_completed")]),
        );
        let conflict = Refused::Conflict { key: "k".into(), target: "a".into(), metric: "task_completed".into() };
        assert_eq!((first, same), (Err(conflict), Ok(())));
    }
    running.stop().await;
    assert_eq!(store.rows("SELECT count(*) FROM feedback").await, 1, "nothing of the refused requests is stored");
}

pub async fn text_is_stored_where_that_is_asked_for_and_nowhere_else(store: Store) {
    for (store_text, expected) in [(StoreText::None, 0), (StoreText::Masked, 2)] {
        let Some(store) = store.open().await else { return };
        let running = Running::start(RecordsOptions { sample: 1.0, store_text, ..store.options() }).await;
        running.seen.send(said("seen", "ask ann@example.org")).await.unwrap();
        let posted = vec![said("posted", "ask ann@example.org"), exchange("silent")];
        running.records.exchanges(posted).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1500)).await;
        running.stop().await;
        let count = "SELECT count(*) FROM exchanges WHERE prompt LIKE 'ask <EMAIL:%' AND response IS NULL
                     AND prompt_truncated = 0 AND response_truncated = 1";
        assert_eq!(store.rows(count).await, expected, "{store_text:?}");
        assert_eq!(store.rows("SELECT count(*) FROM exchanges").await, 3);
    }
}

pub async fn what_gets_feedback_later_is_stored_with_its_text(store: Store) {
    let Some(store) = store.open().await else { return };
    let running = Running::start(RecordsOptions { store_text: StoreText::Masked, ..store.options() }).await;
    running.seen.send(said("a", "hello")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    running.records.feedback(vec![item("a", "task_completed", json!(true))]).await.unwrap();
    running.stop().await;
    assert_eq!(store.rows("SELECT count(*) FROM exchanges WHERE prompt = 'hello'").await, 1);
}

pub async fn corrections_are_kept_the_last_one_wins_and_an_exchange_gets_the_text_it_lacks(store: Store) {
    let Some(store) = store.open().await else { return };
    let running = Running::start(RecordsOptions { store_text: StoreText::Masked, ..store.options() }).await;
    running.records.exchanges(vec![exchange("a")]).await.unwrap();
    running.seen.send(said("a", "hello")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    for right in ["ask bob@example.org", "ask ann@example.org, \u{0} please"] {
        running.records.feedback(vec![item("a", "correction", json!(right))]).await.unwrap();
    }
    running.stop().await;
    assert_eq!(store.rows("SELECT count(*) FROM exchanges WHERE prompt = 'hello'").await, 1);
    let kept = "SELECT count(*) FROM feedback WHERE value = 1.0 AND score IS NULL AND text LIKE 'ask <EMAIL:%please'";
    assert_eq!((store.rows(kept).await, store.rows("SELECT count(*) FROM feedback").await), (1, 1));
}

/// PostgreSQL's texts hold no zero; one must not keep everything else from being stored.
pub async fn names_with_zeros_in_them_are_stored(store: Store) {
    let Some(store) = store.open().await else { return };
    let running = Running::start(store.options()).await;
    running.records.exchanges(vec![exchange("a\0b"), exchange("c")]).await.unwrap();
    running.records.feedback(vec![item("a\0b", "cost\0", json!(1.5))]).await.unwrap();
    running.stop().await;
    assert_eq!(store.rows("SELECT count(*) FROM exchanges").await, 2);
    assert_eq!(store.rows("SELECT count(*) FROM feedback WHERE model = 'm'").await, 1);
}
