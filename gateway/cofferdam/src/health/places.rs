//! The folders of a home: there, folders, and open to the user who serves and to no other. Makes none.

use super::{Findings, instead};
use crate::home::{Home, SECRETS};
use cofferdam_process::access::can_list;
use cofferdam_process::writable;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// What becomes of a folder that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// The next start makes it: what is in it can be made again.
    Made,
    /// Only a backup has what was in it.
    Backup,
    /// It is not needed.
    Fine,
}

/// Who has to do what in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Read,
    Write,
}

/// Every folder, with its use while serving, and what its loss means.
fn folders(home: &Home) -> [(PathBuf, Use, Lost); 16] {
    [
        (home.root().to_owned(), Use::Write, Lost::Backup),
        (home.agents().parent().map_or_else(|| home.agents(), PathBuf::from), Use::Read, Lost::Backup),
        (home.trust().parent().map_or_else(|| home.trust(), PathBuf::from), Use::Read, Lost::Backup),
        (home.keys(), Use::Read, Lost::Backup),
        (home.plugins(), Use::Read, Lost::Backup),
        (home.tools(), Use::Read, Lost::Backup),
        (home.executors(), Use::Read, Lost::Backup),
        (home.commands(), Use::Read, Lost::Fine),
        (home.policy(), Use::Read, Lost::Backup),
        (home.store(), Use::Write, Lost::Made),
        (home.ledger(), Use::Write, Lost::Made),
        (home.runs(), Use::Write, Lost::Made),
        (home.journal(), Use::Write, Lost::Made),
        (home.artefacts("gateway"), Use::Write, Lost::Made),
        (home.artefacts("runner"), Use::Write, Lost::Made),
        (home.run(), Use::Write, Lost::Made),
    ]
}

/// Looks at every folder. `serving`: roles use them now, so that one that is gone is missed now.
pub fn places(home: &Home, serving: bool, found: &mut Findings) {
    let before = found.0.len();
    for (folder, used, lost) in folders(home) {
        let shown = folder.display();
        let Ok(facts) = folder.metadata() else {
            match (instead(&folder), lost, serving) {
                (Some(instead), ..) => {
                    found.bad("home", format!("`{shown}` {instead}"), "put the folder back, or remove the link");
                }
                (None, Lost::Fine, _) => {}
                (None, Lost::Made, false) => {
                    let detail = format!("the folder `{shown}` is missing");
                    found.less("home", detail, "nothing to do: `cofferdam serve` makes it at its start");
                }
                (None, Lost::Made, true) => {
                    let detail = format!("the folder `{shown}` is gone");
                    // An empty store is made only where the ledger was not published yet.
                    let remedy = match folder == home.store() {
                        true => "stop `cofferdam serve`, and restore it from a backup of this home",
                        false => "start `cofferdam serve` again, which makes it",
                    };
                    found.bad("home", detail, remedy);
                }
                (None, Lost::Backup, _) => {
                    let detail = format!("the folder `{shown}` is missing");
                    found.bad("home", detail, "restore it from a backup of this home");
                }
            }
            // What lies beneath is as lost as it is.
            if folder == home.root() {
                return;
            }
            continue;
        };
        if !facts.is_dir() {
            let remedy = "move the file away, and restore the folder from a backup if it held something";
            found.bad("home", format!("`{shown}` is a file where a folder belongs"), remedy);
            continue;
        }
        let barred = match used {
            Use::Read => can_list(&folder).err().map(|fault| writable::obstacle(&folder, "cannot be read", &fault)),
            Use::Write => writable::folder(&folder).err(),
        };
        if let Some(obstacle) = barred {
            found.bad("home", obstacle.cause, &obstacle.remedy);
        }
    }
    if found.0.len() == before {
        found.good("home", "every folder is there and can be used");
    }
}

/// Other users may not read the home, above all the keys.
pub fn permissions(home: &Home, found: &mut Findings) {
    let mut open = Vec::new();
    let private = [home.root().to_owned(), home.keys(), home.store(), home.trust(), home.agents()];
    for path in private.into_iter().chain(SECRETS.map(|secret| home.secret(secret))) {
        if std::fs::metadata(&path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0) {
            open.push(format!("`{}`", path.display()));
        }
    }
    if open.is_empty() {
        found.good("permissions", "the home is private");
    } else {
        let remedy = format!("chmod -R go= {}", home.root().display());
        found.bad("permissions", format!("other users can read {}", open.join(", ")), &remedy);
    }
}
