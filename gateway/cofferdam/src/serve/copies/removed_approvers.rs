//! A removal that holds at once: an approver who is not in the home's trust file any more is taken
//! out of the copy that is served, which every role reads again before it counts a signature. Never
//! adds anything to that copy.

use super::Copies;
use crate::config::home::Home;
use crate::config::read_trust;
use crate::config::trust_file::TrustFile;
use anyhow::{Context as _, Result};
use cofferdam_core::model::trust::{Approver, Trust};

/// Takes the approvers that the home's trust file lacks out of the copy in this folder; says how
/// many keys they had.
pub fn remove_approvers(home: &Home, served: &Home) -> Result<usize> {
    let kept = TrustFile::open(home)?.trust()?.approvers;
    let mut copy = TrustFile::open(served)?;
    let gone = copy.retain_approvers(&kept)?;
    if gone > 0 {
        copy.save().context("the copy of the trust file that is served")?;
    }
    Ok(gone)
}

impl Copies {
    /// Takes removed approvers out of the copy, and takes note of a copy that lacks some of them
    /// and is the same in all else. Gives what is served from now on, if that changed.
    pub fn follow_removals(&mut self, home: &Home, served: &Trust) -> Option<Trust> {
        // A home whose trust file cannot be read removes nobody: its fault is told by the look at
        // the home.
        let _unreadable = remove_approvers(home, self.home());
        let now = read_trust(self.home()).ok()?;
        if now.approvers == served.approvers || !narrower(&now, served) {
            return None;
        }
        self.note_again(&self.home().trust()).then_some(now)
    }
}

/// Returns whether one trust file differs from another in nothing but fewer approvers.
fn narrower(now: &Trust, before: &Trust) -> bool {
    let known = |approver: &Approver| before.approvers.contains(approver);
    now.approvers.iter().all(known)
        && Trust { approvers: before.approvers.clone(), ..now.clone() } == *before
}
