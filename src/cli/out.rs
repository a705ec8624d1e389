//! Where text goes: answers to standard output, everything else to standard error. A reader that has gone (`| head`) is no
//! fault of ours: the rest is not written, and a run goes on.

use std::{
    fmt::Arguments,
    io::{ErrorKind, Write as _},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// What is kept back while a picture holds the terminal; `None` while none does.
static HELD: Mutex<Option<Vec<u8>>> = Mutex::new(None);

/// Keeps back what would be written to standard error, until [`release`].
pub(super) fn hold() {
    held().get_or_insert_default();
}

/// Writes what was kept back.
pub(super) fn release() {
    if let Some(text) = held().take() {
        drop(std::io::stderr().lock().write_all(&text));
    }
}

/// Whether something holds it.
pub(super) fn is_held() -> bool {
    held().is_some()
}

fn held() -> MutexGuard<'static, Option<Vec<u8>>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Standard error for log lines, which must not smear a picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log;

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match &mut *held() {
            Some(text) => text.write(bytes),
            None => std::io::stderr().lock().write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().lock().flush()
    }
}

/// Whether what is told on standard error has to be JSON, as the logs are.
static JSON: AtomicBool = AtomicBool::new(false);

/// From now on, what is told on standard error is told as log lines in JSON.
pub(super) fn tell_as_json() {
    JSON.store(true, Ordering::Relaxed);
}

/// Whether it is.
pub(super) fn tells_as_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// Prints a part of the answer.
pub(super) fn print(text: Arguments<'_>) {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_fmt(text).and_then(|()| stdout.flush());
    if let Err(error) = written.map_err(|error| (error.kind(), error))
        && error.0 != ErrorKind::BrokenPipe
    {
        tell(format_args!("pool-tune: failed to print the answer: {}", error.1));
    }
}

/// Tells a line that is no part of the answer.
pub(super) fn tell(line: Arguments<'_>) {
    if tells_as_json() {
        let line = line.to_string();
        if !line.trim().is_empty() {
            tracing::info!(target: "pool_tune::cli", "{}", line.trim());
        }
        return;
    }
    // When standard error is gone there is nobody left to tell.
    drop(writeln!(Log, "{line}"));
}

/// Tells what ends the program, by the level that errors have.
pub(super) fn fail(text: &str) {
    if tells_as_json() {
        tracing::error!(target: "pool_tune::cli", "{}", text.trim());
    } else {
        tell(format_args!("{text}"));
    }
}

/// Prints a part of the answer.
macro_rules! out {
    ($($text:tt)*) => { $crate::cli::out::print(format_args!($($text)*)) };
}

/// Prints a line of the answer.
macro_rules! outln {
    () => { $crate::cli::out::print(format_args!("\n")) };
    ($($text:tt)*) => { $crate::cli::out::print(format_args!("{}\n", format_args!($($text)*))) };
}

/// Tells a line that is no part of the answer.
macro_rules! errln {
    ($($text:tt)*) => { $crate::cli::out::tell(format_args!($($text)*)) };
}

pub(super) use {errln, out, outln};
