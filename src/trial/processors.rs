use procfs::{CurrentSI as _, process::Process};

use crate::model::Cpu;

/// Share of all processors taken by other programs above which a trial counts as disturbed. One of two cores taken
/// halves a trial; a tenth shifts it by as much as the spread between undisturbed trials.
const DISTURBED: f64 = 0.10;

/// Processor time used so far, in seconds, by whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    busy: f64,
    own: f64,
    database: Option<f64>,
}

impl Usage {
    /// Reads the counters; `None` where the system has none (no `/proc`). `database` is the database's own time so
    /// far, where it is known.
    pub(super) fn read(database: Option<f64>) -> Option<Self> {
        #[expect(clippy::cast_precision_loss, reason = "ticks since boot are far below 2^53")]
        let seconds = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64;
        let total = procfs::KernelStats::current().ok()?.total;
        let own = Process::myself().ok()?.stat().ok()?;
        // Interrupts are left out: on loopback they are the trial's own network traffic. Time stolen by the
        // hypervisor is as good as taken by another program.
        let busy = total.user + total.nice + total.system + total.steal.unwrap_or(0);
        Some(Self { busy: seconds(busy), own: seconds(own.utime + own.stime), database })
    }

    /// Who used the processors from `self` to `later`, over `seconds`; `threads` is how many the load runs on.
    pub(super) fn until(&self, later: &Self, seconds: f64, threads: usize) -> Cpu {
        #[expect(clippy::cast_precision_loss, reason = "a count of processors")]
        let (processors, threads) =
            (std::thread::available_parallelism().map_or(1, usize::from) as f64, threads.max(1) as f64);
        let share = |from: f64, to: f64| ((to - from) / (seconds * processors)).clamp(0.0, 1.0);
        let own = share(self.own, later.own);
        let known = self.database.zip(later.database);
        let database = known.map_or(0.0, |(from, to)| share(from, to));
        let other = (share(self.busy, later.busy) - own - database).max(0.0);
        // The generator limits when its threads are full, or when it takes the larger part of a full machine.
        let threads_full = own * processors > 0.9 * threads.min(processors);
        let machine_full = own + database + other > 0.95 && own > database + other;
        Cpu {
            own,
            database,
            other,
            generator_limited: threads_full || machine_full,
            disturbed: known.is_some() && other > DISTURBED,
        }
    }
}
