//! One direction of a connection of the proxy.

use std::{collections::VecDeque, io, time::Duration};

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::watch,
    time::{Instant, sleep_until},
};

use super::effects::Effects;

/// What is read at once.
const CHUNK: usize = 64 * 1024;
/// Most bytes that are under way in a delayed direction; a network holds no more either.
const UNDER_WAY: usize = 1024 * 1024;

/// Why a direction ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Its source was closed, and everything was delivered.
    Closed,
    /// The connection is to be reset.
    Reset,
}

/// A direction's state.
pub(super) struct Pump {
    pub(super) effects: watch::Receiver<Effects>,
    pub(super) random: ChaCha8Rng,
    /// Whether it carries what comes from the server.
    pub(super) from_server: bool,
}

impl Pump {
    /// Carries bytes until the source is closed or a fault ends the connection.
    pub(super) async fn run(
        mut self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) -> io::Result<End> {
        let mut chunk = vec![0; CHUNK];
        let mut queue: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
        let (mut under_way, mut closed) = (0, false);
        // The last chunk's time: order is kept however the delays vary. And when the line is free again.
        let (mut last_due, mut free_at) = (Instant::now(), Instant::now());
        let mut counted: Option<(u64, u64)> = None;
        loop {
            let effects = self.effects.borrow_and_update().clone();
            if effects.reset {
                return Ok(End::Reset);
            }
            let ready_at = queue.front().map(|(due, _)| (*due).max(free_at));
            let stalled = effects.stalled();
            if closed && queue.is_empty() && !stalled {
                to.shutdown().await?;
                return Ok(End::Closed);
            }
            tokio::select! {
                biased;
                changed = self.effects.changed() => {
                    // Without anyone who could change it, the proxy is being closed.
                    if changed.is_err() {
                        return Ok(End::Reset);
                    }
                }
                () = sleep_until(ready_at.unwrap_or(last_due)), if ready_at.is_some() && !stalled => {
                    let Some((_, bytes)) = queue.pop_front() else { continue };
                    under_way -= bytes.len();
                    to.write_all(&bytes).await?;
                    free_at = Instant::now() + transmission(bytes.len(), effects.bandwidth());
                }
                read = from.read(&mut chunk), if !closed && under_way < UNDER_WAY => {
                    let n = read?;
                    if n == 0 {
                        // A client that gives up ends a connection that carries nothing; the server's end is never heard of.
                        if effects.dropped && !self.from_server {
                            return Ok(End::Reset);
                        }
                        closed = true;
                        continue;
                    }
                    if effects.dropped {
                        continue;
                    }
                    if self.from_server && spent(&effects, n, &mut counted) {
                        return Ok(End::Reset);
                    }
                    if effects.is_calm() && queue.is_empty() {
                        to.write_all(&chunk[..n]).await?;
                        continue;
                    }
                    let delay = effects.delay(|| self.random.random_range(-1.0..=1.0));
                    last_due = last_due.max(Instant::now() + delay);
                    // In pieces, so that a narrow line carries a large chunk bit by bit.
                    let piece = effects.bandwidth().map_or(CHUNK, |rate| usize::try_from(rate / 50).unwrap_or(CHUNK));
                    for piece in chunk[..n].chunks(piece.clamp(1, CHUNK)) {
                        queue.push_back((last_due, piece.to_vec()));
                    }
                    under_way += n;
                }
            }
        }
    }
}

/// How long bytes take on a line.
fn transmission(bytes: usize, bandwidth: Option<u64>) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "a chunk and a bandwidth are far below 2^53")]
    bandwidth.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64))
}

/// Counts bytes from the server against a limit; whether it is reached.
fn spent(effects: &Effects, bytes: usize, counted: &mut Option<(u64, u64)>) -> bool {
    let Some((id, limit)) = effects.drops_after() else {
        *counted = None;
        return false;
    };
    let before = counted.filter(|(of, _)| *of == id).map_or(0, |(_, before)| before);
    let now = before + bytes as u64;
    *counted = Some((id, now));
    now >= limit
}
