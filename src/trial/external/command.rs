use std::path::{Path, PathBuf};

use super::{
    Surroundings, log,
    summary::{self, Ran, Reported},
};
use crate::{
    model::{Acquisition, Command, Measurement, Settings, WarmUp},
    program::{Caller, Leaves},
    trial::{Control, Details, TrialError, engine, recorder},
};

/// How much longer a program may say that it measured than it ran: its clock and ours are not the same.
const CLOCKS: f64 = 0.5;

/// A program that measures by itself, started once a trial.
#[derive(Debug)]
pub struct CommandTarget {
    command: Command,
    around: Surroundings,
    caller: Caller,
}

impl CommandTarget {
    /// A target that starts `command`.
    ///
    /// # Errors
    /// When there is no place for the files that it is given.
    pub fn new(command: Command, around: Surroundings) -> Result<Self, std::io::Error> {
        let caller = Caller::new(around.prefix.clone(), around.kept.clone())?;
        Ok(Self { command, around, caller })
    }

    /// Runs one trial: the program, from its start to its end.
    ///
    /// # Errors
    /// [`TrialError`] when it failed, or printed nothing that can be read.
    pub(in crate::trial) async fn run(
        &self,
        settings: &Settings,
        seed: u64,
        control: &Control<'_>,
    ) -> Result<Details, TrialError> {
        let Command { call, reads, .. } = &self.command;
        let occasion = self.around.occasion(control.trial, seed);
        let ended = self.caller.run(call, settings, &occasion, Leaves::Nothing, &control.cancel).await?;
        let folder = call.directory.as_deref().map_or_else(PathBuf::new, |folder| Path::new(folder).to_owned());
        let refused = |problem: String| {
            let call = &call.words[0];
            TrialError::Program(format!(
                "`{call}`: {problem}{}{}",
                ended.stdout.cut(),
                self.caller.where_kept(&log(control.trial))
            ))
        };
        let ran = Ran { folder: &folder, began: ended.began, stderr: &ended.stderr.text() };
        let reported = summary::read(*reads, &ended.stdout.text(), ran);
        let reported = match (&ended.failure, reported) {
            (None, reported) => reported.map_err(refused)?,
            // What some load generators end with when requests failed is a measurement all the same.
            (Some((code, _)), Ok(reported)) if reported.may_end_with(*code) => reported,
            (Some((_, told)), _) => return Err(TrialError::Program(told.clone())),
        };
        let took = ended.took.as_secs_f64();
        if reported.seconds + reported.warm_up > took + CLOCKS {
            return Err(refused(format!(
                "it says that it measured for {:.1} s, and ran for {took:.1} s",
                reported.seconds + reported.warm_up
            )));
        }
        Ok(details(reported))
    }
}

/// What a program reports, as a trial.
fn details(reported: Reported) -> Details {
    let Reported { successes, failures, seconds, query, acquire, response, .. } = reported;
    #[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^53")]
    let throughput = successes as f64 / seconds;
    let measurement = Measurement {
        seconds,
        warm_up: WarmUp { seconds: reported.warm_up, steady: true },
        throughput,
        slices: if reported.slices.is_empty() { vec![throughput; 2] } else { reported.slices },
        requests: engine::counted(successes, failures, reported.retries),
        response,
        // Where it does not tell the time in the database, the whole of a request stands for it.
        query: if query.count > 0 { query } else { response },
        acquire: Acquisition { total: acquire, ..Acquisition::default() },
        errors: reported.errors,
        ..Measurement::empty()
    };
    Details { measurement, series: Vec::new(), response: recorder::empty(), ended_by: None }
}
