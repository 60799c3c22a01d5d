//! `cofferdam build`: from a guest's crate to a component that would be loaded. Calls cargo; encodes, checks and inspects by itself.

use super::inspect::inspect;
use super::plugin::Bench;
use super::report::Report;
use crate::encode;
use crate::home::Home;
use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueHint};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What tools and executors are compiled for: a machine that has nothing.
const PLUGIN: &str = "wasm32-unknown-unknown";

/// What commands are compiled for: programs, with an input and an output.
const COMMAND: &str = "wasm32-wasip2";

/// Compiles the crate of a tool, an executor or a command, makes a component of it, checks what it asks for and says what it could ever do.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cp -r plugins/tools/hello plugins/tools/mine\n  cofferdam build plugins/tools/mine")]
pub struct Build {
    /// The crate's folder
    #[arg(value_hint = ValueHint::DirPath)]
    folder: PathBuf,
    /// Write the component here [default: components/NAME.wasm in cargo's target folder]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
}

impl Build {
    /// Runs it.
    pub fn run(self, home: &Home) -> Result<Report> {
        let package = Package::of(&self.folder)?;
        // A program is a command, a library anything else.
        let (machine, file) = match self.folder.join("src/main.rs").exists() {
            true => (COMMAND, package.name.clone()),
            false => (PLUGIN, package.name.replace('-', "_")),
        };
        eprintln!("building {} for {machine} …", package.name);
        package.compile(&self.folder, machine)?;
        let core = package.target.join(machine).join("release").join(format!("{file}.wasm"));
        let bytes = std::fs::read(&core).with_context(|| {
            format!("cargo built no `{}`; the crate of a tool or executor needs `[lib] crate-type = [\"cdylib\"]`", core.display())
        })?;
        let component = encode::encode(&bytes)?;
        encode::surface(&component)?.role()?;
        eprintln!("a component of {} bytes with {} import(s)", component.len(), encode::imports(&component)?.len());
        let out = self.out.unwrap_or_else(|| package.target.join("components").join(format!("{}.wasm", package.name)));
        if let Some(folder) = out.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
        }
        std::fs::write(&out, &component).with_context(|| format!("cannot write `{}`", out.display()))?;
        let plugin = Bench::start()?.read(&out)?;
        inspect(&plugin, home)
    }
}

/// What cargo says of the crate.
struct Package {
    name: String,
    workspace: PathBuf,
    target: PathBuf,
}

impl Package {
    fn of(folder: &Path) -> Result<Self> {
        let manifest = folder.join("Cargo.toml");
        let text = std::fs::read_to_string(&manifest)
            .with_context(|| format!("no crate in `{}`; copy plugins/tools/hello to begin with", folder.display()))?;
        let document: toml::Table = toml::from_str(&text).with_context(|| format!("`{}` is not readable", manifest.display()))?;
        let name = document.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str);
        let name = name.with_context(|| format!("`{}` names no package", manifest.display()))?.to_owned();
        let output = Command::new("cargo")
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .current_dir(folder)
            .stderr(Stdio::inherit())
            .output()
            .context("cannot start `cargo`; install Rust with rustup (https://rustup.rs)")?;
        if !output.status.success() {
            bail!("cargo does not understand the crate; see above");
        }
        let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo's metadata is not readable")?;
        let place = |key: &str| metadata.get(key).and_then(Value::as_str).map(PathBuf::from).context("cargo's metadata lacks a folder");
        Ok(Self { name, workspace: place("workspace_root")?, target: place("target_directory")? })
    }

    /// Builds it as `scripts/build-guests` does: paths of this machine must not decide the digest of a component.
    fn compile(&self, folder: &Path, machine: &str) -> Result<()> {
        let sysroot = Command::new("rustc").args(["--print", "sysroot"]).current_dir(folder).output().context("cannot start `rustc`")?;
        let sysroot = String::from_utf8_lossy(&sysroot.stdout).trim().to_owned();
        let cargo = std::env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")))
            .unwrap_or_default();
        let flags = [(self.workspace.as_path(), "/plugins"), (cargo.as_path(), "/cargo"), (Path::new(&sysroot), "/rust")]
            .map(|(from, to)| format!("'--remap-path-prefix={}={to}'", from.display()));
        // Run where `.cargo/config.toml` lies, which fixes a guest's memory.
        let status = Command::new("cargo")
            .args(["build", "--release", "--target", machine, "-p", &self.name, "--config"])
            .arg(format!("target.{machine}.rustflags = [{}]", flags.join(", ")))
            .current_dir(&self.workspace)
            .status()
            .context("cannot start `cargo`")?;
        if status.success() {
            Ok(())
        } else {
            bail!("cargo failed; see above (a missing target is added with `rustup target add {machine}`)")
        }
    }
}
