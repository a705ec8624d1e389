mod external;
mod room;

use std::{path::PathBuf, sync::Arc};

use self::room::{allow, start_private};
use super::{Event, TuneError};
use crate::{
    database::{PrivateError, PrivateFile, PrivateServer, Programs, Schema, Server, StateFolder},
    export::Prefix,
    fault::{self, OutOfReach, Proxy, Reach},
    model::{Dialect, External, Fault, FaultPlace, Settings},
    profile::Profile,
    trial::{DatabaseTarget, FaultError, Mix, SimulatedTarget, SimulationTarget, Target},
};

/// What a reader must know of SQLite, and where it stands in for a PostgreSQL.
const EMBEDDED: &str = "the database is embedded: what it takes of the processors is in what the load generator took";
const BESIDE: &str = "the workload's tables lie in a file of their own beside the one named, with a write-ahead log: the figures \
                      are of that file's settings";
const INSTEAD: &str = "no PostgreSQL is installed here, so an embedded SQLite serves instead: a real database, but one that \
                       writes one transaction at a time, in this process and without a network, so that the figures say \
                       nothing of a server; `make deps` or `apt-get install postgresql` installs one, --target names one";
/// What a reader must know where several pools share the server.
const ONE_POOL: &str = "days of operation are left out: a simulation has one pool, not several that share a server";

/// A throw-away database that the run makes and removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Private {
    /// A server: PostgreSQL, or MariaDB for MySQL.
    Server(Dialect),
    /// A SQLite file.
    File {
        /// Whether it stands in for the PostgreSQL that this machine does not have.
        instead: bool,
    },
}

impl Private {
    /// A PostgreSQL; where none is installed, SQLite.
    #[must_use]
    pub fn any() -> Self {
        Self::with(&Programs::find(Dialect::Postgres))
    }

    fn with(postgres: &Result<Programs, PrivateError>) -> Self {
        match postgres {
            Err(PrivateError::NotInstalled) => Self::File { instead: true },
            // What else is wrong is told when it is started.
            _ => Self::Server(Dialect::Postgres),
        }
    }
}

/// What a person chose to load.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one a run")]
pub enum Choice {
    /// A throw-away database that the run makes and removes.
    Private(Private),
    /// A response computed from the settings; no database.
    Simulated,
    /// A simulation of what a sample has measured; no database.
    Simulation {
        /// `simulation`, or `simulation:` and the run or the file that the sample is of.
        shown: String,
        /// Where the sample was measured, as a person would say it.
        source: String,
        /// The simulation.
        target: SimulationTarget,
    },
    /// A program or a service of the person's.
    External {
        /// What it is.
        target: External,
        /// What the names of settings begin with in its environment.
        prefix: Prefix,
        /// The folder of all runs, where its output is kept; nowhere without one.
        results: Option<PathBuf>,
    },
    /// A server of the person's.
    Server(Server),
}

impl Choice {
    /// The choice as it is shown and stored, without a password.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Private(Private::Server(Dialect::MySql)) => "mariadb:private".to_owned(),
            Self::Private(Private::Server(_)) => "private".to_owned(),
            Self::Private(Private::File { .. }) => "sqlite:private".to_owned(),
            Self::Simulated => "simulated".to_owned(),
            Self::Simulation { shown, .. } => shown.clone(),
            Self::External { target, .. } => target.to_string(),
            Self::Server(server) => server.to_string(),
        }
    }

    /// What only one run may load at a time; none where each run makes its own.
    #[must_use]
    pub fn lock_key(&self) -> Option<String> {
        match self {
            Self::Server(server) => Some(server.lock_key()),
            Self::External { target: External::Http(service), .. } => Some(of_service(&service.url)),
            Self::External { target, .. } => Some(target.to_string()),
            Self::Private(_) | Self::Simulated | Self::Simulation { .. } => None,
        }
    }
}

/// What is the same for every way to write the URL of the same service; paths are no services of their own, as databases are no
/// servers.
fn of_service(url: &str) -> String {
    let parsed = url::Url::parse(url).ok();
    let host = parsed.as_ref().and_then(|url| Some((url.host_str()?, url.port_or_known_default()?)));
    let Some((host, port)) = host else { return url.to_owned() };
    let host = host.trim_matches(['[', ']']).trim_end_matches('.');
    let here = matches!(host, "localhost" | "127.0.0.1" | "::1");
    format!("http {}:{port}", if here { "localhost" } else { host })
}

