//! An error in a configuration file: key, problem and remedy. All errors are collected, not only
//! the first.

use std::fmt;

/// One error in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The name of the file, with the line if known: `cofferdam.toml:12`.
    pub file: String,
    /// The dotted path of the key; empty for the whole file.
    pub key: String,
    /// The problem.
    pub problem: String,
    /// The remedy.
    pub remedy: String,
}

impl ConfigError {
    /// Makes an error of a key.
    pub fn new(file: &str, key: &str, problem: impl Into<String>, remedy: &str) -> Self {
        Self {
            file: file.to_owned(),
            key: key.to_owned(),
            problem: problem.into(),
            remedy: remedy.to_owned(),
        }
    }

    /// The file, the key and the problem, without the remedy.
    pub fn cause(&self) -> String {
        let key = if self.key.is_empty() { String::new() } else { format!(" {}:", self.key) };
        format!("{}:{key} {}", self.file, self.problem)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.cause(), self.remedy)
    }
}

/// All errors, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "{one}"),
            all => {
                write!(f, "{} faults in the configuration:", all.len())?;
                all.iter().try_for_each(|error| write!(f, "\n  {error}"))
            }
        }
    }
}

impl std::error::Error for ConfigErrors {}
