//! A program of `tests/clients/oauth`: takes a word a line, and tells a JSON object a line.

use crate::clients::installed;
use crate::installation::{repository, text};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running program. It ends with its standard input.
pub struct Program {
    child: Child,
    words: Option<ChildStdin>,
    lines: BufReader<ChildStdout>,
    /// Everything that it told.
    pub told: Vec<Value>,
}

impl Program {
    /// A program of Node, with the packages of `tests/clients/oauth`.
    pub fn node(file: &str, words: &[&str]) -> Self {
        let folder = installed("oauth");
        let mut command = Command::new("node");
        command.arg("--no-warnings").arg(path(file)).arg(text(&folder)).args(words);
        Self::start(command)
    }

    /// A program of the official Python client's environment.
    pub fn python(file: &str, words: &[&str]) -> Self {
        let python = std::env::var_os("COFFERDAM_PYTHON").expect(
            "COFFERDAM_PYTHON is not set: run `scripts/test`, which installs the Python client",
        );
        let mut command = Command::new(python);
        command.arg(path(file)).args(words);
        Self::start(command)
    }

    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let words = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, words, lines, told: Vec::new() }
    }

    /// The next line with this key.
    pub fn next(&mut self, key: &str) -> Value {
        loop {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line).unwrap();
            assert!(read > 0, "the program ended: {:#?}", self.told);
            // A library may tell things of its own.
            let Ok(told) = serde_json::from_str::<Value>(&line) else { continue };
            self.told.push(told.clone());
            if told.get(key).is_some() {
                return told;
            }
        }
    }

    /// Gives a line, and returns the next line with this key.
    pub fn ask(&mut self, words: &str, key: &str) -> Value {
        writeln!(self.words.as_mut().unwrap(), "{words}").unwrap();
        self.next(key)
    }

    /// The number of lines with this value of `event`.
    pub fn count(&self, event: &str) -> usize {
        self.told.iter().filter(|told| told["event"] == event).count()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.words.take());
        let _ended = self.child.wait();
    }
}

fn path(file: &str) -> PathBuf {
    repository().join("tests/clients/oauth").join(file)
}
