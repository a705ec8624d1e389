use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use similar::TextDiff;

use super::{
    arguments::ExportArguments,
    exit::{WithCode, bad_input, code},
    out::{errln, out, outln},
};
use crate::{
    export::{Names, Prefix, Rewritten, Syntax, Wanted, rewrite},
    model::{Recommendation, Setting},
    report::words::one_line,
    store::{FileError, OwnFile},
};

/// A file of the user's that takes the settings.
pub(super) struct Into {
    path: PathBuf,
    file: OwnFile,
    syntax: Syntax,
}

impl Into {
    /// Reads the file.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let Some(syntax) = Syntax::of(&name) else {
            return Err(bad_input(format!(
                "failed to tell what `{shown}` is: --into takes files whose names end in .py, .env, .toml or .yaml; for another, \
                 print the settings with --format (`--format list`) and copy them"
            )));
        };
        let file = OwnFile::read(path).map_err(|error| failed(&error))?;
        Ok(Self { path: path.to_owned(), file, syntax })
    }

    /// The format that has the file's names and bounds.
    pub(super) fn format(&self) -> &'static str {
        self.syntax.format()
    }

    /// Whether names in the file may begin with a prefix.
    pub(super) fn has_prefix(&self) -> bool {
        self.syntax.has_prefix()
    }

    /// Puts the settings into the file, or tells what would change. What the run kept is the file's own affair: its values there
    /// may have grown since, and the run has nothing to say against them.
    pub(super) fn put(&self, run: &Recommendation, prefix: &Prefix, arguments: &ExportArguments) -> Result<ExitCode> {
        let shown = self.path.display();
        let settings = run.settings();
        let changed: Vec<Setting> = run.rows.iter().filter(|row| row.was != row.now).map(|row| row.setting).collect();
        let wanted = if arguments.all { Wanted::all(&settings) } else { Wanted::only(&settings, &changed) };
        let names = Names { prefix, within: arguments.within.as_deref() };
        let rewritten = rewrite(self.syntax, &self.file.text, wanted, names)
            .map_err(|error| bad_input(format!("failed to change `{shown}`: {error}")))?;
        if let Some(hint) = &rewritten.hint {
            errln!("{shown}: {hint}");
        }
        for left in &rewritten.left {
            let (setting, now) = (left.setting, settings.get(left.setting));
            let has = left.has.as_ref().map_or_else(
                || format!("line {} of the file holds no plain value", left.line),
                |has| format!("the file has {}", one_line(has)),
            );
            errln!("{setting}: {has}, the run was made with {now} and kept it");
        }
        if arguments.diff {
            let diff = TextDiff::from_lines(&self.file.text, &rewritten.text);
            out!("{}", diff.unified_diff().header(&shown.to_string(), &shown.to_string()));
        }
        if let Some(broken) = rewritten.broken(&settings, &changed) {
            return Err(bad_input(format!(
                "failed to change `{shown}`: with what the file keeps, {broken}; change the one by hand, or write both with --all"
            )));
        }
        let differs = !rewritten.changes.is_empty();
        let backup = (differs && !arguments.check && !arguments.diff).then(|| self.file.replace(&rewritten.text));
        let backup = backup.transpose().map_err(|error| failed(&error))?;
        if !arguments.diff {
            list(&self.path, &rewritten);
        }
        if arguments.check && differs {
            errln!("{shown}: does not hold the run's settings; change it with `pool-tune export --into`");
            return Ok(ExitCode::from(code::DIFFERS));
        }
        if arguments.check || arguments.diff {
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(backup) = backup {
            errln!("{shown}: changed; the old file is {}", backup.display());
        } else if changed.is_empty() && !arguments.all {
            errln!("{shown}: left as it is, for the run changed no setting; --all writes those that it kept");
        } else {
            errln!("{shown}: holds the run's settings already");
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn list(path: &Path, rewritten: &Rewritten) {
    let path = path.display();
    for change in &rewritten.changes {
        match (change.line, &change.was) {
            (Some(line), Some(was)) => outln!("{path}:{line}: {} {was} -> {}", change.name, change.now),
            _ => outln!("{path}: {} added: {}", change.name, change.now),
        }
    }
}

/// What the user is told of a file that cannot be used.
pub(super) fn failed(error: &FileError) -> anyhow::Error {
    let code = match error {
        FileError::Unfit { .. } => code::BAD_INPUT,
        FileError::Locked { .. } => code::STORE,
    };
    anyhow::Error::new(WithCode { code, message: format!("failed to {error}") })
}
