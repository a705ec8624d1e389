//! What stands recommended for a target and a profile, and the runs that a later one may learn from.

use serde::{Deserialize, Serialize};

use super::{NewRun, RunStatus, Store, StoreError};
use crate::model::{Estimate, Recommendation, Settings};

/// What a run has made of what is recommended for a target and a profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// The run.
    pub run: String,
    /// The settings; none where the run has withdrawn those that stood before, and recommends nothing in their place.
    pub settings: Option<Settings>,
    /// When that run began, RFC 3339 in UTC.
    pub since: String,
    /// Throughput over that of the settings in use, as the run's verification showed it.
    pub effect: Option<Estimate>,
}

/// What settings may stand recommended for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandingFor<'a> {
    /// The target, without its password.
    pub target: &'a str,
    /// The profile's name.
    pub profile: &'a str,
    /// Pools that share the server.
    pub instances: u32,
}

/// A finished run that a later one may learn from.
#[derive(Clone, Debug, PartialEq)]
pub struct EarlierRun {
    /// What was known when it began.
    pub intent: NewRun,
    /// Its answer.
    pub recommendation: Recommendation,
}

impl Store {
    /// What stands recommended; `None` where nothing ever was, or what was has been withdrawn.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn standing(&self, of: StandingFor<'_>) -> Result<Option<Standing>, StoreError> {
        Ok(self.standing_rows(of, 1).await?.pop().filter(|standing| standing.settings.is_some()))
    }

    /// What stood recommended, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn standing_history(&self, of: StandingFor<'_>) -> Result<Vec<Standing>, StoreError> {
        self.standing_rows(of, i64::MAX).await
    }

    async fn standing_rows(&self, of: StandingFor<'_>, most: i64) -> Result<Vec<Standing>, StoreError> {
        let operation = "read what stands recommended";
        let newest = "SELECT run, settings, since, effect FROM standing
             WHERE target = $1 AND profile = $2 AND instances = $3 ORDER BY id DESC LIMIT $4";
        let query = self.query(operation, newest).bind(of.target).bind(of.profile).bind(i64::from(of.instances));
        let rows = query.bind(most).run().await?.rows;
        rows.iter()
            .map(|row| {
                let settings: Option<String> = self.column(operation, row, "settings")?;
                let effect: Option<String> = self.column(operation, row, "effect")?;
                Ok(Standing {
                    run: self.column(operation, row, "run")?,
                    settings: settings.map(|text| self.parsed(operation, &text)).transpose()?,
                    since: self.column(operation, row, "since")?,
                    effect: effect.map(|text| self.parsed(operation, &text)).transpose()?,
                })
            })
            .collect()
    }

    /// Stores what a run has made of what stands recommended. A run that has said so already is let be: it was gone on with.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub async fn set_standing(&self, of: StandingFor<'_>, standing: &Standing) -> Result<(), StoreError> {
        let operation = "store what stands recommended";
        let settings = standing.settings.as_ref().map(|settings| self.json(operation, settings)).transpose()?;
        let effect = standing.effect.as_ref().map(|effect| self.json(operation, effect)).transpose()?;
        let insert = "INSERT INTO standing (run, target, profile, instances, settings, since, effect)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (run) DO NOTHING";
        let query = self.query(operation, insert).bind(standing.run.as_str()).bind(of.target).bind(of.profile);
        let query = query.bind(i64::from(of.instances)).bind(settings.as_deref()).bind(standing.since.as_str());
        query.bind(effect.as_deref()).run().await.map(drop)
    }

    /// The finished runs that asked the same of the same target as `run` (profile text, pins, ranges, pools), from `since` on,
    /// newest first, at most `most`.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn earlier_runs(&self, run: &NewRun, since: &str, most: usize) -> Result<Vec<EarlierRun>, StoreError> {
        let operation = "read earlier runs";
        // All times are written in one way, so that their order as texts is that of time.
        let alike = "SELECT intent, recommendation FROM runs
             WHERE status = $1 AND target = $2 AND profile_source = $3 AND started_at >= $4 AND started_at < $5
               AND id <> $6 AND recommendation IS NOT NULL
             ORDER BY started_at DESC, id DESC";
        let query = self.query(operation, alike).bind(RunStatus::Finished.name()).bind(run.target.as_str());
        let query = query.bind(run.profile_source.as_str()).bind(since).bind(run.started_at.as_str());
        let rows = query.bind(run.id.as_str()).run().await?.rows;
        let mut found = Vec::new();
        for row in &rows {
            let intent: NewRun = self.parsed(operation, &self.column::<String>(operation, row, "intent")?)?;
            let alike = intent.pins == run.pins && intent.ranges == run.ranges && intent.instances == run.instances;
            if alike && found.len() < most {
                let recommendation = self.column::<String>(operation, row, "recommendation")?;
                found.push(EarlierRun { intent, recommendation: self.parsed(operation, &recommendation)? });
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Interval, Setting, Value};

    #[tokio::test]
    async fn the_newest_holds_of_each_target_and_profile_and_all_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("pool-tune.db")).await.unwrap();
        let of = StandingFor { target: "private", profile: "light", instances: 1 };
        assert_eq!(store.standing(of).await.unwrap(), None);
        let effect = Estimate { value: 1.2, interval: Interval { low: 1.1, high: 1.3 } };
        let settings = |size| Settings::default().with(Setting::MaxConnections, Value::Count(size));
        let standing = |run: &str, size| Standing {
            run: run.to_owned(),
            settings: Some(settings(size)),
            since: "2026-11-01T01:30:00Z".to_owned(),
            effect: Some(effect),
        };
        store.set_standing(of, &standing("one", 20)).await.unwrap();
        store.set_standing(StandingFor { instances: 2, ..of }, &standing("fleet", 9)).await.unwrap();
        store.set_standing(StandingFor { profile: "heavy", ..of }, &standing("other", 9)).await.unwrap();
        assert_eq!(store.standing(of).await.unwrap(), Some(standing("one", 20)));
        store.set_standing(of, &standing("two", 30)).await.unwrap();
        // The run is gone on with, and says it again.
        store.set_standing(of, &standing("two", 30)).await.unwrap();
        assert_eq!(store.standing(of).await.unwrap(), Some(standing("two", 30)));
        let withdrawn = Standing { settings: None, effect: None, ..standing("three", 0) };
        store.set_standing(of, &withdrawn).await.unwrap();
        assert_eq!(store.standing(of).await.unwrap(), None);
        assert_eq!(store.standing_history(of).await.unwrap(), [withdrawn, standing("two", 30), standing("one", 20)]);
    }
}
