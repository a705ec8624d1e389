use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Proxy;
use crate::{
    database::{Connection, PrivateServer},
    model::{Fault, FaultKind, FaultPlace},
    pool::{Lease, Pool, Work, WorkError},
};

/// What faults may touch.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// The proxy that the pool's connections go through.
    pub proxy: Option<Arc<Proxy>>,
    /// The server, where the program has started it itself.
    pub private: Option<Arc<PrivateServer>>,
}

/// A fault that nothing at hand can make.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutOfReach {
    /// It would hit a server that the program did not start.
    #[error(
        "make the fault `{0}`: it stops or disturbs the whole server, and this one was not started by pool-tune; leave \
         --target out to use a private one, or use a fault of the network instead"
    )]
    ForeignServer(&'static str),
    /// There is no connection that it could disturb.
    #[error("make the fault `{0}`: nothing goes through the network here")]
    NoNetwork(&'static str),
    /// There is neither a server nor a network.
    #[error(
        "make the fault `{0}`: an embedded database has no server and no network that could fail; use `--target \
         postgres:private` or `--target mariadb:private`"
    )]
    Embedded(&'static str),
    /// The simulation does not know it.
    #[error(
        "make the fault `{0}`: the simulation carries no bytes and does not model it; use `--target postgres:private` or \
         `--target mariadb:private`"
    )]
    NotSimulated(&'static str),
}

/// What became of a planned fault: when it began and ended, in seconds from the start of the measured part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Happened {
    /// When it began.
    pub began: Option<f64>,
    /// When it was over.
    pub ended: Option<f64>,
    /// What went wrong in making or ending it.
    pub problem: Option<String>,
}

impl Reach {
    /// Whether all faults can be made.
    ///
    /// # Errors
    /// [`OutOfReach`] for the first that cannot.
    pub fn check(&self, faults: &[Fault]) -> Result<(), OutOfReach> {
        within(faults, self.private.is_some(), self.proxy.is_some())
    }
}

/// Whether all faults can be made, given whether the server is the program's own and whether there is a network between.
///
/// # Errors
/// [`OutOfReach`] for the first that cannot.
pub fn within(faults: &[Fault], own_server: bool, network: bool) -> Result<(), OutOfReach> {
    faults.iter().try_for_each(|fault| match fault.kind.place() {
        FaultPlace::Server if !own_server => Err(OutOfReach::ForeignServer(fault.kind.name())),
        FaultPlace::Network if !network => Err(OutOfReach::NoNetwork(fault.kind.name())),
        _ => Ok(()),
    })
}

/// Makes faults happen, each at its time from `start`, until all are over or `over` is cancelled: then those under way end
/// at once and the others never begin. Gives what became of each; `told` hears of it, with its place in `faults`, as soon
/// as it is over.
pub async fn make(
    faults: &[Fault],
    reach: &Reach,
    pool: Option<&Pool>,
    start: Instant,
    over: &CancellationToken,
    told: impl Fn(usize, &Happened),
) -> Vec<Happened> {
    let mut all = JoinSet::new();
    for (index, fault) in faults.iter().enumerate() {
        let one = One { fault: fault.clone(), reach: reach.clone(), pool: pool.cloned(), start, over: over.clone() };
        all.spawn(async move { (index, one.happen().await) });
    }
    let mut happened = vec![Happened::default(); faults.len()];
    while let Some(joined) = all.join_next().await {
        if let Ok((index, of)) = joined {
            told(index, &of);
            happened[index] = of;
        }
    }
    happened
}

/// One fault on its way.
struct One {
    fault: Fault,
    reach: Reach,
    pool: Option<Pool>,
    start: Instant,
    over: CancellationToken,
}

impl One {
    async fn happen(self) -> Happened {
        let mut happened = Happened::default();
        if !self.wait_until(self.fault.at).await {
            return happened;
        }
        happened.began = Some(self.now());
        let result = self.make().await;
        happened.ended = Some(self.now());
        happened.problem = result.err();
        if let Some(problem) = &happened.problem {
            tracing::warn!("the fault `{}` did not go as planned: {problem}", self.fault.kind);
        }
        happened
    }

    fn now(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// Waits for a time from the start; false when the trial was over before.
    async fn wait_until(&self, at: Duration) -> bool {
        let until = tokio::time::sleep_until((self.start + at).into());
        self.over.run_until_cancelled(until).await.is_some()
    }

    /// Makes the fault, waits for its length, and ends it.
    async fn make(&self) -> Result<(), String> {
        let end = self.fault.end();
        let kind = &self.fault.kind;
        match (kind.place(), &self.reach) {
            (FaultPlace::Network, Reach { proxy: Some(proxy), .. }) => {
                let id = proxy.begin(kind, self.fault.share);
                self.wait_until(end).await;
                proxy.end(id, kind);
                Ok(())
            }
            (FaultPlace::Server, Reach { private: Some(private), .. }) => self.on_server(private, end).await,
            (FaultPlace::Client, _) => self.hold(end).await,
            _ => self.reach.check(std::slice::from_ref(&self.fault)).map_err(|error| error.to_string()),
        }
    }

    async fn on_server(&self, private: &PrivateServer, end: Duration) -> Result<(), String> {
        match self.fault.kind {
            FaultKind::Terminate => {
                private.admin().terminate(self.fault.share).await.map_err(|error| error.to_string())?;
            }
            FaultKind::Pause => {
                private.pause();
                self.wait_until(end).await;
                private.resume();
            }
            FaultKind::Restart => {
                private.halt().await;
                self.wait_until(end).await;
                private.start_again().await.map_err(|error| error.to_string())?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes connections and keeps them.
    async fn hold(&self, end: Duration) -> Result<(), String> {
        let FaultKind::Hold { connections, in_transaction } = self.fault.kind else { return Ok(()) };
        let Some(pool) = &self.pool else {
            return Err("there is no pool here whose connections could be held".to_owned());
        };
        let mut leases = Vec::new();
        let mut problem = None;
        for _ in 0..connections {
            let asked = tokio::time::sleep_until((self.start + end).into());
            let lease = tokio::select! {
                () = self.over.cancelled() => break,
                () = asked => break,
                lease = pool.acquire() => lease,
            };
            match lease {
                Ok(mut lease) => match say(&mut lease, "BEGIN", in_transaction).await {
                    Ok(()) => leases.push(lease),
                    Err(error) => {
                        lease.discard();
                        problem = Some(error);
                    }
                },
                Err(error) => problem = Some(error.to_string()),
            }
        }
        let got = leases.len();
        self.wait_until(end).await;
        for mut lease in leases {
            // One that does not answer any more must not be handed out with its transaction open.
            if say(&mut lease, "COMMIT", in_transaction).await.is_err() {
                lease.discard();
            }
        }
        match problem {
            Some(problem) => Err(format!("{got} of {connections} connections could be held: {problem}")),
            None => Ok(()),
        }
    }
}

/// How long a statement of our own may take: another fault may have silenced the connection for ever.
const LONGEST_WORD: Duration = Duration::from_secs(1);

/// Runs a statement of our own, if it is to be run.
async fn say(lease: &mut Lease<'_>, word: &'static str, wanted: bool) -> Result<(), String> {
    if !wanted {
        return Ok(());
    }
    match tokio::time::timeout(LONGEST_WORD, lease.run(&mut Say(word))).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer to {word} within {} s", LONGEST_WORD.as_secs())),
    }
}

/// A statement run as it is.
struct Say(&'static str);

impl Work for Say {
    async fn run(&mut self, connection: &mut Connection) -> Result<(), WorkError> {
        Ok(connection.execute_raw(self.0).await?)
    }
}
