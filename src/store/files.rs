use std::{
    fs,
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use super::StoreError;

/// What a run's files need at least, with some room.
const PROBE_BYTES: usize = 64 * 1024;

/// Makes a run's folder and sees that files can be written there, so that a bad folder or a full disk is told before a
/// run and not after it.
///
/// # Errors
/// [`StoreError`] when the folder cannot be made or written.
pub fn check_writable(folder: &Path) -> Result<(), StoreError> {
    let failed = |error: std::io::Error| problem("write a run's files", folder, &error);
    fs::create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::tempfile_in(folder).map_err(failed)?;
    file.write_all(&vec![0; PROBE_BYTES]).and_then(|()| file.sync_all()).map_err(failed)
}

/// Writes a run's files. Each is whole or not there, and none is replaced before all have found room. Gives their paths.
///
/// # Errors
/// [`StoreError`] naming the file that cannot be written.
pub fn write_results(folder: &Path, files: &[(&str, String)]) -> Result<Vec<PathBuf>, StoreError> {
    let written: Vec<(NamedTempFile, PathBuf)> = files
        .iter()
        .map(|(name, contents)| {
            let path = folder.join(name);
            match write(folder, contents) {
                Ok(file) => Ok((file, path)),
                Err(error) => Err(problem("write", &path, &error)),
            }
        })
        .collect::<Result<_, _>>()?;
    let mut paths = Vec::with_capacity(written.len());
    for (file, path) in written {
        file.persist(&path).map_err(|error| problem("write", &path, &error.error))?;
        paths.push(path);
    }
    // The names are on the disk only when their folder is.
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| problem("write", folder, &error))?;
    Ok(paths)
}

fn write(folder: &Path, contents: &str) -> std::io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // A result is for reading by others too; the umask still has its say.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(contents.as_bytes())?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn problem(operation: &'static str, path: &Path, error: &std::io::Error) -> StoreError {
    let path = path.to_owned();
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            StoreError::Full { operation, place: path.display().to_string() }
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            StoreError::Open { path, problem: error.to_string() }
        }
        _ => StoreError::Failed { operation, place: path.display().to_string(), problem: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_replaced_is_named_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("b")).unwrap();
        let files = [("a", "new".to_owned()), ("b", "new".to_owned())];
        let error = write_results(folder.path(), &files).unwrap_err().to_string();
        assert!(error.contains("/b`"), "{error}");
        let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["a", "b"]);
    }

    #[test]
    fn files_are_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        check_writable(folder.path()).unwrap();
        for contents in ["long contents", "short"] {
            let paths = write_results(folder.path(), &[("a", contents.to_owned())]).unwrap();
            assert_eq!(fs::read_to_string(&paths[0]).unwrap(), contents);
        }
    }
}
