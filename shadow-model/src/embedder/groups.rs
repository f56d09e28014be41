//! Which texts are computed together: of like length, few enough for the memory, enough for the cores.

/// Rows that make a product as fast as it gets on the CPU while a group's numbers stay in the cache.
pub(super) const ROWS_OF_CPU: usize = 256;
/// Rows that one kernel of a GPU is filled with.
pub(super) const ROWS_OF_GPU: usize = 16_384;

/// How texts are put together.
#[derive(Clone, Copy, Debug)]
pub(super) enum Layout {
    /// Without padding, groups beside each other on this many threads.
    Packed {
        /// Threads of the pool.
        threads: usize,
    },
    /// Padded to the longest, one group after another.
    Padded,
}

/// Texts by number, longest first, in groups that cost at most `budget` bytes each; `cost` is of a count and the longest.
///
/// A text that alone costs more is a group alone: whoever runs it says so.
pub(super) fn groups(
    lengths: &[usize],
    layout: Layout,
    budget: u64,
    cost: impl Fn(usize, usize) -> u64,
) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&text| std::cmp::Reverse(lengths[text]));
    let most_rows = match layout {
        Layout::Packed { threads } => (lengths.iter().sum::<usize>() / threads.max(1)).clamp(64, ROWS_OF_CPU),
        Layout::Padded => ROWS_OF_GPU,
    };
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut longest = 0;
    for text in order {
        let fits = |group: &&mut Vec<usize>| {
            let count = group.len() + 1;
            count * longest <= most_rows && cost(count, longest) <= budget
        };
        match groups.last_mut().filter(fits) {
            Some(group) => group.push(text),
            None => {
                longest = lengths[text].max(1);
                groups.push(vec![text]);
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_like_length_go_together_within_the_memory() {
        let packed = Layout::Packed { threads: 2 };
        for (why, lengths, layout, budget, expected) in [
            ("nothing", vec![], packed, 1000, vec![]),
            ("longest first", vec![3, 9, 5], packed, 1000, vec![vec![1, 2, 0]]),
            (
                "rows fill a group",
                vec![200, 40, 100, 60, 300],
                packed,
                1000,
                vec![vec![4], vec![0], vec![2, 3], vec![1]],
            ),
            ("enough groups for the threads", vec![32; 5], packed, 1000, vec![vec![0, 1], vec![2, 3], vec![4]]),
            ("memory bounds a group", vec![10; 4], packed, 25, vec![vec![0, 1], vec![2, 3]]),
            ("one alone may be too much", vec![30, 10], packed, 25, vec![vec![0], vec![1]]),
            ("padded", vec![16_000, 300, 300], Layout::Padded, u64::MAX, vec![vec![0], vec![1, 2]]),
        ] {
            let cost = |count: usize, longest: usize| (count * longest) as u64;
            assert_eq!(groups(&lengths, layout, budget, cost), expected, "{why}");
        }
    }
}
