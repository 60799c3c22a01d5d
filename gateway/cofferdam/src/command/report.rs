//! The report of a command: text for people, JSON for programs, and an exit code. No other file
//! prints a result.

use crate::config::ConfigErrors;
use anyhow::Result;
use cofferdam_core::journey::ports::GuestError;
use cofferdam_core::model::escape::line;
use serde_json::{Value, json};
use std::io::{BufWriter, StdoutLock, Write as _};
use std::process::ExitCode;

/// `EX_USAGE` of sysexits.h: the exit code for an error in the configuration.
const CONFIGURATION: u8 = 64;
/// The exit code of clap for a usage error.
const USAGE: u8 = 2;

/// The result of a command.
#[derive(Debug)]
pub struct Report {
    text: String,
    json: Option<Value>,
    good: bool,
}

impl Report {
    /// A result. `text` has no line break at its end.
    pub fn new(text: impl Into<String>, json: Value) -> Self {
        Self { text: text.into(), json: Some(json), good: true }
    }

    /// A result without output: the log already has everything.
    pub fn silent() -> Self {
        Self { text: String::new(), json: None, good: true }
    }

    /// The JSON for programs.
    #[cfg(test)]
    pub fn value(&self) -> Value {
        self.json.clone().unwrap_or_default()
    }

    /// Marks a refusal or a failure, which exits with 1.
    #[must_use]
    pub fn good(mut self, good: bool) -> Self {
        self.good = good;
        self
    }
}

/// Standard output, for results that are printed while they are made.
pub struct Output(BufWriter<StdoutLock<'static>>);

impl Output {
    /// Standard output, until this is dropped.
    pub fn new() -> Self {
        Self(BufWriter::new(std::io::stdout().lock()))
    }

    /// Prints a text, which has its own line breaks. False once the reader closed the pipe.
    pub fn print(&mut self, text: &str) -> bool {
        self.0.write_all(text.as_bytes()).and_then(|()| self.0.flush()).is_ok()
    }

    /// Prints a sentence about the result, beside it.
    pub fn note(&mut self, text: &str) {
        eprintln!("note: {text}");
    }
}

/// A usage error that only the combination of arguments shows.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Prints the result or the error; returns the exit code.
pub fn end(done: Result<Report>, json: bool) -> ExitCode {
    match done {
        Ok(report) => {
            let printed = match (report.json, json) {
                (Some(value), true) => write_out(&format!("{:#}", marked(value))),
                (Some(_), false) => write_out(&report.text),
                (None, _) => Ok(()),
            };
            match printed {
                Ok(()) if report.good => ExitCode::SUCCESS,
                _ => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            let said = cofferdam_core::model::escape::chain(error.as_ref());
            let shown = on_terminal(&said);
            if json {
                match error.chain().find_map(|cause| cause.downcast_ref::<GuestError>()) {
                    Some(refused) => {
                        eprintln!("{}", marked(json!({"error": said, "code": refused.code})))
                    }
                    None => eprintln!("{}", marked(json!({"error": said}))),
                }
            } else {
                eprintln!("error: {shown}");
            }
            if error.is::<ConfigErrors>() {
                ExitCode::from(CONFIGURATION)
            } else if error.is::<Usage>() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// Escapes an error for a terminal. Parts of it may come from a role, an agent or a file, and could
/// have control characters. Line breaks remain.
fn on_terminal(said: &str) -> String {
    said.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// The version of the JSON form. New keys keep the version; a changed key needs a new one.
const FORM: &str = "cofferdam.cli.v1";

/// Adds the version to a JSON result.
pub fn marked(mut value: Value) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.insert("schema".to_owned(), FORM.into());
    }
    value
}

/// A reader that closed the pipe (`cofferdam jobs | head`) is not an error.
fn write_out(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_gives_a_terminal_no_commands() {
        let told = on_terminal("it failed\nthe tool says: \u{1b}]0;x\u{7}\r\u{9b}2J\u{202e}");
        assert_eq!(
            told,
            r"it failed\nthe tool says: \u{1b}]0;x\u{7}\u{d}\u{9b}2J\u{202e}"
                .replacen(r"\n", "\n", 1)
        );
    }
}
