-- Exchanges and what came of them: counts and times; prompt and response are NULL or masked. Columns that came later are
-- added to older files by database.rs.
CREATE TABLE IF NOT EXISTS exchanges (
  id TEXT PRIMARY KEY, request_id TEXT, started_ms INTEGER NOT NULL, source TEXT NOT NULL, endpoint TEXT NOT NULL,
  model TEXT NOT NULL, variant TEXT NOT NULL, outcome TEXT NOT NULL, status INTEGER NOT NULL, finish_reason TEXT,
  stream INTEGER NOT NULL, input_tokens INTEGER, output_tokens INTEGER, estimated INTEGER NOT NULL,
  time_to_first_token_ms REAL, duration_ms REAL NOT NULL,
  prompt TEXT, response TEXT, prompt_truncated INTEGER, response_truncated INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS exchanges_request ON exchanges (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS exchanges_started ON exchanges (started_ms);

-- What the shadow model said of exchanges that are kept: nats per token, and the prompt's vector as little-endian f32.
CREATE TABLE IF NOT EXISTS readings (
  exchange TEXT PRIMARY KEY, read_ms INTEGER NOT NULL, reader TEXT NOT NULL, prompt_nll REAL, prompt_tokens INTEGER,
  response_nll REAL, response_tokens INTEGER, embedding BLOB
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS readings_read ON readings (read_ms);

-- One row per idempotency key; the last value wins. model is NULL until the exchange is known. text is NULL or masked: the
-- answer that a correction says would have been right.
CREATE TABLE IF NOT EXISTS feedback (
  key TEXT PRIMARY KEY, target TEXT NOT NULL, metric TEXT NOT NULL, value REAL NOT NULL, score REAL, received_ms INTEGER NOT NULL,
  model TEXT, variant TEXT, tags TEXT, text TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS feedback_target ON feedback (target);
CREATE INDEX IF NOT EXISTS feedback_received ON feedback (received_ms);
CREATE INDEX IF NOT EXISTS feedback_unjoined ON feedback (key) WHERE model IS NULL;

-- Feedback on episodes, by the unit of an experiment that an episode of this id would be.
CREATE TABLE IF NOT EXISTS episode_feedback (
  experiment TEXT NOT NULL, unit INTEGER NOT NULL, key TEXT NOT NULL, received_ms INTEGER NOT NULL,
  PRIMARY KEY (experiment, unit, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS episode_feedback_received ON episode_feedback (received_ms);

-- Who was put where in an experiment (arm: 0 control, 1 treatment), with what probability of the treatment; closed_seq is
-- NULL until the unit's outcome has been taken in.
CREATE TABLE IF NOT EXISTS assignments (
  experiment TEXT NOT NULL, unit INTEGER NOT NULL, arm INTEGER NOT NULL, propensity REAL NOT NULL, phase TEXT NOT NULL,
  assigned_ms INTEGER NOT NULL, closed_seq INTEGER, outcome TEXT, PRIMARY KEY (experiment, unit)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS assignments_open ON assignments (experiment, closed_seq, assigned_ms);
CREATE INDEX IF NOT EXISTS assignments_assigned ON assignments (assigned_ms);

-- What the judge said of requests that both variants answered: id is the treatment's exchange; asked: drawn to be labelled.
CREATE TABLE IF NOT EXISTS judgements (
  id TEXT PRIMARY KEY, control TEXT NOT NULL, experiment TEXT NOT NULL, treatment TEXT NOT NULL, unit INTEGER NOT NULL,
  judged_ms INTEGER NOT NULL, judge TEXT NOT NULL, logits TEXT NOT NULL, length_b_minus_a REAL NOT NULL,
  asked INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS judgements_of ON judgements (experiment, treatment, judged_ms);
CREATE INDEX IF NOT EXISTS judgements_judged ON judgements (judged_ms);

-- Who did what, and who looked at text. Kept longer than the rest (audit.rs).
CREATE TABLE IF NOT EXISTS audit (at_ms INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, detail TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS audit_at ON audit (at_ms);

-- What was decided, and where each experiment stands.
CREATE TABLE IF NOT EXISTS decisions (
  experiment TEXT NOT NULL, seq INTEGER NOT NULL, at_ms INTEGER NOT NULL, state_from TEXT NOT NULL, state_to TEXT NOT NULL,
  action TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, state_hash TEXT NOT NULL,
  PRIMARY KEY (experiment, seq, state_from, state_to)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS experiment_states (
  experiment TEXT PRIMARY KEY, spec_hash TEXT NOT NULL, state TEXT NOT NULL, seq INTEGER NOT NULL, course TEXT NOT NULL
) WITHOUT ROWID;

-- The loop: each run, each version, and where the whole stands; doc is JSON of agent/src/retrain/.
CREATE TABLE IF NOT EXISTS finetunes (id BIGINT PRIMARY KEY, begun_ms BIGINT NOT NULL, stage TEXT NOT NULL, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS versions (number BIGINT PRIMARY KEY, made_ms BIGINT NOT NULL, status TEXT NOT NULL, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS loop_state (id BIGINT PRIMARY KEY, doc TEXT NOT NULL);
