use super::out::{errln, tells_as_json};
use std::{io::IsTerminal as _, time::Duration};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use ratatui::crossterm;

use crate::{
    model::{
        Latency, Measurement, Setting, Settings,
        figures::{percent, time},
    },
    report,
    tune::{Event, Phase, Plan, Progress, TrialEnded},
};

/// Shows a run's events on standard error: a bar in a terminal, plain lines elsewhere.
pub(super) struct Display {
    quiet: bool,
    bar: Option<ProgressBar>,
    /// The settings that vary, in the order of the table; the others are not repeated on each line.
    varying: Vec<Setting>,
    phase: Option<&'static str>,
}

impl Display {
    /// A display that says nothing when `quiet`.
    pub(super) fn new(quiet: bool) -> Self {
        Self { quiet, bar: None, varying: Vec::new(), phase: None }
    }

    /// Shows one event.
    pub(super) fn show(&mut self, event: &Event) {
        match event {
            _ if self.quiet => {}
            Event::Notice(text) => self.line(&format!("note: {text}")),
            Event::Planned(plan) => self.plan(plan),
            Event::Phase(phase) => {
                self.phase = Some(phase.name());
                if !std::io::stderr().is_terminal() {
                    self.line(&format!("-- {}", phase.name()));
                }
            }
            Event::Simulating { done, of } => self.simulating(*done, *of),
            Event::TrialStarted(progress) => self.position(progress),
            Event::TrialEnded(ended) => self.trial(ended),
            Event::Finished(_) => self.clear(),
        }
    }

    /// Takes the bar off the terminal.
    pub(super) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| errln!("{text}")),
            None => errln!("{text}"),
        }
    }

    fn plan(&mut self, plan: &Plan) {
        self.varying = plan.axes.iter().map(|axis| axis.setting).collect();
        let free = plan.free_connections.map_or(String::new(), |free| format!(", {free} connections free"));
        self.line(&format!("run {} · profile {} · seed {}", plan.run, plan.profile, plan.seed));
        self.line(&format!("  target   {} · {}{free}", plan.target, plan.server));
        let in_use: Vec<_> = plan.settings.iter().map(|(setting, value)| format!("{setting}={value}")).collect();
        let pools = if plan.instances == 1 { String::new() } else { format!(" · {} pools, each", plan.instances) };
        self.line(&format!("  in use   {} workers{pools} · {}", plan.workers, in_use[..2].join(", ")));
        let searched: Vec<_> =
            plan.axes.iter().map(|axis| format!("{} {}..{}", axis.setting, axis.low, axis.high)).collect();
        let searched = if searched.is_empty() {
            "nothing: what trials can decide is pinned or the same by construction".to_owned()
        } else {
            searched.join(", ")
        };
        self.line(&format!("  search   {searched}"));
        let limit = plan.limits.p95_query.map_or(String::new(), |p95| format!(", p95 query time ≤ {}", time(p95)));
        self.line(&format!("  limits   success rate > {} %{limit}", round(plan.limits.success_rate * 100.0, 4)));
        let budget = plan.time_budget.map_or(String::new(), |seconds| {
            format!(
                ", fewer of them where they would take more than {} (what is begun with and what verifies is made all the same)",
                HumanDuration(Duration::from_secs_f64(seconds))
            )
        });
        self.line(&format!(
            "  budget   at most {} search trials, {} for side questions, {} verification pairs ({} where they are \
             clear), {} s each and warm-up{budget}",
            plan.search_trials, plan.insight_trials, plan.verification_pairs, plan.early_look, plan.trial_seconds
        ));
        if let Some(part) = &plan.faults {
            self.line(&format!(
                "  faults   {} s more a trial, counted for {:.0} %: {}",
                part.measure.as_secs_f64(),
                part.weight * 100.0,
                report::timeline_in_words(&part.timeline)
            ));
        }
        if plan.resumed_trials > 0 {
            self.line(&format!("  resumed  {} trials are taken over", plan.resumed_trials));
        }
        if std::io::stderr().is_terminal() && !tells_as_json() {
            let bar = ProgressBar::new(0);
            if let Ok(style) = ProgressStyle::with_template("{bar:16.cyan/blue} {prefix} {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            self.bar = Some(bar);
        }
    }

    fn position(&self, progress: &Progress) {
        if let Some(bar) = &self.bar {
            bar.set_length(u64::from(progress.of));
            bar.set_position(u64::from(progress.trial - 1));
            let left = progress.left.map_or(String::new(), |left| format!(" · {} s left", left.as_secs()));
            bar.set_prefix(format!("{} · trial {} of {}{left}", progress.phase.name(), progress.trial, progress.of));
        }
    }

    fn simulating(&self, done: u32, of: u32) {
        if let Some(bar) = &self.bar {
            bar.set_length(u64::from(of));
            bar.set_position(u64::from(done));
            bar.set_prefix(format!("simulation · day {done} of at most {of}"));
        }
    }

    fn trial(&self, ended: &TrialEnded) {
        // A probe has none of these figures.
        if ended.progress.phase == Phase::Probe {
            return;
        }
        if let Some(bar) = &self.bar {
            bar.set_position(u64::from(ended.progress.trial));
            if let Some((settings, throughput)) = &ended.best {
                bar.set_message(format!("· best {throughput:.0} QPS at {}", self.names(settings)));
            }
        }
        let number = format!("{:>3}/{} {:<11}", ended.progress.trial, ended.progress.of, ended.why);
        let stored = if ended.resumed { "  (stored)" } else { "" };
        let names = self.names(&ended.settings);
        let whole = format!("{number} {names:<22} {}{stored}", figures(&ended.measurement));
        self.line(&if fits(&whole) {
            whole
        } else {
            let values = self.values(&ended.settings);
            format!("{number} {values:<14} {}{stored}", short_figures(&ended.measurement))
        });
    }

    /// The values of the settings that vary, in the order in which the plan names them.
    fn values(&self, settings: &Settings) -> String {
        match self.varying.as_slice() {
            [] | [_] | [_, _] => self.names(settings),
            several => several.iter().map(|&setting| settings.get(setting).to_string()).collect::<Vec<_>>().join("/"),
        }
    }

    /// The settings that vary, shortened to their values: `min 3 max 20`.
    fn names(&self, settings: &Settings) -> String {
        let short = |setting: Setting| match setting {
            Setting::MinConnections => "min",
            Setting::MaxConnections => "max",
            Setting::RetryAttempts => "retries",
            Setting::InitialRetryDelay => "delay",
            Setting::CircuitBreakerThreshold => "breaker",
            other => other.name(),
        };
        let mut settings_shown = self.varying.clone();
        if settings_shown.is_empty() {
            settings_shown.push(Setting::MaxConnections);
        }
        let named: Vec<_> =
            settings_shown.iter().map(|&setting| format!("{} {}", short(setting), settings.get(setting))).collect();
        named.join(" ")
    }
}

