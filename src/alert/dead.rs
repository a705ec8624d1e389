//! What could not be delivered.
//!
//! One file, a line of JSON each. Whoever changes it holds a lock on it, adds a line or puts a whole new file in its place, and never
//! waits for a webhook meanwhile. Whoever sends letters again holds another lock all the time, and takes each out when it was taken: a
//! death at any moment costs at most that the one under way is sent twice.

use std::{
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// The largest file that is kept: the older half goes where it is full.
const LARGEST: usize = 4 * 1024 * 1024;

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

/// The file of them.
#[derive(Debug)]
pub struct DeadLetters {
    path: PathBuf,
}

impl DeadLetters {
    /// In a file of a results folder.
    #[must_use]
    pub fn of(results: &Path) -> Self {
        Self { path: results.join("dead-letters.jsonl") }
    }

    /// Where they are.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where earlier versions left letters when they died over them, which are older than the others.
    fn files(&self) -> [PathBuf; 2] {
        [self.path.with_extension("taken.jsonl"), self.path.clone()]
    }

    /// Keeps one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep(&self, letter: &DeadLetter) -> io::Result<()> {
        let mut file = alone(&self.path, true)?;
        let length = file.metadata()?.len();
        let mut text = Vec::new();
        if let Some(last) = length.checked_sub(1) {
            let mut end = [0];
            file.read_exact_at(&mut end, last)?;
            // A death or a full disk may have cut the line before short.
            text.extend_from_slice(if end == *b"\n" { b"" } else { b"\n" });
        }
        serde_json::to_writer(&mut text, letter)?;
        text.push(b'\n');
        if usize::try_from(length).is_ok_and(|length| length + text.len() <= LARGEST) {
            file.write_all(&text)?;
            return file.sync_data();
        }
        let mut old = Vec::new();
        file.read_to_end(&mut old)?;
        let kept = newer_half(&old);
        let gone = lines(&old).count() - lines(kept).count();
        tracing::error!(file = %self.path.display(), gone, "too many alerts are kept: the oldest are removed");
        replace(&self.path, &file, &[kept, &text].concat())
    }

    /// All of them, the oldest first; lines that cannot be read are passed over.
    ///
    /// # Errors
    /// When a file is there and cannot be read.
    pub fn read(&self) -> io::Result<Vec<DeadLetter>> {
        Ok(self.text()?.iter().flat_map(|text| lines(text)).filter_map(letter).collect())
    }

    fn text(&self) -> io::Result<Vec<Vec<u8>>> {
        let read = |path: PathBuf| match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            read => read,
        };
        self.files().into_iter().map(read).collect()
    }

    /// Holds them, so that nobody else sends them again meanwhile; others may be added.
    ///
    /// # Errors
    /// When somebody else holds them, or the files cannot be read or written: what could not be taken out would be sent for ever.
    pub fn hold(&self) -> io::Result<Held<'_>> {
        let mut is_there = false;
        for path in self.files() {
            is_there |= path.try_exists()?;
        }
        if !is_there {
            return Ok(Held { letters: Vec::new(), unread: 0, dead: self, _lock: None });
        }
        // It is never removed: whoever waited for it would hold nothing.
        let path = self.path.with_file_name(".dead-letters.lock");
        let lock = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let lock = OpenOptions::new().create(true).append(true).open(&path)?;
                // Whoever is first, another user as well, keeps none of the others out.
                lock.set_permissions(Permissions::from_mode(0o644))?;
                lock
            }
            opened => opened?,
        };
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::other("somebody else sends or removes them at this moment"),
            TryLockError::Error(error) => error,
        })?;
        self.edit(|_| Fate::Stays)?;
        let text = self.text()?;
        let (letters, unread): (Vec<_>, Vec<_>) =
            text.iter().flat_map(|text| lines(text)).map(letter).partition(Option::is_some);
        Ok(Held {
            letters: letters.into_iter().flatten().collect(),
            unread: unread.len(),
            dead: self,
            _lock: Some(lock),
        })
    }

    /// Decides of each line what becomes of it; its place stays.
    fn edit(&self, mut fate: impl FnMut(&[u8]) -> Fate) -> io::Result<()> {
        for path in self.files() {
            let mut file = match alone(&path, false) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let (mut old, mut new) = (Vec::new(), Vec::new());
            file.read_to_end(&mut old)?;
            for line in lines(&old) {
                match fate(line) {
                    Fate::Stays => new.extend_from_slice(line),
                    Fate::Becomes(letter) => serde_json::to_writer(&mut new, &letter)?,
                    Fate::Goes => continue,
                }
                new.push(b'\n');
            }
            replace(&path, &file, &new)?;
        }
        Ok(())
    }
}

