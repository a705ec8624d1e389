//! What could not be delivered.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
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
        self.add(&serde_json::to_string(letter)?)
    }

    fn add(&self, line: &str) -> io::Result<()> {
        let line = format!("{line}\n");
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(&self.path)?;
        file.lock()?;
        if file.metadata()?.len() + line.len() as u64 > LARGEST {
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            let lines: Vec<&str> = text.lines().collect();
            file.set_len(0)?;
            file.write_all((lines[lines.len() / 2..].join("\n") + "\n").as_bytes())?;
        }
        file.write_all(line.as_bytes())
    }

    /// Takes all of them out of the file, so that they can be sent again. Those of somebody who died over it come first.
    ///
    /// # Errors
    /// When the files cannot be read or written, or somebody else is at it.
    pub fn take(&self) -> io::Result<Taken<'_>> {
        let path = self.path.with_extension("taken.jsonl");
        let mut taken = OpenOptions::new().create(true).append(true).read(true).open(&path)?;
        taken.try_lock().map_err(|_| io::Error::other("somebody else sends them again at this moment"))?;
        let mut text = String::new();
        taken.read_to_string(&mut text)?;
        match OpenOptions::new().read(true).write(true).open(&self.path) {
            Ok(mut file) => {
                // Nobody adds one between the reading and the emptying.
                file.lock()?;
                let mut new = String::new();
                file.read_to_string(&mut new)?;
                taken.write_all(new.as_bytes())?;
                taken.sync_all()?;
                file.set_len(0)?;
                text.push_str(&new);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let unread = text.lines().filter(|line| !line.trim().is_empty() && letters(line).is_empty());
        let unread = unread.map(str::to_owned).collect();
        Ok(Taken { letters: letters(&text), unread, dead: self, path, _held: taken })
    }

    /// All of them, the oldest first; lines that cannot be read are passed over.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn read(&self) -> io::Result<Vec<DeadLetter>> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Ok(letters(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

fn letters(text: &str) -> Vec<DeadLetter> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Letters that were taken out to be sent again. Whoever drops them leaves them to the next one who takes.
#[derive(Debug)]
pub struct Taken<'a> {
    /// The letters, the oldest first.
    pub letters: Vec<DeadLetter>,
    /// Lines that are none, such as one that a power cut has shortened: they are kept as they are.
    pub unread: Vec<String>,
    dead: &'a DeadLetters,
    path: PathBuf,
    _held: File,
}

impl Taken<'_> {
    /// Ends: what is left was not taken, and is kept again.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn end(self, left: &[DeadLetter]) -> io::Result<()> {
        for line in &self.unread {
            self.dead.add(line)?;
        }
        for letter in left {
            self.dead.keep(letter)?;
        }
        fs::remove_file(&self.path)
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

    #[test]
    fn what_is_taken_and_dropped_is_taken_by_the_next_one_and_what_is_left_is_kept_again() {
        let folder = tempfile::tempdir().unwrap();
        let dead = DeadLetters::of(folder.path());
        assert_eq!(dead.take().unwrap().letters, []);
        let letter = |at: &str| DeadLetter {
            at: at.to_owned(),
            webhook: "ops".to_owned(),
            problem: "it answered 500".to_owned(),
            body: "{}".to_owned(),
        };
        dead.keep(&letter("1")).unwrap();
        {
            let taken = dead.take().unwrap();
            assert_eq!((taken.letters.len(), dead.read().unwrap().len()), (1, 0));
            assert!(dead.take().is_err(), "two send the same ones");
        }
        dead.add("garbage{").unwrap();
        dead.keep(&letter("2")).unwrap();
        let taken = dead.take().unwrap();
        assert_eq!(taken.letters, [letter("1"), letter("2")]);
        taken.end(&[letter("2")]).unwrap();
        assert_eq!(dead.read().unwrap(), [letter("2")]);
        let taken = dead.take().unwrap();
        assert_eq!((&taken.letters[..], &taken.unread[..]), (&[letter("2")][..], &["garbage{".to_owned()][..]));
    }
}
