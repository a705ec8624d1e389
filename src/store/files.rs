use std::{
    fs,
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use super::StoreError;

/// Makes a run's folder and sees that files can be written there, so that a bad folder is told before a run and not
/// after it.
///
/// # Errors
/// [`StoreError`] when the folder cannot be made or written.
pub fn check_writable(folder: &Path) -> Result<(), StoreError> {
    let failed = |error: std::io::Error| problem("write a run's files", folder, &error);
    fs::create_dir_all(folder).map_err(failed)?;
    tempfile::tempfile_in(folder).map(drop).map_err(failed)
}

/// Writes a run's files, each whole or not at all. Gives their paths.
///
/// # Errors
/// [`StoreError`] naming the file that cannot be written.
pub fn write_results(folder: &Path, files: &[(&str, String)]) -> Result<Vec<PathBuf>, StoreError> {
    files.iter().map(|(name, contents)| write(&folder.join(name), contents)).collect()
}

fn write(path: &Path, contents: &str) -> Result<PathBuf, StoreError> {
    let failed = |error: std::io::Error| problem("write", path, &error);
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // A result is for reading by others too; the umask still has its say.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder).map_err(failed)?;
    file.write_all(contents.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(path.to_owned())
}

fn problem(operation: &'static str, path: &Path, error: &std::io::Error) -> StoreError {
    let path = path.to_owned();
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreError::Full { operation, path },
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            StoreError::Open { path, problem: error.to_string() }
        }
        _ => StoreError::Failed { operation, path, problem: error.to_string() },
    }
}
