use sqlx::{AssertSqlSafe, Executor as _, PgConnection, Row as _};

use super::{
    plan::{Column, Plan},
    values::{Distribution, Kind, propose},
};
use crate::{
    database::{DatabaseError, Server, failure::message},
    model::{Nature, ObservedParameter},
};

const ACTION: &str = "look at a statement";

/// Functions that are volatile, and so may do anything, but are known to change nothing.
const HARMLESS: [&str; 19] = [
    "clock_timestamp",
    "gen_random_uuid",
    "pg_database_size",
    "pg_indexes_size",
    "pg_is_in_recovery",
    "pg_relation_size",
    "pg_sleep",
    "pg_sleep_for",
    "pg_sleep_until",
    "pg_table_size",
    "pg_total_relation_size",
    "random",
    "random_normal",
    "timeofday",
    "uuid_generate_v1",
    "uuid_generate_v1mc",
    "uuid_generate_v4",
    "uuidv4",
    "uuidv7",
];

/// Sets a connection up for looking at statements: it takes no writes, waits for no lock, and plans for any values.
pub(super) async fn take_no_writes(server: &Server, connection: &mut PgConnection) -> Result<(), DatabaseError> {
    let sql = "set default_transaction_read_only = on; set lock_timeout = '2s'; set statement_timeout = '5s';
               select set_config(name, 'force_generic_plan', false) from pg_settings where name = 'plan_cache_mode'";
    server
        .bounded(async {
            let outcome = connection.execute(sqlx::raw_sql(sql)).await;
            outcome.map(|_| ()).map_err(|error| DatabaseError::statement(server, ACTION, &error))
        })
        .await
}

/// What a statement is; `None` for what is no load of an application.
pub(super) async fn of(
    server: &Server,
    connection: &mut PgConnection,
    sql: &str,
) -> Result<Option<Nature>, DatabaseError> {
    // What the program itself has left there: this very reading, and tables that it made.
    if sql.contains("pg_stat_statements") || sql.contains("pool_tune_") {
        return Ok(None);
    }
    match first_word(sql).as_str() {
        "insert" | "update" | "delete" | "merge" => return Ok(Some(not("it changes data"))),
        "select" | "with" | "values" | "table" => {}
        _ => return Ok(None),
    }
    let looked = server.bounded(async { Ok(look(connection, sql).await) }).await?;
    match looked {
        Ok(nature) => Ok(nature),
        Err(error @ sqlx::Error::Database(_)) => {
            let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
            let remedy = match code.as_deref() {
                // Its tables are in a schema that our search path has not, or gone.
                Some("42P01") => "; if it is in another schema, give the URL with `?options=-csearch_path%3D…`",
                // No such operator or function, a wrong type, a syntax error: `$1` stands for a typed constant.
                Some("42883" | "42804" | "42601") => {
                    "; values that stood in the text may need a cast: write it by hand"
                }
                _ => "",
            };
            Ok(Some(not(format!("the server does not take it as it stands: {}{remedy}", message(&error)))))
        }
        Err(error) => Err(DatabaseError::statement(server, ACTION, &error)),
    }
}

fn not(reason: impl Into<String>) -> Nature {
    Nature::Not { reason: reason.into() }
}

/// The first word of a statement, behind comments and parentheses, in lower case.
fn first_word(sql: &str) -> String {
    let mut rest = sql.trim_start();
    loop {
        let skipped = if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/").map(|(_, after)| after)
        } else if let Some(comment) = rest.strip_prefix("--") {
            comment.split_once('\n').map(|(_, after)| after)
        } else {
            rest.strip_prefix('(')
        };
        match skipped {
            Some(after) => rest = after.trim_start(),
            None => break,
        }
    }
    rest.chars().take_while(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase()
}

/// Has the server prepare and plan a statement, and forgets it again.
async fn look(connection: &mut PgConnection, sql: &str) -> Result<Option<Nature>, sqlx::Error> {
    // As a statement with a protocol of its own, it cannot be two: what stands behind a `;` is refused.
    let prepare = format!("prepare pool_tune_statement as {sql}");
    sqlx::query(AssertSqlSafe(prepare)).persistent(false).execute(&mut *connection).await?;
    let looked = look_at_prepared(connection, sql).await;
    let forgotten = connection.execute(sqlx::raw_sql("deallocate pool_tune_statement")).await;
    let nature = looked?;
    forgotten.map(|_| nature)
}

