//! Memory of a thread that is used again and again: asking the system for it costs a page fault every 4 KiB.

use std::cell::RefCell;
use std::thread::LocalKey;

/// Where a thread keeps its buffer while nobody uses it.
pub(crate) type Shelf<T> = LocalKey<RefCell<Vec<T>>>;

/// A buffer of the thread, put back when dropped. Nested use on one thread (a waiting task may run another) gets a new one.
pub(crate) struct Scratch<T: Copy + Default + 'static> {
    shelf: &'static Shelf<T>,
    numbers: Vec<T>,
}

impl<T: Copy + Default> Scratch<T> {
    /// A buffer of `length` numbers, whatever they are.
    pub fn take(shelf: &'static Shelf<T>, length: usize) -> Self {
        let mut numbers = shelf.take();
        if numbers.len() < length {
            numbers.resize(length, T::default());
        }
        numbers.truncate(length);
        Self { shelf, numbers }
    }
}

impl<T: Copy + Default> std::ops::Deref for Scratch<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.numbers
    }
}

impl<T: Copy + Default> std::ops::DerefMut for Scratch<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.numbers
    }
}

impl<T: Copy + Default> Drop for Scratch<T> {
    fn drop(&mut self) {
        // the larger of two is kept
        let numbers = std::mem::take(&mut self.numbers);
        self.shelf.with_borrow_mut(|kept| {
            if numbers.capacity() > kept.capacity() {
                *kept = numbers;
            }
        });
    }
}