/// A target made ready for a run: inspected, guarded, its tables prepared, every statement checked.
///
/// [`Stage::close`] removes what was made. A run that is killed leaves it to the next start.
#[derive(Debug)]
pub struct Stage {
    target: Target,
    private: Option<Arc<PrivateServer>>,
    schema: Option<Schema>,
    /// The private file, which goes with the stage.
    _file: Option<PrivateFile>,
    dialect: Option<Dialect>,
    shown: String,
    server: String,
    free: Option<u32>,
    settings: serde_json::Map<String, serde_json::Value>,
    warnings: Vec<String>,
    /// The settings that the target has to be left with, where that takes something.
    in_use: Option<Settings>,
}

impl Stage {
    /// Makes the target ready, and cuts the profile's search space to what it allows. Notices of what was removed, cut
    /// or is worth knowing go to `events`.
    ///
    /// # Errors
    /// [`TuneError`] when the target cannot be used or must not be loaded, or a statement of the workload is wrong;
    /// nothing is left behind then.
    pub async fn open(
        choice: &Choice,
        profile: &mut Profile,
        run: &str,
        seed: u64,
        load_in_use: bool,
        events: &mut dyn FnMut(Event),
    ) -> Result<Self, TuneError> {
        let (server, private, file) = match choice {
            Choice::Simulated | Choice::Simulation { .. } if profile.instances > 1 => {
                return Err(TuneError::External(
                    "simulate several pools that share a server: a simulation has one; leave `instances` out"
                        .to_owned(),
                ));
            }
            Choice::Simulated => return Ok(Self::simulated(seed)),
            Choice::Simulation { source, target, .. } => {
                return Ok(Self::simulation(choice, source, target.clone(), profile, events));
            }
            Choice::External { target, prefix, results } => {
                return Self::external(choice, target, prefix, results.as_deref(), profile, run, events);
            }
            Choice::Server(server) => {
                profile.speak(server.dialect())?;
                (server.clone(), None, None)
            }
            Choice::Private(Private::Server(dialect)) => {
                profile.speak(*dialect)?;
                let private = start_private(*dialect, profile, events).await?;
                (private.server(), Some(Arc::new(private)), None)
            }
            Choice::Private(Private::File { .. }) => {
                profile.speak(Dialect::Sqlite)?;
                clean_leftovers(events).await?;
                let file = PrivateFile::claim(&StateFolder::from_env())?;
                (file.server(), None, Some(file))
            }
        };
        let preparing = Self::prepare(choice, &server, private.clone(), profile, run, load_in_use, events);
        let opened = Box::pin(preparing).await;
        let opened = opened.map(|stage| Self { _file: file, ..stage });
        if opened.is_err()
            && let Some(private) = private.and_then(Arc::into_inner)
        {
            stop(private).await;
        }
        opened
    }

    fn simulated(seed: u64) -> Self {
        let warnings = vec!["these figures are simulated: they say nothing of any database".to_owned()];
        let target = Target::Simulated(SimulatedTarget::new(seed));
        Self::without_database(target, &Choice::Simulated, "simulated response".to_owned(), warnings)
    }

    /// A stage on which nothing has to be made and removed.
    fn without_database(target: Target, choice: &Choice, server: String, warnings: Vec<String>) -> Self {
        Self {
            target,
            private: None,
            schema: None,
            _file: None,
            dialect: None,
            shown: choice.shown(),
            server,
            free: None,
            settings: serde_json::Map::new(),
            warnings,
            in_use: None,
        }
    }

    fn simulation(
        choice: &Choice,
        source: &str,
        target: SimulationTarget,
        profile: &Profile,
        events: &mut dyn FnMut(Event),
    ) -> Self {
        let mut warnings = vec![format!(
            "these figures are simulated, from what {source} measured: they say nothing of your database, and the \
             profile's SQL was not run"
        )];
        if profile.workload.operations.iter().any(|operation| operation.nested) {
            warnings.push("operations that ask for a second connection have been given one only".to_owned());
        }
        for warning in &warnings {
            events(Event::Notice(warning.clone()));
        }
        let free = Some(target.server_limit());
        let stage =
            Self::without_database(Target::Simulation(target), choice, format!("simulation of {source}"), warnings);
        Self { free, ..stage }
    }

