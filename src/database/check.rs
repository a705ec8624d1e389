use sqlx::{AssertSqlSafe, Executor, Postgres, SqlSafeStr as _, SqlStr, postgres::PgTypeInfo};

use super::{
    Connection, DatabaseError, Server,
    excerpt::{excerpt, position_in_source},
    failure::{message, position},
};
use crate::model::{Generator, Operation, Statement, Workload};

impl Server {
    /// Has the server parse and plan each of the workload's statements, with the parameters' types but without running
    /// any, so that a mistake in a profile is told before the first trial.
    ///
    /// # Errors
    /// [`DatabaseError::Check`] for the first statement that cannot be run; others when the server cannot be reached.
    pub async fn check(&self, workload: &Workload) -> Result<(), DatabaseError> {
        let mut connection = self.connect_control().await?;
        for operation in &workload.operations {
            for (place, statement) in operation.statements.iter().enumerate() {
                self.check_statement(&mut connection, operation, place, statement).await?;
            }
        }
        // Nothing depends on the goodbye.
        drop(connection.close().await);
        Ok(())
    }

    async fn check_statement(
        &self,
        connection: &mut Connection,
        operation: &Operation,
        place: usize,
        statement: &Statement,
    ) -> Result<(), DatabaseError> {
        match self.bounded(async { Ok(prepare(connection, operation, statement).await) }).await? {
            Ok(()) => Ok(()),
            Err(error @ sqlx::Error::Database(_)) => Err(DatabaseError::Check {
                operation: operation.name.clone(),
                number: place + 1,
                count: operation.statements.len(),
                message: message(&error),
                excerpt: marked(statement, position(&error)),
                remedy: self.remedy_of_sql(),
            }),
            Err(error) => Err(DatabaseError::statement(self, "check the workload's statements", &error)),
        }
    }
}

/// Has a statement prepared; PostgreSQL wants to know the types of its arguments.
async fn prepare(connection: &mut Connection, operation: &Operation, statement: &Statement) -> Result<(), sqlx::Error> {
    let sql: SqlStr = AssertSqlSafe(statement.sql.as_str()).into_sql_str();
    match connection {
        Connection::Postgres(connection) => {
            let types: Vec<PgTypeInfo> = statement
                .arguments
                .iter()
                .filter_map(|&argument| operation.parameters.get(argument))
                .map(|parameter| match parameter.generator {
                    Generator::Integer(_) => <i64 as sqlx::Type<Postgres>>::type_info(),
                    Generator::Real { .. } => <f64 as sqlx::Type<Postgres>>::type_info(),
                    Generator::Text(_) => <str as sqlx::Type<Postgres>>::type_info(),
                })
                .collect();
            connection.prepare_with(sql, &types).await.map(drop)
        }
        Connection::MySql(connection) => connection.prepare(sql).await.map(drop),
        Connection::Sqlite(connection) => connection.prepare(sql).await.map(drop),
    }
}

/// The statement as the person wrote it, with the place that the server names.
fn marked(statement: &Statement, position: Option<usize>) -> String {
    match position.map(|position| (position, position_in_source(&statement.source, &statement.sql, position))) {
        Some((_, Some(in_source))) => excerpt(&statement.source, Some(in_source)),
        Some((position, None)) => excerpt(&statement.sql, Some(position)),
        None => excerpt(&statement.source, None),
    }
}
