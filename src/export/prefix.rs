use std::fmt;

/// What the names in `config.py` begin with, without the `_` that follows: `SUPABASE` for `SUPABASE_MAX_CONNECTIONS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

/// A text that no Python name can begin with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the prefix is {given:?}: expected letters of ASCII, digits and `_`, not a digit first, such as SUPABASE")]
pub struct PrefixError {
    /// What was given.
    pub given: String,
}

impl Prefix {
    /// Reads a prefix: letters are made capitals, and `_` at the end is dropped, for one is put there anyway.
    ///
    /// # Errors
    /// [`PrefixError`] when a name that begins with `text` would be no name of Python.
    pub fn parse(text: &str) -> Result<Self, PrefixError> {
        let name = text.trim_end_matches('_').to_ascii_uppercase();
        let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        if starts_well && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_') {
            Ok(Self(name))
        } else {
            Err(PrefixError { given: text.to_owned() })
        }
    }
}

impl Default for Prefix {
    /// The guide's.
    fn default() -> Self {
        Self("SUPABASE".to_owned())
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_made_capitals_without_the_underscore_at_its_end() {
        assert_eq!(Prefix::parse("db_Pool2__").unwrap().to_string(), "DB_POOL2");
        assert_eq!(Prefix::parse("_db").unwrap().to_string(), "_DB");
    }

    #[test]
    fn what_begins_no_python_name_is_refused_with_a_remedy() {
        for text in ["", "_", "2db", "db-pool", "db pool", "größe", "a\n", "x=1;y"] {
            assert!(Prefix::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(
            Prefix::parse("2db").unwrap_err().to_string(),
            "the prefix is \"2db\": expected letters of ASCII, digits and `_`, not a digit first, such as SUPABASE"
        );
    }
}
