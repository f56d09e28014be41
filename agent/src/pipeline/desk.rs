//! Questions to the pipeline: it alone owns the store and the rule engine, so whoever wants to look posts a question.

use std::fmt;

use plimsoll_rules::{RuleEngine, Store};
use tokio::sync::{mpsc, oneshot};

use super::Command;

/// What looks and hands on what it saw.
type Look = dyn FnOnce(&Store, &RuleEngine) + Send;

/// Something to be looked up between two ticks.
pub struct Question(Box<Look>);

impl Question {
    pub(super) fn answer(self, store: &Store, engine: &RuleEngine) {
        (self.0)(store, engine);
    }
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Question")
    }
}

/// Where questions are handed in; clones share it. A full queue makes the caller wait.
#[derive(Clone, Debug)]
pub struct Desk(mpsc::Sender<Command>);

impl Desk {
    /// Hands questions to the pipeline that reads from `commands`.
    pub fn new(commands: mpsc::Sender<Command>) -> Self {
        Self(commands)
    }

    /// Runs `look` on the pipeline's own task, so it must be short: copy what is needed, work on it elsewhere. `None`
    /// when the pipeline has ended.
    pub async fn ask<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Store, &RuleEngine) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let question = Question(Box::new(move |store, engine| {
            // whoever asked may have gone away
            let _ = answer.send(look(store, engine));
        }));
        self.0.send(Command::Answer(question)).await.ok()?;
        answered.await.ok()
    }
}
