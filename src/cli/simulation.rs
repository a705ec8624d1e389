//! What `pool-tune simulate` is made of: a run that is stored, a file, or the sample that comes with the program.

use anyhow::Result;

use super::{
    arguments::SimulateArguments,
    exit::{bad_input, job_error},
    runs,
};
use crate::{
    job::simulation::{latest, of_file, sample},
    model::{OperatingDay, Settings},
    simulate::Sample,
    store::Store,
};

/// What `pool-tune simulate` is made of.
pub(super) struct Base {
    /// The run, the file, or that it came with the program.
    pub(super) name: String,
    pub(super) sample: Sample,
    /// The settings in use where nobody says otherwise.
    pub(super) settings: Settings,
    /// The day that its profile describes; none where it has none.
    pub(super) day: Option<OperatingDay>,
    /// What a reader must know of it.
    pub(super) note: Option<String>,
}

/// What `pool-tune simulate` is told to take; without a word the latest run, and where there is none what comes with the program.
pub(super) async fn base(arguments: &SimulateArguments) -> Result<Base> {
    if let Some(path) = &arguments.calibration {
        let sample = of_file(path).map_err(|problem| bad_input(format!("failed to {problem}")))?;
        return Ok(of_sample(path.display().to_string(), sample, None));
    }
    let store = match &arguments.run {
        Some(_) => Some(runs::open(&arguments.results).await?),
        None => Store::connect_to_read(&arguments.results.at()?).await?,
    };
    if let Some(store) = store {
        let run = match &arguments.run {
            Some(run) => Some(run.clone()),
            None => latest(&store).await.map_err(anyhow::Error::msg)?,
        };
        if let Some(run) = run {
            let (name, sample, settings, day) = sample(&store, &run).await.map_err(job_error)?;
            store.close().await;
            return Ok(Base { name, sample, settings, day, note: None });
        }
        store.close().await;
    }
    let sample = Sample::shipped();
    let note = format!(
        "no run on a database has finished in `{}`: this is simulated from what {} measured, and says nothing of your \
         database; `pool-tune run` measures yours",
        arguments.results.at()?,
        sample.source
    );
    Ok(of_sample("shipped".to_owned(), sample, Some(note)))
}

/// The first trial of a sample is of the settings in use.
fn of_sample(name: String, sample: Sample, note: Option<String>) -> Base {
    let settings = sample.trials.first().map_or_else(Settings::default, |trial| trial.settings.clone());
    Base { name, sample, settings, day: None, note }
}
