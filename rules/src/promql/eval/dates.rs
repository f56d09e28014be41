//! The calendar (UTC) of a moment given in seconds since the epoch.

use super::super::EvalError;
use super::super::ast::Call;
use super::{Evaluator, Sample, Val};
use crate::Labels;

/// A moment as the calendar shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::promql) struct Civil {
    pub(in crate::promql) year: i64,
    /// 1 to 12.
    pub(in crate::promql) month: i64,
    /// 1 to 31.
    pub(in crate::promql) day: i64,
    /// 0 is Sunday.
    pub(in crate::promql) weekday: i64,
    pub(in crate::promql) hour: i64,
    pub(in crate::promql) minute: i64,
}

impl Civil {
    /// Proleptic Gregorian (Howard Hinnant's `civil_from_days`).
    fn from_seconds(seconds: i64) -> Self {
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let shifted = days.saturating_add(719_468);
        let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * from_march + 2) / 5 + 1,
            weekday: (days.rem_euclid(7) + 4) % 7,
            hour: second / 3600,
            minute: second / 60 % 60,
        }
    }

    fn is_leap(self) -> bool {
        self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0)
    }

    pub(in crate::promql) fn days_in_month(self) -> i64 {
        match self.month {
            2 => 28 + i64::from(self.is_leap()),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    /// 1 to 366.
    pub(in crate::promql) fn day_of_year(self) -> i64 {
        let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
        let months = usize::try_from(self.month - 1).ok().and_then(|month| before.get(month)).copied().unwrap_or(0);
        months + self.day + i64::from(self.month > 2 && self.is_leap())
    }
}

/// Applies `run` to the argument, or to the moment of the evaluation where there is none.
pub(super) fn run(
    evaluator: &mut Evaluator<'_>,
    call: &Call,
    now: i64,
    run: fn(Civil) -> i64,
) -> Result<Val, EvalError> {
    let of = |seconds: f64| run(Civil::from_seconds(seconds as i64)) as f64;
    match call.args.first() {
        Some(arg) => evaluator.each(arg, now, of),
        None => {
            let value = of(now as f64 / 1000.0);
            Ok(Val::Vector(vec![Sample { labels: Labels::default(), drop_name: false, value }]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_is_right() {
        for (seconds, year, month, day, weekday, day_of_year, days_in_month) in [
            (0, 1970, 1, 1, 4, 1, 31),
            (1_709_210_096, 2024, 2, 29, 4, 60, 29),
            (1_735_689_599, 2024, 12, 31, 2, 366, 31),
            (-1, 1969, 12, 31, 3, 365, 31),
            (4_107_542_400, 2100, 3, 1, 1, 60, 31),
        ] {
            let at = Civil::from_seconds(seconds);
            assert_eq!((at.year, at.month, at.day, at.weekday), (year, month, day, weekday), "{seconds}");
            assert_eq!((at.day_of_year(), at.days_in_month()), (day_of_year, days_in_month), "{seconds}");
        }
    }
}
