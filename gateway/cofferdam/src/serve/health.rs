//! The checks of an installation, for `doctor`, for `status` and for the supervisor. Changes
//! nothing, and no remedy destroys anything.

mod copies;
mod disk;
mod keys;
mod parts;
mod places;
mod port;
mod start;
mod store;
#[cfg(test)]
mod tests;
mod tree;

pub use copies::copies;
pub use disk::{bytes, disk};
pub use keys::keys;
pub use parts::parts;
pub use places::{folders_of, permissions, places};
pub use port::port;
pub use start::{NEXT, NextStart, UNLOADED};
pub use store::{store, store_in_database};
pub use tree::{Depth, tree};

use crate::config::home::Home;
use crate::config::{Config, Infrastructure, has_role};
use cofferdam_core::protocol::link::LinkRole;
use std::path::{Path, PathBuf};

/// The grade of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    /// The check passed.
    Good,
    /// Something optional is missing.
    Less,
    /// `serve` cannot run, must not run, or cannot do all of its work.
    Bad,
}

impl Grade {
    /// The word for people and programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Less => "note",
            Self::Bad => "WRONG",
        }
    }
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The grade of this finding.
    pub grade: Grade,
    /// True if calls fail now because of it.
    pub calls: bool,
    /// The checked thing, in a word or two.
    pub what: &'static str,
    /// The observation: path and cause.
    pub detail: String,
    /// The remedy; empty if there is nothing to do.
    pub remedy: String,
}

impl Finding {
    /// Returns whether this line of another check is about the same error: it has the same words,
    /// or the same path under the same name.
    pub fn is_told_by(&self, line: &str) -> bool {
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let (line, detail) = (plain(line), plain(&self.detail));
        let same_path = || path(&line).is_some_and(|own| path(&detail) == Some(own));
        let named =
            |line: &str| line.strip_prefix(self.what).is_some_and(|rest| rest.starts_with(": "));
        self.grade != Grade::Good
            && (line.contains(&detail)
                || named(line.strip_prefix(start::NEXT).unwrap_or(&line)) && same_path())
    }

    /// The finding on one line.
    pub fn line(&self) -> String {
        let remedy =
            if self.remedy.is_empty() { String::new() } else { format!(" ({})", self.remedy) };
        format!("{}: {}{remedy}", self.what, self.detail)
    }
}

/// The first path in a line.
fn path(text: &str) -> Option<&Path> {
    text.split('`').skip(1).step_by(2).find(|word| word.starts_with('/')).map(Path::new)
}

/// All findings, in the order of the checks.
#[derive(Debug, Default)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    /// Adds a finding of a passed check.
    pub fn good(&mut self, what: &'static str, detail: impl Into<String>) {
        self.add(Grade::Good, false, what, detail, "");
    }

    /// Adds a finding about something optional.
    pub fn less(&mut self, what: &'static str, detail: impl Into<String>, remedy: &str) {
        self.add(Grade::Less, false, what, detail, remedy);
    }

    /// Adds an error that makes calls fail.
    pub fn bad(&mut self, what: &'static str, detail: impl Into<String>, remedy: &str) {
        self.add(Grade::Bad, true, what, detail, remedy);
    }

    /// Adds an error that makes no call fail yet; the detail names its effect.
    pub fn warn(&mut self, what: &'static str, detail: impl Into<String>, remedy: &str) {
        self.add(Grade::Bad, false, what, detail, remedy);
    }

    fn add(
        &mut self,
        grade: Grade,
        calls: bool,
        what: &'static str,
        detail: impl Into<String>,
        remedy: &str,
    ) {
        self.0.push(Finding {
            grade,
            calls,
            what,
            detail: detail.into(),
            remedy: remedy.to_owned(),
        });
    }

    /// Removes findings about files below a lost folder, because the folder has a finding.
    pub fn leave_out_beneath(&mut self, lost: &[PathBuf]) {
        let beneath = |finding: &Finding| {
            path(&finding.detail).is_some_and(|own| {
                lost.iter().any(|folder| own != folder && own.starts_with(folder))
            })
        };
        self.0.retain(|finding| finding.grade == Grade::Good || !beneath(finding));
    }

    /// Returns whether there is no error.
    pub fn all_good(&self) -> bool {
        self.bad_ones().next().is_none()
    }

    /// The findings that are errors.
    pub fn bad_ones(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter().filter(|finding| finding.grade == Grade::Bad)
    }
}

/// The checks that run each second while `serve` runs. The recorder checks the files of the store
/// itself, because it has them open.
pub fn while_serving(home: &Home, config: &Config) -> Findings {
    let mut found = Findings::default();
    places(home, config.role(), true, &mut found);
    if config.has_role(LinkRole::Runner) {
        keys::missed(home, &mut found);
    }
    disk("disk", &grows(home, config.role()), &mut found);
    if let Infrastructure::Directory { tree: root } = &config.infrastructure
        && has_tree(config.role())
    {
        tree(root, Depth::Root, &mut found);
    }
    found
}

/// The folder whose disk the checks look at: that of the store, where the home has one.
pub fn grows(home: &Home, role: Option<LinkRole>) -> PathBuf {
    if has_role(role, LinkRole::Recorder) { home.store() } else { home.root().to_owned() }
}

/// Returns whether a home with this role, or with all, is on a host with the tree.
pub fn has_tree(role: Option<LinkRole>) -> bool {
    has_role(role, LinkRole::Viewer) || has_role(role, LinkRole::Runner)
}

/// Describes an unexpected file type of a path, if that is the cause.
fn instead(path: &Path) -> Option<String> {
    let facts = path.symlink_metadata().ok()?;
    if facts.is_symlink() && !path.exists() {
        let target = std::fs::read_link(path).unwrap_or_default();
        return Some(format!("is a link to `{}`, and nothing is there", target.display()));
    }
    None
}
