//! The operator's socket to the recorder. A request that changes something or reads payloads is a ledger entry with this
//! user's id.

use crate::home::Home;
use anyhow::{Context as _, Result, anyhow};
use cofferdam_core::exchange::operate::{Operate, Operated};
use cofferdam_process::peer::Client;
use std::os::unix::net::UnixStream;

/// Asks the running recorder.
pub fn ask(home: &Home, ask: &Operate) -> Result<Operated> {
    let path = home.operator_socket();
    let stream = UnixStream::connect(&path)
        .with_context(|| format!("nothing answers at `{}`; start `cofferdam serve`, with the same `--home`", path.display()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start a runtime")?;
    runtime.block_on(async {
        let client = Client::<Operate, Operated>::new();
        client.connect(stream).context("cannot use the operator socket")?;
        client.call(ask).await.map_err(|fault| anyhow!("the recorder says: {fault}"))
    })
}

/// An answer to something else.
pub fn unexpected() -> anyhow::Error {
    anyhow!("the recorder answered something else; is `cofferdam serve` of the same version as this command?")
}