    async fn prepare(
        choice: &Choice,
        server: &Server,
        private: Option<Arc<PrivateServer>>,
        profile: &mut Profile,
        run: &str,
        load_in_use: bool,
        events: &mut dyn FnMut(Event),
    ) -> Result<Self, TuneError> {
        let mut warnings = Vec::new();
        let mut warn = |warning: &str| {
            events(Event::Notice(warning.to_owned()));
            warnings.push(warning.to_owned());
        };
        if let Choice::Private(Private::File { instead: true }) = choice {
            warn(INSTEAD);
        }
        if server.dialect() == Dialect::Sqlite {
            warn(EMBEDDED);
        }
        if profile.instances > 1 && profile.day.is_some() {
            warn(ONE_POOL);
            profile.leave_day_out();
        }
        let is_private = matches!(choice, Choice::Private(_));
        let makes_schema = !profile.workload.prepare.is_empty();
        if !is_private && makes_schema {
            for schema in Schema::clean_leftovers(server).await? {
                events(Event::Notice(format!("removed the schema `{schema}`, which a dead run had left")));
            }
        }
        let inspection = server.inspect().await?;
        for notice in allow(&inspection, profile, makes_schema, load_in_use || is_private)? {
            events(Event::Notice(notice.clone()));
            warnings.push(notice);
        }
        let schema =
            if makes_schema { Some(Schema::create(server, run, &profile.workload.prepare).await?) } else { None };
        let loaded = schema.as_ref().map_or_else(|| server.clone(), Schema::server);
        // The tables of a workload on a SQLite file lie in another one, which is what is loaded.
        let settings = match &schema {
            Some(_) if loaded.dialect() == Dialect::Sqlite => loaded.inspect().await?.settings,
            _ => inspection.settings.clone(),
        };
        if !is_private && makes_schema && loaded.dialect() == Dialect::Sqlite {
            events(Event::Notice(BESIDE.to_owned()));
            warnings.push(BESIDE.to_owned());
        }
        let mix = match Mix::new(&profile.workload) {
            Ok(mix) => loaded.check(&profile.workload).await.map(|()| mix).map_err(TuneError::from),
            Err(error) => Err(error.into()),
        };
        let mix = match mix {
            Ok(mix) => mix,
            Err(error) => {
                remove(schema).await;
                return Err(error);
            }
        };
        let cpu = private.clone();
        let dialect = loaded.dialect();
        // What an embedded database takes is in what this process takes.
        let embedded = (dialect == Dialect::Sqlite).then_some(0.0);
        let database_cpu = move || {
            embedded.or_else(|| cpu.as_ref().and_then(|private| private.cpu_time().ok()).map(|time| time.as_secs_f64()))
        };
        Ok(Self {
            target: Target::Database(DatabaseTarget::new(loaded, mix, database_cpu).with_instances(profile.instances)),
            private,
            schema,
            _file: None,
            dialect: Some(dialect),
            shown: choice.shown(),
            server: inspection.version.clone(),
            free: Some(inspection.free).filter(|_| dialect != Dialect::Sqlite),
            settings: settings.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect(),
            warnings,
            in_use: None,
        })
    }

    /// Whether faults can be made on this target.
    ///
    /// # Errors
    /// [`OutOfReach`] for the first that cannot.
    pub fn can_make(&self, faults: &[Fault]) -> Result<(), OutOfReach> {
        if let Target::Simulation(_) = self.target {
            return SimulationTarget::can_make(faults);
        }
        if self.dialect == Some(Dialect::Sqlite)
            && let Some(fault) = faults.iter().find(|fault| fault.kind.place() != FaultPlace::Client)
        {
            return Err(OutOfReach::Embedded(fault.kind.name()));
        }
        fault::within(faults, self.private.is_some(), self.target.host_and_port().is_some())
    }

    /// Makes ready for loads with these faults: puts a proxy in front of the server where the network is to be disturbed.
    ///
    /// # Errors
    /// [`TuneError::Faults`] when they cannot be made on this target, [`TuneError::Proxy`] when there is no port for it.
    pub async fn allow_faults(&mut self, faults: &[Fault], seed: u64) -> Result<(), TuneError> {
        self.can_make(faults).map_err(FaultError::from)?;
        let network = faults.iter().any(|fault| fault.kind.place() == FaultPlace::Network);
        let proxy = match self.target.host_and_port().filter(|_| network) {
            Some((host, port)) => Some(Arc::new(Proxy::start(host, port, seed).await.map_err(TuneError::Proxy)?)),
            None => None,
        };
        let reach = Reach { proxy, private: self.private.clone() };
        Ok(self.target.allow_faults(reach, faults)?)
    }

