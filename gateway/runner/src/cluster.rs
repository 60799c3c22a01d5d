//! A cluster before it is served: the credential of a role, and the checks of both before the first
//! request for a job.

use crate::roles::Server;
use anyhow::{Context as _, Result, bail};
use cofferdam_backend_kubernetes::credential::Credential;
use cofferdam_backend_kubernetes::environment::environment;
use cofferdam_backend_kubernetes::self_check::{Identity, check};
use cofferdam_core::model::trust::Environment;
use std::path::{Path, PathBuf};

/// Files that name resolution and TLS read. Absent ones are left out.
const NETWORK: [&str; 5] =
    ["/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/ssl"];

impl Server {
    /// The API server of a credential.
    pub fn of(credential: &Credential) -> Self {
        Self { port: credential.port(), is_address: credential.address().is_some() }
    }
}

/// Reads a role's credential on the current thread: other threads would not be confined.
pub fn credential(kubeconfig: &Path) -> Result<Credential> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    Ok(runtime.block_on(Credential::read(kubeconfig))?)
}

/// The paths that a role with a credential has to read after it confined itself.
pub fn files_to_read(credential: &Credential) -> Vec<PathBuf> {
    let known = NETWORK.iter().map(PathBuf::from).filter(|path| path.exists());
    // The folders of tokens, since a renewed token is another file to the kernel.
    known
        .chain(credential.files().iter().filter_map(|file| file.parent().map(Path::to_owned)))
        .collect()
}

/// Checks the admission policies around a credential, and that the cluster is the one of the trust
/// file.
pub async fn admit(
    credential: &Credential,
    identity: Identity,
    expected: &Environment,
) -> Result<()> {
    check(credential, identity).await?;
    same(credential, expected).await
}

/// Checks that the cluster is the one of the trust file.
pub async fn same(credential: &Credential, expected: &Environment) -> Result<()> {
    let found = environment(credential).await.context("cannot read the identity of the cluster")?;
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
