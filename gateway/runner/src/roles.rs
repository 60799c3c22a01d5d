//! The roles of this binary: the files of each before it confines itself, and its use of the
//! sockets that it receives.

pub mod lent_guests;
pub mod reaper;
pub mod runner;
pub mod viewer;

use anyhow::{Context as _, Result, bail};
use cofferdam_core::model::trust::{Environment, Trust};
use cofferdam_process::confine::{self, Calls, Confined, Files, NewSockets};
use cofferdam_process::rooted_fs::Root;
use cofferdam_runner::trust_file::{TrustFile, TrustFileError};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

/// The API server that a role may connect to.
#[derive(Debug, Clone, Copy)]
pub struct Server {
    /// The TCP port of the API server.
    pub port: u16,
    /// True if the kubeconfig names an address, so that no name has to be resolved.
    pub is_address: bool,
}

/// A role's own trust file, which is for the environment that is served.
fn trust(path: &Path, role: &str, environment: &Environment) -> Result<TrustFile> {
    let file = TrustFile::new(path.to_owned());
    if read_trust(path, file.read())?.environment != *environment {
        bail!("the {role}'s trust file is for another environment than the one that is served");
    }
    Ok(file)
}

fn read_trust(path: &Path, read: Result<Arc<Trust>, TrustFileError>) -> Result<Arc<Trust>> {
    match read {
        Err(TrustFileError::Read(error)) => {
            Err(error).with_context(|| format!("cannot read the trust file `{}`", path.display()))
        }
        trust => Ok(trust?),
    }
}

fn folder(path: &Path) -> Result<&Path> {
    path.parent().with_context(|| format!("`{}` has no parent folder", path.display()))
}

/// Opens a tree of manifests.
pub fn open(tree: &Path) -> Result<Root> {
    Root::open(tree).with_context(|| format!("cannot open the tree `{}`", tree.display()))
}

/// Confines this process to these files, to the port of the one API server, and to the calls of its
/// role.
fn confine(files: Files<'_>, server: Option<Server>, role: Calls) -> Result<Confined> {
    let ports: Vec<u16> = server.iter().map(|server| server.port).collect();
    let confined = confine::files(Files { connect: &ports, ..files })?;
    if server.is_some() && !confine::knows_ports() {
        tracing::warn!(
            what = "TCP ports",
            "this kernel does not confine TCP ports: a role that is taken over could connect to \
             any; Linux 6.7 or newer does"
        );
    }
    confine::new_sockets(match server {
        None => NewSockets::None,
        Some(server) if server.is_address => NewSockets::Tcp,
        Some(_) => NewSockets::Internet,
    })?;
    confine::calls(role)?;
    Ok(confined)
}

/// Creates a removed folder of the runner again. Its content is lost either way, and no job runs
/// without it.
pub fn made_again(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let made = DirBuilder::new().mode(0o700).create(folder);
    made.with_context(|| format!("cannot create the missing folder `{}`", folder.display()))?;
    tracing::warn!(
        path = %folder.display(),
        "a folder of this installation was missing; created it, empty"
    );
    Ok(())
}
