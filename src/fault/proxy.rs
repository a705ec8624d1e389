use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::{RngExt as _, SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::JoinSet,
};

use super::{
    effects::Effects,
    pump::{End, Pump},
};
use crate::model::FaultKind;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;
/// Pause before another try to listen again, or to accept when the system has no room.
const PAUSE: Duration = Duration::from_millis(10);

/// A TCP proxy on loopback in front of a server, which can disturb what it carries. Dropped, it closes everything.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    line: Arc<Line>,
    _tasks: JoinSet<()>,
}

/// What the proxy's tasks share.
#[derive(Debug)]
struct Line {
    upstream: (String, u16),
    state: Mutex<State>,
    next_fault: AtomicU64,
    /// How many faults refuse new connections now.
    refusing: watch::Sender<u32>,
}

#[derive(Debug)]
struct State {
    random: ChaCha8Rng,
    next_connection: u64,
    connections: HashMap<u64, watch::Sender<Effects>>,
    /// Faults that last, and the share of connections that they hit.
    active: Vec<(u64, FaultKind, f64)>,
}

impl Proxy {
    /// Listens on a free port of loopback and forwards to `host` and `port`. The seed decides which connections a fault
    /// hits, and jitter.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(host: &str, port: u16, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let random = ChaCha8Rng::seed_from_u64(seed);
        let state = State { random, next_connection: 0, connections: HashMap::new(), active: Vec::new() };
        let line = Arc::new(Line {
            upstream: (host.to_owned(), port),
            state: Mutex::new(state),
            next_fault: AtomicU64::new(0),
            refusing: watch::Sender::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, address, Arc::clone(&line)));
        Ok(Self { address, line, _tasks: tasks })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins a fault of the network on a share of the connections, at least one where there are any; gives its number for
    /// [`Self::end`]. What lasts hits the same share of new connections. Faults of other places do nothing here.
    pub fn begin(&self, kind: &FaultKind, share: f64) -> u64 {
        let id = self.line.next_fault.fetch_add(1, Ordering::Relaxed);
        if *kind == FaultKind::Refuse {
            self.line.refusing.send_modify(|refusing| *refusing += 1);
            return id;
        }
        let state = &mut *self.line.state();
        let mut open: Vec<u64> = state.connections.keys().copied().collect();
        // The map's order is no order: sorted first, so that the seed decides.
        open.sort_unstable();
        open.shuffle(&mut state.random);
        for connection in &open[..hit(open.len(), share)] {
            if let Some(effects) = state.connections.get(connection) {
                effects.send_modify(|effects| effects.begin(id, kind));
            }
        }
        if !kind.is_moment() {
            state.active.push((id, kind.clone(), share));
        }
        id
    }

    /// Ends a fault.
    pub fn end(&self, id: u64, kind: &FaultKind) {
        if *kind == FaultKind::Refuse {
            self.line.refusing.send_modify(|refusing| *refusing = refusing.saturating_sub(1));
            return;
        }
        let mut state = self.line.state();
        state.active.retain(|(active, ..)| *active != id);
        for effects in state.connections.values() {
            effects.send_modify(|effects| effects.end(id));
        }
    }

    /// Connections that it carries now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.line.state().connections.len()
    }
}

/// How many of `n` connections a share is: at least one where there are any.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a count of connections"
)]
fn hit(n: usize, share: f64) -> usize {
    ((n as f64 * share).ceil() as usize).min(n)
}

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a new connection in; gives its number, its effects, and random generators for its two directions.
    fn enter(&self) -> (u64, watch::Receiver<Effects>, [ChaCha8Rng; 2]) {
        let state = &mut *self.state();
        let id = state.next_connection;
        state.next_connection += 1;
        let mut effects = Effects::default();
        for (fault, kind, share) in &state.active {
            if state.random.random::<f64>() < *share {
                effects.begin(*fault, kind);
            }
        }
        let (sender, receiver) = watch::channel(effects);
        state.connections.insert(id, sender);
        let random = std::array::from_fn(|_| ChaCha8Rng::from_rng(&mut state.random));
        (id, receiver, random)
    }

    fn leave(&self, id: u64) {
        self.state().connections.remove(&id);
    }
}

/// Accepts connections, but while they are refused: then nothing listens, so that the system refuses them itself.
async fn accept(listener: TcpListener, address: SocketAddr, line: Arc<Line>) {
    let mut refusing = line.refusing.subscribe();
    let mut listening = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        if *refusing.borrow_and_update() > 0 {
            listening = None;
            if refusing.changed().await.is_err() {
                return;
            }
            continue;
        }
        let Some(listener) = &listening else {
            match listen(address) {
                Ok(again) => listening = Some(again),
                Err(error) => {
                    tracing::debug!(%address, "cannot listen again yet: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
            continue;
        };
        tokio::select! {
            changed = refusing.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    connections.spawn(carry(client, Arc::clone(&line)));
                }
                // No file descriptors left, or the client has gone: neither is the end of the proxy.
                Err(error) => {
                    tracing::debug!("a connection was not accepted: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // Connections that were open when the last one ended still hold the port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Leaves the line when dropped, also when the connection's task is given up.
struct Place<'a>(&'a Line, u64);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.leave(self.1);
    }
}

/// Carries one connection to its end.
async fn carry(mut client: TcpStream, line: Arc<Line>) {
    let (id, effects, [up, down]) = line.enter();
    let _place = Place(&line, id);
    let (host, port) = &line.upstream;
    let mut server = match TcpStream::connect((host.as_str(), *port)).await {
        Ok(server) => server,
        Err(error) => {
            tracing::debug!("the server behind the proxy cannot be reached: {error}");
            drop(client.set_zero_linger());
            return;
        }
    };
    // Small packets must not wait for each other: the server's and the driver's own sockets do not either.
    drop(client.set_nodelay(true).and(server.set_nodelay(true)));
    let ended = {
        let ((client_reads, client_writes), (server_reads, server_writes)) = (client.split(), server.split());
        let up = Pump { effects: effects.clone(), random: up, from_server: false }.run(client_reads, server_writes);
        let mut reset = effects.clone();
        let down = Pump { effects, random: down, from_server: true }.run(server_reads, client_writes);
        // A direction that waits for its reader cannot see that it is to be reset.
        tokio::select! {
            ended = both(up, down) => ended,
            _ = reset.wait_for(|effects| effects.reset) => Ok(End::Reset),
        }
    };
    if !matches!(ended, Ok(End::Closed)) {
        drop(client.set_zero_linger().and(server.set_zero_linger()));
    }
}

/// Until both directions are closed, or one of them ends in another way.
async fn both(
    up: impl Future<Output = io::Result<End>>,
    down: impl Future<Output = io::Result<End>>,
) -> io::Result<End> {
    let (mut up, mut down) = (std::pin::pin!(up), std::pin::pin!(down));
    let (first, up_is_left) = tokio::select! {
        end = &mut up => (end?, false),
        end = &mut down => (end?, true),
    };
    match first {
        End::Reset => Ok(End::Reset),
        End::Closed if up_is_left => up.await,
        End::Closed => down.await,
    }
}
