//! The stress tests of what runs decided, one by one as they end.

use serde::{Deserialize, Serialize};

use super::{Store, StoreError};
use crate::model::StressReport;

/// A stress test of what a run decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StressRecord {
    /// Its place in the suite, from 0.
    pub sequence: u32,
    /// Its name.
    pub name: String,
    /// How many tests the suite has.
    pub of: u32,
    /// What was asked, as a hash: a test that is asked otherwise later is another one.
    pub asked: u64,
    /// What became of it.
    pub outcome: StressOutcome,
}

/// What became of a stress test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StressOutcome {
    /// It was made.
    Made(Box<StressReport>),
    /// It could not be made there; why.
    LeftOut(String),
}

impl Store {
    /// Stores a stress test of what a run decided; it is on the disk when this returns. One that is there already is replaced.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub async fn record_stress_test(&self, run: &str, test: &StressRecord) -> Result<(), StoreError> {
        let operation = "store a stress test";
        let record = self.json(operation, test)?;
        let insert = "INSERT INTO stress_tests (run, sequence, name, record) VALUES ($1, $2, $3, $4)
             ON CONFLICT (run, name) DO UPDATE SET sequence = excluded.sequence, record = excluded.record";
        let query = self.query(operation, insert).bind(run).bind(i64::from(test.sequence)).bind(&*test.name);
        query.bind(record).run().await.map(drop)
    }

    /// Removes a stress test that its suite does not have any more, or asks otherwise.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be removed.
    pub async fn remove_stress_test(&self, run: &str, name: &str) -> Result<(), StoreError> {
        let delete = "DELETE FROM stress_tests WHERE run = $1 AND name = $2";
        self.query("remove a stress test", delete).bind(run).bind(name).run().await.map(drop)
    }

    /// The stress tests of what a run decided, in order.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn stress_tests(&self, run: &str) -> Result<Vec<StressRecord>, StoreError> {
        let operation = "read stress tests";
        let tests = "SELECT record FROM stress_tests WHERE run = $1 ORDER BY sequence, name";
        let rows = self.query(operation, tests).bind(run).run().await?.rows;
        rows.iter().map(|row| self.parse(operation, row, "record")).collect()
    }
}
