//! The removal of an approver, or of a person of the console, is in effect at once: the supervisor
//! also removes them from the copy of the trust file. Every role reads that copy again before it
//! counts a signature or a sign-in. Never adds anything to the copy.

use super::Copies;
use crate::config::home::Home;
use crate::config::read_trust;
use crate::config::trust_file::TrustFile;
use anyhow::{Context as _, Result};
use cofferdam_core::model::console_role::ConsoleEntry;
use cofferdam_core::model::delegation::SignedDelegation;
use cofferdam_core::model::trust::{Approver, Trust};

/// Removes from the copy in `served` every approver, delegation and entry of the console that is not in
/// the home's trust file. Returns the number of removed entries.
pub fn remove_approvers(home: &Home, served: &Home) -> Result<usize> {
    let kept = TrustFile::open(home)?.trust()?;
    let mut copy = TrustFile::open(served)?;
    let gone = copy.retain_approvers(&kept.approvers)?
        + copy.retain_console(&kept.console)?
        + copy.retain_delegations(&kept.delegations)?;
    if gone > 0 {
        copy.save().context("the copy of the trust file that is served")?;
    }
    Ok(gone)
}

impl Copies {
    /// Removes from these copies every approver who is not in the home's trust file.
    pub fn drop_removed(&mut self, home: &Home) -> Result<()> {
        if remove_approvers(home, self.home())? > 0 {
            let path = self.home().trust();
            self.note_again(&path);
        }
        Ok(())
    }

    /// Removes approvers from the copy, and notes a copy that lacks some of them and is otherwise
    /// equal. Returns the trust file in use from now on, if it changed. Reads the files only after
    /// one of them changed, or after an error.
    pub fn follow_removals(&mut self, home: &Home, served: &Trust) -> Option<Trust> {
        let facts = self.changed_trust(home)?;
        // If the trust file of the home cannot be read, nothing is removed: the check of the home
        // reports the error.
        let applied = remove_approvers(home, self.home());
        let now = read_trust(self.home()).ok()?;
        if applied.is_ok() {
            self.note_applied(facts);
        }
        let same = now.approvers == served.approvers
            && now.console == served.console
            && now.delegations == served.delegations;
        if same || !narrower(&now, served) {
            return None;
        }
        self.note_again(&self.home().trust()).then_some(now)
    }
}

/// Returns whether a trust file differs from another only by removed people.
fn narrower(now: &Trust, before: &Trust) -> bool {
    let known = |approver: &Approver| before.approvers.contains(approver);
    let entered = |entry: &ConsoleEntry| before.console.contains(entry);
    let same_people = Trust {
        approvers: before.approvers.clone(),
        console: before.console.clone(),
        delegations: before.delegations.clone(),
        ..now.clone()
    };
    let stood = |own: &SignedDelegation| before.delegations.contains(own);
    now.approvers.iter().all(known)
        && now.console.iter().all(entered)
        && now.delegations.iter().all(stood)
        && same_people == *before
}
