//! The one thread that owns the device, and the way to it: bounded, in batches, answers from the cache where there are.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use plimsoll_exporters::{Metric, Registry};
use plimsoll_shadow_model::serve::{BatchLimits, Batcher, Cache, Key};
use tokio::sync::{Semaphore, oneshot};

use super::WorkerOptions;
use super::models::{Answer, Models, Question, Task};
use super::polite::Polite;
use super::refusal::Refusal;

/// Requests whose texts become tokens at the same time.
const TOKENIZERS: usize = 2;

type Waiting = oneshot::Sender<Result<Answer, Refusal>>;

struct Job {
    question: Question,
    key: Key,
    answer: Waiting,
}

/// The handlers' end; clones share one thread.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) models: Arc<Models>,
    /// Places for requests whose texts become tokens.
    pub(super) tokenizers: Arc<Semaphore>,
    queue: SyncSender<Job>,
    /// Texts that are waiting or running.
    load: Arc<AtomicUsize>,
    cache: Arc<Mutex<Cache<Answer>>>,
    polite: Polite,
    registry: Registry,
}

impl Desk {
    /// Starts the thread.
    pub(super) fn start(
        models: Models,
        options: &WorkerOptions,
        polite: Polite,
        registry: Registry,
    ) -> (Self, JoinHandle<()>) {
        let (queue, jobs) = sync_channel(options.queue.max(1));
        let desk = Self {
            models: Arc::new(models),
            tokenizers: Arc::new(Semaphore::new(TOKENIZERS)),
            queue,
            load: Arc::default(),
            cache: Arc::new(Mutex::new(Cache::new(options.cache))),
            polite,
            registry,
        };
        let device = Device {
            models: desk.models.clone(),
            load: desk.load.clone(),
            cache: desk.cache.clone(),
            polite: desk.polite.clone(),
            registry: desk.registry.clone(),
            limits: options.batches,
            batchers: BTreeMap::new(),
            began: Instant::now(),
        };
        let thread = std::thread::spawn(move || device.run(&jobs));
        (desk, thread)
    }

    /// Puts one question; it waits in the thread's queue for its batch.
    pub(super) async fn ask(&self, question: Question, key: Key) -> Result<Answer, Refusal> {
        let task = question.task();
        let said = self.ask_uncounted(question, key).await;
        let outcome = match &said {
            Ok((_, true)) => "cached",
            Ok((_, false)) => "ok",
            Err(Refusal::Busy) => "busy",
            Err(Refusal::Full) => "full",
            Err(_) => "failed",
        };
        self.registry.add(Metric::ShadowTexts, &[task.name(), outcome], 1.0);
        said.map(|(answer, _)| answer)
    }

    async fn ask_uncounted(&self, question: Question, key: Key) -> Result<(Answer, bool), Refusal> {
        if let Some(answer) = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok((answer, true));
        }
        if self.polite.is_busy() {
            return Err(Refusal::Busy);
        }
        let (answer, answered) = oneshot::channel();
        self.load.fetch_add(1, Ordering::Relaxed);
        let sent = self.queue.try_send(Job { question, key, answer });
        if let Err(why) = sent {
            self.load.fetch_sub(1, Ordering::Relaxed);
            return Err(if matches!(why, TrySendError::Full(_)) { Refusal::Full } else { Refusal::Ending });
        }
        answered.await.unwrap_or(Err(Refusal::Ending)).map(|answer| (answer, false))
    }

    /// Brings the gauges up to date.
    pub(super) fn publish(&self) {
        self.registry.set(Metric::ShadowQueue, &[], self.load.load(Ordering::Relaxed) as f64);
        let bytes = self.cache.lock().unwrap_or_else(PoisonError::into_inner).bytes();
        self.registry.set(Metric::ShadowCache, &[], bytes as f64);
    }

    /// Whether the worker makes way.
    pub(super) fn is_busy(&self) -> bool {
        self.polite.is_busy()
    }
}

struct Device {
    models: Arc<Models>,
    load: Arc<AtomicUsize>,
    cache: Arc<Mutex<Cache<Answer>>>,
    polite: Polite,
    registry: Registry,
    limits: BatchLimits,
    batchers: BTreeMap<Task, Batcher<Job>>,
    began: Instant,
}

impl Device {
    /// Until every desk is gone.
    fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            let now = self.began.elapsed();
            let next = self.batchers.iter().filter_map(|(task, batcher)| Some((batcher.due_in(now)?, *task))).min();
            match next {
                Some((Duration::ZERO, task)) => self.batch(task),
                Some((wait, _)) => match jobs.recv_timeout(wait) {
                    Ok(job) => self.take(job, jobs),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                },
                None => match jobs.recv() {
                    Ok(job) => self.take(job, jobs),
                    Err(_) => return,
                },
            }
        }
    }

    fn take(&mut self, first: Job, jobs: &Receiver<Job>) {
        for job in std::iter::once(first).chain(jobs.try_iter()) {
            let (task, tokens, now) = (job.question.task(), job.question.tokens(), self.began.elapsed());
            self.batchers.entry(task).or_insert_with(|| Batcher::new(self.limits)).push(now, tokens, job);
        }
    }

    fn batch(&mut self, task: Task) {
        let mut batch = self.batchers.get_mut(&task).map(Batcher::take).unwrap_or_default();
        // whoever asked may have gone away
        let before = batch.len();
        batch.retain(|job| !job.answer.is_closed());
        self.load.fetch_sub(before - batch.len(), Ordering::Relaxed);
        if batch.is_empty() {
            return;
        }
        let answers = if self.polite.is_busy() { Err(Refusal::Busy) } else { self.compute(task, &batch) };
        self.load.fetch_sub(batch.len(), Ordering::Relaxed);
        let answers = match answers {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            Err(why) => vec![Err(why); batch.len()],
        };
        for (job, answer) in batch.into_iter().zip(answers) {
            if let Ok(answer) = &answer {
                let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
                cache.put(job.key, answer.clone(), answer.bytes());
            }
            let _ = job.answer.send(answer);
        }
    }

    /// A model that panics answers with an error; a device that is broken fails every batch after it, which the
    /// supervisor of this process sees.
    fn compute(&mut self, task: Task, batch: &[Job]) -> Result<Vec<Answer>, Refusal> {
        let began = Instant::now();
        let questions: Vec<&Question> = batch.iter().map(|job| &job.question).collect();
        let computed = catch_unwind(AssertUnwindSafe(|| self.models.answer(task, &questions)));
        self.polite.ran();
        let tokens: usize = questions.iter().map(|question| question.tokens()).sum();
        self.registry.add(Metric::ShadowBatches, &[task.name()], 1.0);
        self.registry.add(Metric::ShadowTokens, &[task.name()], tokens as f64);
        self.registry.observe(Metric::ShadowBatchDuration, &[task.name()], &[began.elapsed().as_secs_f64()]);
        match computed {
            Ok(answers) => answers.map_err(|why| Refusal::Model(why.to_string())),
            Err(_) => Err(Refusal::Model("the model broke down on this batch".to_owned())),
        }
    }
}