    /// Makes ready for the fault part of a profile's trials. Where its faults cannot be made it is left out, and so are the
    /// settings that only it decides; a notice says so. It depends on the target alone, so that a resumed run does the same.
    ///
    /// # Errors
    /// [`TuneError::Proxy`] when there is no port for the proxy.
    pub async fn allow_fault_part(
        &mut self,
        profile: &mut Profile,
        seed: u64,
        events: &mut dyn FnMut(Event),
    ) -> Result<(), TuneError> {
        if matches!(self.target, Target::Simulated(_)) {
            // Its times have no distributions that a simulation could be made of.
            profile.leave_day_out();
        }
        let Some(part) = &profile.faults else { return Ok(()) };
        if matches!(self.target, Target::Simulated(_)) {
            // Its throughput counts what faults cost already: the settings that act under them are searched all the same.
            profile.faults = None;
            return Ok(());
        }
        match self.allow_faults(&part.timeline, seed).await {
            Err(TuneError::Faults(error)) => {
                profile.leave_faults_out();
                let notice = format!("trials have no fault part, and retries and circuit breaker are kept: {error}");
                events(Event::Notice(notice.clone()));
                self.warnings.push(notice);
                Ok(())
            }
            result => result,
        }
    }

    /// Takes sizes out of the search that the load cannot tell apart, once it is decided whether trials have a part under faults. A
    /// notice says so. The simulated response depends on no load, and what a program or a service does with its pool is not known.
    pub fn cut_sizes(&mut self, profile: &mut Profile, events: &mut dyn FnMut(Event)) {
        if !matches!(self.target, Target::Database(_) | Target::Simulation(_)) {
            return;
        }
        if let Some(notice) = profile.cut_sizes() {
            events(Event::Notice(notice.clone()));
            self.warnings.push(notice);
        }
    }

    /// Removes what [`Stage::open`] made.
    pub async fn close(self) {
        if let Some(in_use) = &self.in_use
            && let Err(error) = self.target.leave(in_use).await
        {
            tracing::error!("the service has not the settings in use again, put them back yourself: {error}");
        }
        remove(self.schema).await;
        // The target holds the server's counter of processor time.
        drop(self.target);
        if let Some(private) = self.private.and_then(Arc::into_inner) {
            stop(private).await;
        }
    }

    /// What trials run against.
    pub fn target(&mut self) -> &mut Target {
        &mut self.target
    }

    /// The target as it is shown and stored, without a password.
    #[must_use]
    pub fn target_shown(&self) -> &str {
        &self.shown
    }

    /// The database's name and version.
    #[must_use]
    pub fn server_shown(&self) -> &str {
        &self.server
    }

    /// Connections that the server had free before the run.
    #[must_use]
    pub fn free_connections(&self) -> Option<u32> {
        self.free
    }

    /// The server's own settings worth keeping with the run.
    #[must_use]
    pub fn server_settings(&self) -> &serde_json::Map<String, serde_json::Value> {
        &self.settings
    }

    /// What a reader of the results must know.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

async fn remove(schema: Option<Schema>) {
    if let Some(schema) = schema {
        let name = schema.name().to_owned();
        if let Err(error) = schema.remove().await {
            tracing::warn!("the schema `{name}` is left to the next start: failed to {error}");
        }
    }
}

async fn stop(private: PrivateServer) {
    if let Err(error) = private.stop().await {
        tracing::warn!("the private server's files are left to the next start: failed to {error}");
    }
}

/// Removes the private databases that dead runs left.
async fn clean_leftovers(events: &mut dyn FnMut(Event)) -> Result<(), TuneError> {
    for left in StateFolder::from_env().clean_leftovers().await? {
        let folder = left.folder.display();
        events(Event::Notice(format!("removed the private server in {folder}, which a dead run had left")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_the_same_however_its_url_is_written() {
        for same in [
            "http://localhost",
            "http://LOCALHOST:80/",
            "HTTP://127.0.0.1/app/",
            "http://[::1]:80",
            "http://localhost./",
            "https://localhost:80",
        ] {
            assert_eq!(of_service(same), "http localhost:80", "{same}");
        }
        assert_eq!(of_service("https://Db.Example.test/"), "http db.example.test:443");
        assert_ne!(of_service("http://localhost:8000"), of_service("http://localhost:8001"));
    }

    #[test]
    fn sqlite_stands_in_only_where_no_postgresql_is_installed() {
        assert_eq!(Private::with(&Err(PrivateError::NotInstalled)), Private::File { instead: true });
        // What a person has named wrongly is told, not passed over.
        let wrong = Err(PrivateError::NoBinaries { folder: "/nowhere".into() });
        assert_eq!(Private::with(&wrong), Private::Server(Dialect::Postgres));
    }
}
