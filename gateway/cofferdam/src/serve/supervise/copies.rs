//! Makes the copies of the accepted files, and checks each against the trust file before any role
//! starts. Never starts with a missing part.

use crate::config::home::Home;
use crate::config::{Installation, read_trust};
use crate::serve::copies::{Copies, Served};
use crate::serve::health::{self, Findings};
use crate::serve::repair;
use anyhow::{Context as _, Result, anyhow, bail};

/// Makes the copies that all roles use until the next start.
pub(super) fn copies(installation: &mut Installation) -> Result<Served> {
    repair::repair(&installation.home)?;
    let served = Served::take(&installation.home).context("cannot copy what is to be served")?;
    let trust = read_trust(served.copies().home()).map_err(|error| {
        anyhow!("{}", name_original(installation, served.copies(), &error.to_string()))
    })?;
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

/// Replaces the path of a copy in a role's error with the path of the home's file: each start makes
/// the copies again.
pub(super) fn name_original(installation: &Installation, copies: &Copies, said: &str) -> String {
    let root = |home: &Home| home.root().display().to_string();
    said.replace(&root(copies.home()), &root(&installation.home))
}
