use std::collections::BTreeSet;

use super::{
    error::{Problem, ProfileError},
    tree::{Entry, Kind},
};
use crate::model::{Axis, BrokenRule, Evidence, Setting, Settings, Space, Unit, Value};

/// Reads the part `settings`: what is in use today; what is not named has its default.
pub(super) fn settings(entry: Option<Entry>) -> Result<Settings, Problem> {
    on_top_of(Settings::default(), &values(entry)?)
}

/// Values of settings, each with the line that it stands in.
pub(super) type Values = Vec<(u64, Setting, Value)>;

/// Reads a mapping of settings to values.
pub(super) fn values(entry: Option<Entry>) -> Result<Values, Problem> {
    let Some(entry) = entry else { return Ok(Vec::new()) };
    let entries = entry.node.map("settings")?.take_all();
    let read = |entry: Entry| {
        let setting: Setting = entry.key.parse().map_err(|error| problem(entry.line, &error))?;
        Ok((entry.line, setting, value(setting, &entry)?))
    };
    entries.into_iter().map(read).collect()
}

/// `settings` with some of them changed; a broken rule is told where the values stand.
pub(super) fn on_top_of(settings: Settings, values: &Values) -> Result<Settings, Problem> {
    let settings = values.iter().fold(settings, |settings, (_, setting, value)| settings.with(*setting, value.clone()));
    settings.check().map_err(|rule: BrokenRule| {
        let line = |setting| values.iter().find(|(_, known, _)| *known == setting).map(|(line, ..)| *line);
        Problem { line: line(rule.left).or_else(|| line(rule.right)), text: rule.to_string() }
    })?;
    Ok(settings)
}

fn problem(line: u64, error: &impl ToString) -> Problem {
    Problem::at(line, error.to_string())
}

fn value(setting: Setting, entry: &Entry) -> Result<Value, Problem> {
    let made = match (&entry.node.kind, setting.spec().unit) {
        (Kind::Text(text), Unit::Seconds) => match humantime::parse_duration(text) {
            Ok(time) => Value::from_number(setting, time.as_secs_f64()),
            Err(_) => Value::from_text(setting, text),
        },
        (Kind::Text(text), _) => Value::from_text(setting, text),
        (Kind::Nothing, Unit::Sql) => Value::from_text(setting, ""),
        _ => match entry.real() {
            Some(number) => Value::from_number(setting, number),
            None => return Err(entry.wrong("a value")),
        },
    };
    made.map_err(|error| problem(entry.line, &error))
}

/// What a person says of the search: ranges and pins.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    ranges: Vec<(u64, Axis)>,
    pins: Vec<(u64, Setting, Option<Value>)>,
}

/// Reads the part `search`.
pub(super) fn wishes(entry: Option<Entry>) -> Result<Wishes, Problem> {
    let mut wishes = Wishes::default();
    let Some(entry) = entry else { return Ok(wishes) };
    let mut map = entry.node.map("search")?;
    if let Some(ranges) = map.take("ranges") {
        for entry in ranges.node.map("ranges")?.take_all() {
            let setting: Setting = entry.key.parse().map_err(|error| problem(entry.line, &error))?;
            let line = entry.line;
            let values = entry.list("a range of two numbers, [low, high]")?;
            let ends: Vec<f64> = values
                .iter()
                .map(|end| value(setting, end).map(|value| value.number().unwrap_or(f64::NAN)))
                .collect::<Result<_, _>>()?;
            let &[low, high] = ends.as_slice() else {
                return Err(Problem::at(
                    line,
                    format!("the range of `{setting}` has {} ends: expected [low, high]", ends.len()),
                ));
            };
            wishes.ranges.push((line, Axis::new(setting, low, high).map_err(|error| problem(line, &error))?));
        }
    }
    if let Some(pins) = map.take("pin") {
        match pins.node.kind {
            // A list pins to what is in use.
            Kind::List(_) => {
                for entry in pins.list("a list of settings")? {
                    let line = entry.line;
                    let setting =
                        entry.text()?.parse().map_err(|error: crate::model::UnknownSetting| problem(line, &error))?;
                    wishes.pins.push((line, setting, None));
                }
            }
            _ => {
                for entry in pins.node.map("pin")?.take_all() {
                    let setting: Setting = entry.key.parse().map_err(|error| problem(entry.line, &error))?;
                    wishes.pins.push((entry.line, setting, Some(value(setting, &entry)?)));
                }
            }
        }
    }
    map.end()?;
    Ok(wishes)
}

/// What is searched, and what a person has taken out of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Searched {
    pub(super) space: Space,
    /// What only a simulation can decide.
    pub(super) slow: Vec<Axis>,
    pub(super) pinned: BTreeSet<Setting>,
    pub(super) warnings: Vec<String>,
    /// Whether trials have a fault part, so that settings that act only under faults are searched as well.
    pub(super) with_faults: bool,
    /// Whether days of operation are simulated.
    pub(super) with_day: bool,
}

