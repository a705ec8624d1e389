use std::{io, path::PathBuf};

use crate::database::DatabaseError;

/// Why no private database could be had.
#[derive(Debug, thiserror::Error)]
pub enum PrivateError {
    /// PostgreSQL is not on this machine.
    #[error(
        "find PostgreSQL on this machine: its programs `initdb` and `postgres` are neither in PATH nor under \
         /usr/lib/postgresql; install them (`make deps`, or `sudo apt-get install postgresql`), name their folder in \
         PG_BIN, use a running server by `--target postgres://…`, or an embedded database by `--target sqlite:private`"
    )]
    NotInstalled,
    /// The folder that the person named has no PostgreSQL.
    #[error(
        "find PostgreSQL in {} (from PG_BIN): `initdb` and `postgres` are not there; correct PG_BIN or unset it",
        folder.display()
    )]
    NoBinaries {
        /// The folder.
        folder: PathBuf,
    },
    /// MariaDB is not on this machine.
    #[error(
        "find MariaDB on this machine: its programs `mariadb-install-db` and `mariadbd` are neither in PATH nor in \
         /usr/sbin; install them (`sudo apt-get install mariadb-server-core mariadb-client-core`), name \
         their folder in MARIADB_BIN, or use a running server by `--target mysql://…`"
    )]
    NoMariaDb,
    /// The folder that the person named has no MariaDB.
    #[error(
        "find MariaDB in {} (from MARIADB_BIN): `mariadb-install-db` and `mariadbd` are not both there; correct \
         MARIADB_BIN or unset it",
        folder.display()
    )]
    NoMariaDbBinaries {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder for clusters cannot be used.
    #[error("use {} for private databases: {cause}; name another folder in POOL_TUNE_STATE", folder.display())]
    State {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The folder for clusters belongs to someone else.
    #[error(
        "use {} for private databases: it is a link or belongs to another user; name a folder of your own in POOL_TUNE_STATE",
        folder.display()
    )]
    ForeignState {
        /// The folder.
        folder: PathBuf,
    },
    /// The account that the database is to run as cannot get to the folder.
    #[error(
        "use {} for private databases: {database} is not to run as root, and the user `{account}`, as whom it runs then, \
         may not enter {}; name a folder that it may enter in POOL_TUNE_STATE", folder.display(), barred.display()
    )]
    Barred {
        /// The folder.
        folder: PathBuf,
        /// The database.
        database: &'static str,
        /// The account.
        account: String,
        /// The folder on the way that bars it.
        barred: PathBuf,
    },
    /// A program could not be started or ended in failure.
    #[error("run {}: {message}", program.display())]
    Program {
        /// The program.
        program: PathBuf,
        /// What it or the system said.
        message: String,
    },
    /// The server ended or did not become ready.
    #[error("start a private {database}: {message}")]
    Start {
        /// The database.
        database: &'static str,
        /// What it said.
        message: String,
    },
    /// The server runs, but cannot be used.
    #[error("set the private server up")]
    SetUp(#[source] DatabaseError),
    /// Files stay behind.
    #[error("remove {}: {cause}; delete it by hand", folder.display())]
    Remove {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}
