//! What a text gave is kept while there is room, the least recently used goes first: prompts repeat.

use lru::LruCache;
use sha2::{Digest, Sha256};

/// What is kept is found by 128 bits of SHA-256 of the question, which nobody makes collide by accident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key([u8; 16]);

impl Key {
    /// Of a question in parts; parts are told apart.
    pub fn of(parts: &[&str]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        let mut key = [0; 16];
        key.copy_from_slice(&hasher.finalize()[..16]);
        Self(key)
    }
}

/// Bytes that an entry takes beside its value, roughly.
const ENTRY: usize = 96;

/// Answers by question, bounded in bytes.
pub struct Cache<V> {
    entries: LruCache<Key, (V, usize)>,
    bytes: usize,
    most: usize,
}

impl<V: Clone> Cache<V> {
    /// Holds at most `most` bytes; 0 holds nothing.
    pub fn new(most: usize) -> Self {
        Self { entries: LruCache::unbounded(), bytes: 0, most }
    }

    /// The answer, if it is still there.
    pub fn get(&mut self, key: &Key) -> Option<V> {
        self.entries.get(key).map(|(value, _)| value.clone())
    }

    /// Keeps an answer whose value takes `bytes`; one that is larger than the cache is not kept.
    pub fn put(&mut self, key: Key, value: V, bytes: usize) {
        let bytes = bytes + ENTRY;
        if bytes > self.most {
            return;
        }
        if let Some((_, before)) = self.entries.put(key, (value, bytes)) {
            self.bytes -= before;
        }
        self.bytes += bytes;
        while self.bytes > self.most
            && let Some((_, (_, gone))) = self.entries.pop_lru()
        {
            self.bytes -= gone;
        }
    }

    /// Bytes held, roughly.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut cache = Cache::new(3 * (ENTRY + 4));
        let keys: Vec<Key> = (0..4).map(|n: u32| Key::of(&[&n.to_string()])).collect();
        keys[..3].iter().zip(0..).for_each(|(key, n)| cache.put(*key, n, 4));
        assert_eq!((cache.get(&keys[0]), cache.bytes()), (Some(0), 3 * (ENTRY + 4)));
        cache.put(keys[3], 3, 4);
        assert_eq!(keys.iter().map(|key| cache.get(key)).collect::<Vec<_>>(), [Some(0), None, Some(2), Some(3)]);
        cache.put(keys[0], 9, 4);
        assert_eq!((cache.get(&keys[0]), cache.bytes()), (Some(9), 3 * (ENTRY + 4)), "put again, counted once");
        cache.put(keys[1], 1, 10_000);
        assert_eq!((cache.get(&keys[1]), cache.get(&keys[0])), (None, Some(9)), "too large to keep");
    }

    #[test]
    fn parts_are_told_apart() {
        assert_ne!(Key::of(&["ab", "c"]), Key::of(&["a", "bc"]));
        assert_eq!(Key::of(&["ab", "c"]), Key::of(&["ab", "c"]));
    }
}
