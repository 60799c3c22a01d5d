//! The source of an agent's token for commands that act as an agent: a file or a variable. A token
//! is never a word of a command line, where other users of the machine could read it.

use super::input_file;
use anyhow::Result;
use clap::{Args, ValueHint};
use std::path::PathBuf;

/// The variable with the token of an agent.
pub const TOKEN: &str = "COFFERDAM_TOKEN";

/// The source of the agent's token.
#[derive(Debug, Clone, Args)]
pub struct Token {
    /// A file with the agent's token [default: the token in the variable COFFERDAM_TOKEN; without
    /// any configured agent, no token is needed]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    token_file: Option<PathBuf>,
}

impl Token {
    /// Reads the token. Returns `None` if no source names one.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&self) -> Result<Option<String>> {
        match &self.token_file {
            Some(path) => {
                let text = input_file::text(
                    path,
                    "give a file with the token that `cofferdam agents add` printed",
                )?;
                Ok(Some(text.trim().to_owned()))
            }
            None => Ok(std::env::var(TOKEN).ok().filter(|token| !token.is_empty())),
        }
    }

    /// A token in this file.
    #[cfg(test)]
    pub fn of_file(path: PathBuf) -> Self {
        Self { token_file: Some(path) }
    }
}
