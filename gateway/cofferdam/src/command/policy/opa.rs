//! Finds and runs the program `opa` in the folder of staged sources. Never runs a compiled policy:
//! the sandbox does.

use super::refusal;
use anyhow::{Context as _, Result};
use serde_json::Value;
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The path of `opa`: `$OPA`, the search path, or the folder of `scripts/setup`.
pub fn opa() -> Option<PathBuf> {
    let named = std::env::var_os("OPA").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("opa"));
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let set_up = cache.into_iter().filter_map(|cache| {
        let mut found: Vec<PathBuf> = std::fs::read_dir(cache.join("cofferdam"))
            .ok()?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("opa-"))
            })
            .map(|path| path.join("opa"))
            .collect();
        found.sort();
        found.pop()
    });
    named.into_iter().chain(on_path).chain(set_up).find(|path| path.is_file())
}

/// `opa` with its working folder: every path in its output is relative to that folder.
#[derive(Debug, Clone)]
pub struct Opa {
    program: PathBuf,
    folder: PathBuf,
}

impl Opa {
    /// Finds `opa` on this machine.
    ///
    /// # Errors
    /// `opa` is not installed.
    pub fn at(folder: &Path) -> Result<Self> {
        let program = opa().context(
            "`opa` is missing; `scripts/setup tools` builds it, or set OPA to where it is",
        )?;
        Ok(Self { program: std::path::absolute(program)?, folder: folder.to_owned() })
    }

    /// The same program with another working folder.
    pub fn in_folder(&self, folder: &Path) -> Self {
        Self { program: self.program.clone(), folder: folder.to_owned() }
    }

    /// Runs it to its end, with this text on its standard input.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S], input: &str) -> Result<Output> {
        let mut child = Command::new(&self.program)
            .args(arguments)
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start `opa`")?;
        let mut stdin = child.stdin.take();
        let text = input.to_owned();
        // `opa` may write before it has read all input: a full pipe must stop neither side.
        let writer = std::thread::spawn(move || {
            stdin.as_mut().map_or(Ok(()), |stdin| stdin.write_all(text.as_bytes()))
        });
        let output = child.wait_with_output().context("cannot wait for `opa`")?;
        let _closed_early = writer.join();
        Ok(output)
    }

    /// Runs `opa` and parses its output as JSON.
    ///
    /// # Errors
    /// `check`: the error text of `opa`.
    pub fn json<S: AsRef<OsStr>>(&self, arguments: &[S], input: &str) -> Result<Value> {
        let output = self.run(arguments, input)?;
        if !output.status.success() {
            return Err(refusal("check", error_text(&output)));
        }
        serde_json::from_slice(&output.stdout).context("the answer of `opa` is not readable")
    }

    /// Reads the data document of a folder, as its module gets it; `None` for a folder without data.
    ///
    /// # Errors
    /// `check`: the error text of `opa`.
    pub fn data(&self, folder: &str) -> Result<Option<Value>> {
        let tests = ["--ignore", "*.rego", "--ignore", "testdata"];
        let arguments = [&["eval", "--format", "json"][..], &tests, &["-d", folder, "data"]];
        let answer = self.json(&arguments.concat(), "")?;
        Ok(answer.pointer("/result/0/expressions/0/value").cloned())
    }
}

/// The errors in an output of `opa`, if it has the JSON form of errors.
pub fn errors(output: &Output) -> Option<Vec<Value>> {
    [&output.stderr, &output.stdout].into_iter().find_map(|text| {
        serde_json::from_slice::<Value>(text).ok()?.get("errors")?.as_array().cloned()
    })
}

/// The errors in an output of `opa`, one a line, or the whole output if it has another form.
pub fn error_text(output: &Output) -> String {
    errors(output).map_or_else(
        || output_text(output),
        |errors| errors.iter().map(error_line).collect::<Vec<_>>().join("\n"),
    )
}

/// One error of `opa` as `FILE:ROW:COLUMN: MESSAGE`, with the names that are known in its place.
pub fn error_line(error: &Value) -> String {
    let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
    let known = error.pointer("/details/oneOf").and_then(Value::as_array);
    let known: Vec<String> = known
        .into_iter()
        .flatten()
        .map(|name| format!("`{}`", name.as_str().map_or_else(|| name.to_string(), str::to_owned)))
        .collect();
    let known = match known.as_slice() {
        [] => String::new(),
        names => format!("; known here: {}", names.join(", ")),
    };
    format!("{}{message}{known}", place(error).map_or(String::new(), |place| place + ": "))
}

/// The place of an error, if it has one.
pub fn place(error: &Value) -> Option<String> {
    let file = error.pointer("/location/file").and_then(Value::as_str)?;
    let number = |pointer| error.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    Some(format!("{file}:{}:{}", number("/location/row"), number("/location/col")))
}

/// The whole output, for people.
pub fn output_text(output: &Output) -> String {
    let texts = [&output.stdout, &output.stderr]
        .map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
    texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
}
