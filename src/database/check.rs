use sqlx::{
    AssertSqlSafe, Executor, Postgres, SqlSafeStr as _,
    postgres::{PgConnection, PgTypeInfo},
};

use super::{
    DatabaseError, Server,
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
        let mut connection = self.control().await?;
        for operation in &workload.operations {
            for (place, statement) in operation.statements.iter().enumerate() {
                self.check_statement(&mut connection, operation, place, statement).await?;
            }
        }
        // Nothing depends on the goodbye.
        drop(sqlx::Connection::close(connection).await);
        Ok(())
    }

    async fn check_statement(
        &self,
        connection: &mut PgConnection,
        operation: &Operation,
        place: usize,
        statement: &Statement,
    ) -> Result<(), DatabaseError> {
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
        let sql = AssertSqlSafe(statement.sql.as_str()).into_sql_str();
        match self.bounded(async { Ok(connection.prepare_with(sql, &types).await) }).await? {
            Ok(_) => Ok(()),
            Err(error @ sqlx::Error::Database(_)) => Err(DatabaseError::Check {
                operation: operation.name.clone(),
                number: place + 1,
                count: operation.statements.len(),
                message: message(&error),
                excerpt: marked(statement, position(&error)),
            }),
            Err(error) => Err(DatabaseError::statement(self, "check the workload's statements", &error)),
        }
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
