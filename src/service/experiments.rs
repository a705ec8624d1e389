//! The experiments of the configured folder; nothing else can be started.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use crate::job::{self, Loaded};

/// A file of the folder.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// The experiment's name; the file's while it cannot be read.
    pub(super) name: String,
    /// The experiment, or what is wrong with it.
    pub(super) loaded: Result<Arc<Loaded>, String>,
}

/// The files, in a form that tells whether one has changed.
pub(super) fn files(folder: &Path) -> Vec<(PathBuf, Option<SystemTime>, u64)> {
    let stamp = |path: PathBuf| {
        let about = fs::metadata(&path).ok();
        let changed = about.as_ref().and_then(|about| about.modified().ok());
        (path, changed, about.map_or(0, |about| about.len()))
    };
    job::find_experiments(folder).unwrap_or_default().into_iter().map(stamp).collect()
}

/// Reads all of them. One that cannot be read is kept with what is wrong, so that the others go on.
pub(super) fn read(folder: &Path) -> Vec<Known> {
    let mut names = BTreeSet::new();
    let paths = match job::find_experiments(folder) {
        Ok(paths) => paths,
        Err(error) => return vec![Known { name: folder.display().to_string(), loaded: Err(error.to_string()) }],
    };
    let one = |path: PathBuf| {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        match job::load_experiment(&path.to_string_lossy()) {
            Ok(loaded) if !names.insert(loaded.experiment.name.clone()) => Known {
                loaded: Err(format!(
                    "`{}` is called `{}` as another file is: rename it",
                    path.display(),
                    loaded.experiment.name
                )),
                name: stem,
            },
            Ok(loaded) => Known { name: loaded.experiment.name.clone(), loaded: Ok(Arc::new(loaded)) },
            Err(error) => Known { name: stem, loaded: Err(error.to_string()) },
        }
    };
    paths.into_iter().map(one).collect()
}
