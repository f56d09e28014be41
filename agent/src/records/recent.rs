//! The exchanges of the last minutes by id, in bounded memory: most feedback comes soon.

use std::collections::{HashMap, VecDeque};

use plimsoll_rules::Exchange;

/// Exchanges remembered.
const MOST: usize = 8192;
/// Bytes of their text; the oldest go without it first.
const MOST_TEXT: usize = 4 << 20;

/// A bounded map from an id to its exchange; the oldest is forgotten first.
#[derive(Debug, Default)]
pub(super) struct Recent {
    next: u64,
    order: VecDeque<Exchange>,
    /// Position (counted from the beginning of time) by id and by request id.
    places: HashMap<String, u64>,
    /// Bytes of text held, and the first position where there may be any.
    text: usize,
    first_text: u64,
}

impl Recent {
    pub(super) fn remember(&mut self, mut exchange: Exchange) {
        exchange.inter_token_seconds = Vec::new();
        if self.order.len() == MOST
            && let Some(old) = self.order.pop_front()
        {
            let place = self.next - MOST as u64;
            self.text -= text_bytes(&old);
            for id in ids(&old) {
                if self.places.get(id) == Some(&place) {
                    self.places.remove(id);
                }
            }
        }
        for id in ids(&exchange) {
            self.places.insert(id.to_owned(), self.next);
        }
        self.text += text_bytes(&exchange);
        self.order.push_back(exchange);
        self.next += 1;
        self.drop_text();
    }

    /// Keeps text within its bound.
    fn drop_text(&mut self) {
        let first = self.next - self.order.len() as u64;
        self.first_text = self.first_text.max(first);
        while self.text > MOST_TEXT {
            let place = usize::try_from(self.first_text - first).unwrap_or(usize::MAX);
            let Some(exchange) = self.order.get_mut(place) else { return };
            self.text -= text_bytes(exchange);
            exchange.text = None;
            self.first_text += 1;
        }
    }

    pub(super) fn find(&self, id: &str) -> Option<&Exchange> {
        let place = self.places.get(id)?;
        let first = self.next - self.order.len() as u64;
        self.order.get(usize::try_from(place.checked_sub(first)?).ok()?)
    }
}

fn text_bytes(exchange: &Exchange) -> usize {
    exchange.text.as_ref().map_or(0, |text| text.bytes())
}

fn ids(exchange: &Exchange) -> impl Iterator<Item = &str> {
    [Some(exchange.id.as_str()), exchange.request_id.as_deref()].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use plimsoll_rules::mask::{MaskOptions, Masker};
    use plimsoll_rules::{ExchangeText, MaskedText, Source, Timestamp};
    use std::sync::Arc;

    use super::*;

    fn exchange(id: usize, text: Option<Arc<ExchangeText>>) -> Exchange {
        Exchange { source: Source::Tap, text, ..Exchange::chat(id.to_string(), "", Timestamp::from_millis(0)) }
    }

    #[test]
    fn number_and_text_are_bounded_oldest_first() {
        let masker = Masker::new(b"salt of the tests", &MaskOptions::default()).unwrap();
        let prompt = Some(MaskedText::of(&masker, &"word ".repeat(2000)));
        let text = Arc::new(ExchangeText { prompt, ..ExchangeText::default() });
        let (mut recent, fit) = (Recent::default(), MOST_TEXT / 10_000);
        for id in 0..MOST + 100 {
            recent.remember(exchange(id, (id % 2 == 0).then(|| text.clone())));
            let held: usize = recent.order.iter().map(text_bytes).sum();
            assert!(id % 500 != 0 || (held == recent.text && held <= MOST_TEXT), "{id}: {held}, {}", recent.text);
        }
        assert!(recent.find("99").is_none() && recent.find("100").is_some_and(|old| old.text.is_none()));
        let with = recent.order.iter().filter(|exchange| exchange.text.is_some()).count();
        assert_eq!(with, fit, "the newest have it");
        assert!(recent.order.iter().rev().step_by(2).skip(1).take(fit - 1).all(|e| e.text.is_none()));
    }
}
