//! Command lines in the pages of this repository are ones that this binary takes: each command of a
//! `sh` block is parsed, and inline code names subcommands and options that exist. Runs no command.

#[path = "../../../../tests/it/tidy/shell.rs"]
mod shell;

use super::Cli;
use clap::{Command, CommandFactory as _, error::ErrorKind};
use std::path::{Path, PathBuf};

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All pages, with their texts.
fn pages() -> Vec<(PathBuf, String)> {
    let mut folders = vec![root()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir()
                && !path.is_symlink()
                && name != "target"
                && name != "node_modules"
                && !name.starts_with('.')
            {
                folders.push(path);
            } else if name.ends_with(".md") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}

/// The cause, if a whole command line is not taken.
fn refused(words: &[String]) -> Option<String> {
    let fault = Cli::command().try_get_matches_from(words).err()?;
    let is_help = matches!(fault.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    (!is_help).then(|| fault.to_string())
}

/// The cause, if a subcommand or an option of a part of a command line does not exist.
fn unknown(words: &[String]) -> Option<String> {
    let whole = Cli::command();
    let mut command = &whole;
    for word in words.iter().skip(1) {
        if let Some(option) = word.strip_prefix("--") {
            let option = option.split('=').next().unwrap_or_default();
            let has = |command: &Command| {
                command.get_arguments().any(|argument| argument.get_long() == Some(option))
            };
            if !matches!(option, "help" | "version") && !has(command) && !has(&whole) {
                return Some(format!("there is no `--{option}`"));
            }
        } else if command.has_subcommands()
            && word.starts_with(|sign: char| sign.is_ascii_lowercase())
        {
            let mut named = word.split('|').map(|name| {
                command.find_subcommand(name).ok_or_else(|| format!("there is no `{name}`"))
            });
            match named.try_fold(None, |first, next| next.map(|next| first.or(Some(next)))) {
                Ok(first) => command = first.unwrap_or(command),
                Err(fault) => return Some(fault),
            }
        }
    }
    None
}

#[test]
fn pages_show_command_lines_that_are_taken() {
    let is_ours = |words: &[String]| {
        words.first().is_some_and(|word| word == "cofferdam" || word.ends_with("/cofferdam"))
    };
    let (mut checked, mut faults) = (0, String::new());
    for (path, text) in pages() {
        let blocks = shell::commands(&text).into_iter().filter(|(_, words)| is_ours(words));
        let whole = blocks.map(|(line, words)| (line, refused(&words), words));
        let parts = shell::inline(&text, "cofferdam")
            .into_iter()
            .map(|(line, words)| (line, unknown(&words), words));
        for (line, fault, words) in whole.chain(parts) {
            checked += 1;
            if let Some(fault) = fault {
                faults += &format!("{}:{line}: `{}`: {fault}\n", path.display(), words.join(" "));
            }
        }
    }
    assert!(faults.is_empty(), "{faults}");
    assert!(checked > 60, "only {checked} commands were found in the pages");
}

#[test]
fn a_wrong_command_line_is_found() {
    let words = |line: &str| -> Vec<String> { line.split(' ').map(str::to_owned).collect() };
    assert_eq!(refused(&words("cofferdam approve 4kq2 --yes")), None);
    assert!(refused(&words("cofferdam approve 4kq2 --sure")).is_some());
    assert!(refused(&words("cofferdam resolve 4kq2")).is_some());
    assert_eq!(unknown(&words("cofferdam resolve ID --as succeeded|failed --because TEXT")), None);
    assert_eq!(unknown(&words("cofferdam agents add|remove")), None);
    assert!(unknown(&words("cofferdam agents add|forget")).is_some());
    assert!(unknown(&words("cofferdam frobnicate")).is_some());
    assert!(unknown(&words("cofferdam show ID --loud")).is_some());
}
