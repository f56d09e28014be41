//! What experiments keep: who was put where, what came of it, what was decided. The desk that decides reads it from here
//! and writes through the one writer, all of a step in one transaction.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use plimsoll_rules::verdict::experiment::Arm;
use plimsoll_rules::{Assignment, Phase, Timestamp};
use sqlx::AnyPool;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::steps::{Decision, OpenUnit, SavedExperiment, Step, UnitExchange, UnitFacts, UnitFeedback};
use super::writer::Job;
use super::{Records, Refused};

type Result<T> = std::result::Result<T, sqlx::Error>;

impl Records {
    /// Units of `experiment` that began before `before` and are not closed, oldest first.
    ///
    /// # Errors
    /// [`Refused::Unavailable`].
    pub async fn open_units(
        &self,
        experiment: &str,
        before: Timestamp,
        limit: u32,
    ) -> std::result::Result<Vec<OpenUnit>, Refused> {
        self.ask(async |pool| open_units(pool, experiment, before, limit).await).await
    }

    /// What is known of a unit: requests that began before `until`, and feedback received before `until`.
    ///
    /// # Errors
    /// [`Refused::Unavailable`].
    pub async fn outcomes_of(
        &self,
        experiment: &str,
        unit: u64,
        until: Timestamp,
    ) -> std::result::Result<UnitFacts, Refused> {
        self.ask(async |pool| outcomes_of(pool, experiment, unit, until).await).await
    }

    /// Stores a step in one transaction; returns once it is durable. A unit that is closed already, and a decision whose
    /// number is taken, stay as they are.
    ///
    /// # Errors
    /// [`Refused`]; nothing of it is stored then: [`Refused::Overtaken`] where it is not the step after the last one.
    pub async fn close_units(&self, step: Step) -> std::result::Result<(), Refused> {
        self.write(|answer| Job::Step(Box::new(step), answer)).await
    }

    /// Where an experiment stands; `None` when nothing was saved.
    ///
    /// # Errors
    /// [`Refused::Unavailable`].
    pub async fn experiment_state(&self, experiment: &str) -> std::result::Result<Option<SavedExperiment>, Refused> {
        self.ask(async |pool| saved(pool, experiment).await).await
    }

    /// Units that got their half from `since` on, whoever gave it to them.
    ///
    /// # Errors
    /// [`Refused::Unavailable`].
    pub async fn assignments_since(
        &self,
        experiment: &str,
        since: Timestamp,
    ) -> std::result::Result<Vec<Assignment>, Refused> {
        self.ask(async |pool| {
            let sql =
                "SELECT unit, arm, propensity, phase FROM assignments WHERE experiment = $1 AND assigned_ms >= $2";
            let rows = sqlx::query(sql).bind(experiment).bind(since.millis()).fetch_all(pool).await?;
            let id: Arc<str> = experiment.into();
            Ok(rows.iter().map(|row| assignment(&id, row)).collect())
        })
        .await
    }

    /// Steps of an experiment so far.
    ///
    /// # Errors
    /// [`Refused::Unavailable`].
    pub async fn experiment_version(&self, experiment: &str) -> std::result::Result<u64, Refused> {
        self.ask(async |pool| {
            let sql = "SELECT coalesce(max(version), 0) FROM experiment_states WHERE experiment = $1";
            sqlx::query(sql).bind(experiment).fetch_one(pool).await.map(|row| number(&row, 0))
        })
        .await
    }

    /// How many units of an experiment are closed.
    ///
    /// # Errors
    /// [`Refused::Unavailable`].
    pub async fn closed(&self, experiment: &str) -> std::result::Result<u64, Refused> {
        self.ask(async |pool| {
            let sql = "SELECT coalesce(max(closed_seq), 0) FROM assignments WHERE experiment = $1";
            sqlx::query(sql).bind(experiment).fetch_one(pool).await.map(|row| number(&row, 0))
        })
        .await
    }

    /// Decisions of an experiment in their order, at most `limit`, after the `skip` first ones.
    ///
    /// # Errors
    /// [`Refused::Unavailable`].
    pub async fn decisions(
        &self,
        experiment: &str,
        skip: u32,
        limit: u32,
    ) -> std::result::Result<Vec<Decision>, Refused> {
        self.ask(async |pool| decisions(pool, experiment, skip, limit).await).await
    }