async fn look_at_prepared(connection: &mut PgConnection, sql: &str) -> Result<Option<Nature>, sqlx::Error> {
    let kinds = kinds(connection).await?;
    let nulls = vec!["null"; kinds.len()].join(", ");
    let values = if kinds.is_empty() { String::new() } else { format!("({nulls})") };
    let explain = format!("explain (verbose, format json) execute pool_tune_statement{values}");
    // In the text format of the protocol JSON is text.
    let row = connection.fetch_one(sqlx::raw_sql(AssertSqlSafe(explain))).await?;
    let plan = Plan::read(row.try_get_unchecked::<&str, _>(0)?)
        .ok_or_else(|| sqlx::Error::Protocol("the server's plan is no JSON".to_owned()))?;
    if plan.has_node("ModifyTable") {
        return Ok(Some(not("it changes data")));
    }
    if plan.has_node("LockRows") {
        return Ok(Some(not("it locks rows (`FOR UPDATE` or `FOR SHARE`)")));
    }
    if plan.reads_only_catalogs() {
        return Ok(None);
    }
    if let Some(function) = volatile(connection, &format!("{sql}\n{}", plan.text())).await? {
        return Ok(Some(not(format!(
            "it calls `{function}`, which is volatile and so may change something; put it in by hand if it does not"
        ))));
    }
    let mut parameters = Vec::with_capacity(kinds.len());
    let mut columns: Vec<Option<Column>> = Vec::with_capacity(kinds.len());
    for (place, kind) in kinds.iter().enumerate() {
        let column = plan.compared(place + 1);
        let distribution = match &column {
            Some(column) => distribution(connection, column).await?,
            None => None,
        };
        match parameter(sql, place + 1, kind, column.as_ref(), distribution.as_ref()) {
            Some(mut parameter) => {
                if let Some(other) = columns.iter().position(|known| known.is_some() && *known == column) {
                    parameter.comment.push_str(&format!(
                        "; fill in: drawn apart from :p{}, and so no range of a typical width",
                        other + 1
                    ));
                }
                columns.push(column);
                parameters.push(parameter);
            }
            None => {
                return Ok(Some(not(format!(
                    "`${}` is of type {}, for which no value can be proposed",
                    place + 1,
                    kind.name
                ))));
            }
        }
    }
    Ok(Some(Nature::Reads { parameters }))
}

/// The types of the statement's values.
async fn kinds(connection: &mut PgConnection) -> Result<Vec<Kind>, sqlx::Error> {
    let rows = sqlx::query(
        "select format_type(pg_type.oid, -1) as name, typname::text as plain,
                typcategory::text as category,
                array(select enumlabel::text from pg_enum where enumtypid = pg_type.oid order by enumsortorder) as labels
         from pg_prepared_statements, unnest(parameter_types) with ordinality as given (type, place)
         join pg_type on pg_type.oid = given.type
         where pg_prepared_statements.name = 'pool_tune_statement' order by place",
    )
    .fetch_all(connection)
    .await?;
    let kind = |row: &sqlx::postgres::PgRow| {
        Ok(Kind {
            name: row.try_get("name")?,
            plain: row.try_get("plain")?,
            category: row.try_get::<String, _>("category")?.chars().next().unwrap_or(' '),
            labels: row.try_get("labels")?,
        })
    };
    rows.iter().map(kind).collect()
}

/// A volatile function that the text calls and that is not known to be harmless.
async fn volatile(connection: &mut PgConnection, text: &str) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(
        r#"select proname::text from pg_proc
           where provolatile = 'v' and proname <> all($2::text[]::name[])
             and proname in (select unnest(array[called[1], lower(called[1])])
                             from regexp_matches($1, '([[:alpha:]_][[:alnum:]_$]*)"?\s*\(', 'g') as called)
           order by proname limit 1"#,
    )
    .bind(text)
    .bind(HARMLESS.map(str::to_owned).to_vec())
    .fetch_optional(connection)
    .await
}

/// What the server's statistics know of a column.
async fn distribution(connection: &mut PgConnection, column: &Column) -> Result<Option<Distribution>, sqlx::Error> {
    let row = sqlx::query(
        "select coalesce(most_common_vals::text::text[], '{}') as common,
                coalesce(histogram_bounds::text::text[], '{}') as bounds, n_distinct
         from pg_stats where schemaname = $1 and tablename = $2 and attname = $3 order by inherited desc limit 1",
    )
    .bind(&column.schema)
    .bind(&column.table)
    .bind(&column.name)
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let common: Vec<String> = row.try_get("common")?;
    let bounds: Vec<String> = row.try_get("bounds")?;
    let is_complete = bounds.is_empty() && !common.is_empty() && row.try_get::<f32, _>("n_distinct")? > 0.0;
    Ok(Some(Distribution { common, bounds, is_complete }))
}

fn parameter(
    sql: &str,
    number: usize,
    kind: &Kind,
    column: Option<&Column>,
    distribution: Option<&Distribution>,
) -> Option<ObservedParameter> {
    let before = sql.split_once(&format!("${number}")).map_or("", |(before, _)| before).trim_end();
    let ends_with = |word: &str| {
        before.get(before.len().saturating_sub(word.len())..).is_some_and(|end| end.eq_ignore_ascii_case(word))
    };
    if ends_with("limit") {
        return Some(kind.fixed(10, "how many rows a page has"));
    }
    if ends_with("offset") {
        return Some(kind.fixed(0, "where a page begins"));
    }
    propose(kind, column, distribution)
}