/// Whether the terminal shows the line unbroken.
fn fits(line: &str) -> bool {
    !std::io::stderr().is_terminal()
        || crossterm::terminal::size().is_ok_and(|(width, _)| line.chars().count() <= usize::from(width))
}

/// A trial's figures for a terminal of 80 columns.
fn short_figures(measurement: &Measurement) -> String {
    format!(
        "{:>7.0} QPS {:>7.2} % ok  p95 {:>8}{}{}",
        measurement.throughput,
        measurement.requests.success_rate * 100.0,
        p95(&measurement.query),
        measurement.under_faults.as_ref().map_or(String::new(), |part| format!("  f{:>4.0} %", part.share * 100.0)),
        if measurement.cpu.disturbed { " *" } else { "" },
    )
}

/// What was served in time under faults.
fn under_faults(measurement: &Measurement) -> String {
    let part = measurement.under_faults.as_ref();
    part.map_or(String::new(), |part| format!("  faults {:>5.1} %", part.share * 100.0))
}

/// A trial's figures in a line.
fn figures(measurement: &Measurement) -> String {
    let requests = &measurement.requests;
    let mut text = format!(
        "{:>8.0} QPS  {:>7.3} % ok  query p95 {:>8}",
        measurement.throughput,
        requests.success_rate * 100.0,
        p95(&measurement.query),
    );
    // Of a program or a service less can be seen.
    if measurement.acquire.total.count > 0 {
        text.push_str(&format!("  acquire p95 {:>8}", p95(&measurement.acquire.total)));
    }
    if measurement.utilisation.total > 0.0 {
        text.push_str(&format!("  use {:>3.0} %", measurement.utilisation.mean * 100.0));
    }
    text.push_str(&under_faults(measurement));
    if let Some(error) = measurement.errors.first().filter(|_| requests.failed > 0) {
        text.push_str(&format!("  ({}× {})", error.count, error.example));
    }
    if measurement.cpu.disturbed {
        text.push_str(&format!("  disturbed: others took {} of CPU", percent(measurement.cpu.other)));
    }
    text
}

fn p95(times: &Latency) -> String {
    if times.count == 0 { "–".to_owned() } else { time(times.p95) }
}

fn round(number: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (number * scale).round() / scale
}
