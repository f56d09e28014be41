//! Parts of a date, in UTC, from a Unix time in seconds.

/// Year, month and day (Howard Hinnant's `civil_from_days`).
fn civil(seconds: i64) -> (i64, i64, i64) {
    let z = seconds.div_euclid(86_400) + 719_468;
    let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const BEFORE: [i64; 13] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];

pub(super) fn year(seconds: i64) -> f64 {
    civil(seconds).0 as f64
}

pub(super) fn month(seconds: i64) -> f64 {
    civil(seconds).1 as f64
}

pub(super) fn day_of_month(seconds: i64) -> f64 {
    civil(seconds).2 as f64
}

pub(super) fn day_of_week(seconds: i64) -> f64 {
    (seconds.div_euclid(86_400) + 4).rem_euclid(7) as f64
}

pub(super) fn day_of_year(seconds: i64) -> f64 {
    let (year, month, day) = civil(seconds);
    (BEFORE[(month - 1) as usize] + day + i64::from(month > 2 && is_leap(year))) as f64
}

pub(super) fn days_in_month(seconds: i64) -> f64 {
    let (year, month, _) = civil(seconds);
    let days = BEFORE[month as usize] - BEFORE[(month - 1) as usize];
    (days + i64::from(month == 2 && is_leap(year))) as f64
}

pub(super) fn hour(seconds: i64) -> f64 {
    (seconds.rem_euclid(86_400) / 3600) as f64
}

pub(super) fn minute(seconds: i64) -> f64 {
    (seconds.rem_euclid(3600) / 60) as f64
}
