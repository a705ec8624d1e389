use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of database, and so the SQL that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// PostgreSQL, or something that speaks its protocol.
    Postgres,
    /// MySQL or MariaDB.
    MySql,
    /// SQLite, whose database is a file that the program opens itself.
    Sqlite,
}

impl Dialect {
    /// All of them; a profile that has no statements for one is tried with the others in this order.
    pub const ALL: [Self; 3] = [Self::Postgres, Self::MySql, Self::Sqlite];

    /// The name in profiles and URLs.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::MySql => "mysql",
            Self::Sqlite => "sqlite",
        }
    }

    /// The dialect of that name in profiles.
    #[must_use]
    pub fn of_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.key() == key)
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "PostgreSQL",
            Self::MySql => "MySQL",
            Self::Sqlite => "SQLite",
        })
    }
}

/// Whether a code says that a transaction has lost against another one, so that it may succeed when tried again:
/// PostgreSQL's serialization failure and deadlock, MySQL's deadlock and lock wait timeout, SQLite's busy and locked.
#[must_use]
pub fn is_conflict(code: &str) -> bool {
    matches!(code, "40001" | "40P01" | "1213" | "1205" | "SQLITE_BUSY" | "SQLITE_LOCKED")
}
