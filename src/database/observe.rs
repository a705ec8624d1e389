//! Looking at what a server is doing, again and again, on one connection of its own.

use std::time::Duration;

use super::{Connection, DatabaseError, Server, mysql, postgres};
use crate::model::Activity;

/// How long one look may take on the server.
pub(super) const LOOK: Duration = Duration::from_secs(5);

/// Looks at a server through one connection, which takes no writes and no long statements.
#[derive(Debug)]
pub struct Observer {
    server: Server,
    connection: Option<Connection>,
}

impl Observer {
    /// Of a server; it connects at the first look.
    #[must_use]
    pub fn new(server: Server) -> Self {
        Self { server, connection: None }
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Looks once. A connection that was closed from the other side meanwhile is opened anew.
    ///
    /// # Errors
    /// [`DatabaseError`] when the server cannot be reached, does not answer in time, or keeps no record of sessions (SQLite).
    pub async fn look(&mut self) -> Result<Activity, DatabaseError> {
        // A connection is kept only after a look that succeeded: whatever failed may have left it in the middle.
        if let Some(mut connection) = self.connection.take()
            && let Ok(activity) = self.look_through(&mut connection).await
        {
            self.connection = Some(connection);
            return Ok(activity);
        }
        let mut connection = self.connect().await?;
        let activity = self.look_through(&mut connection).await?;
        self.connection = Some(connection);
        Ok(activity)
    }

    async fn look_through(&self, connection: &mut Connection) -> Result<Activity, DatabaseError> {
        let looked = async {
            let seen = match connection {
                Connection::Postgres(connection) => postgres::activity(connection).await,
                Connection::MySql(connection) => mysql::activity(connection).await,
                Connection::Sqlite(_) => Err(sqlx::Error::Protocol(
                    "a SQLite file has no server that knows who uses it: there is nothing to watch".to_owned(),
                )),
            };
            seen.map_err(|error| DatabaseError::statement(&self.server, "look at its sessions", &error))
        };
        self.server.bounded(looked).await
    }

    async fn connect(&self) -> Result<Connection, DatabaseError> {
        let mut connection = self.server.connect_control().await?;
        if let Connection::MySql(connection) = &mut connection {
            let limited = mysql::take_only_looks(connection).await;
            limited.map_err(|error| DatabaseError::statement(&self.server, "look at its sessions", &error))?;
        }
        Ok(connection)
    }

    /// Closes the connection, telling the server.
    pub async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            // Nothing depends on the goodbye.
            drop(connection.close().await);
        }
    }
}
