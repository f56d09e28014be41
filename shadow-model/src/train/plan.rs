//! In which order examples are learnt, and which go together.

use super::random::Random;
use super::recipe::Recipe;

/// The examples of each pass of a step.
pub(crate) type Step = Vec<Vec<usize>>;

/// What the order of an epoch is drawn for, and which of the old data is replayed.
const ORDER: u64 = 2;
const REPLAY: u64 = 3;

/// All steps, over examples of these `lengths` in tokens of which the first `new` are new and the others old data.
///
/// An epoch has every new example once, and as many old ones as make up the share that the recipe asks for, each as often as
/// the others (but for one). Examples stand in a pass one after another, none is split.
pub(crate) fn steps(lengths: &[usize], new: usize, recipe: &Recipe) -> Vec<Step> {
    let (mut steps, mut replayed) = (Vec::new(), Vec::new());
    for epoch in 0.. {
        let enough = recipe.max_steps.map_or(epoch >= recipe.epochs, |most| steps.len() >= most);
        if enough || new == 0 {
            break;
        }
        let mut order: Vec<usize> = (0..new).collect();
        order.extend(replay(lengths.len() - new, new, recipe, &mut replayed).map(|old| new + old));
        Random::new(recipe.seed, &[ORDER, epoch as u64]).shuffle(&mut order);
        let passes = passes(&order, lengths, recipe.batch_tokens);
        steps.extend(passes.chunks(recipe.accumulate).map(<[_]>::to_vec));
    }
    steps.truncate(recipe.max_steps.unwrap_or(usize::MAX));
    steps
}

/// The next old examples; `rest` are those that were not yet drawn in this round.
fn replay<'r>(
    old: usize,
    new: usize,
    recipe: &Recipe,
    rest: &'r mut Vec<usize>,
) -> impl Iterator<Item = usize> + use<'r> {
    let share = recipe.replay_share / (1.0 - recipe.replay_share);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of examples")]
    let count = if old == 0 { 0 } else { (new as f64 * share).round() as usize };
    while rest.len() < count {
        let round: usize = rest.len();
        let mut more: Vec<usize> = (0..old).collect();
        Random::new(recipe.seed, &[REPLAY, round as u64]).shuffle(&mut more);
        rest.splice(0..0, more);
    }
    rest.drain(rest.len() - count..)
}

fn passes(order: &[usize], lengths: &[usize], most: usize) -> Vec<Vec<usize>> {
    let (mut passes, mut rows): (Vec<Vec<usize>>, usize) = (Vec::new(), 0);
    for &number in order {
        match passes.last_mut() {
            Some(pass) if rows + lengths[number] <= most => pass.push(number),
            _ => {
                passes.push(vec![number]);
                rows = 0;
            }
        }
        rows += lengths[number];
    }
    passes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_has_each_new_example_once_and_the_share_of_old_ones() {
        let lengths = vec![10; 100 + 7];
        let recipe = Recipe { batch_tokens: 45, accumulate: 3, epochs: 2, ..Recipe::default() };
        let steps = steps(&lengths, 100, &recipe);
        let passes: Vec<_> = steps.iter().flatten().collect();
        assert!(passes.iter().all(|pass| pass.len() <= 4) && steps.iter().all(|step| step.len() <= 3));
        let mut counts = vec![0; lengths.len()];
        passes.iter().copied().flatten().for_each(|&example| counts[example] += 1);
        assert!(counts[..100].iter().all(|&count| count == 2), "{counts:?}");
        // a fifth of 125 is 25 an epoch
        assert_eq!(counts[100..].iter().sum::<i32>(), 50);
        assert!(counts[100..].iter().all(|count| (7..=8).contains(count)), "{counts:?}");
        assert_ne!(steps[0], super::steps(&lengths, 100, &Recipe { seed: 1, ..recipe })[0]);
    }

    #[test]
    fn steps_are_as_many_as_asked() {
        let recipe = Recipe { batch_tokens: 10, max_steps: Some(7), ..Recipe::default() };
        assert_eq!(steps(&[10, 10, 10], 3, &recipe).len(), 7);
        assert_eq!(steps(&[], 0, &recipe).len(), 0);
        assert_eq!(steps(&[99, 1], 2, &Recipe { max_steps: None, ..recipe }).len(), 2);
    }
}
