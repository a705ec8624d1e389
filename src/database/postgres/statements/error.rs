use crate::database::DatabaseError;

/// Why the statements of a server cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementsError {
    /// Other databases count statements elsewhere.
    #[error(
        "read the statements of {server}: only PostgreSQL's are read (`pg_stat_statements`); give a URL postgres://…"
    )]
    NotPostgres {
        /// The database.
        server: String,
    },
    /// The database has no such extension.
    #[error(
        "read the statements of {server}: the database has no extension `pg_stat_statements`; {install}run `CREATE \
         EXTENSION pg_stat_statements` in it, and have the server load it: `shared_preload_libraries = \
         'pg_stat_statements'` in postgresql.conf, then a restart"
    )]
    NotInstalled {
        /// The server.
        server: String,
        /// What has to be done before, with `, ` behind it, or nothing.
        install: &'static str,
    },
    /// The extension is there, but the server has not loaded its library.
    #[error(
        "read the statements of {server}: the server has not loaded `pg_stat_statements` and so counts nothing; add it \
         to `shared_preload_libraries` in postgresql.conf and restart the server"
    )]
    NotLoaded {
        /// The server.
        server: String,
    },
    /// The user may not see the statements.
    #[error(
        "read the statements of {server}: its user may not see what others run; as a superuser: `GRANT \
         pg_read_all_stats TO {role}`"
    )]
    NotAllowed {
        /// The server.
        server: String,
        /// The URL's user, quoted where it has to be.
        role: String,
    },
    /// No statement of an application was counted.
    #[error(
        "read the statements of {server}: none of an application was counted in this database yet; let the application \
         run for a while, and see that the server's `pg_stat_statements.track` is not `none`"
    )]
    Empty {
        /// The server.
        server: String,
    },
    /// Something else failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}