    /// The newest `most` units that have a half.
    ///
    /// # Errors
    /// [`Refused::Unavailable`].
    pub async fn assignments(&self, experiment: &str, most: usize) -> std::result::Result<Vec<Assignment>, Refused> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.ask(async |pool| {
            let sql = "SELECT unit, arm, propensity, phase FROM assignments WHERE experiment = $1
                       ORDER BY assigned_ms DESC LIMIT $2";
            let rows = sqlx::query(sql).bind(experiment).bind(most).fetch_all(pool).await?;
            let id: Arc<str> = experiment.into();
            Ok(rows.iter().map(|row| assignment(&id, row)).collect())
        })
        .await
    }

    pub(super) async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&AnyPool) -> Result<T>,
    ) -> std::result::Result<T, Refused> {
        let open = self.shared.database.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let open = open.ok_or_else(|| Refused::Unavailable("the database is not open".into()))?;
        question(&open.pool).await.map_err(|error| Refused::Unavailable(error.to_string()))
    }
}

/// Columns `unit, arm, propensity, phase`.
fn assignment(experiment: &Arc<str>, row: &AnyRow) -> Assignment {
    Assignment {
        experiment: experiment.clone(),
        unit: row.get::<i64, _>(0).cast_unsigned(),
        arm: if row.get::<i64, _>(1) == 1 { Arm::Treatment } else { Arm::Control },
        propensity: row.get(2),
        phase: Phase::named(row.get(3)).unwrap_or(Phase::Split),
        first: false,
    }
}

async fn open_units(pool: &AnyPool, experiment: &str, before: Timestamp, limit: u32) -> Result<Vec<OpenUnit>> {
    let sql = "SELECT unit, arm, propensity, phase, assigned_ms FROM assignments
               WHERE experiment = $1 AND closed_seq IS NULL AND assigned_ms < $2 ORDER BY assigned_ms, unit LIMIT $3";
    let rows = sqlx::query(sql).bind(experiment).bind(before.millis()).bind(i64::from(limit)).fetch_all(pool).await?;
    let id: Arc<str> = experiment.into();
    let open =
        |row: &AnyRow| OpenUnit { assignment: assignment(&id, row), assigned: Timestamp::from_millis(row.get(4)) };
    Ok(rows.iter().map(open).collect())
}

async fn outcomes_of(pool: &AnyPool, experiment: &str, unit: u64, until: Timestamp) -> Result<UnitFacts> {
    let sql =
        "SELECT id, variant, started_ms, outcome, duration_ms, time_to_first_token_ms, output_tokens FROM exchanges
               WHERE experiment = $1 AND unit = $2 AND started_ms < $3 ORDER BY started_ms, id";
    let unit = unit.cast_signed();
    let rows = sqlx::query(sql).bind(experiment).bind(unit).bind(until.millis()).fetch_all(pool).await?;
    let span = |millis: f64| Duration::try_from_secs_f64(millis / 1000.0).unwrap_or_default();
    let exchange = |row: &AnyRow| UnitExchange {
        id: row.get(0),
        variant: row.get(1),
        started: Timestamp::from_millis(row.get(2)),
        outcome: row.get(3),
        duration: span(row.get(4)),
        time_to_first_token: row.get::<Option<f64>, _>(5).map(span),
        output_tokens: row.get::<Option<i64>, _>(6).and_then(|tokens| u64::try_from(tokens).ok()),
    };
    let exchanges = rows.iter().map(exchange).collect();
    let sql = "SELECT metric, value, score, received_ms FROM feedback WHERE received_ms < $3 AND (target IN (
                 SELECT id FROM exchanges WHERE experiment = $1 AND unit = $2 AND started_ms < $3
                 UNION SELECT request_id FROM exchanges WHERE experiment = $1 AND unit = $2 AND started_ms < $3
                       AND request_id IS NOT NULL)
                 OR key IN (SELECT key FROM episode_feedback WHERE experiment = $1 AND unit = $2))
               ORDER BY received_ms, key";
    let rows = sqlx::query(sql).bind(experiment).bind(unit).bind(until.millis()).fetch_all(pool).await?;
    let feedback = |row: &AnyRow| UnitFeedback {
        metric: row.get(0),
        value: row.get(1),
        score: row.get(2),
        received: Timestamp::from_millis(row.get(3)),
    };
    Ok(UnitFacts { exchanges, feedback: rows.iter().map(feedback).collect() })
}

