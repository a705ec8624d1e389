use std::time::Duration;

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{SignedDuration, Timestamp, Zoned, civil, tz::TimeZone};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{ScheduleError, Window};

/// What starts so much after its time, jitter counted, is late: whoever looks once a minute is not.
const LATE: SignedDuration = SignedDuration::from_secs(60);
/// Names that cron has for expressions.
const NICKNAMES: [&str; 6] = ["@hourly", "@daily", "@weekly", "@monthly", "@yearly", "@annually"];
/// Longer than any clock is put back.
const LONGEST_FOLD: SignedDuration = SignedDuration::from_hours(4);

/// What becomes of a due time at which nothing could be started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missed {
    /// It is left out.
    #[default]
    Skip,
    /// It is made up for, once however many there were, as soon as the window is open.
    RunOnce,
}

/// When an experiment is due.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    pub(super) cron: Cron,
    pub(super) expression: String,
    zone: TimeZone,
    pub(super) zone_name: String,
    pub(super) jitter: Duration,
    window: Option<Window>,
    pub(super) missed: Missed,
}

/// A due time that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The time as the expression says it, without jitter; what is to be remembered when it is started.
    pub at: Timestamp,
    /// Whether it is made up for, late.
    pub missed: bool,
}

impl Schedule {
    /// A schedule without window and jitter, of a cron expression with five fields in a zone of the IANA's.
    ///
    /// # Errors
    /// [`ScheduleError`] when either cannot be read, or the expression never comes.
    pub fn new(expression: &str, zone: &str) -> Result<Self, ScheduleError> {
        let expression = expression.split_whitespace().collect::<Vec<_>>().join(" ");
        let failed = |problem: String| ScheduleError::Cron { expression: expression.clone(), problem };
        let fields = expression.split(' ').count();
        if expression.starts_with('@') && !NICKNAMES.contains(&expression.as_str()) {
            return Err(failed(format!("of such names there are {}", NICKNAMES.join(", "))));
        }
        if fields != 5 && !expression.starts_with('@') {
            return Err(failed(format!("it has {fields} field{}", if fields == 1 { "" } else { "s" })));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron =
            parser.parse(&expression).map_err(|error| failed(error.to_string().trim_end_matches('.').to_owned()))?;
        // Names are compared without case, but `+02:00` and rules of POSIX's are no names.
        let named = zone.chars().all(|letter| letter.is_ascii_alphanumeric() || "/_+-".contains(letter));
        let zone = TimeZone::get(zone).ok().filter(|_| named).ok_or_else(|| ScheduleError::Zone(zone.to_owned()))?;
        let zone_name = zone.iana_name().unwrap_or("UTC").to_owned();
        let schedule =
            Self { cron, expression, zone, zone_name, jitter: Duration::ZERO, window: None, missed: Missed::Skip };
        // Days repeat themselves after 400 years; the search goes on for longer than that.
        if schedule.next_after(Timestamp::UNIX_EPOCH).is_none() {
            return Err(ScheduleError::Never(schedule.expression));
        }
        Ok(schedule)
    }

    /// With an end to each run, and a beginning if the window has one.
    ///
    /// # Errors
    /// [`ScheduleError::Outside`] when it is due where the window is closed.
    pub fn with_window(self, window: Window) -> Result<Self, ScheduleError> {
        Self { window: Some(window), ..self }.checked()
    }

    /// Started up to so much later than due.
    ///
    /// # Errors
    /// [`ScheduleError::Outside`] when the window may be closed by then.
    pub fn with_jitter(self, jitter: Duration) -> Result<Self, ScheduleError> {
        Self { jitter, ..self }.checked()
    }

    /// With what becomes of missed times.
    #[must_use]
    pub fn with_missed(self, missed: Missed) -> Self {
        Self { missed, ..self }
    }

    fn checked(self) -> Result<Self, ScheduleError> {
        let Some(window) = self.window else { return Ok(self) };
        let outside = self.times_of_day().find(|time| !window.contains(*time) || window.left(*time) <= self.jitter);
        match outside {
            None => Ok(self),
            Some(time) => Err(ScheduleError::Outside {
                expression: self.expression,
                time: time.strftime("%H:%M").to_string(),
                window: window.to_string(),
                jitter: match self.jitter {
                    Duration::ZERO => "then".to_owned(),
                    jitter => format!("up to {} later", humantime::format_duration(jitter)),
                },
            }),
        }
    }

    /// The times of day at which it is due.
    fn times_of_day(&self) -> impl Iterator<Item = civil::Time> + use<> {
        let minutes = self.cron.pattern.minutes.values();
        let of_hour = move |hour: u16| minutes.clone().into_iter().map(move |minute| (hour, minute));
        let times = self.cron.pattern.hours.values().into_iter().flat_map(of_hour);
        times.filter_map(|(hour, minute)| {
            civil::Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0).ok()
        })
    }

