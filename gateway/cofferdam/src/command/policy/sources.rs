//! Copies the sources of a policy and of the library into one folder. Then a compiled rule names
//! its place as `FOLDER/FILE` on every machine. Never changes the sources.

use super::refusal;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The first part of the library's package names. Data of that name would replace them.
const LIBRARY: &str = "cofferdam";

/// The greatest depth of folders below a policy. It ends a link to a parent folder.
const DEPTH: usize = 8;

/// The file extensions that `opa` loads.
const KINDS: [&str; 4] = ["rego", "json", "yaml", "yml"];

/// Staged sources: `lib/` and the policy's folder under its own name.
#[derive(Debug)]
pub struct Sources {
    stage: TempDir,
    /// The policy's folder as it was named.
    folder: PathBuf,
    /// The folder with the library, `schema/` and `capabilities.json`.
    pub policies: PathBuf,
    /// The policy's folder within the stage.
    pub name: String,
}

impl Sources {
    /// Copies the policy and the library.
    ///
    /// # Errors
    /// One of the folders is missing; `data` for data in the place of a rule.
    pub fn stage(folder: &Path, policies: Option<PathBuf>) -> Result<Self> {
        if !folder.is_dir() {
            bail!("`{}` is no folder; name the one with the .rego files", folder.display());
        }
        let policies = policies.unwrap_or_else(|| folder.join(".."));
        let library = policies.join("lib");
        if !library.is_dir() {
            bail!("no library at `{}`; name its folder with `--policies DIR`", library.display());
        }
        let own = folder.canonicalize().context("cannot find the policy's folder")?;
        let name = own
            .file_name()
            .map_or_else(|| "policy".to_owned(), |name| name.to_string_lossy().into_owned());
        let name = if name == "lib" { "policy".to_owned() } else { name };
        let stage = tempfile::tempdir().context("cannot make a folder for the sources")?;
        copy(&library, &stage.path().join("lib"), DEPTH)?;
        copy(folder, &stage.path().join(&name), DEPTH)?;
        let policies = policies.canonicalize().context("cannot find the library's folder")?;
        let sources = Self { stage, folder: folder.to_owned(), policies, name };
        sources.check_data(&sources.root().join(&sources.name), true)?;
        Ok(sources)
    }

    /// The folder with both copies.
    pub fn root(&self) -> &Path {
        self.stage.path()
    }

    /// Copies the sources to another folder, for changes.
    pub fn copied(&self) -> Result<TempDir> {
        let copied = tempfile::tempdir().context("cannot make a folder for the sources")?;
        copy(self.root(), copied.path(), DEPTH + 1)?;
        Ok(copied)
    }

    /// The .rego files of the policy, as paths below the stage, sorted; tests among them.
    pub fn rego(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        collect(self.root(), &self.root().join(&self.name), &mut found)?;
        found.retain(|path| path.ends_with(".rego"));
        found.sort();
        Ok(found)
    }

    /// A place in the copy, as a path below the original folder.
    pub fn shown(&self, place: &str) -> String {
        match place.strip_prefix(&format!("{}/", self.name)) {
            Some(rest) => self.folder.join(rest).display().to_string(),
            None => place.strip_prefix("lib/").map_or_else(
                || place.to_owned(),
                |rest| self.policies.join("lib").join(rest).display().to_string(),
            ),
        }
    }

    /// Replaces the places in each line of a text.
    pub fn shown_lines(&self, text: &str) -> String {
        text.lines().map(|line| self.shown(line)).collect::<Vec<_>>().join("\n")
    }

    /// Refuses data under the name of the library: a top-level key or a folder.
    fn check_data(&self, folder: &Path, top: bool) -> Result<()> {
        let mut files = Vec::new();
        collect(self.root(), folder, &mut files)?;
        for file in files.iter().filter(|file| !file.ends_with(".rego")) {
            let below = file.strip_prefix(&format!("{}/", self.name)).unwrap_or(file);
            let text = std::fs::read_to_string(self.root().join(file))
                .with_context(|| format!("`{}`", self.shown(file)))?;
            let in_folder = below.split('/').next() == Some(LIBRARY) && below.contains('/');
            if in_folder || (top && !below.contains('/') && has_key(file, &text)) {
                let detail = format!(
                    "{}: data under `{LIBRARY}` would stand in the place of the library's rules, \
                     which have that name; give these data another name",
                    self.shown(file)
                );
                return Err(refusal("data", detail));
            }
        }
        Ok(())
    }
}

/// Returns whether a data file has the library's name at its top. Finds plain YAML: a key at the
/// start of a line, or an inline map. The check of the built data document finds other forms.
fn has_key(file: &str, text: &str) -> bool {
    if file.ends_with(".json") {
        return serde_json::from_str::<Value>(text).is_ok_and(|value| value.get(LIBRARY).is_some());
    }
    text.lines().any(|line| {
        let key = line.trim_start_matches(['{', ' ', '"', '\'']);
        let plain = !line.starts_with(' ') || line.trim_start().starts_with('{');
        plain
            && key
                .strip_prefix(LIBRARY)
                .is_some_and(|rest| rest.trim_start_matches(['"', '\'', ' ']).starts_with(':'))
    })
}

fn copy(from: &Path, to: &Path, depth: usize) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("cannot make `{}`", to.display()))?;
    for entry in entries(from)? {
        let (path, target) = (entry.as_path(), to.join(entry.file_name().unwrap_or_default()));
        if path.is_dir() {
            if depth > 0 && !path.ends_with("testdata") {
                copy(path, &target, depth - 1)?;
            }
        } else if path.extension().is_some_and(|kind| KINDS.iter().any(|known| kind == *known)) {
            std::fs::copy(path, &target)
                .with_context(|| format!("cannot read `{}`", path.display()))?;
        }
    }
    Ok(())
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<String>) -> Result<()> {
    for path in entries(folder)? {
        if path.is_dir() {
            collect(root, &path, found)?;
        } else {
            found.push(path.strip_prefix(root).unwrap_or(&path).display().to_string());
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed = std::fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let mut paths: Vec<PathBuf> = listed
        .with_context(|| format!("cannot list `{}`", folder.display()))?
        .into_iter()
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    Ok(paths)
}
