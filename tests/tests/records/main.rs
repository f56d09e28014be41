//! The records keep their promises on SQLite and on a real PostgreSQL alike.

mod experiments;
mod promises;
mod scene;
mod transfer;

use scene::Store;

/// Each promise, on both.
macro_rules! on_both {
    ($($module:ident :: $promise:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                super::$module::$promise(super::Store::Sqlite).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                super::$module::$promise(super::Store::Postgres).await;
            })*
        }
    };
}

on_both! {
    promises::feedback_is_joined_counted_once_and_survives,
    promises::early_feedback_waits_for_its_exchange_over_a_restart,
    promises::a_changed_mind_replaces_and_is_not_counted_twice,
    promises::an_exchange_posted_twice_is_counted_once,
    promises::an_id_that_stands_for_something_else_is_refused_with_its_whole_request,
    promises::text_is_stored_where_that_is_asked_for_and_nowhere_else,
    promises::what_gets_feedback_later_is_stored_with_its_text,
    promises::corrections_are_kept_the_last_one_wins_and_an_exchange_gets_the_text_it_lacks,
    promises::names_with_zeros_in_them_are_stored,
    experiments::a_unit_goes_through_the_records_and_is_closed_once,
    experiments::judgements_and_labels_meet,
    transfer::everything_goes_out_and_in,
    transfer::what_cannot_be_done_is_said,
}
