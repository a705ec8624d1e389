use super::{Missed, Schedule, ScheduleError};

/// systemd's names of the days of a week, from Sunday.
const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
/// What a run is given to end by itself after its window has, before systemd ends it.
const GRACE_SECONDS: u64 = 300;

/// The command that a unit or a crontab's line starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What it does, in a line.
    pub about: String,
    /// The program and its arguments, whole paths.
    pub program: String,
    /// What it is given.
    pub arguments: Vec<String>,
    /// The folder that it is started in.
    pub folder: String,
    /// Exit codes that are no failure, beside 0.
    pub good_codes: Vec<u8>,
    /// The file with the environment, for secrets; it need not be there.
    pub environment: Option<String>,
}

impl Command {
    pub(super) fn words(&self) -> Vec<&str> {
        std::iter::once(self.program.as_str()).chain(self.arguments.iter().map(String::as_str)).collect()
    }
}

/// The texts of a service and of the timer that starts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Units {
    /// The service.
    pub service: String,
    /// The timer.
    pub timer: String,
}

/// A service and a timer that start `command` when the schedule says.
///
/// # Errors
/// [`ScheduleError::Inexpressible`] for what `OnCalendar=` cannot say.
pub fn systemd(schedule: &Schedule, command: &Command) -> Result<Units, ScheduleError> {
    let calendar = on_calendar(schedule)?.join("\nOnCalendar=");
    let persistent = schedule.missed == Missed::RunOnce;
    let jitter = schedule.jitter.as_secs();
    let timer = format!(
        "[Unit]\nDescription={}: timer\n\n[Timer]\nOnCalendar={calendar}\nPersistent={persistent}\nRandomizedDelaySec={jitter}s\n\
         AccuracySec=1s\n\n[Install]\nWantedBy=timers.target\n",
        specifiers(&command.about)
    );
    let words: Vec<String> = command.words().iter().map(|word| quoted(word)).collect();
    let good: Vec<String> = command.good_codes.iter().map(u8::to_string).collect();
    let limit = schedule.longest().map_or_else(
        || "# No window: a run takes as long as it takes.\n".to_owned(),
        |longest| {
            let seconds = longest.as_secs() + GRACE_SECONDS;
            format!("# The program itself stops at the window's end ({}); this is for one that hangs.\nRuntimeMaxSec={seconds}s\n",
                schedule.window().map(|window| window.to_string()).unwrap_or_default())
        },
    );
    let environment =
        command.environment.as_ref().map(|file| format!("EnvironmentFile=-{}\n", specifiers(file))).unwrap_or_default();
    let service = format!(
        "[Unit]\nDescription={}\nAfter=network-online.target\nWants=network-online.target\n\n[Service]\nType=exec\n\
         WorkingDirectory={}\n{environment}ExecStart={}\n\
         # Limits that cannot be kept, a closed window and an interruption are no failures.\nSuccessExitStatus={}\n\
         # As Ctrl-C: what is measured is stored, and the next start goes on with it.\n\
         KillSignal=SIGINT\nTimeoutStopSec=120s\n{limit}",
        specifiers(&command.about),
        specifiers(&command.folder),
        words.join(" "),
        good.join(" "),
    );
    Ok(Units { service, timer })
}

/// The schedule as systemd writes calendars, a line for each part that is enough by itself.
fn on_calendar(schedule: &Schedule) -> Result<Vec<String>, ScheduleError> {
    let pattern = &schedule.cron.pattern;
    if pattern.days.has_modifiers() || pattern.days_of_week.has_modifiers() {
        let problem = "`L`, `W` and `#` have no equivalent in OnCalendar=".to_owned();
        let expression = schedule.expression.clone();
        return Err(ScheduleError::Inexpressible { program: "systemd", expression, problem });
    }
    let list = |values: Vec<u16>, all: usize| {
        if values.len() == all {
            return "*".to_owned();
        }
        values.iter().map(|value| format!("{value:02}")).collect::<Vec<_>>().join(",")
    };
    let weekdays: Vec<&str> =
        pattern.days_of_week.values().into_iter().filter_map(|day| DAYS.get(usize::from(day)).copied()).collect();
    let weekdays = format!("{} ", weekdays.join(","));
    let days = list(pattern.days.values(), 31);
    let month = list(pattern.months.values(), 12);
    let (hours, minutes) = (list(pattern.hours.values(), 24), list(pattern.minutes.values(), 60));
    let line =
        |weekdays: &str, days: &str| format!("{weekdays}*-{month}-{days} {hours}:{minutes}:00 {}", schedule.zone_name);
    Ok(match (pattern.is_dom_wildcard(), pattern.is_dow_wildcard()) {
        (true, true) => vec![line("", "*")],
        (true, false) => vec![line(&weekdays, "*")],
        (false, true) => vec![line("", &days)],
        (false, false) if pattern.matches_dom_and_dow() => vec![line(&weekdays, &days)],
        // cron takes either, systemd both: so they are two calendars.
        (false, false) => vec![line("", &days), line(&weekdays, "*")],
    })
}

/// A word as systemd takes it literally in a command.
fn quoted(word: &str) -> String {
    let escaped = specifiers(&word.replace('\\', "\\\\").replace('"', "\\\"")).replace('$', "$$");
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-=:,+%$@".contains(letter);
    if !escaped.is_empty() && escaped.chars().all(plain) { escaped } else { format!("\"{escaped}\"") }
}

/// A `%` would begin a specifier.
fn specifiers(text: &str) -> String {
    text.replace('%', "%%")
}
