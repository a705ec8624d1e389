//! When experiments are due.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::MissedTickBehavior;

use super::{
    bus::Told,
    hub::{By, Hub, Order},
};
use crate::{
    schedule::Due,
    store::{Leadership, RunStatus, Store, StoreError},
};

/// How often the clock is looked at: clocks are set, and machines sleep.
const TICK: Duration = Duration::from_secs(1);
/// What services that share a store lead one at a time.
const NAME: &str = "service";
/// How often the folder is looked at, in ticks.
const LOOK: u64 = 5;

/// Orders what is due, until the service ends.
pub(super) async fn run(hub: Arc<Hub>) {
    // A tick that takes longer than it should is followed by no crowd of others.
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = BTreeMap::new();
    let mut asked = Vec::new();
    let mut lead: Option<Leadership> = None;
    for tick in 0_u64.. {
        ticks.tick().await;
        if tick % LOOK == 0 && hub.reload() {
            hub.tell(&Told::ExperimentsChanged);
        }
        if tick % LOOK == 0 {
            let leads = match &lead {
                Some(lead) => lead.is_held().await,
                None => false,
            };
            if !leads {
                drop(lead.take());
                lead = hub.store.lead(NAME).await.unwrap_or_else(|error| {
                    tracing::warn!(%error, "the store cannot be asked who runs what is due");
                    None
                });
                // Another one may have run what was due meanwhile.
                last.clear();
                asked.clear();
                hub.note_lead(lead.is_some());
            }
        }
        if lead.is_none() {
            continue;
        }
        if let Err(error) = round(&hub, &mut last, &mut asked, Timestamp::now()).await {
            // It is asked again at the next tick; what is due stays due for a minute.
            tracing::warn!(%error, "the store cannot be read");
        }
    }
}

/// Orders what is due at a moment. `last` holds each experiment's last due time that was ordered, `asked` the experiments
/// whose last round was looked at.
async fn round(
    hub: &Hub,
    last: &mut BTreeMap<String, Timestamp>,
    asked: &mut Vec<String>,
    now: Timestamp,
) -> Result<(), StoreError> {
    for known in hub.experiments().iter() {
        let Ok(loaded) = &known.loaded else { continue };
        let experiment = &loaded.experiment;
        if !asked.contains(&experiment.name) {
            let cut = cut_off(&hub.store, &experiment.name).await?;
            asked.push(experiment.name.clone());
            let open = experiment.schedule.as_ref().is_none_or(|schedule| schedule.is_open(now));
            if cut && open {
                tracing::info!(experiment = experiment.name, "goes on with a round that was cut off");
                let order = Order { experiment: experiment.name.clone(), by: By::Restart, due: None, fresh: false };
                hub.order(order).ok();
            }
        }
        let Some(schedule) = &experiment.schedule else { continue };
        let since = if let Some(since) = last.get(&experiment.name) {
            *since
        } else {
            let stored = hub.store.last_due(&experiment.name).await?.and_then(|due| due.parse().ok());
            // What was never started is watched from now on.
            *last.entry(experiment.name.clone()).or_insert(stored.unwrap_or(now))
        };
        let Some(Due { at, missed }) = schedule.due(now, since, experiment.jitter_seed()) else { continue };
        last.insert(experiment.name.clone(), at);
        tracing::info!(experiment = experiment.name, due = %at, missed, "an experiment is due");
        let order = Order { experiment: experiment.name.clone(), by: By::Schedule, due: Some(at), fresh: false };
        if hub.order(order).is_err() {
            let text = "it was due while it was under way or waiting already: this time is left out".to_owned();
            hub.tell(&Told::Notice { experiment: experiment.name.clone(), text });
        }
    }
    Ok(())
}

/// Whether the last round ended with the process that ran it: whoever is asked to stop says so.
pub(super) async fn cut_off(store: &Store, experiment: &str) -> Result<bool, StoreError> {
    let last = store.last_round(experiment).await?;
    Ok(last.is_some_and(|round| {
        let died = matches!(round.status, RunStatus::Running | RunStatus::Interrupted) && round.error.is_none();
        died || round.error.as_deref() == Some(super::engine::ENDED)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::ServiceConfig;

    async fn hub(folder: &std::path::Path, schedule: &str) -> Hub {
        let experiments = folder.join("experiments");
        std::fs::create_dir_all(&experiments).unwrap();
        let text = format!("name: quick\nprofile: light\ntarget: simulated\n{schedule}");
        std::fs::write(experiments.join("quick.yaml"), text).unwrap();
        let config = ServiceConfig { results: folder.join("results"), experiments, ..ServiceConfig::default() };
        let store = Store::open(&folder.join("results/pool-tune.db")).await.unwrap();
        let hub = Hub::new(config, None, store, Timestamp::UNIX_EPOCH);
        hub.reload();
        hub
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const NIGHTS: &str = "schedule: {cron: \"30 2 * * *\", zone: Europe/Berlin}\n";

    /// The orders of a series of moments.
    async fn orders(hub: &Hub, moments: &[&str]) -> Vec<Option<Timestamp>> {
        let (mut last, mut asked, mut found) = (BTreeMap::new(), Vec::new(), Vec::new());
        for moment in moments {
            round(hub, &mut last, &mut asked, at(moment)).await.unwrap();
            if !hub.waiting().is_empty() {
                found.push(hub.next().unwrap().0.due);
                hub.idle();
            }
        }
        found
    }

    #[tokio::test]
    async fn it_is_due_once_also_when_the_clock_is_set_back_and_in_the_hour_that_comes_twice() {
        let folder = tempfile::tempdir().unwrap();
        let hub = hub(folder.path(), NIGHTS).await;
        // Summer time ends on 2026-10-25 at 01:00 UTC: 02:30 comes at 00:30 and at 01:30 UTC.
        let moments = [
            "2026-10-24T12:00:00Z",
            "2026-10-25T00:29:59Z",
            "2026-10-25T00:30:00Z",
            "2026-10-25T00:30:01Z",
            "2026-10-25T00:10:00Z",
            "2026-10-25T00:30:02Z",
            "2026-10-25T01:30:00Z",
            "2026-10-25T03:00:00Z",
        ];
        assert_eq!(orders(&hub, &moments).await, [Some(at("2026-10-25T00:30:00Z"))]);
    }

    #[tokio::test]
    async fn a_time_that_a_gap_swallows_is_made_up_for_at_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let hub = hub(folder.path(), NIGHTS).await;
        // Summer time begins on 2026-03-29 at 01:00 UTC: there is no 02:30.
        let moments = ["2026-03-28T12:00:00Z", "2026-03-29T00:59:59Z", "2026-03-29T01:00:30Z", "2026-03-29T01:31:00Z"];
        assert_eq!(orders(&hub, &moments).await.len(), 1);
    }

    #[tokio::test]
    async fn a_round_whose_process_died_goes_on_and_one_that_was_stopped_does_not() {
        for (error, goes_on) in
            [(None, true), (Some(super::super::engine::ENDED), true), (Some("it was asked to stop"), false)]
        {
            let folder = tempfile::tempdir().unwrap();
            let hub = hub(folder.path(), "").await;
            let round = hub.store.begin_round("quick", None, "2026-10-24T12:00:00Z").await.unwrap();
            hub.store.end_round(round, RunStatus::Interrupted, error, "2026-10-24T12:01:00Z").await.unwrap();
            let found = orders(&hub, &["2026-10-24T12:02:00Z", "2026-10-24T12:02:01Z"]).await;
            assert_eq!(found, if goes_on { vec![None] } else { vec![] }, "{error:?}");
        }
    }
}
