//! References by hour of the week, for signals that follow people's days.
//!
//! Once an hour of the week has been seen in enough weeks, a value in it is first moved to where it would lie in the
//! pooled reference: by its rank among the values of that hour. Hours that are not known well enough leave values as
//! they are. What comes out is compared with the pooled reference as ever.

use serde::{Deserialize, Serialize};

use super::{DriftError, ScalarReference};
use crate::Timestamp;

/// Hours in a week.
const HOURS: usize = 168;

/// Points of an hour's quantile function.
const GRID: usize = 33;

/// An hour of the week in UTC: 0 is Monday, midnight to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HourOfWeek(u8);

impl HourOfWeek {
    /// In which `time` lies.
    pub fn of(time: Timestamp) -> Self {
        // 1970-01-01 was a Thursday, three days after a Monday.
        let hours = time.millis().div_euclid(3_600_000) + 72;
        Self(hours.rem_euclid(HOURS as i64) as u8)
    }

    /// 0 to 167.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Quantile functions of the hours that are known, and the pooled reference they are moved to. At most 80 KiB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HourlyReference {
    grids: Vec<Option<Vec<f32>>>,
    /// The quantile function of all hours together.
    target: Vec<f32>,
    pooled: ScalarReference,
}

/// What makes an hour known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Enough {
    pub(super) weeks: usize,
    pub(super) values: usize,
}

const ENOUGH: Enough = Enough { weeks: 3, values: 150 };

impl HourlyReference {
    /// Learns from values with their times, in order.
    ///
    /// An hour counts as known from 3 weeks and 150 values on.
    ///
    /// # Errors
    /// [`DriftError::TooFew`] as for [`ScalarReference::learn`].
    pub fn learn(values: &[(Timestamp, f64)], seed: u64) -> Result<Self, DriftError> {
        let mut hours: Vec<Vec<(i64, f64)>> = vec![vec![]; HOURS];
        for (time, value) in values.iter().filter(|(_, value)| value.is_finite()) {
            hours[HourOfWeek::of(*time).index()].push((time.millis().div_euclid(604_800_000), *value));
        }
        let raw: Vec<f64> = values.iter().map(|(_, value)| *value).collect();
        let pooled = ScalarReference::learn(&raw, seed)?;
        let target = (0..GRID).map(|point| pooled.quantile(point as f64 / (GRID - 1) as f64) as f32).collect();
        let grids = hours.into_iter().map(|hour| grid(hour, ENOUGH)).collect();
        let mut hourly = Self { grids, target, pooled };
        if hourly.known() > 0 {
            let adjusted: Vec<f64> = values.iter().map(|(time, value)| hourly.adjust(*time, *value)).collect();
            hourly.pooled = ScalarReference::learn(&adjusted, seed)?;
        }
        Ok(hourly)
    }

    /// Hours that are known well enough.
    pub fn known(&self) -> usize {
        self.grids.iter().flatten().count()
    }

    /// The reference to watch adjusted values against.
    pub fn pooled(&self) -> &ScalarReference {
        &self.pooled
    }

    /// Where `value`, seen at `time`, would lie in the pooled reference.
    pub fn adjust(&self, time: Timestamp, value: f64) -> f64 {
        let Some(grid) = &self.grids[HourOfWeek::of(time).index()] else { return value };
        let at = grid.partition_point(|point| f64::from(*point) < value);
        // Beyond what the hour has shown: as far beyond what the whole has shown.
        if at == 0 {
            return f64::from(self.target[0]) + (value - f64::from(grid[0]));
        }
        if at == GRID {
            return f64::from(self.target[GRID - 1]) + (value - f64::from(grid[GRID - 1]));
        }
        let (before, after) = (f64::from(grid[at - 1]), f64::from(grid[at]));
        let share = if after > before { (value - before) / (after - before) } else { 1.0 };
        let (before, after) = (f64::from(self.target[at - 1]), f64::from(self.target[at]));
        before + share * (after - before)
    }
}

fn grid(mut hour: Vec<(i64, f64)>, enough: Enough) -> Option<Vec<f32>> {
    let weeks: std::collections::BTreeSet<i64> = hour.iter().map(|(week, _)| *week).collect();
    if weeks.len() < enough.weeks || hour.len() < enough.values {
        return None;
    }
    hour.sort_by(|a, b| a.1.total_cmp(&b.1));
    let last = hour.len() - 1;
    Some((0..GRID).map(|point| hour[point * last / (GRID - 1)].1 as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn hours_of_the_week_start_on_monday() {
        for (text, index) in [("1970-01-01T00:00:00Z", 72), ("2026-08-03T00:30:00Z", 0), ("2026-08-09T23:59:59Z", 167)]
        {
            assert_eq!(HourOfWeek::of(Timestamp::from_rfc3339(text).unwrap()).index(), index, "{text}");
        }
    }

    #[test]
    fn a_daily_swing_is_taken_out_once_it_is_known() {
        let mut rng = fastrand::Rng::with_seed(5);
        let start = Timestamp::from_rfc3339("2026-08-03T00:00:00Z").unwrap();
        let swing = |hour: u32| if hour % 24 < 12 { 100.0 } else { 300.0 };
        let mut values = vec![];
        for hour in 0..4 * 168_u32 {
            for minute in 0..50 {
                let time = start + HOUR * hour + Duration::from_secs(60 * minute);
                values.push((time, swing(hour) + 20.0 * rng.f64()));
            }
        }
        let hourly = HourlyReference::learn(&values, 1).unwrap();
        assert_eq!(hourly.known(), 168);
        let middle = |hour: u32| hourly.adjust(start + HOUR * (4 * 168 + hour), swing(hour) + 10.0);
        assert!((hourly.pooled().share_below(middle(3)) - 0.5).abs() < 0.1);
        assert!((hourly.pooled().share_below(middle(15)) - 0.5).abs() < 0.1);
        let strange = hourly.adjust(start + HOUR * 675, 300.0);
        assert!(hourly.pooled().share_below(strange) > 0.99, "an afternoon's value in the morning");
        let short = HourlyReference::learn(&values[..168 * 50], 1).unwrap();
        assert_eq!((short.known(), short.adjust(start, 7.5)), (0, 7.5), "one week is not enough");
    }
}
