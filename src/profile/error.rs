use std::fmt;

/// Why a profile, or a flag that changes one, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileError {
    /// The file, the built-in profile's name, or the flag.
    pub origin: String,
    /// The line in the file, from 1, where one is to blame.
    pub line: Option<u64>,
    /// What is wrong there, and how to mend it.
    pub problem: String,
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to read {}", self.origin)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for ProfileError {}

/// What is wrong, and in which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) line: Option<u64>,
    pub(super) text: String,
}

impl Problem {
    pub(super) fn at(line: u64, text: impl Into<String>) -> Self {
        Self { line: (line > 0).then_some(line), text: text.into() }
    }

    pub(super) fn of_profile(self, origin: &str) -> ProfileError {
        self.of("profile", origin)
    }

    /// Of a file of some kind.
    pub(super) fn of(self, kind: &str, origin: &str) -> ProfileError {
        ProfileError { origin: format!("{kind} `{origin}`"), line: self.line, problem: self.text }
    }
}

/// The one of `known` that is most like `name`, as a question; nothing where none is like it.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let nearest = known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), *candidate))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.7);
    match nearest {
        Some((_, nearest)) => format!("did you mean `{nearest}`?"),
        None => format!("expected one of {}", list(&known)),
    }
}

/// The one of `known` from which `name` differs by a slip of the fingers, if there is one: one letter, or two of a long name.
pub(super) fn near<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.trim().to_ascii_lowercase().replace('-', "_");
    if !name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_') {
        return None;
    }
    let slips = |candidate: &str| strsim::osa_distance(&name, candidate);
    let allowed = |candidate: &str| if candidate.len() > 7 { 2 } else { 1 };
    let nearest = known.into_iter().min_by_key(|candidate| slips(candidate))?;
    (slips(nearest) <= allowed(nearest)).then_some(nearest)
}

/// What to do when nothing built in has a name: the nearest one, all there are, or a file.
pub(super) fn none_built_in(name: &str, known: &[&str]) -> String {
    let hint = did_you_mean(name, known.iter().copied());
    let hint = if hint.starts_with("did") { format!("{hint} ") } else { String::new() };
    format!("{hint}built in are {}; a file of your own is named by its path, such as ./{name}.yaml", list(known))
}

/// `a`, `b`, `c`
pub(super) fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
