//! The models that a worker holds: what may be asked of them, and what they answer.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use plimsoll_shadow_model::serve::Key;
use plimsoll_shadow_model::{Comparison, Embedder, Judge, Judgement, ModelError, Pair, Reward, Score, Scorer, Tokens};
use serde_json::{Value, json};

use super::WorkerOptions;
use super::refusal::Refusal;

/// What the hashed embedder is called.
pub const HASHED: &str = "hashed-ngrams";
/// What every model reads once before it is ready.
const WARM_UP: &str = "The quick brown fox jumps over the lazy dog.";

/// A kind of work; batches are of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    Embed,
    Score,
    Judge,
    Reward,
}

impl Task {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Embed => "embed",
            Self::Score => "score",
            Self::Judge => "judge",
            Self::Reward => "reward",
        }
    }
}

/// One text or pair, ready to be read.
pub(super) enum Question {
    Embed(Tokens),
    Score(Pair),
    Judge(Comparison),
    Reward(Tokens),
}

impl Question {
    pub(super) fn task(&self) -> Task {
        match self {
            Self::Embed(_) => Task::Embed,
            Self::Score(_) => Task::Score,
            Self::Judge(_) => Task::Judge,
            Self::Reward(_) => Task::Reward,
        }
    }

    /// How long it is, in tokens.
    pub(super) fn tokens(&self) -> usize {
        match self {
            Self::Embed(tokens) | Self::Reward(tokens) => tokens.len(),
            Self::Score(pair) => pair.tokens(),
            Self::Judge(comparison) => comparison.tokens(),
        }
    }
}

/// What a model says.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Vector(Arc<[f32]>),
    Score(Arc<Score>),
    Verdict(Judgement),
    Reward(f32),
}

impl Answer {
    /// Bytes that it takes in the cache.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Vector(vector) => 4 * vector.len(),
            Self::Score(score) => 64 + 4 * score.tokens,
            Self::Verdict(_) | Self::Reward(_) => 64,
        }
    }

    /// As JSON.
    pub(super) fn shown(&self) -> Value {
        match self {
            Self::Vector(vector) => json!(vector),
            Self::Score(score) => json!(score),
            Self::Verdict(verdict) => json!(verdict),
            Self::Reward(reward) => json!({"reward": reward}),
        }
    }
}

/// The loaded models.
pub(super) struct Models {
    embedder: (Embedder, String),
    scorer: Option<(Arc<Scorer>, String)>,
    judge: Option<Judge>,
    reward: Option<(Reward, String)>,
    on_gpu: bool,
}

impl Models {
    /// Loads what the options name, and lets each model read once.
    pub(super) fn open(options: &WorkerOptions) -> anyhow::Result<Self> {
        let shared = &options.options;
        let hash_is_of_embedder = plimsoll_shadow_model::Options { sha256: None, ..shared.clone() };
        let embedder = match &options.model {
            Some(folder) => (Embedder::open(folder, shared)?, name(folder)),
            None => (Embedder::hashed(), HASHED.to_owned()),
        };
        let open = |folder: &std::path::PathBuf| {
            anyhow::Ok((Arc::new(Scorer::open(folder, &hash_is_of_embedder)?), name(folder)))
        };
        let scorer = options.scorer.as_ref().map(open).transpose()?;
        // a model without single-token labels can still score
        let judge = scorer.as_ref().and_then(|(scorer, name)| {
            Judge::new(scorer.clone())
                .inspect_err(|why| tracing::warn!(model = %name, %why, "this model cannot judge"))
                .ok()
        });
        let open =
            |folder: &std::path::PathBuf| anyhow::Ok((Reward::open(folder, &hash_is_of_embedder)?, name(folder)));
        let reward = options.reward.as_ref().map(open).transpose()?;
        let models = Self { embedder, scorer, judge, reward, on_gpu: shared.device()?.is_cuda() };
        models.warm_up().context("warming up")?;
        Ok(models)
    }

    fn warm_up(&self) -> anyhow::Result<()> {
        let mut questions = vec![self.to_embed(WARM_UP)];
        if self.scorer.is_some() {
            questions.push(self.to_score(WARM_UP, WARM_UP));
        }
        if self.judge.is_some() {
            questions.push(self.to_judge(WARM_UP, "yes", "no"));
        }
        if self.reward.is_some() {
            questions.push(self.to_reward(WARM_UP, WARM_UP));
        }
        for question in questions {
            let (question, _) = question?;
            self.answer(question.task(), &[&question])?;
        }
        Ok(())
    }

    /// Whether any runs on a GPU.
    pub(super) fn uses_gpu(&self) -> bool {
        self.on_gpu
    }

    /// Bytes of weights by task.
    pub(super) fn bytes(&self) -> Vec<(&'static str, u64)> {
        let mut all = vec![(Task::Embed.name(), self.embedder.0.bytes())];
        all.extend(self.scorer.as_ref().map(|(scorer, _)| (Task::Score.name(), scorer.bytes())));
        all.extend(self.reward.as_ref().map(|(reward, _)| (Task::Reward.name(), reward.bytes())));
        all
    }