impl Searched {
    pub(super) fn new(baseline: Settings, wishes: Wishes, with_faults: bool, with_day: bool) -> Result<Self, Problem> {
        let axes = Setting::all().filter(|setting| Axis::decidable(*setting, with_faults));
        let axes = axes.filter_map(|setting| Axis::recommended(setting).ok()).collect();
        let space = Space { baseline, axes };
        let slow = Setting::all().filter(|setting| with_day && setting.spec().decided_by == Evidence::Simulation);
        let slow = slow.filter_map(|setting| Axis::recommended(setting).ok()).collect();
        let mut searched = Self { space, slow, pinned: BTreeSet::new(), warnings: Vec::new(), with_faults, with_day };
        for (line, axis) in wishes.ranges {
            searched.range(axis).map_err(|text| Problem::at(line, text))?;
        }
        for (line, setting, value) in wishes.pins {
            let value = value.unwrap_or_else(|| searched.space.baseline.get(setting).clone());
            searched.pin(setting, value).map_err(|text| Problem::at(line, text))?;
        }
        searched.check().map_err(|text| Problem { line: None, text })?;
        Ok(searched)
    }

    /// Holds a setting at a value, in the settings in use as well.
    fn pin(&mut self, setting: Setting, value: Value) -> Result<(), String> {
        let baseline = self.space.baseline.clone().with(setting, value);
        baseline.check().map_err(|error| error.to_string())?;
        self.space.baseline = baseline;
        self.space.axes.retain(|axis| axis.setting != setting);
        self.slow.retain(|axis| axis.setting != setting);
        self.pinned.insert(setting);
        self.check()
    }

    fn range(&mut self, axis: Axis) -> Result<(), String> {
        let setting = axis.setting;
        let (low, high) = setting.spec().recommended;
        if axis.low < low || axis.high > high {
            self.warnings.push(format!(
                "the range of `{setting}`, {}..{}, goes beyond the recommended {low}..{high}",
                axis.low, axis.high
            ));
        }
        let is_slow = setting.spec().decided_by == Evidence::Simulation && self.with_day;
        if !is_slow && !Axis::decidable(setting, self.with_faults) {
            let why = match setting.spec().decided_by {
                Evidence::TrialWithFaults => {
                    "only trials with faults can decide it, and the profile has no part `faults`"
                }
                Evidence::Simulation => {
                    "it acts too slowly or too rarely for short trials, and the profile has no `day` to simulate"
                }
                Evidence::Trial => "it is no number",
            };
            self.warnings.push(format!("the range of `{setting}` is not used, the setting is kept: {why}"));
            return Ok(());
        }
        self.pinned.remove(&setting);
        let axes = if is_slow { &mut self.slow } else { &mut self.space.axes };
        axes.retain(|known| known.setting != setting);
        axes.push(axis);
        axes.sort_by_key(|axis| axis.setting);
        self.check()
    }

    /// Some `min_connections` must be allowed beside some `max_connections`, and some retry delay below its cap.
    fn check(&self) -> Result<(), String> {
        let range = |setting: Setting| {
            let axis = self.space.axes.iter().find(|axis| axis.setting == setting);
            let held = self.space.baseline.get(setting).number().unwrap_or_default();
            axis.map_or((held, held), |axis| (axis.low, axis.high))
        };
        let (smallest, _) = range(Setting::MinConnections);
        let (_, largest) = range(Setting::MaxConnections);
        if smallest > largest {
            return Err(format!(
                "`min_connections` is at least {smallest} and `max_connections` at most {largest}: \
                 min_connections must not exceed max_connections"
            ));
        }
        let (shortest, _) = range(Setting::InitialRetryDelay);
        let (_, longest) = range(Setting::MaxRetryDelay);
        if shortest > longest {
            return Err(format!(
                "`initial_retry_delay` is searched from {shortest} and `max_retry_delay` is {longest}: give it another range, \
                 or pin it"
            ));
        }
        Ok(())
    }

    /// `--pin max_connections=20`
    pub(super) fn pin_flag(&mut self, flag: &str) -> Result<(), ProfileError> {
        let failed = |problem: String| flag_error("--pin", flag, problem);
        let (name, text) = flag
            .split_once('=')
            .ok_or_else(|| failed("expected SETTING=VALUE, such as max_connections=20".to_owned()))?;
        let setting: Setting =
            name.trim().parse().map_err(|error: crate::model::UnknownSetting| failed(error.to_string()))?;
        let value = Value::from_text(setting, text).map_err(|error| failed(error.to_string()))?;
        self.pin(setting, value).map_err(failed)
    }

    /// `--range max_connections=10..60`
    pub(super) fn range_flag(&mut self, flag: &str) -> Result<(), ProfileError> {
        let failed = |problem: String| flag_error("--range", flag, problem);
        let expected = || failed("expected SETTING=LOW..HIGH, such as max_connections=10..60".to_owned());
        let (name, range) = flag.split_once('=').ok_or_else(expected)?;
        let setting: Setting =
            name.trim().parse().map_err(|error: crate::model::UnknownSetting| failed(error.to_string()))?;
        let (low, high) = range.split_once("..").ok_or_else(expected)?;
        let end = |text: &str| text.trim().parse::<f64>().map_err(|_| expected());
        let axis = Axis::new(setting, end(low)?, end(high)?).map_err(|error| failed(error.to_string()))?;
        self.range(axis).map_err(failed)
    }
}

fn flag_error(name: &str, text: &str, problem: String) -> ProfileError {
    ProfileError { origin: format!("`{name} {text}`"), line: None, problem }
}
