//! What can be wrong with an installation, looked at from outside: for `doctor`, for `status`, and
//! for the supervisor while it serves. Changes nothing, and advises nothing that destroys
//! something.

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
pub use places::{permissions, places};
pub use port::port;
pub use start::{NEXT, NextStart};
pub use store::store;
pub use tree::{Depth, tree};

use crate::config::home::Home;
use crate::config::{Config, Infrastructure};
use std::path::{Path, PathBuf};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    /// As it should be.
    Good,
    /// Works, with less than it could; or wanted by some.
    Less,
    /// `serve` cannot run, must not, or does not do all that it should.
    Bad,
}

impl Grade {
    /// For people and programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Less => "note",
            Self::Bad => "WRONG",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub grade: Grade,
    /// Calls fail by it now, if it has to be corrected while it serves.
    pub calls: bool,
    /// What was looked at, in a word or two.
    pub what: &'static str,
    /// What was found: path and cause.
    pub detail: String,
    /// What to do; empty where nothing is to be done.
    pub remedy: String,
}

impl Finding {
    /// Returns whether this line of another look is about the same fault: it has the same words, or
    /// it says something of the same path under the same name.
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

    /// On one line.
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

/// Everything found so far, in the order of the looks.
#[derive(Debug, Default)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    /// It is as it should be.
    pub fn good(&mut self, what: &'static str, detail: impl Into<String>) {
        self.add(Grade::Good, false, what, detail, "");
    }

    /// It works, with less.
    pub fn less(&mut self, what: &'static str, detail: impl Into<String>, remedy: &str) {
        self.add(Grade::Less, false, what, detail, remedy);
    }

    /// It has to be corrected: calls fail by it.
    pub fn bad(&mut self, what: &'static str, detail: impl Into<String>, remedy: &str) {
        self.add(Grade::Bad, true, what, detail, remedy);
    }

    /// It has to be corrected, and no call fails by it yet: the detail says what it does.
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

    /// Leaves out what was found of files beneath a folder that is lost: the folder was named.
    pub fn leave_out_beneath(&mut self, lost: &[PathBuf]) {
        let beneath = |finding: &Finding| {
            path(&finding.detail).is_some_and(|own| {
                lost.iter().any(|folder| own != folder && own.starts_with(folder))
            })
        };
        self.0.retain(|finding| finding.grade == Grade::Good || !beneath(finding));
    }

    /// Returns whether nothing has to be corrected.
    pub fn all_good(&self) -> bool {
        self.bad_ones().next().is_none()
    }

    /// What has to be corrected.
    pub fn bad_ones(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter().filter(|finding| finding.grade == Grade::Bad)
    }
}

/// What is wrong while it serves, as far as a look each second may cost. The store's own files are
/// the recorder's to tell: it knows which it has open.
pub fn while_serving(home: &Home, config: &Config) -> Findings {
    let mut found = Findings::default();
    places(home, true, &mut found);
    keys::missed(home, &mut found);
    disk("disk", &home.store(), &mut found);
    if let Infrastructure::Directory { tree: root } = &config.infrastructure {
        tree(root, Depth::Root, &mut found);
    }
    found
}

/// What a path is instead of what it should be, if that explains why it cannot be used.
fn instead(path: &Path) -> Option<String> {
    let facts = path.symlink_metadata().ok()?;
    if facts.is_symlink() && !path.exists() {
        let target = std::fs::read_link(path).unwrap_or_default();
        return Some(format!("is a link to `{}`, and nothing is there", target.display()));
    }
    None
}
