//! A recommendation as text in a format.

use super::{Absent, Convert, ExportError, Field, Format, Holds, Prefix, Refusal, Section, Written};
use crate::{
    model::{DecidedBy, Recommendation, Row, Setting, Settings, Value, Verdict},
    report::{figures, fleet_sentence, verdict_sentence, words},
};

/// The recommended settings in a format.
///
/// # Errors
/// [`ExportError`] when there is nothing to recommend, or the pool would make something else of a value.
pub fn export(format: &Format, recommendation: &Recommendation, prefix: &Prefix) -> Result<String, ExportError> {
    if matches!(recommendation.verdict, Verdict::Infeasible { .. }) {
        return Err(ExportError::Infeasible);
    }
    text(format, recommendation.settings(), Some(recommendation), prefix)
}

/// Settings in a format, whatever they rest on: what a program is given to try.
///
/// # Errors
/// [`ExportError`] when the pool would make something else of a value.
pub fn export_settings(format: &Format, settings: &Settings, prefix: &Prefix) -> Result<String, ExportError> {
    text(format, settings.clone(), None, prefix)
}

fn text(
    format: &Format,
    settings: Settings,
    recommendation: Option<&Recommendation>,
    prefix: &Prefix,
) -> Result<String, ExportError> {
    let mut text = Text { format, recommendation, settings, prefix, refusals: Vec::new(), told: Vec::new() };
    let file = text.whole();
    if text.refusals.is_empty() {
        Ok(file)
    } else {
        Err(ExportError::Refused { title: format.title, refusals: text.refusals })
    }
}

/// The text as it is made, and what could not be written.
struct Text<'a> {
    format: &'a Format,
    /// What the values rest on, where that is known.
    recommendation: Option<&'a Recommendation>,
    settings: Settings,
    prefix: &'a Prefix,
    refusals: Vec<Refusal>,
    /// The settings whose evidence stands above a name already.
    told: Vec<Setting>,
}

/// A name with its value as they stand in the text, and what has to be said of them.
struct Line {
    text: String,
    comments: Vec<String>,
}

