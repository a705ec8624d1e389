use std::process::ExitCode;

use anyhow::Result;

use super::{
    arguments::{FromDatabaseArguments, TopBy},
    exit::{WithCode, bad_input, code},
    written,
};
use crate::{
    database::{DatabaseError, Server, Top},
    model::{Nature, Observed},
    profile::{Profile, from_observed},
};

/// Writes a profile of the statements that a server has counted.
///
/// # Errors
/// Where the server cannot be reached, counts no statements, or has none that a profile may hold.
pub(super) async fn from_database(arguments: &FromDatabaseArguments) -> Result<ExitCode> {
    let server = Server::from_url(&arguments.target).map_err(bad_input)?;
    let top = match arguments.by {
        TopBy::Calls => Top::Calls,
        TopBy::Time => Top::Time,
    };
    let observed = server.statements(arguments.top, top).await.map_err(failed)?;
    let profile = checked(&server, observed, arguments.written.workers).await?;
    written::write(&profile, &arguments.written)
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow::Error::new(WithCode { code: code::DATABASE, message: format!("failed to {error}") })
}

/// The profile, each of whose operations the server takes with the values that it would get.
async fn checked(server: &Server, mut observed: Observed, workers: u32) -> Result<Profile> {
    loop {
        let profile = from_observed(&mut observed, workers).map_err(bad_input)?;
        let (operation, problem) = match server.check(&profile.workload).await {
            Ok(()) => return Ok(profile),
            Err(DatabaseError::Check { operation, message, .. }) => (operation, message),
            Err(error) => return Err(failed(error)),
        };
        // One more goes to the comments each time, so this ends.
        let place = profile.workload.operations.iter().position(|known| known.name == operation);
        let mut reads = observed.statements.iter_mut().filter(|known| matches!(known.nature, Nature::Reads { .. }));
        match place.and_then(|place| reads.nth(place)) {
            Some(statement) => {
                statement.nature =
                    Nature::Not { reason: format!("the server does not take it with drawn values: {problem}") };
            }
            None => return Err(failed(problem)),
        }
    }
}
