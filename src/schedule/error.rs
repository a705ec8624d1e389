/// Why a schedule cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The expression cannot be read.
    #[error(
        "`{expression}` is no cron expression: {problem}; expected minute, hour, day of month, month and day of week, such as \
         \"30 1 * * MON-FRI\""
    )]
    Cron {
        /// As it was given.
        expression: String,
        /// What is wrong with it.
        problem: String,
    },
    /// No day is like that.
    #[error("`{0}` never comes: no such day exists; mend the day of the month or the month")]
    Never(String),
    /// There is no such zone.
    #[error("`{0}` is no time zone: expected a name such as Europe/Berlin, America/New_York or UTC")]
    Zone(String),
    /// The window cannot be read.
    #[error(
        "`{0}` is no window: expected two times of day, such as \"01:00-05:00\"; one after the other may be the next day's"
    )]
    Window(String),
    /// The time of day cannot be read.
    #[error("`{0}` is no time of day: expected one such as \"05:00\"")]
    TimeOfDay(String),
    /// A due time lies outside the window.
    #[error(
        "`{expression}` is due at {time}, and what starts {jitter} may start outside the window {window}: move one of them"
    )]
    Outside {
        /// The cron expression.
        expression: String,
        /// The due time.
        time: String,
        /// The window.
        window: String,
        /// How much later than that it may start.
        jitter: String,
    },
    /// Another program's words cannot say it.
    #[error(
        "{program} cannot say `{expression}`: {problem}; write the days plainly, or let `pool-tune` keep the schedule"
    )]
    Inexpressible {
        /// systemd or cron.
        program: &'static str,
        /// The cron expression.
        expression: String,
        /// What has no equivalent.
        problem: String,
    },
}
