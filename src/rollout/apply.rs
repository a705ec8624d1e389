use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{Change, Course, Folders, RolloutError, step::per_cent};
use crate::{
    export::{Format, Names, Prefix, Rewritten, Syntax, Wanted, export_settings, rewrite},
    model::{Call, Setting, Settings},
    profile::{RolloutApply, RolloutPlan},
    program::{self, Caller, Leaves, Occasion},
    store::{OwnFile, stable_hash},
};

/// How long a hook may take where the plan does not say.
const LIMIT: Duration = Duration::from_secs(300);
/// The file that keeps what hooks print.
const LOG: &str = "hooks.log";

/// Which way settings are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    Back,
}

/// What is applied to whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hand<'a> {
    pub(super) settings: &'a Settings,
    pub(super) share: f64,
    /// The stage's number, from 1; on the way back that of the last one of which anything was applied.
    pub(super) stage: usize,
    pub(super) direction: Direction,
}

/// Puts settings into effect as a plan says.
#[derive(Debug)]
pub(super) struct Applier {
    rollout: String,
    how: RolloutApply,
    prefix: Prefix,
    /// The settings that the rollout changes.
    changed: Vec<Setting>,
    caller: Caller,
    /// The files that say which hook is under way: by the rollout's name, and by what it changes, since who comes next may be another
    /// rollout of that, in another folder of results.
    marks: Vec<PathBuf>,
}

impl Applier {
    pub(super) fn new(
        plan: &RolloutPlan,
        prefix: Prefix,
        change: &Change,
        folders: &Folders,
    ) -> Result<Self, RolloutError> {
        let kept = folders.results.join("rollouts").join(&plan.name);
        let mark = kept.join("hooks.pid");
        let caller = Caller::new(prefix.clone(), Some(kept)).map_err(|error| {
            RolloutError::Input(format!("failed to make a folder for temporary files: {error}; set TMPDIR to another"))
        })?;
        let mut applier = Self {
            rollout: plan.name.clone(),
            how: plan.apply.clone(),
            prefix,
            changed: change.settings(),
            caller,
            marks: Vec::new(),
        };
        let (keys, _) = applier.changes();
        let marks = keys.iter().map(|key| folders.state.join(format!("rollout-{:016x}.pid", stable_hash(key))));
        applier.marks = marks.chain([mark]).collect();
        Ok(applier)
    }

    /// Whether all that is to be applied can be, as far as can be told without applying anything.
    pub(super) fn check(&self, course: &Course) -> Result<(), RolloutError> {
        let all = || course.stages.iter().map(|stage| &stage.settings).chain([&course.from]);
        let startable = |key: &str, call: &Call| {
            if let Some(folder) = call.directory.as_ref().filter(|folder| !Path::new(folder).is_dir()) {
                return Err(RolloutError::Input(format!(
                    "`apply`: `directory` `{folder}` is not there; a relative one is seen from the folder of the plan"
                )));
            }
            program::startable(call).map_err(|problem| RolloutError::Input(format!("`apply`: `{key}`: {problem}")))
        };
        match &self.how {
            RolloutApply::Command(call) => {
                startable("command", call)?;
                if let Some(format) = &call.file {
                    let format = Format::named(format)
                        .map_err(|error| RolloutError::Input(format!("`apply`: `file`: {error}")))?;
                    for settings in all() {
                        export_settings(format, settings, &self.prefix).map_err(|error| {
                            RolloutError::Input(format!(
                                "`apply`: failed to write the file as {}: {error}",
                                format.name
                            ))
                        })?;
                    }
                }
            }
            RolloutApply::Into { file, then, .. } => {
                if let Some(call) = then {
                    startable("then", call)?;
                }
                let own = read(file).map_err(RolloutError::Input)?;
                for settings in all() {
                    self.rewritten(file, &own, settings).map_err(RolloutError::Input)?;
                }
            }
        }
        Ok(())
    }

    /// What the file has in place of the settings that the run took to be in use.
    pub(super) fn check_in_use(&self, course: &Course) -> Result<(), RolloutError> {
        let RolloutApply::Into { file, .. } = &self.how else { return Ok(()) };
        let own = read(file).map_err(RolloutError::Input)?;
        let rewritten = self.rewritten(file, &own, &course.from).map_err(RolloutError::Input)?;
        let differing: Vec<String> = rewritten
            .changes
            .iter()
            .filter_map(|change| Some(format!("{} is {}, and was {}", change.name, change.was.as_ref()?, change.now)))
            .collect();
        if differing.is_empty() {
            return Ok(());
        }
        Err(RolloutError::Differs(format!(
            "`{}` differs from what the run was made with, to which a rollout goes back: {}; make a new run with \
             `pool-tune run --baseline`, or take the run's values for those in use with --force",
            file.display(),
            differing.join("; ")
        )))
    }

