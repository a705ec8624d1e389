use super::edit::{line_of, line_text};
use crate::report::words::one_line;

/// Why a file is left as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntoError {
    /// The text is not what its name says.
    #[error("line {line} is not understood: `{shown}`; mend the line, then try again")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// Its text.
        shown: String,
    },
    /// A name that is given a value more than once.
    #[error(
        "`{name}` is defined in line {first} and in line {second}, so that it is open which one counts; remove one, or name \
         the class, dictionary, table or mapping to change with --within"
    )]
    Twice {
        /// The name.
        name: String,
        /// The first line.
        first: usize,
        /// The second line.
        second: usize,
    },
    /// Values that cannot be replaced.
    #[error("{}", list(.0))]
    Obstacles(Vec<Obstacle>),
    /// The file is another pool's, and nothing would read what is added.
    #[error(
        "line {line}: it is a configuration of {pool}, whose pool reads other names; print those with \
         `pool-tune export --format {format}`, and put them there"
    )]
    OtherPool {
        /// The line that shows it.
        line: usize,
        /// Whose it is.
        pool: &'static str,
        /// The format that has its names.
        format: &'static str,
    },
    /// There is no such part of the file.
    #[error(
        "there is no class, dictionary, table or mapping named `{0}` in it; leave --within out, or name one that is there"
    )]
    NoSuchPart(String),
    /// Python would read the bytes otherwise.
    #[error("line {line} says that the file's encoding is {encoding}; save it as UTF-8, and say so there")]
    Encoding {
        /// The line that says so.
        line: usize,
        /// What it says.
        encoding: String,
    },
    /// The text that would be written does not hold what was asked for.
    #[error("the changed file would not read as the settings that were asked for, so it is left as it was")]
    NotReadBack,
}

/// A place that holds no plain value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The line, from 1.
    pub line: usize,
    /// The name whose value it is.
    pub name: String,
    /// What is there, and what to do.
    pub text: String,
}

impl IntoError {
    /// An error in the line that holds a byte.
    pub(in crate::export) fn syntax(source: &str, at: usize) -> Self {
        Self::Syntax { line: line_of(source, at), shown: shortened(line_text(source, at)) }
    }
}

/// A piece of a file as it is shown in a message: one line, not too long.
pub(super) fn shortened(text: &str) -> String {
    let line = one_line(text.trim());
    match line.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn list(obstacles: &[Obstacle]) -> String {
    let lines = obstacles.iter().map(|Obstacle { line, name, text }| format!("line {line}: `{name}` {text}"));
    lines.collect::<Vec<_>>().join("\n- ")
}
