//! `cofferdam build`: compiles the crate of a guest to a component that would load. Calls cargo;
//! encodes, checks and inspects the result in this process.

use super::component;
use super::inspect::inspect;
use super::plugin::{Bench, NO_CLOCK, has_clock};
use super::report::Report;
use crate::config::home::Home;
use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueHint};
use cofferdam_core::model::escape::line;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The target of tools and executors: a machine without an operating system.
const PLUGIN: &str = "wasm32-unknown-unknown";

/// The target of Wasm commands: programs with an input and an output.
const COMMAND: &str = "wasm32-wasip2";

/// Compiles the crate of a tool, an executor or a command to a component, checks its imports, and
/// prints its ceiling. If a check fails, the command prints the cause and the remedy.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cofferdam new label_set\n  cofferdam build label_set")]
pub struct Build {
    /// The folder of the crate
    #[arg(value_hint = ValueHint::DirPath)]
    folder: PathBuf,
    /// The file to write [default: components/NAME.wasm in cargo's target folder]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
}

impl Build {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home) -> Result<Report> {
        let package = Package::of(&self.folder)?;
        // A crate with a program is a command; a library is a tool or an executor.
        let (machine, file) = match self.folder.join("src/main.rs").exists() {
            true => (COMMAND, package.name.clone()),
            false => (PLUGIN, package.name.replace('-', "_")),
        };
        eprintln!("building {} for {machine} …", package.name);
        package.compile(&self.folder, machine)?;
        let core = package.target.join(machine).join("release").join(format!("{file}.wasm"));
        let bytes = std::fs::read(&core).with_context(|| {
            format!(
                "cargo built no `{}`; the crate of a tool or executor needs `[lib] crate-type = \
                 [\"cdylib\"]`",
                core.display()
            )
        })?;
        let component = component::encode(&bytes)?;
        component::surface(&component)?.role()?;
        eprintln!(
            "a component of {} bytes with {} import(s)",
            component.len(),
            component::imports(&component)?.len()
        );
        let out = self.out.unwrap_or_else(|| {
            package.target.join("components").join(format!("{}.wasm", package.name))
        });
        if let Some(folder) = out.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make `{}`", folder.display()))?;
        }
        std::fs::write(&out, &component)
            .with_context(|| format!("cannot write `{}`", out.display()))?;
        if has_clock(&component) {
            eprintln!("warning: {NO_CLOCK}");
        }
        let bench = Bench::start()?;
        let plugin = bench.read(&out)?;
        inspect(&bench, &plugin, home)
    }
}

/// The error of cargo on one line, with the remedy of a common error.
fn refused(manifest: &Path, said: &str) -> String {
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let words = line(words.trim_start_matches("error: "));
    let manifest = manifest.display();
    // The error of cargo for a copied folder with its old name.
    if words.contains("two packages named")
        || words.contains("package collision")
        || words.contains("ambiguous")
    {
        return format!(
            "another crate of this workspace has the same name; give this one its own `name` in \
             `{manifest}` ({words})"
        );
    }
    format!("cargo cannot read `{manifest}`: {words}")
}

/// The package in cargo's metadata.
struct Package {
    name: String,
    workspace: PathBuf,
    target: PathBuf,
}

impl Package {
    fn of(folder: &Path) -> Result<Self> {
        let manifest = folder.join("Cargo.toml");
        let text = match std::fs::read_to_string(&manifest) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!(
                "no crate in `{}`: it has no Cargo.toml; `cofferdam new NAME` makes a crate",
                folder.display()
            ),
            read => read.with_context(|| format!("cannot read `{}`", manifest.display()))?,
        };
        let document: toml::Table = toml::from_str(&text)
            .with_context(|| format!("`{}` is not readable", manifest.display()))?;
        let name = document
            .get("package")
            .and_then(|package| package.get("name"))
            .and_then(toml::Value::as_str);
        let name =
            name.with_context(|| format!("`{}` names no package", manifest.display()))?.to_owned();
        let output = Command::new("cargo")
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .current_dir(folder)
            .output()
            .context("cannot start `cargo`; install Rust with rustup (https://rustup.rs)")?;
        if !output.status.success() {
            bail!("{}", refused(&manifest, &String::from_utf8_lossy(&output.stderr)));
        }
        let metadata: Value =
            serde_json::from_slice(&output.stdout).context("cargo's metadata is not readable")?;
        let place = |key: &str| {
            metadata
                .get(key)
                .and_then(Value::as_str)
                .map(PathBuf::from)
                .context("cargo's metadata lacks a folder")
        };
        Ok(Self { name, workspace: place("workspace_root")?, target: place("target_directory")? })
    }

    /// Builds the crate as `scripts/build-guests` does. Paths of this machine must not change the
    /// digest of a component.
    fn compile(&self, folder: &Path, machine: &str) -> Result<()> {
        let sysroot = Command::new("rustc")
            .args(["--print", "sysroot"])
            .current_dir(folder)
            .output()
            .context("cannot start `rustc`")?;
        let sysroot = String::from_utf8_lossy(&sysroot.stdout).trim().to_owned();
        let cargo = std::env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")))
            .unwrap_or_default();
        let flags = [
            (self.workspace.as_path(), "/plugins"),
            (cargo.as_path(), "/cargo"),
            (Path::new(&sysroot), "/rust"),
        ]
        .map(|(from, to)| format!("'--remap-path-prefix={}={to}'", from.display()));
        // Runs in the folder of `.cargo/config.toml`, which sets the memory of a guest.
        let status = Command::new("cargo")
            .args(["build", "--release", "--target", machine, "-p", &self.name, "--config"])
            .arg(format!("target.{machine}.rustflags = [{}]", flags.join(", ")))
            .current_dir(&self.workspace)
            .status()
            .context("cannot start `cargo`")?;
        if status.success() {
            Ok(())
        } else {
            bail!(
                "cargo failed; see above (a missing target is added with `rustup target add \
                 {machine}`)"
            )
        }
    }
}
