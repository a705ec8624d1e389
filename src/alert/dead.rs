//! What could not be delivered.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

/// The largest file that is kept: the older half goes where it is full.
const LARGEST: u64 = 4 * 1024 * 1024;

/// An alert that nobody took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// When it was given up, RFC 3339 in UTC.
    pub at: String,
    /// The webhook's name.
    pub webhook: String,
    /// Why, at the last try.
    pub problem: String,
    /// What would have been sent.
    pub body: String,
}

/// The file of them, a line of JSON each.
#[derive(Debug)]
pub struct DeadLetters {
    path: PathBuf,
    writing: Mutex<()>,
}

impl DeadLetters {
    /// In a file of a results folder.
    #[must_use]
    pub fn of(results: &Path) -> Self {
        Self { path: results.join("dead-letters.jsonl"), writing: Mutex::new(()) }
    }

    /// Where they are.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep(&self, letter: &DeadLetter) -> io::Result<()> {
        let line = serde_json::to_string(letter)? + "\n";
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if fs::metadata(&self.path).is_ok_and(|about| about.len() + line.len() as u64 > LARGEST) {
            let text = fs::read_to_string(&self.path)?;
            let lines: Vec<&str> = text.lines().collect();
            fs::write(&self.path, lines[lines.len() / 2..].join("\n") + "\n")?;
        }
        OpenOptions::new().create(true).append(true).open(&self.path)?.write_all(line.as_bytes())
    }

    /// All of them, the oldest first; lines that cannot be read are passed over.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn read(&self) -> io::Result<Vec<DeadLetter>> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_again_and_the_file_never_grows_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let dead = DeadLetters::of(folder.path());
        assert_eq!(dead.read().unwrap(), []);
        let letter = |number: usize, size: usize| DeadLetter {
            at: number.to_string(),
            webhook: "ops".to_owned(),
            problem: "it answered 500".to_owned(),
            body: "x".repeat(size),
        };
        dead.keep(&letter(1, 1)).unwrap();
        assert_eq!(dead.read().unwrap(), [letter(1, 1)]);
        for number in 2..12 {
            dead.keep(&letter(number, 1_000_000)).unwrap();
        }
        let left = dead.read().unwrap();
        assert!(fs::metadata(dead.path()).unwrap().len() <= LARGEST && left.last() == Some(&letter(11, 1_000_000)));
    }
}
