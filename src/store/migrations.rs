//! The schema, in SQLite's words and in PostgreSQL's.
//!
//! A migration that is added is a file of the same number and name in `migrations/` and in `migrations/postgres/`, and none is
//! ever changed: stores keep their checksums. Tests hold the two to each other.

use sqlx::migrate::Migrator;

pub(super) static SQLITE: Migrator = sqlx::migrate!();
pub(super) static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// The version that a store has when all is done.
pub(super) fn newest(migrator: &Migrator) -> Option<i64> {
    migrator.iter().map(|migration| migration.version).max()
}

pub(super) fn is_newer(version: i64) -> String {
    format!("a newer version of pool-tune made it (migration {version})")
}

pub(super) fn differs(version: i64) -> String {
    format!("another program, or an unreleased pool-tune, made it (migration {version} differs)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_databases_have_the_same_migrations() {
        let names = |migrator: &Migrator| -> Vec<_> {
            migrator.iter().map(|migration| (migration.version, migration.description.clone())).collect()
        };
        assert_eq!(names(&SQLITE), names(&POSTGRES));
    }
}