    /// The cron expression.
    #[must_use]
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The zone's name.
    #[must_use]
    pub fn zone(&self) -> &str {
        &self.zone_name
    }

    /// The longest that a start is put off by chance.
    #[must_use]
    pub fn jitter(&self) -> Duration {
        self.jitter
    }

    /// The window, if it has one.
    #[must_use]
    pub fn window(&self) -> Option<Window> {
        self.window
    }

    /// What becomes of missed times.
    #[must_use]
    pub fn missed(&self) -> Missed {
        self.missed
    }

    /// A moment as clocks in the zone show it.
    #[must_use]
    pub fn local(&self, moment: Timestamp) -> Zoned {
        moment.to_zoned(self.zone.clone())
    }

    /// The first due time after a moment; none where the calendar ends.
    #[must_use]
    pub fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        let whole = Timestamp::from_second(moment.as_second()).ok()?;
        let next = self.cron.find_next_occurrence(&self.local(whole), false).ok()?.timestamp();
        (next > moment).then_some(next)
    }

    /// The due times after a moment, in order.
    pub fn after(&self, moment: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        std::iter::successors(self.next_after(moment), |time| self.next_after(*time))
    }

    /// The last due time up to a moment, that moment included.
    #[must_use]
    pub fn last_until(&self, moment: Timestamp) -> Option<Timestamp> {
        let before = self.cron.find_previous_occurrence(&self.local(moment), true).ok()?.timestamp();
        // Backwards a repeated hour is met from its end, where a time of day is not due: forwards decides.
        let sure = before.checked_sub(LONGEST_FOLD).ok()?;
        self.after(sure).take_while(|time| *time <= moment).last()
    }

    /// When something due is to be started: later by a jitter that depends on `seed` and the due time alone.
    #[must_use]
    pub fn start(&self, due: Timestamp, seed: u64) -> Timestamp {
        let mut chance = ChaCha8Rng::seed_from_u64(seed ^ due.as_second().cast_unsigned());
        let seconds = chance.random_range(0..=self.jitter.as_secs());
        i64::try_from(seconds)
            .ok()
            .and_then(|seconds| due.checked_add(SignedDuration::from_secs(seconds)).ok())
            .unwrap_or(due)
    }

    /// What is to be started now, if anything. `last_due` is the last due time that was started, whatever became of it; of an
    /// experiment that never was, the moment since which it has been watched.
    ///
    /// Of several due times only the last one counts. It is not due again when the clock is set back, since what was started is
    /// remembered by its due time. What is late is up to [`Missed`].
    #[must_use]
    pub fn due(&self, now: Timestamp, last_due: Timestamp, seed: u64) -> Option<Due> {
        let at = self.last_until(now).filter(|at| *at > last_due)?;
        let start = self.start(at, seed);
        if start > now {
            return None;
        }
        let missed = now.duration_since(start) > LATE;
        let allowed = self.is_open(now) && (!missed || self.missed == Missed::RunOnce);
        allowed.then_some(Due { at, missed })
    }

    /// Whether something may be started at a moment.
    #[must_use]
    pub fn is_open(&self, moment: Timestamp) -> bool {
        self.window.is_none_or(|window| window.contains(self.zone.to_datetime(moment).time()))
    }

    /// When something that begins at a moment has to stop: at the first end of the window after it.
    #[must_use]
    pub fn window_end(&self, moment: Timestamp) -> Option<Timestamp> {
        self.window?.end_after(moment, &self.zone)
    }

    /// The longest from a due time to the end of the window.
    #[must_use]
    pub fn longest(&self) -> Option<Duration> {
        let window = self.window?;
        self.times_of_day().map(|time| window.left(time)).max()
    }
}
