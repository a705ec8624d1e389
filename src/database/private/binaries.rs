use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use super::PrivateError;

/// Where Debian and its relatives keep the versions of PostgreSQL.
const VERSIONS: &str = "/usr/lib/postgresql";

/// The folder with PostgreSQL's programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// Looks in `PG_BIN`, then in `PATH`, then for the newest version under `/usr/lib/postgresql`.
    ///
    /// # Errors
    /// [`PrivateError::NotInstalled`], which says what to do; [`PrivateError::NoBinaries`] when `PG_BIN` is set but
    /// leads nowhere.
    pub fn find() -> Result<Self, PrivateError> {
        Self::find_in(env::var_os("PG_BIN").as_deref(), env::var_os("PATH").as_deref(), Path::new(VERSIONS))
    }

    /// As [`Self::find`], with the places given.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn find_in(pg_bin: Option<&OsStr>, path: Option<&OsStr>, versions: &Path) -> Result<Self, PrivateError> {
        if let Some(folder) = pg_bin.filter(|folder| !folder.is_empty()) {
            // What a person names is used or refused, not silently passed over.
            return Self::at(Path::new(folder))
                .ok_or_else(|| PrivateError::NoBinaries { folder: PathBuf::from(folder) });
        }
        let in_path = path.into_iter().flat_map(env::split_paths).find_map(|folder| Self::at(&folder));
        in_path.or_else(|| newest(versions)).ok_or(PrivateError::NotInstalled)
    }

    /// The programs in `folder`, if all that are needed are there. Links are followed, since PostgreSQL finds its other
    /// files from where it really lies.
    fn at(folder: &Path) -> Option<Self> {
        let initdb = fs::canonicalize(folder.join("initdb")).ok()?;
        let found = Self { folder: initdb.parent()?.to_owned() };
        (found.initdb().is_file() && found.postgres().is_file()).then_some(found)
    }

    /// The program that makes a cluster.
    #[must_use]
    pub fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }

    /// The server.
    #[must_use]
    pub fn postgres(&self) -> PathBuf {
        self.folder.join("postgres")
    }
}

/// The programs of the highest version in a folder such as `/usr/lib/postgresql`.
fn newest(versions: &Path) -> Option<Binaries> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(versions)
        .ok()?
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .collect();
    found.sort();
    found.iter().rev().find_map(|(_, folder)| Binaries::at(&folder.join("bin")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install(folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("initdb"), "").unwrap();
        fs::write(folder.join("postgres"), "").unwrap();
    }

    #[test]
    fn the_newest_version_is_taken_by_number() {
        let root = tempfile::tempdir().unwrap();
        for version in ["9", "15", "16"] {
            install(&root.path().join(version).join("bin"));
        }
        fs::create_dir_all(root.path().join("17/bin")).unwrap();
        let found = Binaries::find_in(None, Some(OsStr::new("")), root.path()).unwrap();
        assert!(found.postgres().ends_with("16/bin/postgres"), "{found:?}");
    }

    #[test]
    fn the_path_comes_before_and_pg_bin_first() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["named", "path", "versions/15/bin"] {
            install(&root.path().join(folder));
        }
        let versions = root.path().join("versions");
        let path = root.path().join("path");
        let named = root.path().join("named");
        let found = Binaries::find_in(None, Some(path.as_os_str()), &versions).unwrap();
        assert!(found.initdb().ends_with("path/initdb"), "{found:?}");
        let found = Binaries::find_in(Some(named.as_os_str()), Some(path.as_os_str()), &versions).unwrap();
        assert!(found.initdb().ends_with("named/initdb"), "{found:?}");
    }

    #[test]
    fn where_there_is_none_the_remedy_is_told() {
        let empty = tempfile::tempdir().unwrap();
        let message = Binaries::find_in(None, None, empty.path()).unwrap_err().to_string();
        for remedy in ["apt-get install postgresql", "make deps", "PG_BIN", "--target"] {
            assert!(message.contains(remedy), "{message}");
        }
        let message = Binaries::find_in(Some(empty.path().as_os_str()), None, empty.path()).unwrap_err().to_string();
        assert!(message.contains("PG_BIN") && message.contains(empty.path().to_str().unwrap()), "{message}");
    }
}
