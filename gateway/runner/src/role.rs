//! The roles of this binary: what each reads before it confines itself, and what it then does with
//! the sockets it is handed.

pub mod reaper;
pub mod runner;
pub mod viewer;

use anyhow::{Context as _, Result, bail};
use cofferdam_core::model::trust::{Environment, Trust};
use cofferdam_process::beneath::Root;
use cofferdam_process::confine::{self, Calls, Confined, Files, NewSockets};
use cofferdam_runner::kubernetes::check::{Identity, check};
use cofferdam_runner::kubernetes::credential::Credential;
use cofferdam_runner::kubernetes::environment::environment;
use std::fs;
use std::path::{Path, PathBuf};

/// What finding and trusting an API server reads; what is not there is left out.
const NETWORK: [&str; 5] =
    ["/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/ssl"];

/// A role's own trust file, for the environment that is served.
fn trust(path: &Path, role: &str, environment: &Environment) -> Result<Trust> {
    let trust = read_trust(path)?;
    if trust.environment != *environment {
        bail!("the {role}'s trust file is for another environment than the one that is served");
    }
    Ok(trust)
}

fn read_trust(path: &Path) -> Result<Trust> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read the trust file `{}`", path.display()))?;
    Ok(Trust::parse(&text)?)
}

fn folder(path: &Path) -> Result<&Path> {
    path.parent().with_context(|| format!("`{}` lies in no folder", path.display()))
}

fn open(tree: &Path) -> Result<Root> {
    Root::open(tree).with_context(|| format!("cannot open the tree `{}`", tree.display()))
}

/// Confines this process to these files, to the port of the one API server, and to the calls of its
/// role.
fn confine(files: Files<'_>, server: Option<&Credential>, role: Calls) -> Result<Confined> {
    let ports: Vec<u16> = server.iter().map(|credential| credential.port()).collect();
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
        Some(credential) if credential.address().is_some() => NewSockets::Tcp,
        Some(_) => NewSockets::Internet,
    })?;
    confine::calls(role)?;
    Ok(confined)
}

/// A role's credential, read on this thread alone: others would not be confined.
pub fn credential(kubeconfig: &Path) -> Result<Credential> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    Ok(runtime.block_on(Credential::read(kubeconfig))?)
}

/// Paths that a role with a credential has to be able to read after it confined itself.
fn network(credential: &Credential) -> Vec<PathBuf> {
    let known = NETWORK.iter().map(PathBuf::from).filter(|path| path.exists());
    // By folder: a token that is renewed is another file to the kernel.
    known
        .chain(credential.files().iter().filter_map(|file| file.parent().map(Path::to_owned)))
        .collect()
}

/// Holds a credential against its fences and the cluster against the trust file, before anything is
/// asked for.
async fn admit(credential: &Credential, identity: Identity, expected: &Environment) -> Result<()> {
    check(credential, identity).await?;
    same(credential, expected).await
}

/// Holds the cluster against the trust file.
async fn same(credential: &Credential, expected: &Environment) -> Result<()> {
    let found = environment(credential).await.context("cannot learn which cluster this is")?;
    if found.id != expected.id {
        bail!(
            "the cluster at `{}` is another one than `{}` in the trust file: its `kube-system` \
             has the UID {}, not {}",
            found.server,
            expected.name,
            found.id,
            expected.id
        );
    }
    Ok(())
}