    /// Whether it starts a program, whose output is kept.
    pub(super) fn starts(&self) -> bool {
        match &self.how {
            RolloutApply::Command(_) => true,
            RolloutApply::Into { then, .. } => then.is_some(),
        }
    }

    /// The names that the file does not have and gets, as a warning: it is likely that nothing reads them.
    pub(super) fn adds(&self, course: &Course) -> Option<String> {
        let RolloutApply::Into { file, .. } = &self.how else { return None };
        let rewritten = self.rewritten(file, &read(file).ok()?, &course.stages.first()?.settings).ok()?;
        let added = rewritten.changes.iter().filter(|change| change.was.is_none());
        let added: Vec<&str> = added.map(|change| change.name.as_str()).collect();
        if added.is_empty() {
            return None;
        }
        Some(format!(
            "`{}` does not have {}: it gets what it lacks, and nothing may read that; see that these are the names that your \
             application reads",
            file.display(),
            added.join(", ")
        ))
    }

    /// What it changes: keys of which whoever changes the same has one too, and how that is told.
    ///
    /// A command is its program, with its other words and its folder: as it is written, since a link may come to lead elsewhere while a
    /// rollout is under way, and behind links, by whatever path it is named. It cannot see that the same is done by way of a wrapper
    /// (`sh apply.sh`), from another folder, with other words, or by changing the file itself.
    pub(super) fn changes(&self) -> (Vec<String>, String) {
        match &self.how {
            RolloutApply::Into { file, .. } => {
                let real = real(file);
                (vec![format!("file {}", real.display())], format!("`{}`", real.display()))
            }
            RolloutApply::Command(call) => {
                let folder = call.directory.as_ref().map(PathBuf::from).unwrap_or_default();
                let folder = fs::canonicalize(&folder).unwrap_or(folder);
                // Several applications may share a command that is told whose turn it is.
                let mut words: Vec<String> =
                    call.words.iter().map(|word| word.replace("{rollout}", &self.rollout)).collect();
                let key = |words: &[String]| format!("command {} {}", folder.display(), words.join("\0"));
                let mut keys = vec![key(&words)];
                let program = program::path_of(&Call { words: words.clone(), ..call.clone() });
                if let (Some(program), Some(named)) = (program, words.first_mut()) {
                    *named = real(&program).display().to_string();
                    keys.push(key(&words));
                    keys.dedup();
                }
                let shown = format!(
                    "`{call}` in `{}` (if that serves several applications, write `{{rollout}}` among its words)",
                    folder.display()
                );
                (keys, shown)
            }
        }
    }

    /// Applies settings; the same ones a second time change nothing.
    pub(super) async fn apply(&self, hand: Hand<'_>) -> Result<(), String> {
        // Two hooks at once could end in either's settings: one that outlived its pool-tune is waited for.
        let limit = match &self.how {
            RolloutApply::Command(call) => call.time_limit,
            RolloutApply::Into { then, .. } => then.as_ref().and_then(|call| call.time_limit),
        };
        for mark in &self.marks {
            program::left_over(mark, limit.unwrap_or(LIMIT)).await;
        }
        match &self.how {
            RolloutApply::Command(call) => self.call(call, hand).await,
            RolloutApply::Into { file, then, .. } => {
                if hand.direction == Direction::Back && fs::exists(file).is_ok_and(|is_there| !is_there) {
                    return Err(gone(file));
                }
                let own = read(file)?;
                let rewritten = self.rewritten(file, &own, hand.settings)?;
                if !rewritten.changes.is_empty() {
                    own.replace(&rewritten.text).map_err(|error| format!("failed to {error}"))?;
                }
                match then {
                    Some(call) => self.call(call, hand).await,
                    None => Ok(()),
                }
            }
        }
    }

    async fn call(&self, call: &Call, hand: Hand<'_>) -> Result<(), String> {
        let direction = match hand.direction {
            Direction::Forward => "forward",
            Direction::Back => "back",
        };
        let names = program::Names::default()
            .with("rollout", self.rollout.clone())
            .with("share", per_cent(hand.share))
            .with("stage", hand.stage.to_string())
            .with("direction", direction.to_owned());
        let occasion = Occasion { names, log: LOG.to_owned(), limit: LIMIT, marks: self.marks.clone() };
        // A hook that is cut off leaves nobody knows what: it ends by itself, or at its limit, whoever waits for it.
        let never = CancellationToken::new();
        let ended = self.caller.run(call, hand.settings, &occasion, Leaves::Running, &never).await;
        let ended = ended.map_err(|error| error.to_string())?;
        ended.failure.map_or(Ok(()), |(_, told)| Err(told))
    }

