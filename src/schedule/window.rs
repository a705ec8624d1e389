use std::{fmt, time::Duration};

use jiff::{Timestamp, ToSpan as _, civil, tz::TimeZone};

use super::ScheduleError;

const SECONDS_A_DAY: i64 = 86_400;

/// The part of a day in which an experiment may load its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From when; at any time where there is none.
    from: Option<civil::Time>,
    /// Until when; what is under way then is interrupted.
    until: civil::Time,
}

impl Window {
    /// Reads `01:00-05:00`; `22:00-04:00` goes over midnight.
    ///
    /// # Errors
    /// [`ScheduleError::Window`].
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let failed = || ScheduleError::Window(text.to_owned());
        let (from, until) = text.split_once('-').ok_or_else(failed)?;
        let (from, until) = (time_of_day(from).ok_or_else(failed)?, time_of_day(until).ok_or_else(failed)?);
        if from == until { Err(failed()) } else { Ok(Self { from: Some(from), until }) }
    }

    /// Reads the end alone, `05:00`: a window that opens whenever something is started.
    ///
    /// # Errors
    /// [`ScheduleError::TimeOfDay`].
    pub fn not_after(text: &str) -> Result<Self, ScheduleError> {
        let until = time_of_day(text).ok_or_else(|| ScheduleError::TimeOfDay(text.to_owned()))?;
        Ok(Self { from: None, until })
    }

    /// Whether a time of day lies within it; its end does not.
    #[must_use]
    pub(super) fn contains(&self, time: civil::Time) -> bool {
        match self.from {
            None => true,
            Some(from) if from < self.until => (from..self.until).contains(&time),
            Some(from) => time >= from || time < self.until,
        }
    }

    /// How long it is open yet, by the hands of a clock; a whole day at its end.
    pub(super) fn left(&self, time: civil::Time) -> Duration {
        let seconds = (seconds(self.until) - seconds(time)).rem_euclid(SECONDS_A_DAY);
        Duration::from_secs(if seconds == 0 { SECONDS_A_DAY } else { seconds }.unsigned_abs())
    }

    /// The first end after a moment. One that the clocks leave out is where they go on, one that comes twice the first.
    pub(super) fn end_after(&self, moment: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let today = zone.to_datetime(moment).date();
        (0..=2).find_map(|days| {
            let day = today.checked_add(days.days()).ok()?;
            let end = zone.to_timestamp(day.to_datetime(self.until)).ok()?;
            (end > moment).then_some(end)
        })
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let until = self.until.strftime("%H:%M");
        match self.from {
            Some(from) => write!(f, "{}-{until}", from.strftime("%H:%M")),
            None => write!(f, "not after {until}"),
        }
    }
}

/// Hours and minutes of two digits each, or of one for the hours.
fn time_of_day(text: &str) -> Option<civil::Time> {
    let (hour, minute) = text.trim().split_once(':')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if minute.len() != 2 || !digits(hour) || !digits(minute) {
        return None;
    }
    civil::Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}

fn seconds(time: civil::Time) -> i64 {
    i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second())
}
