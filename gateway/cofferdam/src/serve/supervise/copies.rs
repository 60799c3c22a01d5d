//! What is to be served: copies of the accepted files, each held against the trust file before any
//! role starts. Never starts with a part that is missing.

use crate::config::home::Home;
use crate::config::{Installation, read_trust};
use crate::serve::copies::{Copies, Served};
use crate::serve::health::{self, Findings};
use crate::serve::repair;
use anyhow::{Context as _, Result, anyhow, bail};

/// Gives every role copies of what is accepted now: what is accepted later is the next start's.
pub(super) fn copies(installation: &mut Installation) -> Result<Served> {
    repair::repair(&installation.home)?;
    let served = Served::take(&installation.home).context("cannot copy what is to be served")?;
    let trust = read_trust(served.copies().home())
        .map_err(|error| anyhow!("{}", own(installation, served.copies(), &error.to_string())))?;
    if trust.environment != installation.trust.environment {
        bail!("the trust file was changed during this start; start `cofferdam serve` again");
    }
    let mut found = Findings::default();
    health::keys(&installation.home, &trust, false, &mut found);
    health::parts(&installation.home, &trust, &mut found);
    let refused: Vec<String> =
        found.bad_ones().map(|finding| format!("{}; {}", finding.detail, finding.remedy)).collect();
    if !refused.is_empty() {
        bail!("{}", refused.join("\n"));
    }
    installation.trust = trust;
    installation.served = served.copies().home().clone();
    Ok(served)
}

/// What a role says of a copy, said of the home's own file: the copies are made again at each
/// start.
pub(super) fn own(installation: &Installation, copies: &Copies, said: &str) -> String {
    let root = |home: &Home| home.root().display().to_string();
    said.replace(&root(copies.home()), &root(&installation.home))
}