    fn rewritten(&self, path: &Path, file: &OwnFile, settings: &Settings) -> Result<Rewritten, String> {
        let shown = path.display();
        let RolloutApply::Into { within, .. } = &self.how else {
            return Err(format!("`{shown}` is no file of this plan"));
        };
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let syntax = Syntax::of(&name).ok_or_else(|| {
            format!(
                "`apply`: `into` takes files whose names end in .py, .env, .toml or .yaml, and not `{shown}`: write `apply: {{command: \
                 …, file: …}}` for another"
            )
        })?;
        let names = Names { prefix: &self.prefix, within: within.as_deref() };
        let rewritten = rewrite(syntax, &file.text, Wanted::only(settings, &self.changed), names)
            .map_err(|error| format!("failed to change `{shown}`: {error}"))?;
        match rewritten.broken(settings, &self.changed) {
            Some(broken) => {
                Err(format!("failed to change `{shown}`: with what the file keeps, {broken}; change the one by hand"))
            }
            None => Ok(rewritten),
        }
    }
}

/// A file behind its links; one that is gone is still the same one, behind the links of its folder.
fn real(file: &Path) -> PathBuf {
    let gone = || Some(fs::canonicalize(file.parent()?).ok()?.join(file.file_name()?));
    fs::canonicalize(file).ok().or_else(gone).unwrap_or_else(|| file.to_owned())
}

/// What is told of a file that was there when it was changed.
fn gone(file: &Path) -> String {
    let mut backup = file.as_os_str().to_owned();
    backup.push(".bak");
    let backup = PathBuf::from(backup);
    let from =
        if backup.exists() { format!(", from its backup `{}` for one", backup.display()) } else { String::new() };
    format!(
        "`{}` is gone: put it back{from}; if nothing reads it any more, nothing is left to take back",
        file.display()
    )
}

fn read(file: &Path) -> Result<OwnFile, String> {
    OwnFile::read(file).map_err(|error| format!("failed to {error}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn keys(folder: &Path, apply: &str) -> Vec<String> {
        let text = format!(
            "name: checkout\napply: {apply}\nsteps: 1\nwatch: 1m\ngates: {{monitor: {{metrics: 'http://127.0.0.1:1/metrics'}}}}\n"
        );
        let plan = RolloutPlan::parse("rollout.yaml", &text).unwrap().seen_from(folder);
        let change = Change { from: Settings::default(), to: Settings::default() };
        let folders = Folders { results: folder.join("results"), state: folder.join("state") };
        let applier = Applier::new(&plan, Prefix::parse("DB").unwrap(), &change, &folders).unwrap();
        applier.changes().0
    }

    #[test]
    fn a_program_behind_a_link_stays_the_same_when_the_link_leads_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for release in ["42", "43"] {
            fs::create_dir(path(release)).unwrap();
            fs::write(path(release).join("apply.sh"), "#!/bin/sh\n").unwrap();
            fs::set_permissions(path(release).join("apply.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let apply = format!("{{command: '{} {{share}}'}}", path("current/apply.sh").display());
        symlink(path("42"), path("current")).unwrap();
        let before = keys(folder.path(), &apply);
        fs::remove_file(path("current")).unwrap();
        symlink(path("43"), path("current")).unwrap();
        let after = keys(folder.path(), &apply);
        assert!(before != after && before.iter().any(|key| after.contains(key)), "{before:?} {after:?}");
    }

    #[test]
    fn a_program_is_the_same_by_whatever_path_it_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("apply.sh");
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        symlink(&path, folder.path().join("link.sh")).unwrap();
        fs::create_dir(folder.path().join("in")).unwrap();
        let key = |apply: &str| keys(folder.path(), apply).pop().unwrap();
        let by_its_name = key("{command: './apply.sh {share}'}");
        let absolute = path.display();
        for same in [
            format!("{{command: '{absolute} {{share}}'}}"),
            "{command: './link.sh {share}'}".to_owned(),
            "{command: 'in/../apply.sh {share}'}".to_owned(),
            "{command: './apply.sh {share}', directory: in/..}".to_owned(),
        ] {
            assert_eq!(key(&same), by_its_name, "{same}");
        }
        for other in [
            "{command: './apply.sh {stage}'}",
            "{command: './other.sh {share}'}",
            "{command: '../apply.sh {share}', directory: in}",
        ] {
            assert_ne!(key(other), by_its_name, "{other}");
        }
        // One that is gone is the same still, and one without a path is found as it will be when it is started.
        assert_eq!(
            key("{command: './gone.sh'}"),
            key(&format!("{{command: '{}'}}", folder.path().join("gone.sh").display()))
        );
        let sh =
            std::env::split_paths(&std::env::var_os("PATH").unwrap()).map(|of| of.join("sh")).find(|sh| sh.exists());
        assert_eq!(key("{command: sh}"), key(&format!("{{command: '{}'}}", sh.unwrap().display())));
        assert_ne!(key("{command: no-such-program}"), key("{command: ./no-such-program}"));
        assert_eq!(key("{command: './{rollout}.sh'}"), key("{command: ./checkout.sh}"));
    }
}