/// What becomes of a line.
enum Fate {
    Stays,
    Becomes(DeadLetter),
    Goes,
}

/// Letters that nobody else sends again.
#[derive(Debug)]
pub struct Held<'a> {
    /// The letters, the oldest first.
    pub letters: Vec<DeadLetter>,
    /// Lines that are none, such as one that a power cut has shortened: they are kept as they are.
    pub unread: usize,
    dead: &'a DeadLetters,
    _lock: Option<File>,
}

impl Held<'_> {
    /// Takes one out.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remove(&self, letter: &DeadLetter) -> io::Result<()> {
        self.one(letter, Fate::Goes)
    }

    /// Keeps one where it is, with what went wrong this time.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note(&self, letter: &DeadLetter, problem: &str) -> io::Result<()> {
        self.one(letter, Fate::Becomes(DeadLetter { problem: problem.to_owned(), ..letter.clone() }))
    }

    /// Takes all of a webhook out.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn discard(&self, webhook: &str) -> io::Result<()> {
        let is_of_it = |line: &[u8]| letter(line).is_some_and(|letter| letter.webhook == webhook);
        self.dead.edit(|line| if is_of_it(line) { Fate::Goes } else { Fate::Stays })
    }

    fn one(&self, of: &DeadLetter, fate: Fate) -> io::Result<()> {
        // One that is there twice was meant twice.
        let mut fate = Some(fate);
        self.dead.edit(|line| {
            let is_it = fate.is_some() && letter(line).as_ref() == Some(of);
            if is_it { fate.take().unwrap_or(Fate::Stays) } else { Fate::Stays }
        })
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty())
}

fn letter(line: &[u8]) -> Option<DeadLetter> {
    serde_json::from_slice(line).ok()
}

/// The last whole lines, as far as they fill half a file at most.
fn newer_half(text: &[u8]) -> &[u8] {
    let Some(before) = text.len().checked_sub(LARGEST / 2 + 1) else { return text };
    let line = text[before..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| before + end + 1);
    &text[line..]
}

/// A file, when nobody else changes it.
fn alone(path: &Path, create: bool) -> io::Result<File> {
    loop {
        let file = OpenOptions::new().create(create).append(true).read(true).open(path)?;
        file.lock()?;
        let held = file.metadata()?;
        // Whoever had it before may have put another in its place.
        if fs::metadata(path).is_ok_and(|now| (now.dev(), now.ino()) == (held.dev(), held.ino())) {
            return Ok(file);
        }
    }
}