    /// Numbers in a vector.
    pub(super) fn dimensions(&self) -> usize {
        self.embedder.0.dimensions()
    }

    pub(super) fn embedder_name(&self) -> &str {
        &self.embedder.1
    }

    pub(super) fn scorer_name(&self) -> Option<&str> {
        self.scorer.as_ref().map(|(_, name)| name.as_str())
    }

    /// Of all models.
    pub(super) fn names(&self) -> Vec<&str> {
        let reward = self.reward.as_ref().map(|(_, name)| name.as_str());
        std::iter::once(self.embedder_name()).chain(self.scorer_name()).chain(reward).collect()
    }

    /// What is loaded, for whoever connects.
    pub(super) fn describe(&self) -> Value {
        json!({
            "embedder": {"model": self.embedder_name(), "dimensions": self.dimensions()},
            "scorer": self.scorer_name().map(|name| json!({"model": name})),
            "judge": self.judge.is_some(),
            "reward": self.reward.as_ref().map(|(_, name)| json!({"model": name})),
        })
    }

    pub(super) fn to_embed(&self, text: &str) -> Result<(Question, Key), Refusal> {
        let tokens = self.embedder.0.tokenize(text).map_err(|why| unreadable(&why))?;
        Ok((Question::Embed(tokens), Key::of(&["embed", text])))
    }

    pub(super) fn to_score(&self, prompt: &str, response: &str) -> Result<(Question, Key), Refusal> {
        let (scorer, _) = self.scorer.as_ref().ok_or(Refusal::NotLoaded("scorer"))?;
        let pair = scorer.tokenize(prompt, response).map_err(|why| unreadable(&why))?;
        Ok((Question::Score(pair), Key::of(&["score", prompt, response])))
    }

    pub(super) fn to_judge(&self, question: &str, a: &str, b: &str) -> Result<(Question, Key), Refusal> {
        let judge = self.judge.as_ref().ok_or(Refusal::NotLoaded("scorer"))?;
        let comparison = judge.tokenize(question, a, b).map_err(|why| unreadable(&why))?;
        Ok((Question::Judge(comparison), Key::of(&["judge", question, a, b])))
    }

    pub(super) fn to_reward(&self, prompt: &str, response: &str) -> Result<(Question, Key), Refusal> {
        let (reward, _) = self.reward.as_ref().ok_or(Refusal::NotLoaded("reward"))?;
        let tokens = reward.tokenize(prompt, response).map_err(|why| unreadable(&why))?;
        Ok((Question::Reward(tokens), Key::of(&["reward", prompt, response])))
    }

    /// Answers one batch, in order.
    pub(super) fn answer(&self, task: Task, questions: &[&Question]) -> anyhow::Result<Vec<Answer>> {
        match task {
            Task::Embed => {
                let vectors = self.embedder.0.embed_tokens(&picked(questions, |question| match question {
                    Question::Embed(tokens) => Some(tokens),
                    _ => None,
                }))?;
                Ok(vectors.into_iter().map(|vector| Answer::Vector(vector.into())).collect())
            }
            Task::Score => {
                let (scorer, _) = self.scorer.as_ref().context("no scorer")?;
                let scores = scorer.score(&picked(questions, |question| match question {
                    Question::Score(pair) => Some(pair),
                    _ => None,
                }))?;
                Ok(scores.into_iter().map(|score| Answer::Score(Arc::new(score))).collect())
            }
            Task::Judge => {
                let judge = self.judge.as_ref().context("no judge")?;
                let judgements = judge.judge(&picked(questions, |question| match question {
                    Question::Judge(comparison) => Some(comparison),
                    _ => None,
                }))?;
                Ok(judgements.into_iter().map(Answer::Verdict).collect())
            }
            Task::Reward => {
                let (reward, _) = self.reward.as_ref().context("no reward model")?;
                let rewards = reward.score(&picked(questions, |question| match question {
                    Question::Reward(tokens) => Some(tokens),
                    _ => None,
                }))?;
                Ok(rewards.into_iter().map(Answer::Reward).collect())
            }
        }
    }
}

/// What `pick` finds in each question of a batch, which is of one kind.
fn picked<T: Clone>(questions: &[&Question], pick: impl Fn(&Question) -> Option<&T>) -> Vec<T> {
    questions.iter().filter_map(|question| pick(question)).cloned().collect()
}

impl fmt::Display for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(", "))
    }
}

/// What a model is called: its folder's name.
fn name(folder: &Path) -> String {
    let resolved = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    resolved.file_name().unwrap_or(resolved.as_os_str()).to_string_lossy().into_owned()
}

fn unreadable(why: &ModelError) -> Refusal {
    Refusal::Question(why.to_string())
}
