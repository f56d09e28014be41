//! LoRA training on the decoder that also scores: derivatives by hand, memory bounded, the same outcome after any kill.

mod attention;
mod backward;
mod chat;
mod examples;
mod layer;
mod linear;
mod loss;
mod model;
mod optimiser;
mod origin;
mod parameters;
mod plan;
mod random;
mod recipe;
mod saved;
mod size;
#[cfg(test)]
pub(crate) mod tests;
mod trainer;

pub use crate::weights::hash as sha256;
pub use chat::Message;
pub(crate) use examples::packed;
pub use examples::{Example, Reader};
pub use origin::Origin;
pub use recipe::{Method, Recipe, Recompute, Schedule};
pub use saved::write_whole;
pub use size::Size;
pub use trainer::{Course, Data, Held, Point, Trainer, size, steps};
