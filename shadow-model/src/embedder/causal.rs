//! A decoder as the trunk of an embedder (Qwen3-Embedding and its like): pooling takes the last token's vector.

use super::model::{Hidden, Trunk};
use crate::decoder::{Batch, Decoder, Load};
use crate::{Result, Tokens};

impl Trunk for Decoder {
    fn width(&self) -> usize {
        self.config().hidden
    }

    fn vocabulary(&self) -> usize {
        self.config().vocabulary
    }

    /// Rows of a pass stand without padding anyway, but a pass takes all threads by itself.
    fn packs(&self) -> bool {
        false
    }

    fn hidden(&self, texts: &[&Tokens]) -> Result<Hidden> {
        let mut batch = Batch::default();
        let segments: Vec<usize> = texts.iter().map(|text| batch.add(text, None)).collect();
        let spans = segments.into_iter().map(|segment| batch.rows(segment)).collect();
        Ok(Hidden { rows: Self::hidden(self, &batch)?, spans })
    }

    fn cost(&self, texts: usize, longest: usize) -> u64 {
        self.pass_bytes(Load { rows: texts * longest, longest, segments: texts })
    }

    fn bytes(&self) -> u64 {
        Self::bytes(self)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::{Embedder, Options, Place};

    /// The vectors that transformers gets, from `tests/golden/shadow/causal_embedder.py`.
    #[test]
    fn the_last_token_speaks_for_the_text() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/shadow/qwen3");
        let folder = tempfile::tempdir().unwrap();
        for file in ["config.json", "tokenizer.json", "model.safetensors"] {
            std::fs::copy(golden.join(file), folder.path().join(file)).unwrap();
        }
        let modules = ["Transformer", "Pooling", "Normalize"].into_iter().enumerate();
        let module = |(at, name): (usize, &str)| {
            let path = if at == 0 { String::new() } else { format!("{at}_{name}") };
            serde_json::json!({"idx": at, "name": at.to_string(), "path": path, "type": format!("sentence_transformers.models.{name}")})
        };
        let modules = serde_json::Value::from(modules.map(module).collect::<Vec<_>>());
        std::fs::write(folder.path().join("modules.json"), modules.to_string()).unwrap();
        std::fs::create_dir(folder.path().join("1_Pooling")).unwrap();
        let pooling =
            r#"{"word_embedding_dimension": 32, "pooling_mode_lasttoken": true, "pooling_mode_mean_tokens": false}"#;
        std::fs::write(folder.path().join("1_Pooling/config.json"), pooling).unwrap();

        let expected = std::fs::read_to_string(golden.join("embedding.json")).unwrap();
        let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
        let texts: Vec<String> = serde_json::from_value(expected["texts"].clone()).unwrap();
        let vectors: Vec<Vec<f32>> = serde_json::from_value(expected["vectors"].clone()).unwrap();
        let options = Options { place: Place::Cpu, ..Options::default() };
        let embedder = Embedder::open(folder.path(), &options).unwrap();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        for (found, expected) in embedder.embed(&texts).unwrap().iter().zip(&vectors) {
            let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(found.len() == expected.len() && worst < 1e-4, "{worst}");
        }
    }
}
