//! The operator's socket to the recorder. A request that changes something or reads payloads is a ledger entry with this
//! user's id.

use crate::home::Home;
use anyhow::{Context as _, Result, anyhow};
use cofferdam_core::exchange::operate::{Operate, Operated};
use cofferdam_process::peer::Client;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Asks the running recorder.
pub fn ask(home: &Home, ask: &Operate) -> Result<Operated> {
    let path = home.operator_socket();
    let stream = UnixStream::connect(&path).map_err(|fault| unreached(&path, &fault))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start a runtime")?;
    runtime.block_on(async {
        let client = Client::<Operate, Operated>::new();
        client.connect(stream).context("cannot use the operator socket")?;
        client.call(ask).await.map_err(|fault| anyhow!("the recorder says: {fault}"))
    })
}

/// Why the socket cannot be reached, and what to do.
fn unreached(path: &Path, fault: &std::io::Error) -> anyhow::Error {
    let shown = path.display();
    if fault.kind() == std::io::ErrorKind::PermissionDenied {
        let owner = path.ancestors().find_map(|near| near.metadata().ok()).map(|facts| facts.uid());
        let owner = owner.map(|uid| format!("; it belongs to user {uid}")).unwrap_or_default();
        return anyhow!("you may not use `{shown}`{owner}");
    }
    anyhow!("nothing answers at `{shown}`: `cofferdam serve` does not run for this home; start it, or name the home with `--home`")
}

/// An answer to something else.
pub fn unexpected() -> anyhow::Error {
    anyhow!("the recorder answered something else; is `cofferdam serve` of the same version as this command?")
}
