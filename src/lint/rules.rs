use std::fmt;

use crate::export::Entry;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// It does something else than it says, or will fail one day.
    Warning,
    /// It cannot work.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// A kind of finding.
#[derive(Debug, PartialEq, Eq)]
pub struct LintRule {
    /// Its name, which stays the same.
    pub id: &'static str,
    /// How bad its findings are, where nothing says otherwise.
    pub severity: Severity,
    /// What it finds, in a sentence.
    pub about: &'static str,
    /// Why that matters.
    pub why: &'static str,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The rule.
    pub rule: &'static LintRule,
    /// How bad it is here.
    pub severity: Severity,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What is wrong, in a sentence.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl Finding {
    pub(super) fn new(place: (usize, usize), rule: &'static LintRule, what: String, remedy: impl Into<String>) -> Self {
        let (line, column) = place;
        Self { rule, severity: rule.severity, line, column, what, remedy: remedy.into() }
    }

    pub(super) fn at(entry: &Entry, rule: &'static LintRule, what: String, remedy: impl Into<String>) -> Self {
        Self::new((entry.line, entry.column), rule, what, remedy)
    }

    pub(super) fn severity(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }
}

/// A name that is no rule's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a rule: `pool-tune lint --list-rules` shows all")]
pub struct UnknownRule(pub String);

impl LintRule {
    /// The rule of a name.
    ///
    /// # Errors
    /// [`UnknownRule`] when there is none.
    pub fn named(id: &str) -> Result<&'static Self, UnknownRule> {
        RULES.iter().copied().find(|rule| rule.id == id).ok_or_else(|| UnknownRule(id.to_owned()))
    }
}

macro_rules! rules {
    ($($name:ident $id:literal $severity:ident $about:literal $why:literal)*) => {
        $(pub(super) static $name: LintRule =
            LintRule { id: $id, severity: Severity::$severity, about: $about, why: $why };)*
        /// Every rule, in the order in which they are listed.
        pub static RULES: &[&LintRule] = &[$(&$name),*];
    };
}

