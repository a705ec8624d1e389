//! The tables: one file a family, one [`Format`] a pool. A new pool is a new table here and a line in [`FORMATS`].

mod dotnet;
mod go;
mod java;
mod node;
mod ours;
mod pgbouncer;
mod python;
mod rails;
mod rust;

use super::{Format, UnknownFormat};

/// Every format, in the order in which they are listed.
pub static FORMATS: &[&Format] = &[
    &ours::CONFIG_PY,
    &ours::CONFIG_DICT,
    &ours::ENV,
    &ours::JSON,
    &ours::YAML,
    &ours::TOML,
    &java::HIKARICP,
    &java::SPRING,
    &python::SQLALCHEMY,
    &python::PSYCOPG_POOL,
    &python::ASYNCPG,
    &python::DJANGO,
    &node::NODE_POSTGRES,
    &node::KNEX,
    &go::DATABASE_SQL,
    &go::PGXPOOL,
    &rust::SQLX,
    &rust::DEADPOOL,
    &rust::BB8,
    &rails::RAILS,
    &pgbouncer::PGBOUNCER,
    &dotnet::NPGSQL,
];

/// The guide's `config.py`, which every run writes.
pub(super) static CONFIG_PY: &Format = &ours::CONFIG_PY;

impl Format {
    /// The format of a name or of another name of it, capitals or not.
    ///
    /// # Errors
    /// [`UnknownFormat`], with the nearest name where one is near.
    pub fn named(name: &str) -> Result<&'static Self, UnknownFormat> {
        let name = name.trim().to_lowercase();
        let names = |format: &&'static Self| format.aliases.iter().copied().chain([format.name]);
        if let Some(format) = FORMATS.iter().find(|format| names(format).any(|known| known == name)) {
            return Ok(format);
        }
        let nearest = FORMATS
            .iter()
            .flat_map(names)
            .map(|known| (strsim::jaro_winkler(&name, known), known))
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .filter(|(likeness, _)| *likeness > 0.7);
        Err(UnknownFormat { name, nearest: nearest.map(|(_, known)| known) })
    }
}
