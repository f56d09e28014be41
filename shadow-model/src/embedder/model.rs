//! The model of an embedder: trunk and pooling, run group by group within the memory that is allowed.

use std::ops::Range;
use std::path::Path;

use candle_core::Tensor;
use rayon::prelude::*;

use super::groups::{Layout, ROWS_OF_CPU, ROWS_OF_GPU, groups};
use super::reading::Reading;
use crate::bert::{Bert, BertConfig};
use crate::decoder::{self, Checkpoint, Config, Decoder, Load};
use crate::numbers::{Numbers, Products};
use crate::ops::Batch;
use crate::pooling::Pooling;
use crate::{Folder, ModelError, Options, Result, Tokens, Vocabulary, Weights};

/// The vectors of some texts' tokens.
pub(crate) struct Hidden {
    /// Of shape `[rows, width]`.
    pub rows: Tensor,
    /// The rows of each text.
    pub spans: Vec<Range<usize>>,
}

/// A model that gives each token a vector.
pub(crate) trait Trunk: Send + Sync {
    /// Tokens that it knows.
    fn vocabulary(&self) -> usize;

    /// Whether it takes texts without padding, on many threads at once.
    fn packs(&self) -> bool;

    /// The vectors of texts' tokens.
    ///
    /// # Errors
    /// Where the device fails.
    fn hidden(&self, texts: &[&Tokens]) -> Result<Hidden>;

    /// Bytes that `texts` of at most `longest` tokens take while they are computed.
    fn cost(&self, texts: usize, longest: usize) -> u64;

    /// Bytes that the weights take.
    fn bytes(&self) -> u64;
}

impl Trunk for Bert {
    fn vocabulary(&self) -> usize {
        self.config().vocabulary()
    }

    fn packs(&self) -> bool {
        Self::packs(self)
    }

    fn hidden(&self, texts: &[&Tokens]) -> Result<Hidden> {
        let batch = if self.packs() { Batch::packed(texts) } else { Batch::padded(texts) };
        Ok(Hidden { rows: Self::hidden(self, &batch)?, spans: batch.spans })
    }

    fn cost(&self, texts: usize, longest: usize) -> u64 {
        bert_cost(self.config(), self.numbers(), texts, longest)
    }

    fn bytes(&self) -> u64 {
        Self::bytes(self)
    }
}

impl Trunk for Decoder {
    fn vocabulary(&self) -> usize {
        self.config().vocabulary
    }

    /// It takes them without padding, but one pass has all threads.
    fn packs(&self) -> bool {
        false
    }

    fn hidden(&self, texts: &[&Tokens]) -> Result<Hidden> {
        let mut batch = decoder::Batch::default();
        let segments: Vec<_> = texts.iter().map(|text| batch.add(text, None)).collect();
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

/// A trunk and what is made of its vectors.
pub(super) struct Model {
    trunk: Box<dyn Trunk>,
    pooling: Pooling,
    dimensions: usize,
    most_tokens: usize,
    /// Bytes for one batch.
    budget: u64,
}

impl Model {
    /// Opens a folder: the model, and how it reads texts.
    pub fn open(path: &Path, options: &Options) -> Result<(Self, Reading)> {
        let folder = Folder::open(path)?;
        let (trunk, pooling, vocabulary, [width, most_tokens]) = if folder.family()?.is_decoder() {
            let checkpoint = Checkpoint::trunk(path, options)?;
            let Config { hidden, vocabulary, window, .. } = checkpoint.config;
            let pooling = Pooling::of(&folder, hidden)?;
            let vocabulary = Vocabulary::open(&folder, vocabulary)?;
            let trunk: Box<dyn Trunk> = Box::new(Decoder::load(&checkpoint)?);
            (trunk, pooling, vocabulary, [hidden, window])
        } else {
            let config = BertConfig::of(&folder)?;
            let pooling = Pooling::of(&folder, config.width)?;
            let vocabulary = Vocabulary::open(&folder, config.vocabulary())?;
            let sizes = [config.width, config.most_tokens()];
            let trunk: Box<dyn Trunk> = Box::new(bert(&folder, config, options)?);
            (trunk, pooling, vocabulary, sizes)
        };
        let reading = Reading::of(&folder, vocabulary, most_tokens)?;
        within(options.memory, trunk.bytes())?;
        let dimensions = pooling.dimensions(width);
        let model = Self {
            dimensions: reading.dimensions().map_or(dimensions, |wanted| wanted.min(dimensions)),
            most_tokens,
            budget: options.memory.map_or(u64::MAX, |all| all.saturating_sub(trunk.bytes())),
            trunk,
            pooling,
        };
        Ok((model, reading))
    }

    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    pub fn bytes(&self) -> u64 {
        self.trunk.bytes()
    }

    /// The vectors of texts, in their order; `prompt` tokens at the beginning of each are the prompt's.
    pub fn embed(&self, texts: &[Tokens], prompt: usize) -> Result<Vec<Vec<f32>>> {
        texts.iter().try_for_each(|text| self.check(text))?;
        let lengths: Vec<usize> = texts.iter().map(Vec::len).collect();
        let layout =
            if self.trunk.packs() { Layout::Packed { threads: rayon::current_num_threads() } } else { Layout::Padded };
        let cost = |count, longest| self.trunk.cost(count, longest);
        let groups = groups(&lengths, layout, self.budget, cost);
        let mut vectors = vec![Vec::new(); texts.len()];
        for wave in self.waves(&groups, &lengths)? {
            let run = |group: &Vec<usize>| {
                let members: Vec<&Tokens> = group.iter().map(|&text| &texts[text]).collect();
                self.group(&members, prompt)
            };
            let results: Vec<_> = if self.trunk.packs() {
                wave.par_iter().map(run).collect::<Result<_>>()?
            } else {
                wave.iter().map(run).collect::<Result<_>>()?
            };
            for (text, vector) in wave.iter().flatten().zip(results.into_iter().flatten()) {
                vectors[*text] = vector;
            }
        }
        Ok(vectors)
    }

    /// Groups that may be computed at the same time within the memory.
    fn waves<'a>(&self, groups: &'a [Vec<usize>], lengths: &[usize]) -> Result<Vec<&'a [Vec<usize>]>> {
        let cost = |group: &Vec<usize>| {
            let longest = group.iter().map(|&text| lengths[text]).max().unwrap_or(0);
            self.trunk.cost(group.len(), longest)
        };
        let (mut waves, mut begin, mut taken) = (Vec::new(), 0, 0_u64);
        for (place, group) in groups.iter().enumerate() {
            let cost = cost(group);
            within(Some(self.budget), cost)?;
            if taken.saturating_add(cost) > self.budget {
                waves.push(&groups[begin..place]);
                (begin, taken) = (place, 0);
            }
            taken += cost;
        }
        waves.push(&groups[begin..]);
        Ok(waves)
    }

