use std::{io, time::Duration};

use sqlx::{
    mysql::MySqlDatabaseError,
    postgres::{PgDatabaseError, PgErrorPosition},
};

use super::{Server, excerpt::excerpt};
use crate::model::Dialect;

/// Why the program's own work with a database failed, in words for the person who named the database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseError {
    /// Nothing listens there.
    #[error("connect to {server}: the connection was refused; is a server running there, and is the port right?")]
    Refused {
        /// The server, without its password.
        server: String,
    },
    /// There is no such socket.
    #[error("connect to {server}: there is no such socket; is a server running there, and is the port right?")]
    NoSocket {
        /// The server.
        server: String,
    },
    /// The host's name leads nowhere.
    #[error("connect to {server}: the host is not known ({message}); check its name")]
    UnknownHost {
        /// The server.
        server: String,
        /// What the resolver said.
        message: String,
    },
    /// The server did not answer in time.
    #[error(
        "reach {server}: no answer within {} s; is the host right, does a firewall drop the packets, or does the \
         server hang? `?connect_timeout=` in the URL gives it longer", waited.as_secs()
    )]
    NoAnswer {
        /// The server.
        server: String,
        /// For how long.
        waited: Duration,
    },
    /// User or password are wrong (SQLSTATE 28P01).
    #[error(
        "connect to {server}: {message}; check the user and the password, and percent-encode special characters of the \
         password in the URL"
    )]
    WrongPassword {
        /// The server.
        server: String,
        /// What it said.
        message: String,
    },
    /// The server does not let this user in (SQLSTATE class 28).
    #[error("connect to {server}: {message}; {remedy}")]
    NotAllowed {
        /// The server.
        server: String,
        /// What it said.
        message: String,
        /// What to do.
        remedy: &'static str,
    },
    /// There is no such database (SQLSTATE 3D000).
    #[error("connect to {server}: {message}; name an existing database at the end of the URL's path")]
    NoSuchDatabase {
        /// The server.
        server: String,
        /// What it said.
        message: String,
    },
    /// No connection is free (SQLSTATE 53300).
    #[error(
        "connect to {server}: {message}; close other connections, or raise the server's `max_connections` or the limit \
         of the role or database"
    )]
    TooManyConnections {
        /// The server.
        server: String,
        /// What it said.
        message: String,
    },
    /// TLS could not be agreed on.
    #[error("connect to {server} over TLS: {message}; {remedy}")]
    Tls {
        /// The server.
        server: String,
        /// What went wrong.
        message: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Something between here and the server does not take our parameters.
    #[error(
        "connect to {server}: {message}; this looks like a pooler (PgBouncer): give the URL of the PostgreSQL server \
         behind it, since a pool in front of a pool cannot be measured apart"
    )]
    Pooler {
        /// The server.
        server: String,
        /// What was said.
        message: String,
    },
    /// The server is starting, stopping or has just died.
    #[error("connect to {server}: {message}; wait until it is up again")]
    NotReady {
        /// The server.
        server: String,
        /// What was said.
        message: String,
    },
    /// Another reason not to connect.
    #[error("connect to {server}: {message}")]
    Connect {
        /// The server.
        server: String,
        /// What was said.
        message: String,
    },
    /// A statement of the program itself failed.
    #[error("{action} on {server}: {message}{remedy}")]
    Statement {
        /// What the program was about to do.
        action: String,
        /// The server.
        server: String,
        /// What the server said.
        message: String,
        /// What to do, after `; `, or nothing.
        remedy: &'static str,
    },
    /// A statement that prepares the workload failed.
    #[error("run statement {number} of {count} in `prepare`: {message}\n{excerpt}\ncorrect it in the profile{remedy}")]
    Prepare {
        /// Which one, from 1.
        number: usize,
        /// Of how many.
        count: usize,
        /// What the server said.
        message: String,
        /// The statement, shortened, with a mark where the error is.
        excerpt: String,
        /// What else may be to blame, after the advice to correct it; or nothing.
        remedy: &'static str,
    },
    /// A statement of the workload cannot be run.
    #[error(
        "check operation `{operation}`, statement {number} of {count}: {message}\n{excerpt}\ncorrect it in the profile{remedy}"
    )]
    Check {
        /// The operation's name.
        operation: String,
        /// Which of its statements, from 1.
        number: usize,
        /// Of how many.
        count: usize,
        /// What the server said.
        message: String,
        /// The statement, shortened, with a mark where the error is.
        excerpt: String,
        /// What else may be to blame, after the advice to correct it; or nothing.
        remedy: &'static str,
    },
    /// The schema is gone or in the hands of another run.
    #[error("use the schema `{schema}` on {server}: {message}")]
    SchemaLost {
        /// The schema.
        schema: String,
        /// The server.
        server: String,
        /// What happened.
        message: &'static str,
    },
}

