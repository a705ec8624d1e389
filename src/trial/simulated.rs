use super::{Details, Load, recorder};
use crate::{
    model::{
        Acquisition, BreakerCounts, ConnectionCounts, Cpu, Ended, ErrorClass, ErrorCount, Interval, Latency,
        Measurement, Requests, Settings, Utilisation, WarmUp,
    },
    simulate::Response,
    stats,
};

/// Parameters of the truth behind `--target simulated`; fixed, so that its seed changes the noise alone.
const TRUTH: u64 = 1;

/// A simulated response in place of a pool and a database: no load, no clock, no waiting. Throughput and success come
/// from [`Response`]; the times follow from throughput by Little's law and have no distribution.
#[derive(Debug)]
pub struct SimulatedTarget {
    response: Response,
}

impl SimulatedTarget {
    /// A response whose noise is drawn from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::of(Response::heavy(TRUTH).reseeded(seed))
    }

    /// A response of one's own.
    #[must_use]
    pub fn of(response: Response) -> Self {
        Self { response }
    }

    /// One trial in no time.
    pub(super) fn run(&mut self, load: &Load, settings: &Settings) -> Details {
        let reading = self.response.measure(settings);
        let seconds = load.measure.as_secs_f64();
        let workers = f64::from(load.workers);
        let connections = f64::from(settings.max_connections());
        let active = connections.min(workers);
        let busy = reading.throughput.max(1e-9);
        let (hold, response_time) = (active / busy, workers / busy);
        let count = reading.succeeded;
        let flat = |time: f64| Latency {
            count,
            mean: time,
            p50: time,
            p90: time,
            p95: time,
            p99: time,
            p999: time,
            max: time,
        };
        let n = stats::real(usize::try_from(count + reading.failed).unwrap_or(usize::MAX));
        let wait = flat((response_time - hold).max(0.0));
        let measurement = Measurement {
            seconds,
            warm_up: WarmUp { seconds: 0.0, steady: true },
            throughput: reading.throughput,
            slices: vec![reading.throughput; 2],
            requests: Requests {
                succeeded: count,
                failed: reading.failed,
                retries: 0,
                success_rate: if n > 0.0 {
                    1.0 - stats::real(usize::try_from(reading.failed).unwrap_or(0)) / n
                } else {
                    0.0
                },
                success_interval: stats::clopper_pearson(count, reading.failed, 0.95)
                    .unwrap_or(Interval { low: 0.0, high: 1.0 }),
            },
            response: flat(response_time),
            offered: None,
            query: flat(hold),
            acquire: Acquisition { total: wait, wait, ..Acquisition::default() },
            hold: flat(hold),
            utilisation: Utilisation {
                mean: active / connections.max(1.0),
                active,
                total: connections,
                peak_active: settings.max_connections().min(load.workers),
                peak_total: settings.max_connections(),
            },
            errors: if reading.failed == 0 {
                Vec::new()
            } else {
                vec![ErrorCount {
                    class: ErrorClass::Query,
                    code: None,
                    example: "simulated failure".to_owned(),
                    count: reading.failed,
                }]
            },
            connections: ConnectionCounts::default(),
            breaker: BreakerCounts::default(),
            cpu: Cpu::default(),
            faults: Vec::new(),
            under_faults: None,
            ended: Ended::Completed,
        };
        Details { measurement, series: Vec::new(), response: recorder::empty(), ended_by: None }
    }
}
