//! The part `faults` of a scenario or a profile: what goes wrong, and when.

use std::time::Duration;

use super::{
    error::{Problem, did_you_mean, list},
    tree::{Entry, Map},
};
use crate::model::{Fault, FaultKind, FaultPart, FaultPlace};

/// The latest that a fault may begin, and the longest that it may last.
const LONGEST: Duration = Duration::from_secs(86_400);
/// The longest delay of a network.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// The largest weight of a fault part: operation is mostly something else.
const MOST_WEIGHT: f64 = 0.9;

/// Which faults may be named.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// Those of a stress test: all.
    Test,
    /// Those of a run, which is made on databases that others use too: they hit the program's own connections only.
    Run,
}

/// Reads the part `faults` of a profile.
pub(super) fn fault_part(entry: Entry) -> Result<FaultPart, Problem> {
    let mut map = entry.node.map("faults")?;
    let weight = map.need("weight", "0.25")?;
    let weight = weight
        .real()
        .filter(|share| *share > 0.0 && *share <= MOST_WEIGHT)
        .ok_or_else(|| weight.wrong(&format!("a share of operating time above 0 and up to {MOST_WEIGHT}")))?;
    let measure = match map.take("measure") {
        None => Duration::from_secs(2),
        Some(entry) => entry.time(Duration::from_millis(200), Duration::from_secs(600))?,
    };
    let deadline = match map.take("deadline") {
        None => Duration::from_secs(1).min(measure),
        // Later ones would be cut off with the part's end.
        Some(entry) => entry.time(Duration::from_millis(1), measure)?,
    };
    let timeline = map.need("timeline", "[{at: 500ms, for: 300ms, fault: refuse}]")?;
    let line = timeline.line;
    let timeline = faults(timeline, measure, Of::Run)?;
    if timeline.is_empty() {
        return Err(Problem::at(line, "`timeline` is empty: add a fault, or leave the whole of `faults` out"));
    }
    map.end()?;
    Ok(FaultPart { weight, deadline, measure, timeline })
}

/// So many of the names, the first ones, are of the network.
const NETWORK: usize = 7;
const NAMES: [&str; 11] = [
    "latency",
    "bandwidth",
    "reset",
    "stall",
    "drop_silently",
    "refuse",
    "drop_after",
    "terminate",
    "pause",
    "restart",
    "hold",
];

/// Reads a list of faults, all of which have to be over within the test's length.
pub(super) fn faults(entry: Entry, length: Duration, of: Of) -> Result<Vec<Fault>, Problem> {
    let entries = entry.list("a list of faults, such as {at: 2s, for: 500ms, fault: stall}")?;
    let mut faults: Vec<Fault> = Vec::with_capacity(entries.len());
    for entry in entries {
        let line = entry.line;
        let next = fault(entry, length)?;
        if of == Of::Run && next.kind.place() != FaultPlace::Network {
            let text = format!(
                "`{}` is no fault of the network, and a run makes no others, so that it hurts nobody else: use {}",
                next.kind,
                list(&NAMES[..NETWORK])
            );
            return Err(Problem::at(line, text));
        }
        // Of two that stop the whole server the first to end would let it go on for both.
        let stops = |fault: &&Fault| matches!(fault.kind, FaultKind::Pause | FaultKind::Restart);
        let other = faults.iter().filter(stops).find(|other| other.at < next.end() && next.at < other.end());
        if let Some(other) = other.filter(|_| stops(&&next)) {
            let text = format!(
                "`{}` overlaps `{}`, which stops the server as well: let one begin when the other is over",
                next.kind, other.kind
            );
            return Err(Problem::at(line, text));
        }
        faults.push(next);
    }
    Ok(faults)
}

fn fault(entry: Entry, length: Duration) -> Result<Fault, Problem> {
    let line = entry.line;
    let mut map = entry.node.map("fault")?;
    let at = map.need("at", "2s")?.time(Duration::ZERO, LONGEST)?;
    let name = map.need("fault", "stall")?;
    let name_line = name.line;
    let name = name.text()?;
    let kind = kind(&mut map, &name, name_line)?;
    let lasts = match (map.take("for"), kind.is_moment()) {
        (Some(entry), true) => {
            let text = format!("`{name}` is a moment and has no length: leave `for` out");
            return Err(Problem::at(entry.line, text));
        }
        (Some(entry), false) => entry.time(Duration::from_millis(10), LONGEST)?,
        (None, true) => Duration::ZERO,
        (None, false) => {
            return Err(Problem::at(line, format!("`{name}` needs a length: add one, such as `for: 2s`")));
        }
    };
    let share = match map.take("share") {
        None => 1.0,
        Some(entry) if !kind.takes_share() => {
            let text = format!("`{name}` hits the whole of what it hits: leave `share` out");
            return Err(Problem::at(entry.line, text));
        }
        Some(entry) => entry
            .real()
            .filter(|share| *share > 0.0 && *share <= 1.0)
            .ok_or_else(|| entry.wrong("a share of the connections above 0 and up to 1, such as 0.5"))?,
    };
    map.end()?;
    let fault = Fault { at, lasts, share, kind };
    if fault.end() > length {
        let text = format!(
            "`{name}` ends at {} s and the test at {} s: let it begin earlier or be shorter, or the test longer",
            fault.end().as_secs_f64(),
            length.as_secs_f64()
        );
        return Err(Problem::at(line, text));
    }
    Ok(fault)
}

fn kind(map: &mut Map, name: &str, line: u64) -> Result<FaultKind, Problem> {
    Ok(match name {
        "latency" => {
            let delay = map.need("delay", "50ms")?.time(Duration::ZERO, LONGEST_DELAY)?;
            let jitter = match map.take("jitter") {
                None => Duration::ZERO,
                Some(entry) => {
                    let jitter = entry.time(Duration::ZERO, LONGEST_DELAY)?;
                    if jitter > delay {
                        return Err(Problem::at(
                            entry.line,
                            "`jitter` is above `delay`: no packet arrives before it is sent",
                        ));
                    }
                    jitter
                }
            };
            FaultKind::Latency { delay, jitter }
        }
        "bandwidth" => {
            let bytes_per_second = map.need("bytes_per_second", "65536")?.whole(100, u32::MAX)?.into();
            FaultKind::Bandwidth { bytes_per_second }
        }
        "reset" => FaultKind::Reset,
        "stall" => FaultKind::Stall,
        "drop_silently" => FaultKind::DropSilently,
        "refuse" => FaultKind::Refuse,
        "drop_after" => FaultKind::DropAfter { bytes: map.need("bytes", "4096")?.whole(1, u32::MAX)?.into() },
        "terminate" => FaultKind::Terminate,
        "pause" => FaultKind::Pause,
        "restart" => FaultKind::Restart,
        "hold" => {
            let connections = map.need("connections", "3")?.whole(1, 10_000)?;
            let in_transaction = map.take("in_transaction").map_or(Ok(false), |entry| entry.truth())?;
            FaultKind::Hold { connections, in_transaction }
        }
        other => {
            let hint = did_you_mean(other, NAMES);
            return Err(Problem::at(line, format!("`{other}` is no fault: {hint}")));
        }
    })
}
