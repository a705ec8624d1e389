//! One leader at a time among the programs that use a store.

use std::{
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    time::Duration,
};

use sqlx::PgConnection;
use tokio::sync::Mutex;

use super::{
    Store, StoreAt, StoreError,
    hold::{LOCKS, key, session_with_lock, unlock},
};

/// How long the server may take to say that the leadership is still held: who does not know it has lost it.
const ANSWER: Duration = Duration::from_secs(5);

/// The right to be the one that does something. It ends when it is dropped, when this process dies, and when the connection to
/// the store is lost; it never comes back by itself.
#[derive(Debug)]
pub struct Leadership {
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// A lock on a file beside the store's.
    File { lock: File, path: PathBuf },
    /// A lock of a session of its own; none once that is lost.
    Server { session: Mutex<Option<PgConnection>>, key: i64 },
}

impl Store {
    /// Takes the lead in something of a name (letters, digits and `-`), if nobody else has it.
    ///
    /// # Errors
    /// [`StoreError`] when the server cannot be asked, or the lock's file cannot be made.
    pub async fn lead(&self, name: &str) -> Result<Option<Leadership>, StoreError> {
        let way = match &self.at {
            StoreAt::Server(server) => {
                let key = key(&format!("lead {name}"));
                session_with_lock(server, key, 1)
                    .await?
                    .map(|session| Way::Server { session: Mutex::new(Some(session)), key })
            }
            StoreAt::File(file) => {
                let mut path = file.clone().into_os_string();
                path.push(format!(".lead-{name}"));
                let path = PathBuf::from(path);
                let failed =
                    |error: std::io::Error| StoreError::Open { path: path.clone(), problem: error.to_string() };
                let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
                match lock.try_lock() {
                    Ok(()) => Some(Way::File { lock, path }),
                    Err(TryLockError::WouldBlock) => None,
                    Err(TryLockError::Error(error)) => return Err(failed(error)),
                }
            }
        };
        Ok(way.map(|way| Leadership { way }))
    }
}

impl Leadership {
    /// Whether it is still held. Whoever acts on it asks before each step.
    pub async fn is_held(&self) -> bool {
        match &self.way {
            // A file that was removed or replaced keeps nobody out any more.
            Way::File { lock, path } => match (lock.metadata(), std::fs::metadata(path)) {
                (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
                _ => false,
            },
            Way::Server { session, key } => {
                let mut session = session.lock().await;
                // Taken out while it is asked: a question that was broken off leaves the connection unusable.
                let Some(mut connection) = session.take() else { return false };
                let mine = format!("{LOCKS} AND pid = pg_backend_pid()");
                let asked =
                    sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(mine)).bind(key).fetch_one(&mut connection);
                let held = matches!(tokio::time::timeout(ANSWER, asked).await, Ok(Ok(1)));
                if held {
                    *session = Some(connection);
                }
                held
            }
        }
    }

    /// Gives it up; when this returns, others can take it.
    pub async fn resign(self) {
        if let Way::Server { session, key } = self.way
            && let Some(connection) = session.into_inner()
        {
            unlock(connection, key).await;
        }
    }
}
