//! The exchanges of the last minutes by id, in bounded memory: most feedback comes soon.

use std::collections::{HashMap, VecDeque};

use plimsoll_rules::Exchange;

/// Exchanges remembered.
const MOST: usize = 8192;

/// A bounded map from an id to its exchange; the oldest is forgotten first.
#[derive(Debug, Default)]
pub(super) struct Recent {
    next: u64,
    order: VecDeque<Exchange>,
    /// Position (counted from the beginning of time) by id and by request id.
    places: HashMap<String, u64>,
}

impl Recent {
    pub(super) fn remember(&mut self, mut exchange: Exchange) {
        exchange.inter_token_seconds = Vec::new();
        if self.order.len() == MOST
            && let Some(old) = self.order.pop_front()
        {
            let place = self.next - MOST as u64;
            for id in ids(&old) {
                if self.places.get(id) == Some(&place) {
                    self.places.remove(id);
                }
            }
        }
        for id in ids(&exchange) {
            self.places.insert(id.to_owned(), self.next);
        }
        self.order.push_back(exchange);
        self.next += 1;
    }

    pub(super) fn find(&self, id: &str) -> Option<&Exchange> {
        let place = self.places.get(id)?;
        let first = self.next - self.order.len() as u64;
        self.order.get(usize::try_from(place.checked_sub(first)?).ok()?)
    }
}

fn ids(exchange: &Exchange) -> impl Iterator<Item = &str> {
    [Some(exchange.id.as_str()), exchange.request_id.as_deref()].into_iter().flatten()
}
