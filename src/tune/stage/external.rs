//! A program or a service in place of a database.

use std::path::Path;

use super::{Choice, Stage};
use crate::{
    export::Prefix,
    model::External,
    profile::Profile,
    program,
    trial::{self, CommandTarget, Mix, ServiceTarget, Surroundings, Target},
    tune::{Event, TuneError},
};

/// What a reader must know of it.
const UNKNOWN_CPU: &str = "who else used the machine's processors cannot be told from the target's own use: no trial is repeated \
                           for it";
const NO_FAULTS: &str =
    "faults and days of operation are left out: they need a pool and a database of which more can be seen";
const ALL_HEEDED: &str = "nothing says which settings the target heeds, so all that trials can decide are searched: name them in \
                          the command, as {max_connections}, or under `takes` in the profile's `target`";

impl Stage {
    /// A program or a service in place of a database. Nothing is inspected: the first trial tells whether it runs.
    pub(super) fn external(
        choice: &Choice,
        external: &External,
        prefix: &Prefix,
        results: Option<&Path>,
        profile: &mut Profile,
        run: &str,
        events: &mut dyn FnMut(Event),
    ) -> Result<Self, TuneError> {
        let failed = |problem: String| TuneError::External(problem);
        let no_format = |error| failed(format!("write the target's file: {error}"));
        let takes = trial::taken(external).map_err(no_format)?;
        if let Some(call) = trial::call(external) {
            program::startable(call).map_err(|problem| failed(format!("start the target: {problem}")))?;
        }
        let mut warnings = vec![UNKNOWN_CPU.to_owned()];
        if profile.faults.is_some() || profile.day.is_some() {
            warnings.push(NO_FAULTS.to_owned());
        }
        if takes.is_none() {
            warnings.push(ALL_HEEDED.to_owned());
        }
        warnings.extend(trial::contradictions(external, prefix).map_err(no_format)?);
        profile.tune_external(takes.as_ref());
        for warning in &warnings {
            events(Event::Notice(warning.clone()));
        }
        let around = Surroundings {
            prefix: prefix.clone(),
            kept: results.map(|results| results.join(run).join("trials")),
            workers: profile.workers,
            instances: profile.instances,
            measure: profile.trial.measure,
            warm_up_cap: profile.trial.warm_up_cap,
        };
        let (target, server) = match external {
            External::Command(command) => {
                let target = CommandTarget::new(command.clone(), around)
                    .map_err(|error| failed(format!("make a folder for temporary files: {error}")))?;
                (Target::Command(target), "a program that measures by itself")
            }
            External::Http(service) => {
                let mix = Mix::new(&profile.workload)?;
                let target = ServiceTarget::new(service.clone(), &profile.workload, mix, around);
                (Target::Service(target.map_err(|error| failed(error.to_string()))?), "a service driven over HTTP")
            }
        };
        let in_use = Some(profile.found_in_use().clone());
        Ok(Self { in_use, ..Self::without_database(target, choice, server.to_owned(), warnings) })
    }
}
