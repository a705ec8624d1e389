use serde::{Deserialize, Serialize};

/// The Universal Scalability Law: X(N) = λN / (1 + σ(N − 1) + κN(N − 1)).
///
/// N. J. Gunther, Guerrilla Capacity Planning, Springer 2007, chapter 6; N is the number of connections here.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scalability {
    /// Throughput of one connection, requests a second.
    pub lambda: f64,
    /// Contention: the share of the work that is serial, 0 to 1.
    pub sigma: f64,
    /// Coherency: the cost of keeping pairs of connections consistent.
    pub kappa: f64,
}

impl Scalability {
    /// Throughput with `connections` ≥ 1, requests a second.
    #[must_use]
    pub fn throughput(self, connections: f64) -> f64 {
        self.lambda * connections / self.slowdown(connections)
    }

    /// Time that a request holds its connection when all are busy, in seconds: R(N) = N / X(N) by Little's law.
    #[must_use]
    pub fn hold(self, connections: f64) -> f64 {
        self.slowdown(connections) / self.lambda
    }

    /// The number of connections of the highest throughput, N* = √((1 − σ) / κ); very large when κ is very small.
    #[must_use]
    pub fn peak(self) -> f64 {
        ((1.0 - self.sigma) / self.kappa).sqrt()
    }

    fn slowdown(self, connections: f64) -> f64 {
        slowdown(self.sigma, self.kappa, connections)
    }
}

/// How much longer a request takes with `connections` busy than with one.
pub(super) fn slowdown(sigma: f64, kappa: f64, connections: f64) -> f64 {
    1.0 + sigma * (connections - 1.0) + kappa * connections * (connections - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_the_highest_point() {
        let law = Scalability { lambda: 1000.0, sigma: 0.05, kappa: 0.95 / 400.0 };
        assert!((law.peak() - 20.0).abs() < 1e-9);
        assert!(law.throughput(20.0) > law.throughput(19.0) && law.throughput(20.0) > law.throughput(21.0));
        assert!((law.throughput(1.0) - 1000.0).abs() < 1e-9);
        assert!((law.hold(8.0) * law.throughput(8.0) - 8.0).abs() < 1e-9);
    }
}
