//! The folders of a home: there, folders, and open to the user who serves and to no other. Makes
//! none.

use super::{Findings, instead};
use crate::config::home::{Home, SECRETS};
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

/// What happens while it serves, once a folder cannot be used.
type Effect = &'static str;

/// A folder, with its use while serving, what its loss means, and the effect of that on what is
/// served now; none where calls fail.
struct Place(PathBuf, Use, Lost, Option<Effect>);

const NEXT: Effect = "what is served stays in use, and the next start will fail";
const RUNNERS: Effect = "runners that start from now on fail, and with them calls";

/// Every folder. One that holds others comes before them.
fn folders(home: &Home) -> [Place; 18] {
    use Lost::{Backup, Fine, Made};
    use Use::{Read, Write};
    let above = |file: PathBuf| file.parent().map_or_else(|| file.clone(), PathBuf::from);
    let unpublished = "new checkpoints are not published; every entry is safe in the store";
    let commands = "commands such as `status` and `approve` do not reach the recorder";
    let gateway = "a gateway that is started again fails; the one that serves goes on";
    [
        Place(home.root().to_owned(), Read, Backup, None),
        Place(above(home.agents()), Read, Backup, Some(NEXT)),
        Place(above(home.trust()), Read, Backup, Some(NEXT)),
        Place(home.keys(), Read, Backup, Some(RUNNERS)),
        Place(home.plugins(), Read, Backup, Some(NEXT)),
        Place(home.tools(), Read, Backup, Some(NEXT)),
        Place(home.executors(), Read, Backup, Some(NEXT)),
        Place(home.commands(), Read, Fine, Some(NEXT)),
        Place(home.policy(), Read, Backup, Some(NEXT)),
        Place(home.store(), Write, Made, None),
        Place(home.ledger(), Write, Made, Some(unpublished)),
        Place(home.runs(), Write, Made, None),
        Place(home.journal(), Write, Made, None),
        Place(above(home.artefacts("gateway")), Read, Made, Some(RUNNERS)),
        Place(home.artefacts("gateway"), Write, Made, Some(gateway)),
        Place(home.artefacts("runner"), Write, Made, Some(RUNNERS)),
        Place(home.run(), Write, Made, Some(commands)),
        Place(home.served(), Write, Made, Some(NEXT)),
    ]
}

/// Looks at every folder. `serving`: roles use them now, so that one that is gone is missed now.
pub fn places(home: &Home, serving: bool, found: &mut Findings) {
    let before = found.0.len();
    let mut lost: Vec<PathBuf> = Vec::new();
    for place in folders(home) {
        // What lies beneath a place is as lost as it is.
        if lost.iter().any(|above| place.0.starts_with(above)) {
            continue;
        }
        if !there(home, &place, serving, found) {
            lost.push(place.0);
            continue;
        }
        let Place(folder, used, _, effect) = &place;
        let barred = match used {
            Use::Read => can_list(folder).err().map(|error| writable::unreadable(folder, &error)),
            Use::Write => writable::folder(folder).err(),
        };
        if let Some(obstacle) = barred {
            tell(found, serving.then_some(*effect).flatten(), obstacle.cause, &obstacle.remedy);
        }
    }
    // Whoever serves needs no new file in it; a start that makes what is lost does.
    if !serving
        && lost.is_empty()
        && let Err(obstacle) = writable::folder(home.root())
    {
        found.bad("home", obstacle.cause, &obstacle.remedy);
    }
    if found.0.len() == before {
        found.good("home", "every folder is there and can be used");
    }
}

/// Returns whether a place is a folder; says why not.
fn there(
    home: &Home,
    Place(folder, _, lost, effect): &Place,
    serving: bool,
    found: &mut Findings,
) -> bool {
    let shown = folder.display();
    let effect = serving.then_some(*effect).flatten();
    match folder.metadata() {
        Ok(facts) if facts.is_dir() => return true,
        Ok(_) => {
            let remedy =
                "move the file away, and restore the folder from a backup if it held something";
            tell(found, effect, format!("`{shown}` is a file where a folder belongs"), remedy);
        }
        Err(_) if let Some(instead) = instead(folder) => {
            tell(
                found,
                effect,
                format!("`{shown}` {instead}"),
                "put the folder back, or remove the link",
            );
        }
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            let obstacle = writable::unreadable(folder, &error);
            tell(found, effect, obstacle.cause, &obstacle.remedy);
        }
        Err(_) => match lost {
            Lost::Fine => {}
            Lost::Backup => {
                tell(
                    found,
                    effect,
                    format!("the folder `{shown}` is missing"),
                    "restore it from a backup of this home",
                );
            }
            Lost::Made if !serving => {
                let detail = format!("the folder `{shown}` is missing");
                found.less(
                    "home",
                    detail,
                    "nothing to do: `cofferdam serve` makes it at its start",
                );
            }
            // Its loss is told by the look at each copy.
            Lost::Made if *folder == home.served() => {}
            Lost::Made => {
                // An empty store is made only where the ledger was not published yet.
                let remedy = match *folder == home.store() {
                    true => "stop `cofferdam serve`, and restore it from a backup of this home",
                    false => "start `cofferdam serve` again, which makes it",
                };
                tell(found, effect, format!("the folder `{shown}` is gone"), remedy);
            }
        },
    }
    false
}

/// A place that has to be corrected: calls fail by it, or it has this effect.
fn tell(found: &mut Findings, effect: Option<Effect>, detail: String, remedy: &str) {
    match effect {
        None => found.bad("home", detail, remedy),
        Some(effect) => found.warn("home", format!("{detail}: {effect}"), remedy),
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
