//! What the judge said of requests that both variants of an experiment answered, and what people said of them.

use plimsoll_rules::Timestamp;
use plimsoll_rules::verdict::{JudgedPair, SwapLogits};
use sqlx::AnyPool;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::database::plain;
use super::writer::Job;
use super::{Records, Refused};
use crate::pairs;

/// Feedback's `metric_name` of a label.
pub const LABEL: &str = "preference";
/// The newest comparisons that are read.
const MOST: i64 = 10_000;

type Result<T> = std::result::Result<T, sqlx::Error>;

/// One comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The treatment's exchange, by whose id the pair goes.
    pub id: String,
    /// Control's exchange.
    pub control: String,
    /// The experiment.
    pub experiment: String,
    /// The treatment's name.
    pub treatment: String,
    /// When.
    pub at: Timestamp,
    /// Which model judged.
    pub judge: String,
    /// What it said; labels come later.
    pub pair: JudgedPair,
}

impl Records {
    /// Keeps a comparison; never waits, gives whether there was room for it.
    pub fn judged(&self, judgement: Judgement) -> bool {
        self.jobs.try_send(Job::Judged(Box::new(judgement))).is_ok()
    }

    /// The comparisons of an experiment with this treatment by the judge that judged last, oldest first, with labels.
    ///
    /// # Errors
    /// [`Refused::Unavailable`].
    pub async fn judgements(&self, experiment: &str, treatment: &str) -> std::result::Result<Vec<JudgedPair>, Refused> {
        self.ask(async |pool| read(pool, experiment, treatment).await).await
    }

    /// Whether anybody has labelled a pair.
    ///
    /// # Errors
    /// [`Refused::Unavailable`].
    pub async fn is_labelled(&self, id: &str) -> std::result::Result<bool, Refused> {
        self.ask(async |pool| {
            let sql = "SELECT count(*) FROM feedback WHERE target = $1 AND metric = $2";
            let count: i64 = sqlx::query_scalar(sql).bind(plain(id)).bind(LABEL).fetch_one(pool).await?;
            Ok(count > 0)
        })
        .await
    }
}

async fn read(pool: &AnyPool, experiment: &str, treatment: &str) -> Result<Vec<JudgedPair>> {
    let sql = "SELECT id, unit, logits, length_b_minus_a, asked,
                 (SELECT avg(value) FROM feedback WHERE target = id AND metric = $4)
               FROM judgements WHERE experiment = $1 AND treatment = $2 AND judge =
                 (SELECT judge FROM judgements WHERE experiment = $1 AND treatment = $2 ORDER BY judged_ms DESC LIMIT 1)
               ORDER BY judged_ms DESC, id DESC LIMIT $3";
    let rows = sqlx::query(sql).bind(experiment).bind(treatment).bind(MOST).bind(LABEL).fetch_all(pool).await?;
    rows.iter().rev().map(|row| pair(experiment, row)).collect()
}

fn pair(experiment: &str, row: &AnyRow) -> Result<JudgedPair> {
    let logits: SwapLogits = serde_json::from_str(row.get(2)).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    let label = row.get::<Option<f64>, _>(5).and_then(|value| pairs::label(experiment, row.get(0), value));
    let unit = row.get::<i64, _>(1).cast_unsigned();
    Ok(JudgedPair { unit, logits, length_b_minus_a: row.get(3), asked: row.get::<i64, _>(4) != 0, label })
}

/// Stores a comparison, once.
pub(super) async fn put(tx: &mut AnyConnection, one: &Judgement) -> Result<()> {
    let logits = serde_json::to_string(&one.pair.logits).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    sqlx::query(
        "INSERT INTO judgements (id, control, experiment, treatment, unit, judged_ms, judge, logits,
         length_b_minus_a, asked) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT DO NOTHING",
    )
    .bind(plain(&one.id))
    .bind(plain(&one.control))
    .bind(plain(&one.experiment))
    .bind(plain(&one.treatment))
    .bind(one.pair.unit.cast_signed())
    .bind(one.at.millis())
    .bind(plain(&one.judge))
    .bind(logits)
    .bind(one.pair.length_b_minus_a)
    .bind(i64::from(one.pair.asked))
    .execute(tx)
    .await?;
    Ok(())
}
