use super::{Schedule, ScheduleError, systemd::Command};

/// A crontab's lines that start `command` when the schedule says.
///
/// # Errors
/// [`ScheduleError::Inexpressible`] for what cron does not know.
pub fn crontab(schedule: &Schedule, command: &Command) -> Result<String, ScheduleError> {
    let pattern = &schedule.cron.pattern;
    let problem = if pattern.days.has_modifiers() || pattern.days_of_week.has_modifiers() {
        Some("it has no `L`, `W` and `#`")
    } else if pattern.matches_dom_and_dow() {
        Some("of a day of the month and a day of the week either is enough")
    } else {
        None
    };
    if let Some(problem) = problem {
        let expression = schedule.expression.clone();
        return Err(ScheduleError::Inexpressible { program: "cron", expression, problem: problem.to_owned() });
    }
    let jitter = match schedule.jitter.as_secs() {
        0 => String::new(),
        seconds => format!("sleep $(shuf -i 0-{seconds} -n 1) && "),
    };
    let words: Vec<String> = command.words().iter().map(|word| quoted(word)).collect();
    let line = format!("cd {} && {jitter}{}", quoted(&command.folder), words.join(" "));
    // cron takes a `%` for the end of the line.
    let line = line.replace('%', "\\%");
    let secret = match command.environment {
        Some(_) => {
            "# cron knows nothing of your shell's variables: set the target's in a line above, or keep it in a file (`target: {file: …}`).\n"
        }
        None => "",
    };
    Ok(format!(
        "# {}: in the zone below with cronie; Debian's cron heeds no CRON_TZ and goes by the machine's zone.\n\
         # What is missed while the machine is off is not made up for.\n{secret}CRON_TZ={}\n{} {line}\n",
        command.about, schedule.zone_name, schedule.expression
    ))
}

/// A word as a shell takes it literally.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-=:,+".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