impl Text<'_> {
    fn whole(&mut self) -> String {
        let format = self.format;
        let mut file = self.header();
        file.push_str(format.opening);
        for section in format.sections {
            let text = self.section(section);
            if !section.heading.is_empty() {
                part(&mut file);
            }
            file.push_str(&text);
        }
        file.push_str(format.closing);
        if !format.absent.is_empty() {
            part(&mut file);
        }
        // What is absent for the same reason is told in one line.
        for together in format.absent.chunk_by(|one, next| one.why == next.why) {
            let named =
                |absent: &Absent| format!("{} = {}", absent.setting, words::value(self.settings.get(absent.setting)));
            let names = together.iter().map(named).collect::<Vec<_>>().join(", ");
            let is = if together.len() == 1 { "is" } else { "are" };
            file.push_str(&self.comment("", &format!("{names} {is} not in {}: {}", format.title, together[0].why)));
        }
        file
    }

    /// Where the text belongs and what it rests on.
    fn header(&self) -> String {
        let Some(leader) = self.format.language.comment() else { return String::new() };
        // Python reads `coding:` in the first two lines as the file's encoding, so those hold no text from elsewhere.
        let mut header = format!("{leader}{}\n{}\n", self.format.headline, leader.trim_end());
        let Some(recommendation) = self.recommendation else { return header + "\n" };
        let provenance = &recommendation.provenance;
        let lines = [
            verdict_sentence(recommendation),
            format!("run {}, profile {}, seed {}", provenance.run, provenance.profile, provenance.seed),
            format!("{}, pool-tune {}", provenance.server, provenance.program),
        ];
        let fleet = fleet_sentence(recommendation);
        let warnings = recommendation.warnings.iter().map(|warning| format!("warning: {warning}"));
        for line in lines.into_iter().chain(fleet).chain(warnings) {
            header.push_str(&self.comment("", &line));
        }
        header.push('\n');
        header
    }

    /// A comment on a line of its own, whatever the text; nothing where the language has none.
    fn comment(&self, indent: &str, text: &str) -> String {
        let leader = self.format.language.comment();
        leader.map(|leader| format!("{indent}{leader}{}\n", words::one_line(text))).unwrap_or_default()
    }

    fn section(&mut self, section: &Section) -> String {
        let lines: Vec<Line> = section.fields().filter_map(|field| self.line(section, &field)).collect();
        let spread = section.between.contains('\n');
        let indent: String = section.line.chars().take_while(|character| character.is_whitespace()).collect();
        let mut body = section.opening.to_owned();
        let mut above = section.heading.lines().map(|line| self.comment("", line)).collect::<String>();
        for (index, line) in lines.iter().enumerate() {
            if index > 0 {
                body.push_str(section.between);
            }
            for comment in &line.comments {
                if !spread {
                    let indent = &section.opening[..section.opening.len() - section.opening.trim_start().len()];
                    above.push_str(&self.comment(indent, comment));
                } else if section.commented {
                    body.push_str(&format!("({comment})\n"));
                } else {
                    body.push_str(&self.comment(&indent, comment));
                }
            }
            body.push_str(&line.text);
        }
        if spread && !lines.is_empty() {
            body.push('\n');
        }
        body.push_str(section.closing);
        if section.commented {
            body = body.lines().map(|line| self.comment("", line)).collect();
        }
        above + &body
    }

    /// A row as a line; `None` where it is left out or refused.
    fn line(&mut self, section: &Section, field: &Field) -> Option<Line> {
        let (written, mut comments) = match field.holds {
            Holds::Other(_) => return None,
            Holds::Fixed(word) => (Written::Word(word), Vec::new()),
            Holds::Setting(setting, convert) => {
                let value = self.settings.get(setting).clone();
                let written = convert.write(&value)?;
                let comments = self.said(field, setting, convert, &value, &written)?;
                (written, comments)
            }
        };
        let Some(literal) = self.format.language.literal(&written) else {
            if let Holds::Setting(setting, _) = field.holds {
                self.refusals.push(Refusal::of_text(field, setting, self.format));
            }
            return None;
        };
        if !field.note.is_empty() {
            comments.push(field.note.to_owned());
        }
        let text = section
            .line
            .replace("{name}", field.name)
            .replace("{kebab}", &kebab(field.name))
            .replace("{upper}", &field.name.to_uppercase())
            .replace("{prefix}", &self.prefix.to_string())
            // Last, because the value may hold anything.
            .replace("{value}", &literal);
        Some(Line { text, comments })
    }

    /// What is said above a value: its evidence, and that it had to be rounded; `None` when it breaks a rule.
    fn said(
        &mut self,
        field: &Field,
        setting: Setting,
        convert: Convert,
        value: &Value,
        written: &Written,
    ) -> Option<Vec<String>> {
        let number = written.number().unwrap_or(f64::NAN);
        if let Some(rule) = field.rules.iter().find(|rule| rule.is_broken(number, value, &self.settings)) {
            self.refusals.push(Refusal::of_rule(field, setting, convert, value, number, rule));
            return None;
        }
        let mut comments = Vec::new();
        if self.told.contains(&setting) {
            return Some(comments);
        }
        self.told.push(setting);
        let told = self.recommendation.and_then(|of| Some((of, of.rows.iter().find(|row| row.setting == setting)?)));
        match told {
            Some((of, row)) if self.format.evidence => {
                comments.push(format!("{}; {}", words::unit(setting.spec().unit), evidence(row, of)));
            }
            Some((of, row)) if row.was != row.now => comments.push(format!("{setting}: {}", evidence(row, of))),
            _ => {}
        }
        // What a validation is called elsewhere says nothing of the statement.
        if value.number().is_some() && convert.read(setting, written).is_ok_and(|read| read != *value) {
            comments.push(format!("{setting} {value} is rounded"));
        }
        Some(comments)
    }
}

/// Leaves an empty line before what comes next, where there is none yet.
fn part(file: &mut String) {
    if !file.ends_with("\n\n") {
        file.push('\n');
    }
}

/// `maxLifetime` as `max-lifetime`.
fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for character in name.chars() {
        if character.is_ascii_uppercase() {
            kebab.push('-');
        }
        kebab.push(character.to_ascii_lowercase());
    }
    kebab
}

/// What the value rests on, in a line.
fn evidence(row: &Row, recommendation: &Recommendation) -> String {
    let was = if row.was == row.now { String::new() } else { format!("was {}; ", words::value(&row.was)) };
    let effect = row.effect.map(|effect| {
        let interval = figures::change_interval(effect);
        let noun = if row.is_of_loss() { words::LOST } else { words::counted(recommendation) };
        // "+18.8 % throughput [+6.9, +32.1]": the interval after the noun.
        interval.replacen(" % [", &format!(" % {noun} ["), 1)
    });
    match (row.decided_by, effect) {
        (DecidedBy::Trial, Some(effect)) => format!("{was}decided by trial: {effect}"),
        (DecidedBy::Trial, None) => format!("{was}decided by trial: {}", row.why),
        (DecidedBy::TrialWithFaults, Some(effect)) => format!("{was}decided by trial with faults: {effect}"),
        (DecidedBy::TrialWithFaults, None) => format!("{was}decided by trial with faults: {}", row.why),
        (DecidedBy::Simulation, Some(effect)) => format!("{was}decided by simulation: {effect}"),
        (DecidedBy::Simulation, None) => format!("{was}decided by simulation: {}", row.why),
        (DecidedBy::Kept, Some(effect)) => format!("{was}kept: {} ({effect})", row.why),
        (DecidedBy::Kept, None) => format!("{was}kept: {}", row.why),
        (DecidedBy::Pinned, _) if row.why == "pinned" => format!("{was}pinned"),
        (DecidedBy::Pinned, _) => format!("{was}pinned: {}", row.why),
    }
}
