//! A person's own file, read and replaced: whole or not at all, with its permissions, and the old one beside it.

use std::{
    ffi::OsString,
    fs,
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

/// No configuration is larger, and a mistaken path may be.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// Why a file is not read or replaced.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There is none, or it is no text.
    #[error("read `{path}`: {problem}")]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// It may not be written.
    #[error("write `{path}`: {problem}")]
    Locked {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
}

/// A file's text, and where the file really is.
#[derive(Debug)]
pub struct OwnFile {
    /// The file, behind every link.
    path: PathBuf,
    /// Its text.
    pub text: String,
}

impl OwnFile {
    /// Reads a file; a link is followed.
    ///
    /// # Errors
    /// [`FileError::Unfit`] when there is none, or it is no file of text in UTF-8.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let unfit = |problem: String| FileError::Unfit { path: path.to_owned(), problem };
        let failed = |error: std::io::Error| match error.kind() {
            ErrorKind::NotFound => unfit("there is no such file; name one that is there".to_owned()),
            _ => unfit(error.to_string()),
        };
        let real = fs::canonicalize(path).map_err(failed)?;
        let about = fs::metadata(&real).map_err(failed)?;
        if !about.is_file() {
            let what = if about.is_dir() { "a folder" } else { "a device or a pipe" };
            return Err(unfit(format!("it is {what}; name a file")));
        }
        if about.len() > MOST_BYTES {
            return Err(unfit("it is larger than 16 MiB, which no configuration is".to_owned()));
        }
        let bytes = fs::read(&real).map_err(failed)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let line = error.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
            unfit(format!("line {line} is not UTF-8; save the file in that encoding"))
        })?;
        Ok(Self { path: real, text })
    }

    /// Puts another text in its place and gives the path of the backup. The backup is a new file: none is written over.
    ///
    /// # Errors
    /// [`FileError::Locked`] when the file or its folder may not be written, or the file has changed since it was read.
    pub fn replace(&self, text: &str) -> Result<PathBuf, FileError> {
        let locked = |problem: String| FileError::Locked { path: self.path.clone(), problem };
        let failed = |error: std::io::Error| match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                locked(format!("{error}; make the file and its folder writable"))
            }
            _ => locked(error.to_string()),
        };
        let about = fs::metadata(&self.path).map_err(failed)?;
        // A rename would replace it all the same, against what its owner said.
        if about.permissions().readonly() {
            return Err(locked("the file is read-only; make it writable, or leave it alone".to_owned()));
        }
        fs::OpenOptions::new().write(true).open(&self.path).map_err(failed)?;
        let folder = self.path.parent().unwrap_or_else(|| Path::new("/"));
        let new = beside(folder, text, &about).map_err(failed)?;
        let old = beside(folder, &self.text, &about).map_err(failed)?;
        if fs::read(&self.path).map_err(failed)? != self.text.as_bytes() {
            return Err(locked("it was changed by another program just now; try again".to_owned()));
        }
        let backup = self.back_up(old).map_err(failed)?;
        new.persist(&self.path).map_err(|error| failed(error.error))?;
        // The names are on the disk only when their folder is.
        fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(backup)
    }

    /// Names the backup: `config.py.bak`, or with a number where that is taken by another text.
    fn back_up(&self, mut old: NamedTempFile) -> std::io::Result<PathBuf> {
        for number in 0..1000_u32 {
            let mut name = OsString::from(&self.path);
            name.push(if number == 0 { ".bak".to_owned() } else { format!(".bak.{number}") });
            let path = PathBuf::from(name);
            match old.persist_noclobber(&path) {
                Ok(_) => return Ok(path),
                Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {
                    if fs::read(&path).is_ok_and(|bytes| bytes == self.text.as_bytes()) {
                        return Ok(path);
                    }
                    old = error.file;
                }
                Err(error) => return Err(error.error),
            }
        }
        Err(std::io::Error::other("there are a thousand backups already; remove some"))
    }
}

/// A file that is not named yet, with the permissions and the owner of the one it replaces.
fn beside(folder: &Path, text: &str, about: &fs::Metadata) -> std::io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new().prefix(".pool-tune-").tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt as _, fchown};
        let own = file.as_file().metadata()?;
        if (own.uid(), own.gid()) != (about.uid(), about.gid()) {
            fchown(file.as_file(), Some(about.uid()), Some(about.gid()))?;
        }
    }
    file.as_file().set_permissions(about.permissions())?;
    file.as_file().sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_file_is_replaced_behind_its_link_with_its_permissions_and_a_backup() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.py"), folder.path().join("config.py"));
        fs::write(&real, "old\r\n").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&real, &link).unwrap();
        let backup = OwnFile::read(&link).unwrap().replace("new\n").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&link).unwrap(), "new\n");
        assert_eq!(fs::read_to_string(&backup).unwrap(), "old\r\n");
        assert_eq!(backup.file_name().unwrap(), "real.py.bak");
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
        // The first backup stays.
        let second = OwnFile::read(&link).unwrap().replace("newer\n").unwrap();
        assert_eq!(second.file_name().unwrap(), "real.py.bak.1");
        assert_eq!(fs::read_to_string(&backup).unwrap(), "old\r\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
    }

    #[test]
    fn what_is_no_file_of_text_or_may_not_be_written_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.py");
        let message = |path: &Path| OwnFile::read(path).unwrap_err().to_string();
        assert!(message(&path).ends_with("config.py`: there is no such file; name one that is there"));
        assert!(message(folder.path()).ends_with("it is a folder; name a file"));
        fs::write(&path, b"# caf\n# caf\xe9\n").unwrap();
        assert!(message(&path).contains("line 2 is not UTF-8"));
        fs::write(&path, "x = 1\n").unwrap();
        let file = OwnFile::read(&path).unwrap();
        fs::write(&path, "x = 2\n").unwrap();
        assert!(file.replace("x = 3\n").unwrap_err().to_string().contains("changed by another program"));
        let mut permissions = fs::metadata(&path).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&path, permissions).unwrap();
        assert!(OwnFile::read(&path).unwrap().replace("y").unwrap_err().to_string().contains("is read-only"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
