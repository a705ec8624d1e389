//! Room for pools: how large they may be on the server that is loaded.

use super::clean_leftovers;
use crate::{
    database::{Demand, Inspection, PrivateOptions, PrivateServer, Refusal, guard},
    model::{Dialect, Setting},
    profile::Profile,
    tune::{Event, TuneError},
};

/// Connections that the program keeps beside the pool: one that holds the schema, one for looking whether the server
/// is well.
const OWN_CONNECTIONS: u32 = 2;
/// Connections that a private server allows beyond what the search may use.
const SPARE_CONNECTIONS: u32 = 10;

/// Starts a throw-away server with room for the largest pool of the search.
pub(super) async fn start_private(
    dialect: Dialect,
    profile: &Profile,
    events: &mut dyn FnMut(Event),
) -> Result<PrivateServer, TuneError> {
    clean_leftovers(events).await?;
    let options = PrivateOptions { dialect, ..PrivateOptions::default() };
    let most = sizes(profile).1.saturating_mul(profile.instances) + OWN_CONNECTIONS + SPARE_CONNECTIONS;
    Ok(PrivateServer::start(&PrivateOptions { max_connections: options.max_connections.max(most), ..options }).await?)
}

/// The smallest and the largest pool that the run may open.
fn sizes(profile: &Profile) -> (u32, u32) {
    let in_use = profile.space.baseline.max_connections();
    let axis = profile.space.axes.iter().find(|axis| axis.setting == Setting::MaxConnections);
    axis.map_or((in_use, in_use), |axis| (count(axis.low), count(axis.high).max(in_use)))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an axis of a count has whole, legal ends")]
fn count(end: f64) -> u32 {
    end as u32
}

/// Asks the guard, and cuts the search space to what it allows. Gives its notices.
pub(super) fn allow(
    inspection: &Inspection,
    profile: &mut Profile,
    makes_schema: bool,
    load_in_use: bool,
) -> Result<Vec<String>, TuneError> {
    let (low, high) = sizes(profile);
    let in_use = profile.space.baseline.max_connections();
    let instances = profile.instances;
    let demand = |connections| Demand { connections, instances, own: OWN_CONNECTIONS, makes_schema, load_in_use };
    // The settings in use are measured whatever the range: they have to fit as well.
    guard(inspection, &demand(in_use..=in_use)).map_err(|refusal| match refusal {
        Refusal::TooFewFree { needed, instances, own, free, why, remedy } => {
            Refusal::InUseTooLarge { needed, instances, own, free, why, remedy }
        }
        other => other,
    })?;
    let allowance = guard(inspection, &demand(low..=high))?;
    let most = f64::from(*allowance.connections.end());
    for axis in &mut profile.space.axes {
        if matches!(axis.setting, Setting::MaxConnections | Setting::MinConnections) {
            axis.high = axis.high.min(most).max(axis.low);
        }
    }
    Ok(allowance.notices)
}
