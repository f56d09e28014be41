//! Several texts as the rows of one matrix.

use std::ops::Range;

use candle_core::{DType, Device, Tensor};

use crate::{Result, Tokens};

/// The rows of several texts: one after another, or each padded to the longest.
pub(crate) struct Batch {
    /// The token of each row.
    pub ids: Vec<u32>,
    /// The place in its text of each row.
    pub positions: Vec<u32>,
    /// The rows of each text, without padding.
    pub spans: Vec<Range<usize>>,
    /// Rows for each text where they are padded.
    padded: Option<usize>,
}

impl Batch {
    /// One after another.
    pub fn packed(texts: &[&Tokens]) -> Self {
        Self::laid_out(texts, None)
    }

    /// Each padded to the longest with the token `0`.
    pub fn padded(texts: &[&Tokens]) -> Self {
        Self::laid_out(texts, texts.iter().map(|text| text.len()).max())
    }

    fn laid_out(texts: &[&Tokens], padded: Option<usize>) -> Self {
        let mut batch = Self { ids: Vec::new(), positions: Vec::new(), spans: Vec::new(), padded };
        for text in texts {
            let (begin, rows) = (batch.ids.len(), padded.unwrap_or(text.len()));
            batch.ids.extend_from_slice(text);
            batch.ids.resize(begin + rows, 0);
            batch.positions.extend(0..u32::try_from(rows).unwrap_or(u32::MAX));
            batch.spans.push(begin..begin + text.len());
        }
        batch
    }

    /// Rows of all texts, padding included.
    pub fn rows(&self) -> usize {
        self.ids.len()
    }

    /// Rows for each text where they are padded.
    pub fn padding(&self) -> Option<usize> {
        self.padded
    }

    /// 0 where a row may look and -∞ at padding, of shape `[texts, 1, 1, rows]`; `None` where there is no padding.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn mask(&self, dtype: DType, device: &Device) -> Result<Option<Tensor>> {
        let Some(rows) = self.padded.filter(|rows| self.spans.iter().any(|span| span.len() < *rows)) else {
            return Ok(None);
        };
        let mut mask = vec![f32::NEG_INFINITY; self.rows()];
        for span in &self.spans {
            mask[span.clone()].fill(0.0);
        }
        let mask = Tensor::from_vec(mask, (self.spans.len(), 1, 1, rows), device)?;
        Ok(Some(mask.to_dtype(dtype)?))
    }
}