async fn saved(pool: &AnyPool, experiment: &str) -> Result<Option<SavedExperiment>> {
    let sql = "SELECT spec_hash, state, seq, course, version FROM experiment_states WHERE experiment = $1";
    let Some(row) = sqlx::query(sql).bind(experiment).fetch_optional(pool).await? else { return Ok(None) };
    let course = serde_json::from_str(row.get(3)).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    Ok(Some(SavedExperiment {
        spec_hash: row.get(0),
        state: row.get(1),
        seq: number(&row, 2),
        version: number(&row, 4),
        course,
    }))
}

async fn decisions(pool: &AnyPool, experiment: &str, skip: u32, limit: u32) -> Result<Vec<Decision>> {
    let sql = "SELECT seq, at_ms, state_from, state_to, action, reason, detail, state_hash FROM decisions
               WHERE experiment = $1 ORDER BY seq, state_from, state_to LIMIT $2 OFFSET $3";
    let rows = sqlx::query(sql).bind(experiment).bind(i64::from(limit)).bind(i64::from(skip)).fetch_all(pool).await?;
    let decision = |row: &AnyRow| Decision {
        seq: number(row, 0),
        at: Timestamp::from_millis(row.get(1)),
        from: row.get(2),
        to: row.get(3),
        action: row.get(4),
        reason: row.get(5),
        detail: row.get(6),
        state_hash: row.get(7),
    };
    Ok(rows.iter().map(decision).collect())
}

fn number(row: &AnyRow, column: usize) -> u64 {
    u64::try_from(row.get::<i64, _>(column)).unwrap_or(0)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Remembers the half of a unit with its first exchange; later ones change nothing.
pub(super) async fn put_assignment(tx: &mut AnyConnection, place: &Assignment, at: Timestamp) -> Result<()> {
    sqlx::query(
        "INSERT INTO assignments (experiment, unit, arm, propensity, phase, assigned_ms) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT DO NOTHING",
    )
    .bind(&*place.experiment)
    .bind(place.unit.cast_signed())
    .bind(i64::from(place.arm == Arm::Treatment))
    .bind(place.propensity)
    .bind(place.phase.as_str())
    .bind(at.millis())
    .execute(tx)
    .await?;
    Ok(())
}

/// Stores a step of the desk; `false`, and nothing is to be kept of it, where another agent has taken one meanwhile.
pub(super) async fn put_step(tx: &mut AnyConnection, step: &Step) -> Result<bool> {
    if let Some(state) = &step.state
        && !put_state(tx, &step.experiment, state).await?
    {
        return Ok(false);
    }
    for unit in &step.units {
        sqlx::query(
            "UPDATE assignments SET closed_seq = $1, outcome = $2 WHERE experiment = $3 AND unit = $4 AND closed_seq IS NULL",
        )
        .bind(signed(unit.seq))
        .bind(&unit.outcome)
        .bind(&*step.experiment)
        .bind(unit.unit.cast_signed())
        .execute(&mut *tx)
        .await?;
    }
    for one in &step.decisions {
        sqlx::query(
            "INSERT INTO decisions (experiment, seq, at_ms, state_from, state_to, action, reason, detail, state_hash)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
        )
        .bind(&*step.experiment)
        .bind(signed(one.seq))
        .bind(one.at.millis())
        .bind(&one.from)
        .bind(&one.to)
        .bind(&one.action)
        .bind(&one.reason)
        .bind(&one.detail)
        .bind(&one.state_hash)
        .execute(&mut *tx)
        .await?;
    }
    Ok(true)
}

/// Where an experiment stands now, if it stood one step before.
async fn put_state(tx: &mut AnyConnection, experiment: &str, state: &SavedExperiment) -> Result<bool> {
    let course = serde_json::to_string(&state.course).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    let done = sqlx::query(
        "INSERT INTO experiment_states (experiment, spec_hash, state, seq, course, version)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (experiment) DO UPDATE SET spec_hash = excluded.spec_hash,
         state = excluded.state, seq = excluded.seq, course = excluded.course, version = excluded.version
         WHERE experiment_states.version = excluded.version - 1",
    )
    .bind(experiment)
    .bind(&state.spec_hash)
    .bind(&state.state)
    .bind(signed(state.seq))
    .bind(course)
    .bind(signed(state.version))
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
