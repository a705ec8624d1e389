//! The page that tells a run: summary.md.

use std::collections::BTreeMap;

use super::{
    ReportedTrial, curve, faults, figures,
    markdown::{Align, table, text},
    metrics, simulation, verdict_sentence, words,
};
use crate::model::{DecidedBy, Estimate, Provenance, Recommendation, Row, StandingOutcome, Unit, Verdict};

/// The page that tells a run to a person, in Markdown: the answer first, then what it rests on, then how it was done.
///
/// `trials` are all trials of the run, in order. The same run gives the same bytes.
#[must_use]
pub fn summary_md(recommendation: &Recommendation, trials: &[ReportedTrial<'_>]) -> String {
    let provenance = &recommendation.provenance;
    let mut page = format!(
        "# Connection pool settings: run {}\n\n**{}**\n",
        text(&provenance.run),
        text(&verdict_sentence(recommendation))
    );
    if !recommendation.warnings.is_empty() {
        page.push_str("\nBefore trusting this:\n\n");
        for warning in &recommendation.warnings {
            page.extend(["- ", &text(warning), "\n"]);
        }
    }
    for (heading, body) in sections(recommendation, trials) {
        page.extend(["\n## ", heading, "\n\n", &body]);
    }
    page
}

/// Headings of sections that have charts on the page `report.html`.
pub(super) const VERIFICATION: &str = "Verification";
pub(super) const FAULTS: &str = "Under faults";
pub(super) const DAYS: &str = "In simulated days";
pub(super) const CURVE: &str = "Throughput against connections";

/// What is told of a run, section by section: heading and Markdown.
pub(super) fn sections(recommendation: &Recommendation, trials: &[ReportedTrial<'_>]) -> Vec<(&'static str, String)> {
    let provenance = &recommendation.provenance;
    let mut sections = vec![("Settings", settings(recommendation)), ("Throughput", throughput(recommendation))];
    sections.extend(verification(recommendation).map(|told| (VERIFICATION, told)));
    sections.extend(faults::section(recommendation, trials).map(|told| (FAULTS, told)));
    sections.extend(simulation::section(recommendation).map(|told| (DAYS, told)));
    sections.push(("Key metrics", metrics::section(recommendation, trials)));
    sections.push((CURVE, curve::section(recommendation)));
    if !recommendation.insights.is_empty() {
        let told = recommendation
            .insights
            .iter()
            .map(|insight| format!("**{}.** {}\n", text(insight.title.trim_end_matches('.')), text(&insight.text)));
        sections.push(("Also learnt", told.collect::<Vec<_>>().join("\n")));
    }
    sections.extend(earlier(recommendation).map(|told| ("Nights before", told)));
    sections.push(("How it was done", how(provenance, trials)));
    sections.push(("How to repeat it", repeat(provenance)));
    sections
}

fn settings(recommendation: &Recommendation) -> String {
    let rows: Vec<Vec<String>> = recommendation.rows.iter().map(setting).collect();
    let counted = recommendation.under_faults.is_some();
    let columns = [
        ("setting", Align::Left),
        ("was", Align::Right),
        ("now", Align::Right),
        ("decided by", Align::Left),
        (if counted { "effect, faults counted" } else { "effect on throughput" }, Align::Right),
        ("why", Align::Left),
    ];
    let fleet = words::fleet_sentence(recommendation).map(|told| format!("{told}\n\n")).unwrap_or_default();
    format!(
        "{fleet}{}\nThe effect is that of the setting alone{}, with its 95 % interval; for a setting kept after trials, of the \
         most promising other value.{}\n",
        table(&columns, &rows),
        if counted { " on throughput with faults counted by their weight" } else { "" },
        if recommendation.simulation.is_some() {
            " Where it says \"lost\", it is the change of what a simulated day loses."
        } else {
            ""
        }
    )
}

fn setting(row: &Row) -> Vec<String> {
    let unit = match row.setting.spec().unit {
        Unit::Seconds => " s",
        Unit::Count | Unit::Factor | Unit::Sql => "",
    };
    let shown = |value| text(&format!("{}{unit}", words::value(value)));
    let now = if row.now == row.was { shown(&row.now) } else { format!("**{}**", shown(&row.now)) };
    vec![
        row.setting.name().to_owned(),
        shown(&row.was),
        now,
        words::decided_by(row.decided_by).to_owned(),
        row.effect.map_or(figures::NONE.to_owned(), |effect| words::effect_of(row, effect)),
        if row.decided_by == DecidedBy::Pinned && row.why == "pinned" { String::new() } else { text(&row.why) },
    ]
}

fn throughput(recommendation: &Recommendation) -> String {
    let throughput = recommendation.throughput;
    if throughput.was.value <= 0.0 {
        return "The settings in use were not measured often enough to tell.\n".to_owned();
    }
    let mut rows = vec![vec!["in use".to_owned(), figures::rate_interval(throughput.was)]];
    if recommendation.verdict == Verdict::Better {
        rows.push(vec!["recommended".to_owned(), figures::rate_interval(throughput.now)]);
    }
    format!(
        "{}\nThe intervals are where 95 % of single trials fall, so they are wider than what is known of the mean.\n",
        table(&[("settings", Align::Left), ("successful requests/s", Align::Right)], &rows)
    )
}

fn verification(recommendation: &Recommendation) -> Option<String> {
    let found = recommendation.verification.as_ref()?;
    let changes: Vec<_> = recommendation
        .rows
        .iter()
        .map(|row| (row.setting, found.candidate.get(row.setting), &row.was))
        .filter(|(_, candidate, was)| candidate != was)
        .map(|(setting, candidate, was)| format!("{setting} {} (was {})", words::value(candidate), words::value(was)))
        .collect();
    let ratio = |ratio: Estimate| format!("{:.3} [{:.3}, {:.3}]", ratio.value, ratio.interval.low, ratio.interval.high);
    let mut rows = vec![
        vec!["success rate, in use".to_owned(), figures::share_interval(found.success_was)],
        vec!["success rate, the others".to_owned(), figures::share_interval(found.success_now)],
    ];
    match &recommendation.under_faults {
        None => rows.push(vec!["throughput ratio".to_owned(), ratio(found.ratio)]),
        Some(faults) => {
            let name = if found.by_faults_alone {
                "ratio of what faults leave of throughput"
            } else {
                "throughput ratio, faults counted"
            };
            rows.push(vec![name.to_owned(), ratio(found.ratio)]);
            rows.extend(
                faults.throughput_ratio.map(|plain| vec!["throughput ratio, without faults".to_owned(), ratio(plain)]),
            );
        }
    }
    Some(format!(
        "After the search, the settings in use and {} were tried in turn, in {} of new trials{}, so that the search's \
         luck is no part of the answer.\n\n{}",
        text(&changes.join(", ")),
        if found.pairs == 1 { "1 pair".to_owned() } else { format!("{} pairs", found.pairs) },
        found.planned.map_or(String::new(), |planned| {
            format!(" (of at most {planned}: the planned look after half of them was clear, so it stopped there)")
        }),
        table(&[("", Align::Left), ("value [95 % interval]", Align::Right)], &rows)
    ))
}

/// What earlier runs had to do with the answer.
fn earlier(recommendation: &Recommendation) -> Option<String> {
    let memory = recommendation.memory.as_ref()?;
    let ratio = |ratio: Estimate| format!("{:.3} [{:.3}, {:.3}]", ratio.value, ratio.interval.low, ratio.interval.high);
    let mut items = Vec::new();
    let runs = memory.runs.iter().map(|run| text(run)).collect::<Vec<_>>().join(", ");
    let p = memory.p_value.map_or(String::new(), |p| {
        let p = if p < 0.01 { format!("{p:.0e}") } else { format!("{p:.2}") };
        format!(" (p = {p}; below 0.00001 they are dropped)")
    });
    items.push(match (memory.runs.is_empty(), memory.dropped) {
        (true, _) => "The search knew of no earlier run.".to_owned(),
        (false, false) => {
            format!("The search began with the trials of {runs}, which the first trials do not contradict{p}.")
        }
        (false, true) => format!("The trials of {runs} were dropped: the first trials disagree with them{p}."),
    });
    if let Some(judged) = &memory.standing {
        let stood = text(&words::named(recommendation, &judged.settings));
        let since = format!("since {} (run {})", text(&judged.since), text(&judged.run));
        items.push(match judged.outcome {
            StandingOutcome::First => format!("{stood} is recommended from now on; nothing stood before."),
            StandingOutcome::Stands => format!("{stood} stands {since}."),
            StandingOutcome::Replaced => format!("{stood} stood {since}, and is replaced."),
            StandingOutcome::Withdrawn => format!("{stood} stood {since}, and is withdrawn."),
        });
        if judged.outcome != StandingOutcome::First {
            items.extend(
                judged.against_in_use.map(|found| {
                    format!("Throughput of what stood over that of the settings in use: {}.", ratio(found))
                }),
            );
        }
        items.extend(judged.challenger.as_ref().map(|challenger| {
            format!(
                "{} was set against what stood, in {}: throughput ratio {}. {}",
                text(&words::named(recommendation, &challenger.settings)),
                words::so_many_pairs(challenger.pairs),
                ratio(challenger.ratio),
                if judged.anew {
                    "It is judged as a first recommendation is, because what was known before has just turned out to hold no more."
                } else {
                    "What stands is replaced only if a gain of more than 2 % is sure at a level of 0.5 %, because it is asked night \
                     after night."
                }
            )
        }));
    }
    Some(items.iter().flat_map(|item| ["- ", item, "\n"]).collect())
}

fn how(provenance: &Provenance, trials: &[ReportedTrial<'_>]) -> String {
    let mut limits = format!("success rate above {} %", shortest(provenance.limits.success_rate * 100.0));
    if let Some(longest) = provenance.limits.p95_query {
        limits.extend([", 95th percentile of query time within ", &figures::time(longest)]);
    }
    let mut phases: BTreeMap<usize, (&str, u32)> = BTreeMap::new();
    for trial in trials {
        let known = phases.iter().find(|(_, (phase, _))| *phase == trial.phase).map(|(index, _)| *index);
        phases.entry(known.unwrap_or(phases.len())).or_insert((trial.phase, 0)).1 += 1;
    }
    let phases: Vec<_> = phases.values().map(|(phase, count)| format!("{count} {}", text(phase))).collect();
    let trials = if phases.is_empty() {
        format!("{} in the search", provenance.search_trials)
    } else {
        format!("{} ({})", trials.len(), phases.join(", "))
    };
    let items = [
        ("target", text(&provenance.target)),
        ("server", text(&provenance.server)),
        ("load from", text(&provenance.machine)),
        ("workers", provenance.workers.to_string()),
        ("pools that share the server", provenance.instances.to_string()),
        ("limits", limits),
        ("trials", trials),
        ("the search stopped because", text(&provenance.stopped_because)),
        ("program", format!("pool-tune {}", text(&provenance.program))),
    ];
    let shown = items.iter().filter(|(name, value)| !(name.starts_with("pools") && value == "1"));
    shown.flat_map(|(name, value)| ["- ", name, ": ", value, "\n"]).collect()
}

/// A number without the noise of its last bits: 99, 99.9.
fn shortest(number: f64) -> String {
    ((number * 1e6).round() / 1e6).to_string()
}

fn repeat(provenance: &Provenance) -> String {
    let is_external = provenance.target.starts_with("command:") || provenance.target.starts_with("http");
    let target = match provenance.target.as_str() {
        "private" | "" => String::new(),
        // It stands in the profile, or among the flags.
        _ if is_external => String::new(),
        target => format!(" --target {}", shell_word(target)),
    };
    let after = match provenance.target.as_str() {
        "simulated" => "On the simulated target the same seed gives the same bytes.",
        target if target.starts_with("simulation") => {
            "A simulation of the same sample gives the same bytes for the same seed."
        }
        "private" | "" => {
            "The same seed asks for the same first trials; what a real database answers differs each time."
        }
        _ if is_external => "The same seed asks for the same first trials; what the target answers differs each time.",
        _ => {
            "Give the target's password too, which is not kept here. The same seed asks for the same first trials; what a \
             real database answers differs each time."
        }
    };
    let words: Vec<String> = provenance.flags.iter().map(|word| format!(" {}", shell_word(word))).collect();
    let flags = words.concat();
    format!(
        "```sh\npool-tune run --profile {} --seed {}{flags}{target}\n```\n\n{after}\n",
        shell_word(provenance.profile_file.as_ref().unwrap_or(&provenance.profile)),
        provenance.seed
    )
}

/// A word of a command line, in quotes where the shell would take it apart.
fn shell_word(word: &str) -> String {
    let word = words::one_line(word);
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:@%+=,".contains(character);
    if !word.is_empty() && word.chars().all(plain) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
}
