//! `adapter_config.json`: what of PEFT's many forms is read here, and what is refused rather than misread.

use serde_json::Value;

use crate::{Result, Settings};

/// How an adapter is put into the weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Form {
    /// Columns of B and rows of A.
    pub rank: usize,
    /// α: what the product of both is scaled by, together with the rank.
    pub alpha: f64,
    /// Scaled by α/√r instead of α/r.
    pub rslora: bool,
    /// The size of each row of a weight is learnt apart from its direction.
    pub dora: bool,
}

/// Keys that change what an adapter computes in ways that are not supported; empty, null or false is as if not there.
const REFUSED: [&str; 18] = [
    "rank_pattern",
    "alpha_pattern",
    "modules_to_save",
    "fan_in_fan_out",
    "lora_bias",
    "layer_replication",
    "trainable_token_indices",
    "target_parameters",
    "alora_invocation_tokens",
    "use_qalora",
    "use_bdlora",
    "arrow_config",
    "kasa_config",
    "velora_config",
    "monteclora_config",
    "loftq_config",
    "megatron_config",
    "exclude_modules",
];

/// Ways to begin that leave the weights of the model as they are; others, as PiSSA, change them.
const BEGINNINGS: [&str; 3] = ["gaussian", "eva", "orthogonal"];

impl Form {
    /// α/r, or α/√r.
    pub fn scale(&self) -> f64 {
        let rank = self.rank as f64;
        self.alpha / if self.rslora { rank.sqrt() } else { rank }
    }

    /// Reads the form.
    ///
    /// # Errors
    /// Where a key is missing, of another type, or asks for what is not supported.
    pub(super) fn read(settings: &Settings) -> Result<Self> {
        let kind = settings.text("peft_type")?;
        if kind != "LORA" {
            return Err(settings.wrong("peft_type", format!("`{kind}`"), "LORA"));
        }
        for key in REFUSED {
            if let Some(value) = settings.get(key).filter(|value| !is_nothing(value)) {
                return Err(settings.wrong(key, value, "nothing: this is not supported"));
            }
        }
        if let Some(bias) = settings.get("bias").filter(|&bias| bias != "none") {
            return Err(settings.wrong("bias", bias, "\"none\": trained biases are not supported"));
        }
        match settings.get("init_lora_weights") {
            Some(Value::String(name)) if !BEGINNINGS.contains(&name.as_str()) => {
                let expected = "true, false, gaussian, eva or orthogonal: others change the weights of the model";
                return Err(settings.wrong("init_lora_weights", format!("`{name}`"), expected));
            }
            _ => {}
        }
        Ok(Self {
            rank: settings.count("r")?,
            alpha: settings.number_or("lora_alpha", 8.0)?,
            rslora: settings.flag_or("use_rslora", false)?,
            dora: settings.flag_or("use_dora", false)?,
        })
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}
