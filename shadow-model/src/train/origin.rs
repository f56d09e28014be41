//! What a training started from: one that goes on must have the same, and is told what is not.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::examples::Example;
use super::recipe::Recipe;

/// What a training started from: one that goes on must have the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// How it is trained.
    pub recipe: Recipe,
    /// SHA-256 of the model's weights.
    pub base: String,
    /// SHA-256 of the examples in tokens.
    pub data: String,
    /// SHA-256 of the adapter that it goes on from.
    pub adapter: Option<String>,
    /// SHA-256 of the holdout in tokens, of nothing where there is none; checkpoints of before it was written lack it.
    #[serde(default)]
    pub holdout: Option<String>,
}

impl Origin {
    /// What is not the same in that of a checkpoint.
    pub(super) fn differs(&self, there: &Self) -> Option<String> {
        if self.recipe != there.recipe {
            return Some(format!("other options: {}", differences(&there.recipe, &self.recipe)));
        }
        let pairs = [
            (self.base == there.base, "another model"),
            (self.data == there.data, "other data"),
            (self.adapter == there.adapter, "another adapter to go on from"),
            (there.holdout.is_none() || self.holdout == there.holdout, "another holdout, or one where there was none"),
        ];
        pairs.into_iter().find(|(same, _)| !same).map(|(_, what)| what.to_owned())
    }
}

/// The options that are not the same in two recipes, each with both values.
pub(super) fn differences(there: &Recipe, asked: &Recipe) -> String {
    let asked = options(asked);
    let differs = |(name, there): (String, String)| {
        let (_, asked) = asked.iter().find(|(other, _)| *other == name)?;
        (*asked != there).then(|| format!("{name}: {there} there, {asked} asked for"))
    };
    options(there).into_iter().filter_map(differs).collect::<Vec<_>>().join("; ")
}

/// The options of a recipe as one names them, with their values as text.
fn options(recipe: &Recipe) -> Vec<(String, String)> {
    let Ok(Value::Object(all)) = serde_json::to_value(recipe) else { return Vec::new() };
    let mut flat = Vec::new();
    for (key, value) in all {
        match value {
            Value::Object(method) => {
                for (name, form) in method {
                    flat.push((key.clone(), Value::from(name)));
                    flat.extend(form.as_object().cloned().unwrap_or_default());
                }
            }
            value => flat.push((key, value)),
        }
    }
    let named = |key: String| if key == "learning_rate" { "lr".to_owned() } else { key.replace('_', "-") };
    flat.into_iter().map(|(key, value)| (named(key), text(&value))).collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// SHA-256 of examples in tokens.
pub(super) fn hash(examples: &[Example]) -> String {
    let mut hasher = Sha256::new();
    for example in examples {
        example.numbers().for_each(|number| hasher.update(number.to_le_bytes()));
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::recipe::Method;
    use super::*;

    fn origin(recipe: Recipe, holdout: Option<&str>) -> Origin {
        let (base, data) = ("a".to_owned(), "b".to_owned());
        Origin { recipe, base, data, adapter: None, holdout: holdout.map(str::to_owned) }
    }

    #[test]
    fn options_that_differ_are_named_with_both_values() {
        let mut other = Recipe { learning_rate: 1e-3, max_steps: Some(7), ..Recipe::default() };
        if let Method::Lora { rank, targets, .. } = &mut other.method {
            *rank = 8;
            targets.truncate(2);
        }
        let (there, asked) = (origin(Recipe::default(), Some("c")), origin(other, Some("c")));
        let told = asked.differs(&there).unwrap();
        let expected = "other options: rank: 16 there, 8 asked for; targets: q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,\
                        down_proj there, q_proj,k_proj asked for; lr: 0.0002 there, 0.001 asked for; max-steps: none there, \
                        7 asked for";
        assert_eq!(told, expected);
        let full = origin(Recipe { method: Method::Full, ..Recipe::default() }, Some("c"));
        assert_eq!(full.differs(&there).unwrap(), "other options: method: lora there, full asked for");
    }

    #[test]
    fn a_checkpoint_of_before_fits_any_holdout() {
        let own = origin(Recipe::default(), Some("c"));
        assert!(own.differs(&origin(Recipe::default(), Some("d"))).unwrap().contains("another holdout"));
        let mut stored = serde_json::to_value(&own).unwrap();
        stored.as_object_mut().unwrap().remove("holdout");
        let before: Origin = serde_json::from_value(stored).unwrap();
        assert_eq!((own.differs(&before), own.differs(&own.clone())), (None, None));
    }
}