rules! {
    REFUSED "value-refused" Error
        "A value that the library refuses."
        "The program does not start, or fails when it opens the pool."
    REPLACED "value-silently-replaced" Warning
        "A value in place of which the pool takes another one."
        "The file says one thing and the pool does another, which shows in no error."
    NOT_A_NUMBER "not-a-number" Error
        "A value that is written out and is no number that the pool takes."
        "The program does not start, or the pool takes something else for it without a word."
    NEGATIVE "negative-number" Error
        "A number below 0 where the pool has no use for one."
        "The program does not start, or the pool never hands out a connection."
    UNKNOWN_NAME "unknown-name" Warning
        "A name that the pool does not have, such as a misspelt one or another pool's."
        "Pools refuse it, or pass over it in silence and take their default."
    MILLISECONDS "milliseconds-for-seconds" Warning
        "A time that is usual in milliseconds, where the pool takes seconds."
        "The pool waits, or keeps what it has, a thousand times longer than was meant."
    NO_SIZE_LIMIT "zero-no-size-limit" Warning
        "A size of 0, which is no limit."
        "Under load the pool takes every connection that the server has."
    NO_WAIT_LIMIT "zero-waits-for-ever" Warning
        "A time limit of 0 for taking a connection, or none by default: requests wait for ever."
        "When the database hangs, every caller hangs with it, and none of them says why."
    NO_LIFETIME "zero-never-recycled" Note
        "A lifetime of 0: connections are never closed for their age."
        "After a failover or a change of addresses old connections stay where they are, and their memory grows."
    NO_IDLE_TIMEOUT "zero-idle-for-ever" Note
        "An idle timeout of 0: idle connections are kept for ever."
        "What a peak has opened stays open, and is dropped silently by firewalls and load balancers."
    NO_CHECKS "zero-no-checks" Note
        "An interval of 0: idle connections are never checked."
        "A connection that died while it was idle fails the next request."
    SPENT "zero-used-once" Warning
        "A 0 with which the pool closes connections after each use."
        "Every request pays for opening a connection, which takes longer than most statements."
    EMPTY_CHECK "empty-check-query" Warning
        "An empty statement for checking connections, which switches the check off."
        "It looks like the default and is not: dead connections are handed out."
    UNCHECKED "connections-unchecked" Note
        "Connections are handed out unchecked, and nothing checks them while they are idle."
        "After a restart of the database as many requests fail as connections were idle."
    MIN_ABOVE_MAX "min-above-max" Error
        "More connections are to be kept than there may be."
        "Pools refuse it, or cut one of the two without a word."
    SIZE_ABOVE_CAP "size-above-cap" Warning
        "A pool size of PgBouncer above the most connections that its database may have."
        "The pool never gets as large as the file says."
    IDLE_NO_EFFECT "idle-timeout-without-effect" Warning
        "An idle timeout although all connections are kept: the minimum is the maximum."
        "No connection is ever above the minimum, so none is closed for being idle."
    IDLE_ABOVE_LIFETIME "idle-not-below-lifetime" Warning
        "An idle timeout that is not below the lifetime."
        "Connections end by their age before they can be idle for that long."
    SAME_TWICE "defined-twice" Warning
        "A setting with two values in one place."
        "Which of them counts depends on the order of reading."
    LIFETIME_JITTER "lifetime-without-jitter" Note
        "A lifetime in a pool that does not spread it; with several instances a warning."
        "Connections that were opened together are closed and opened again together, over the whole fleet."
    BALANCER "idle-above-balancer" Note
        "Connections may be idle for longer than well-known load balancers keep them."
        "They are dropped without a reset, and the next request on one of them hangs."
    SERVER_IDLE "idle-above-server" Warning
        "Connections may be idle for longer than the server keeps them (with --target)."
        "The server closes them first, and the next request on one of them fails."
    FLEET "fleet-above-server" Error
        "All instances together want more connections than the server gives; a note where the server is not known."
        "Under load the last ones are refused: too many clients."
    WAIT_ABOVE_DEADLINE "wait-above-deadline" Warning
        "A connection is waited for longer than callers wait for their answer."
        "The caller has gone, and its request still takes a place in the queue and a connection."
    RETRIES_ABOVE_DEADLINE "retries-above-deadline" Warning
        "All attempts with their waiting take longer than callers wait for their answer."
        "Retries go on for a caller that has gone, and multiply the load when there is least to spare."
    VALIDATION_ABOVE_WAIT "validation-not-below-wait" Warning
        "A connection may be validated for longer than a request waits for one."
        "One dead connection uses up the whole wait, and the request fails although others are free."
    NO_BACKOFF "retry-without-backoff" Warning
        "Retries that follow at once, or always after the same delay."
        "They meet the same failure, and load a database that is coming back with several times its requests."
    NO_JITTER "retry-without-jitter" Warning
        "Retries without a random part in their delay."
        "What failed together comes back together, again and again."
    DELAY_ABOVE_CAP "retry-delay-above-cap" Warning
        "A first retry delay above the greatest one."
        "The delays do not grow, and the first is cut without a word."
    BREAKER_EXHAUSTION "breaker-opens-on-exhaustion" Warning
        "A circuit breaker over a pool that fails at once, or nearly, when it is exhausted."
        "A full pool counts as a failing database: the circuit opens, and all requests fail instead of a few that wait."
    BREAKER_DEADLINE "breaker-blind-to-deadline" Warning
        "A circuit breaker over a wait that is longer than what callers wait."
        "Callers give up before the failure is counted, so that the circuit opens too late, or never."
    BREAKER_HAIR_TRIGGER "breaker-single-failure" Warning
        "A circuit breaker that a single failure opens."
        "One bad request stops all others."
    NO_WAIT "pool-does-not-wait" Warning
        "A pool that raises an error when it is exhausted, instead of waiting."
        "Every peak above its size fails requests, where others would wait for milliseconds."
    AGE_BESIDE_POOL "django-age-beside-pool" Error
        "Django keeps connections itself (CONN_MAX_AGE) beside a pool."
        "Django refuses to start with both."
}