const REMEDY_HBA: &str = "the server's pg_hba.conf decides who may connect from where";
const REMEDY_HOST: &str = "the server's accounts (`mysql.user`) decide who may connect from where";
const REMEDY_TLS: &str = "add `?sslmode=require` to the URL";
const REMEDY_NO_TLS: &str = "take `sslmode` out of the URL, or turn on `ssl` on the server";
const REMEDY_CERTIFICATE: &str = "name the certificate authority by `?sslrootcert=FILE`, or, if the host is trusted all \
                                  the same, say `?sslmode=require` without it";
const REMEDY_MY_NO_TLS: &str = "take `ssl-mode` out of the URL, or turn on TLS on the server";
const REMEDY_MY_CERTIFICATE: &str = "name the certificate authority by `?ssl-ca=FILE`, or, if the host is trusted all the \
                                     same, say `?ssl-mode=REQUIRED` without it";

impl DatabaseError {
    /// Why a connection could not be opened.
    pub(super) fn connect(to: &Server, error: &sqlx::Error) -> Self {
        let (server, message) = (to.to_string(), message(error));
        let is_mysql = to.dialect() == Dialect::MySql;
        let certificate = if is_mysql { REMEDY_MY_CERTIFICATE } else { REMEDY_CERTIFICATE };
        match error {
            sqlx::Error::Database(_) if is_mysql => Self::connect_mysql(server, message, number(error)),
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default();
                match &*code {
                    "28P01" => Self::WrongPassword { server, message },
                    "3D000" => Self::NoSuchDatabase { server, message },
                    "53300" => Self::TooManyConnections { server, message },
                    // PostgreSQL says "no encryption" where only encrypted connections are let in.
                    "28000" if message.contains("no encryption") || message.contains("SSL off") => {
                        Self::NotAllowed { server, message, remedy: REMEDY_TLS }
                    }
                    "28000" if message.contains("does not exist") => Self::WrongPassword { server, message },
                    code if code.starts_with("28") => Self::NotAllowed { server, message, remedy: REMEDY_HBA },
                    code if code.starts_with("57P") => Self::NotReady { server, message },
                    _ if message.contains("startup parameter") => Self::Pooler { server, message },
                    _ => Self::Connect { server, message },
                }
            }
            sqlx::Error::Tls(_) if message.contains("does not support TLS") => {
                Self::Tls { server, message, remedy: if is_mysql { REMEDY_MY_NO_TLS } else { REMEDY_NO_TLS } }
            }
            sqlx::Error::Tls(_) => Self::Tls { server, message, remedy: certificate },
            sqlx::Error::Io(io) => match io.kind() {
                io::ErrorKind::ConnectionRefused => Self::Refused { server },
                io::ErrorKind::NotFound if to.is_by_socket() => Self::NoSocket { server },
                io::ErrorKind::TimedOut => Self::Connect { server, message },
                io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => {
                    Self::NotReady { server, message }
                }
                io::ErrorKind::InvalidData => Self::Tls { server, message, remedy: certificate },
                _ if message.contains("lookup address") => Self::UnknownHost { server, message },
                _ => Self::Connect { server, message },
            },
            _ => Self::Connect { server, message },
        }
    }

    /// By the numbers of MySQL's reference of error messages.
    fn connect_mysql(server: String, message: String, number: Option<u16>) -> Self {
        match number {
            Some(1045) => Self::WrongPassword { server, message },
            Some(1049) => Self::NoSuchDatabase { server, message },
            Some(1040 | 1203 | 1226) => Self::TooManyConnections { server, message },
            Some(1044 | 1129 | 1130 | 1698) => Self::NotAllowed { server, message, remedy: REMEDY_HOST },
            Some(3159) => Self::NotAllowed { server, message, remedy: "add `?ssl-mode=REQUIRED` to the URL" },
            Some(1053) => Self::NotReady { server, message },
            _ => Self::Connect { server, message },
        }
    }

    /// Why a statement of the program itself failed.
    pub(super) fn statement(server: &Server, action: impl Into<String>, error: &sqlx::Error) -> Self {
        const STANDBY: &str = "; it takes no writes: it is a standby or read-only, so give the URL of the primary";
        const RIGHT: &str = "; grant the right to the URL's user, or give the URL of another user";
        const DISK: &str = "; free some disk space on the server, or lower the profile's scale";
        let remedy = match code(error).as_deref() {
            Some("25006" | "1290" | "1836" | "SQLITE_READONLY") => STANDBY,
            Some("42501" | "1142" | "1227") => RIGHT,
            Some("1044") => {
                "; grant it: GRANT ALL ON `pool\\_tune\\_%`.* TO the URL's user, or give the URL of another user"
            }
            Some("53100" | "1021" | "1114" | "SQLITE_FULL") => DISK,
            Some("SQLITE_NOTADB") => "; name a SQLite database",
            _ => "",
        };
        Self::Statement { action: action.into(), server: server.to_string(), message: message(error), remedy }
    }

    /// The same, as the reason why a statement of `prepare` failed.
    pub(super) fn prepare(server: &Server, number: usize, count: usize, sql: &str, error: &sqlx::Error) -> Self {
        Self::Prepare {
            number,
            count,
            message: message(error),
            excerpt: excerpt(sql, position(error)),
            remedy: server.remedy_of_sql(),
        }
    }

    /// Whether trying again later may help: the server, not the request, is at fault.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. }
                | Self::NoSocket { .. }
                | Self::NoAnswer { .. }
                | Self::NotReady { .. }
                | Self::TooManyConnections { .. }
        )
    }
}

