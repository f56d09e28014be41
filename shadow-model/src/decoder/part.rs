//! The matrices of a layer, by the names that transformers gives them.

use super::Config;

/// One of the seven products of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Query,
    Key,
    Value,
    Output,
    Gate,
    Up,
    Down,
}

impl Part {
    /// All, in the order in which a layer computes them.
    pub const ALL: [Self; 7] = [Self::Query, Self::Key, Self::Value, Self::Output, Self::Gate, Self::Up, Self::Down];

    /// Its name, as `q_proj`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Query => "q_proj",
            Self::Key => "k_proj",
            Self::Value => "v_proj",
            Self::Output => "o_proj",
            Self::Gate => "gate_proj",
            Self::Up => "up_proj",
            Self::Down => "down_proj",
        }
    }

    /// Its name in the trunk, as `layers.0.self_attn.q_proj`.
    pub fn path(self, layer: usize) -> String {
        let block = if matches!(self, Self::Gate | Self::Up | Self::Down) { "mlp" } else { "self_attn" };
        format!("layers.{layer}.{block}.{}", self.name())
    }

    /// Numbers of a row that comes in and of one that goes out.
    pub fn shape(self, config: &Config) -> (usize, usize) {
        let (hidden, inner) = (config.hidden, config.inner);
        let (queries, keys) = (config.heads * config.head, config.kv_heads * config.head);
        match self {
            Self::Query => (hidden, queries),
            Self::Key | Self::Value => (hidden, keys),
            Self::Output => (queries, hidden),
            Self::Gate | Self::Up => (hidden, inner),
            Self::Down => (inner, hidden),
        }
    }

    /// Whether it adds a bias.
    pub fn biased(self, config: &Config) -> bool {
        match self {
            Self::Query | Self::Key | Self::Value => config.biases.query_key_value,
            Self::Output => config.biases.output,
            Self::Gate | Self::Up | Self::Down => config.biases.feed_forward,
        }
    }
}