/// Puts a text in the place of a file that is held: whole or not at all, with its permissions and its owner.
fn replace(path: &Path, held: &File, text: &[u8]) -> io::Result<()> {
    let sync = || {
        // The name is on the disk, or gone from it, only when its folder is.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    };
    if text.is_empty() {
        fs::remove_file(path)?;
        return sync();
    }
    // Nobody else writes it, for nobody else holds the file.
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut new = File::create_new(&beside)?;
    let (old, own) = (held.metadata()?, new.metadata()?);
    if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
        // The service could not add to it any more.
        fchown(&new, Some(old.uid()), Some(old.gid()))
            .map_err(|error| io::Error::new(error.kind(), "it is another user's: run this as them"))?;
    }
    new.set_permissions(old.permissions())?;
    new.write_all(text)?;
    new.sync_all()?;
    fs::rename(&beside, path)?;
    sync()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn of(at: &str) -> DeadLetter {
        DeadLetter {
            at: at.to_owned(),
            webhook: "ops".to_owned(),
            problem: "it answered 500".to_owned(),
            body: "{}".to_owned(),
        }
    }

    fn add(path: &Path, text: &[u8]) {
        OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text).unwrap();
    }

    #[test]
    fn what_is_kept_is_found_again_and_the_file_never_grows_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let dead = DeadLetters::of(folder.path());
        assert_eq!(dead.read().unwrap(), []);
        let letter = |number: usize, size: usize| DeadLetter { body: "x".repeat(size), ..of(&number.to_string()) };
        dead.keep(&letter(1, 1)).unwrap();
        assert_eq!(dead.read().unwrap(), [letter(1, 1)]);
        for number in 2..12 {
            dead.keep(&letter(number, 1_000_000)).unwrap();
            assert!(fs::metadata(dead.path()).unwrap().len() <= LARGEST as u64);
            let kept: Vec<usize> = dead.read().unwrap().iter().map(|letter| letter.at.parse().unwrap()).collect();
            assert!(kept.is_sorted() && kept.last() == Some(&number), "{kept:?}");
        }
        assert!(dead.read().unwrap().len() >= 3);
    }

    #[test]
    fn a_letter_goes_when_it_was_taken_and_otherwise_keeps_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let dead = DeadLetters::of(folder.path());
        for at in ["1", "2", "2", "3"] {
            dead.keep(&of(at)).unwrap();
        }
        let held = dead.hold().unwrap();
        assert_eq!(held.letters, [of("1"), of("2"), of("2"), of("3")]);
        assert!(dead.hold().is_err(), "two send the same ones");
        // What comes meanwhile waits for nobody.
        dead.keep(&of("4")).unwrap();
        held.note(&of("1"), "it answered 502").unwrap();
        held.remove(&of("2")).unwrap();
        let again = DeadLetter { problem: "it answered 502".to_owned(), ..of("1") };
        assert_eq!(dead.read().unwrap(), [again.clone(), of("2"), of("3"), of("4")]);
        // Whoever dies now has lost and repeated nothing.
        drop(held);
        assert_eq!(dead.hold().unwrap().letters, [again, of("2"), of("3"), of("4")]);
        dead.keep(&DeadLetter { webhook: "other".to_owned(), ..of("5") }).unwrap();
        dead.hold().unwrap().discard("ops").unwrap();
        assert_eq!(dead.read().unwrap().len(), 1);
        dead.hold().unwrap().discard("other").unwrap();
        assert_eq!((dead.read().unwrap(), dead.path().exists()), (vec![], false));
    }

    #[test]
    fn a_line_that_was_cut_short_costs_no_other_and_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let dead = DeadLetters::of(folder.path());
        let cut = &br#"{"at":"1","webh"#[..];
        // Neither is what a disk makes of it text as a rule.
        add(dead.path(), &[b"\xff\0\n", cut].concat());
        dead.keep(&of("2")).unwrap();
        add(dead.path(), cut);
        assert_eq!(dead.read().unwrap(), [of("2")]);
        let held = dead.hold().unwrap();
        assert_eq!((&held.letters[..], held.unread), (&[of("2")][..], 3));
        dead.keep(&of("3")).unwrap();
        held.remove(&of("2")).unwrap();
        assert_eq!(dead.read().unwrap(), [of("3")]);
        held.remove(&of("3")).unwrap();
        assert_eq!(fs::read(dead.path()).unwrap(), [b"\xff\0\n", cut, b"\n", cut, b"\n"].concat());
    }

    #[test]
    fn what_an_earlier_version_left_behind_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let dead = DeadLetters::of(folder.path());
        let taken = folder.path().join("dead-letters.taken.jsonl");
        add(&taken, &serde_json::to_vec(&of("1")).unwrap());
        add(&taken, b"\n{\"at");
        dead.keep(&of("2")).unwrap();
        assert_eq!(dead.read().unwrap(), [of("1"), of("2")]);
        let held = dead.hold().unwrap();
        held.remove(&of("1")).unwrap();
        held.remove(&of("2")).unwrap();
        assert_eq!((dead.read().unwrap(), held.unread), (vec![], 1));
        assert_eq!(fs::read_to_string(taken).unwrap(), "{\"at\n");
    }

    #[test]
    fn nothing_is_made_where_nothing_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        for results in [folder.path().join("none"), folder.path().to_owned()] {
            assert_eq!(DeadLetters::of(&results).hold().unwrap().letters, []);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn none_is_lost_where_many_write_while_others_are_taken_out() {
        let folder = tempfile::tempdir().unwrap();
        let dead = DeadLetters::of(folder.path());
        let taken = thread::scope(|scope| {
            let writers: Vec<_> = ["a", "b", "c"]
                .map(|name| {
                    let dead = &dead;
                    scope.spawn(move || (0..40).for_each(|number| dead.keep(&of(&format!("{name}{number}"))).unwrap()))
                })
                .into();
            let mut taken = Vec::new();
            while writers.iter().any(|writer| !writer.is_finished()) || !dead.read().unwrap().is_empty() {
                let held = dead.hold().unwrap();
                for letter in &held.letters {
                    held.remove(letter).unwrap();
                    taken.push(letter.at.clone());
                }
            }
            taken
        });
        let mut expected: Vec<String> =
            ["a", "b", "c"].iter().flat_map(|name| (0..40).map(move |number| format!("{name}{number}"))).collect();
        let mut all = taken;
        all.sort();
        expected.sort();
        assert_eq!(all, expected);
    }
}