    fn group(&self, texts: &[&Tokens], prompt: usize) -> Result<Vec<Vec<f32>>> {
        let hidden = self.trunk.hidden(texts)?;
        let mut vectors = self.pooling.of_rows(&hidden.rows, &hidden.spans, prompt)?.to_vec2::<f32>()?;
        for vector in &mut vectors {
            vector.truncate(self.dimensions);
            if !vector.iter().all(|number| number.is_finite()) {
                return Err(candle_core::Error::Msg("the model gives numbers that are not finite".to_owned()).into());
            }
        }
        Ok(vectors)
    }

    fn check(&self, text: &Tokens) -> Result<()> {
        let (length, known) = (text.len(), self.trunk.vocabulary());
        if length == 0 || length > self.most_tokens {
            let most = self.most_tokens;
            return Err(ModelError::Text(format!("{length} tokens, the model reads 1 to {most}")));
        }
        match text.iter().find(|&&token| token as usize >= known) {
            Some(token) => Err(ModelError::Text(format!("token {token}, the model knows those below {known}"))),
            None => Ok(()),
        }
    }
}

fn bert(folder: &Folder, config: BertConfig, options: &Options) -> Result<Bert> {
    let numbers = Numbers::of(options)?;
    let weights = Weights::open(folder)?;
    if let Some(expected) = &options.sha256 {
        weights.check(expected)?;
    }
    within(options.memory, held(&weights, &numbers))?;
    Bert::load(config, &weights, &numbers)
}

/// Bytes that the weights of an encoder will take.
pub(super) fn held(weights: &Weights, numbers: &Numbers) -> u64 {
    let width = numbers.dtype.size_in_bytes();
    weights.held(|name, _| {
        // what reads the activation stays as it is (`Numbers::of_long_tails`)
        let is_small = name.ends_with(".dense.weight") && !name.ends_with(".output.dense.weight")
            || name.ends_with("attention.output.dense.weight")
            || name.contains(".attention.self.") && name.ends_with(".weight");
        if numbers.products == Products::Int8 && is_small { 1 } else { width }
    })
}

/// Bytes that the weights of an encoder and its groups of texts take.
pub(crate) fn bert_needs(config: &BertConfig, weights: &Weights, numbers: &Numbers) -> u64 {
    let longest = config.most_tokens();
    let groups = if numbers.products == Products::Plain {
        bert_cost(config, numbers, ROWS_OF_GPU.div_ceil(longest), longest)
    } else {
        let one = bert_cost(config, numbers, ROWS_OF_CPU.div_ceil(longest), longest);
        one * rayon::current_num_threads() as u64
    };
    held(weights, numbers) + groups
}

fn bert_cost(config: &BertConfig, numbers: &Numbers, texts: usize, longest: usize) -> u64 {
    let rows = texts * longest;
    // tokens, places, sum; queries, keys, values; context, sums before and after
    let held = rows * config.width * 8;
    let block = if numbers.products == Products::Plain {
        2 * rows * (config.middle + config.heads() * longest)
    } else {
        rayon::current_num_threads() * 66 * (config.middle + longest + config.width)
    };
    (held + block) as u64 * 4
}

fn within(budget: Option<u64>, needed: u64) -> Result<()> {
    match budget {
        Some(budget) if needed > budget => Err(ModelError::Memory { needed, budget }),
        _ => Ok(()),
    }
}
