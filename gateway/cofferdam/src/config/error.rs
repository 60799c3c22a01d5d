//! A fault of a configuration file: which key, what is wrong, what to do. Never stops at the first.

use std::fmt;

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file's name, with the line where that is known: `cofferdam.toml:12`.
    pub file: String,
    /// Dotted path of the key; empty where the file as a whole is meant.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl ConfigError {
    /// A fault.
    pub fn new(file: &str, key: &str, problem: impl Into<String>, remedy: &str) -> Self {
        Self {
            file: file.to_owned(),
            key: key.to_owned(),
            problem: problem.into(),
            remedy: remedy.to_owned(),
        }
    }

    /// File, key and problem, without the remedy.
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

/// Every fault that was found, at least one.
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
