//! What the shadow model said of the last exchanges, in bounded memory: feedback may come, and then it is kept.

use std::collections::{HashMap, VecDeque};

use crate::shadow::Reading;

/// Readings remembered: a few kilobytes each.
const MOST: usize = 512;

/// A bounded map from an exchange's id to what was said of it; the oldest is forgotten first.
#[derive(Debug, Default)]
pub(super) struct Readings {
    order: VecDeque<String>,
    by_id: HashMap<String, Reading>,
}

impl Readings {
    /// Remembers a reading, without its text.
    pub(super) fn remember(&mut self, reading: &Reading) {
        let id = reading.exchange.clone();
        if self.by_id.insert(id.clone(), Reading { prompt: None, ..reading.clone() }).is_some() {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
    }

    /// What was said of an exchange.
    pub(super) fn find(&self, id: &str) -> Option<Reading> {
        self.by_id.get(id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_rules::Timestamp;

    use super::*;

    #[test]
    fn the_oldest_is_forgotten_first() {
        let reading = |id: usize| Reading {
            exchange: id.to_string(),
            model: String::new(),
            variant: String::new(),
            at: Timestamp::from_millis(0),
            reader: "".into(),
            embedding: [1.0].into(),
            prompt: None,
            prompt_nll: None,
            response_nll: None,
        };
        let mut readings = Readings::default();
        (0..MOST + 2).for_each(|id| readings.remember(&reading(id)));
        readings.remember(&reading(5));
        assert_eq!((readings.find("1"), readings.order.len()), (None, MOST));
        assert!(readings.find("2").is_some() && readings.find(&(MOST + 1).to_string()).is_some());
    }
}