impl Server {
    /// What a person should think of when SQL of the profile is refused.
    pub(super) fn remedy_of_sql(&self) -> &'static str {
        match self.dialect() {
            Dialect::Postgres => "",
            Dialect::MySql => {
                "; where it is right for another database, give MySQL a statement of its own: `sql: {postgres: …, mysql: …}`"
            }
            Dialect::Sqlite => {
                "; where it is right for another database, give SQLite a statement of its own: `sql: {postgres: …, sqlite: …}`"
            }
        }
    }
}

/// The code of an error, where it has one: PostgreSQL's SQLSTATE, MySQL's number (which says more than its SQLSTATE),
/// SQLite's name of it, or the operating system's.
pub(super) fn code(error: &sqlx::Error) -> Option<String> {
    match error {
        sqlx::Error::Database(database) => match (number(error), database.code()) {
            (Some(number), _) => Some(number.to_string()),
            (None, Some(code)) if database.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() => {
                Some(sqlite_name(&code))
            }
            (None, code) => code.map(std::borrow::Cow::into_owned),
        },
        sqlx::Error::Io(io) => io.raw_os_error().map(|code| format!("os {code}")),
        _ => None,
    }
}

/// MySQL's number of an error.
pub(super) fn number(error: &sqlx::Error) -> Option<u16> {
    error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number)
}

/// The name of a result code of SQLite, whose lowest byte is the primary one.
fn sqlite_name(code: &str) -> String {
    let primary = code.parse::<u32>().unwrap_or(0) & 0xff;
    let name = match primary {
        1 => "ERROR",
        5 => "BUSY",
        6 => "LOCKED",
        8 => "READONLY",
        10 => "IOERR",
        11 => "CORRUPT",
        13 => "FULL",
        14 => "CANTOPEN",
        19 => "CONSTRAINT",
        26 => "NOTADB",
        _ => code,
    };
    format!("SQLITE_{name}")
}

/// What the server or the system said, beneath sqlx's own heading, with the server's details and hints.
pub(super) fn message(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(database) => {
            let mut text = database.message().to_owned();
            if let Some(postgres) = database.try_downcast_ref::<PgDatabaseError>() {
                for more in [postgres.detail(), postgres.hint()].into_iter().flatten() {
                    text.push_str(" (");
                    text.push_str(more.trim_end_matches('.'));
                    text.push(')');
                }
            }
            text
        }
        sqlx::Error::Io(io) => io.to_string(),
        sqlx::Error::Tls(cause) | sqlx::Error::Configuration(cause) => cause.to_string(),
        other => other.to_string(),
    }
}

/// The position in the statement that the server points at, in characters from 1.
pub(super) fn position(error: &sqlx::Error) -> Option<usize> {
    match error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?.position()? {
        PgErrorPosition::Original(position) => Some(position),
        PgErrorPosition::Internal { .. } => None,
    }
}
