//! Makes the copies of the accepted files, and checks each against the trust file before any role
//! starts. Never starts with a missing part.

use super::examine::examine;
use super::reload::Next;
use crate::config::home::Home;
use crate::config::{Installation, has_role, read_trust};
use crate::serve::copies::{self, Copies, Served};
use crate::serve::health::{self, Findings};
use crate::serve::repair;
use anyhow::{Context as _, Result, anyhow, bail};
use cofferdam_core::model::escape;
use cofferdam_core::model::id::TrustDigest;
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::link::LinkRole;
use std::path::Path;

/// Makes the copies that all roles use until the next load.
pub(super) fn copies(installation: &mut Installation) -> Result<Served> {
    let role = installation.config.role();
    repair::repair(&installation.home, role)?;
    let served = Served::take(&installation.home).context("cannot copy what is to be served")?;
    let trust = read_trust(served.copies().home()).map_err(|error| {
        anyhow!("{}", name_original(&installation.home, served.copies(), &error.to_string()))
    })?;
    if trust.environment != installation.trust.environment {
        bail!("the trust file was changed during this start; start `cofferdam serve` again");
    }
    let mut found = Findings::default();
    health::keys(&installation.home, role, &trust, false, &mut found);
    health::parts(&installation.home, role, &trust, &mut found);
    let refused: Vec<String> =
        found.bad_ones().map(|finding| format!("{}; {}", finding.detail, finding.remedy)).collect();
    if !refused.is_empty() {
        bail!("{}", refused.join("\n"));
    }
    installation.trust = trust;
    installation.served = served.copies().home().clone();
    Ok(served)
}

/// Makes the copies of a load, beside those in use, and checks each against its trust file. Copies
/// that are refused are removed.
pub(super) fn copies_again(
    home: &Home,
    role: Option<LinkRole>,
    (used, trust): (&Copies, &Trust),
    guest: &Path,
) -> Result<Next> {
    let copies = copies::again(home, used).context("cannot copy what is to be served")?;
    check_again(home, role, &copies, (trust, guest))
        .map(|()| Next { copies: copies.clone() })
        .map_err(|error| {
            remove(&copies);
            anyhow!("{}", name_original(home, &copies, &escape::chain(error.as_ref())))
        })
}

/// Removes copies that are not used. The next start removes what is left.
pub(super) fn remove(copies: &Copies) {
    let _left = std::fs::remove_dir_all(copies.home().root());
}

fn check_again(
    home: &Home,
    role: Option<LinkRole>,
    copies: &Copies,
    (used, guest): (&Trust, &Path),
) -> Result<()> {
    let trust = read_trust(copies.home()).map_err(|error| anyhow!("{error}"))?;
    if trust.environment != used.environment {
        bail!(
            "the trust file names another environment than the one that is served; restore it, or \
             start `cofferdam serve` again"
        );
    }
    let mut found = Findings::default();
    health::keys(home, role, &trust, false, &mut found);
    health::parts(copies.home(), role, &trust, &mut found);
    let refused: Vec<String> =
        found.bad_ones().map(|finding| format!("{}; {}", finding.detail, finding.remedy)).collect();
    if !refused.is_empty() {
        bail!("{}", refused.join("; "));
    }
    // The other roles load no component.
    if has_role(role, LinkRole::Gateway) || has_role(role, LinkRole::Runner) {
        examine(guest, copies.home(), role, (&trust, used))?;
    }
    Ok(())
}

/// The digest of a copied trust file.
pub(super) fn trust_digest(copies: &Copies) -> Result<TrustDigest> {
    let path = copies.home().trust();
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(Trust::digest(&text))
}

/// Replaces the path of a copy in a role's error with the path of the home's file: each start makes
/// the copies again.
pub(super) fn name_original(home: &Home, copies: &Copies, said: &str) -> String {
    let root = |home: &Home| home.root().display().to_string();
    let link = home.beneath(&copies::link(home));
    said.replace(&root(copies.home()), &root(home)).replace(&root(&link), &root(home))
}
