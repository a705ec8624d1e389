//! The exports for Rust are kept as files that are compiled into the tests.

use std::{env, fs, time::Duration};

use backon::BackoffBuilder as _;
use failsafe::CircuitBreaker as _;

use super::{exported, repository};

/// The exports as a user would have them in a file of their own.
#[expect(unreachable_pub, dead_code, reason = "it is the text of an export, byte for byte")]
mod given {
    pub(super) mod sqlx {
        include!("../../exports/sqlx.rs");
    }
    pub(super) mod deadpool {
        include!("../../exports/deadpool.rs");
    }
    pub(super) mod bb8 {
        include!("../../exports/bb8.rs");
    }
}

#[test]
fn what_is_compiled_is_what_is_exported() {
    for format in ["sqlx", "deadpool", "bb8"] {
        let file = repository(&format!("tests/exports/{format}.rs"));
        let text = exported(format, "SELECT 1");
        if env::var_os("WRITE_EXPORTS").is_some() {
            fs::write(&file, &text).unwrap();
        }
        let kept = fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(kept, text, "the export has changed: run this test with WRITE_EXPORTS=1, and look at {file:?}");
    }
}

#[test]
fn sqlx_makes_the_pool() {
    let options = given::sqlx::pool_options::<sqlx::Postgres>();
    assert_eq!((options.get_min_connections(), options.get_max_connections()), (4, 17));
    assert_eq!(options.get_acquire_timeout(), Duration::from_secs(12));
    assert_eq!(options.get_max_lifetime(), Some(Duration::from_secs(2100)));
    assert_eq!(options.get_idle_timeout(), Some(Duration::from_secs(240)));
    assert!(options.get_test_before_acquire());
}

/// Opens numbers.
#[derive(Debug)]
struct Manager;

impl deadpool::managed::Manager for Manager {
    type Type = u32;
    type Error = std::convert::Infallible;

    async fn create(&self) -> Result<u32, Self::Error> {
        Ok(0)
    }

    async fn recycle(
        &self,
        _: &mut u32,
        _: &deadpool::managed::Metrics,
    ) -> deadpool::managed::RecycleResult<Self::Error> {
        Ok(())
    }
}

impl bb8::ManageConnection for Manager {
    type Connection = u32;
    type Error = std::convert::Infallible;

    async fn connect(&self) -> Result<u32, Self::Error> {
        Ok(0)
    }

    async fn is_valid(&self, _: &mut u32) -> Result<(), Self::Error> {
        Ok(())
    }

    fn has_broken(&self, _: &mut u32) -> bool {
        false
    }
}

#[tokio::test]
async fn deadpool_makes_the_pool() {
    let pool = deadpool::managed::Pool::<Manager>::builder(Manager)
        .config(given::deadpool::pool_config())
        .runtime(deadpool::Runtime::Tokio1)
        .build()
        .unwrap();
    assert_eq!(pool.status().max_size, 17);
    let timeouts = pool.timeouts();
    let expected = [12, 12, 3].map(|seconds| Some(Duration::from_secs(seconds)));
    assert_eq!([timeouts.wait, timeouts.create, timeouts.recycle], expected);
    drop(pool.get().await.unwrap());
    // As the export's comment says it.
    assert_eq!(pool.retain(|_, metrics| given::deadpool::is_kept(&metrics)).retained, 1);
    assert_eq!(given::deadpool::HEALTH_CHECK_INTERVAL, Duration::from_secs(45));
}

#[tokio::test]
async fn bb8_makes_the_pool() {
    let builder = given::bb8::pool_builder::<Manager>();
    // The builder tells its values only as text.
    let told = format!("{builder:?}");
    for value in [
        "max_size: 17",
        "min_idle: Some(4)",
        "connection_timeout: 12s",
        "max_lifetime: Some(2100s)",
        "idle_timeout: Some(240s)",
        "test_on_check_out: true",
        "queue_strategy: Lifo",
    ] {
        assert!(told.contains(value), "{value} is not in {told}");
    }
    let pool = builder.build(Manager).await.unwrap();
    assert_eq!(pool.state().connections, 4);
}

#[test]
fn backon_and_failsafe_make_retries_and_breaker() {
    let waits: Vec<u128> = given::sqlx::retries().build().map(|wait| wait.as_millis()).collect();
    assert_eq!(waits, [150, 300, 500, 500]);
    let breaker = failsafe::Config::new().failure_policy(given::sqlx::breaker()).build();
    let failed = |_: &i32| matches!(breaker.call(|| Err::<(), ()>(())), Err(failsafe::Error::Inner(())));
    let failures = (0..100).take_while(failed).count();
    assert_eq!(failures, 6);
}
