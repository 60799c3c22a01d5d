//! Checks the folders of a home: present, of the right type, and open only to the user of `serve`.
//! Makes none.

use super::{Findings, instead};
use crate::config::home::{Home, SECRETS};
use cofferdam_core::protocol::link::{LINK_ROLES, LinkRole};
use cofferdam_process::access::can_list;
use cofferdam_process::writable;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// The consequence of a missing folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// The next start makes it again.
    Made,
    /// Only a backup has its content.
    Backup,
    /// The folder is not needed.
    Fine,
}

/// The rights that roles need in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Read,
    Write,
}

/// The effect of an unusable folder on a running `serve`.
type Effect = &'static str;

/// A folder with its use, the consequence of its loss, the effect on a running `serve` (`None` if
/// calls fail), and the roles that use it.
struct Place(PathBuf, Use, Lost, Option<Effect>, &'static [LinkRole]);

const NEXT: Effect = "what is served stays in use, and the next start will fail";
const RUNNERS: Effect = "runners that start from now on fail, and with them calls";

/// The roles that load tools, executors and policy.
const LOADS: &[LinkRole] = &[LinkRole::Gateway, LinkRole::Runner];
/// The roles that have a key of Cofferdam.
const KEYS: &[LinkRole] = &[LinkRole::Gateway, LinkRole::Recorder, LinkRole::Runner];
const GATEWAY: &[LinkRole] = &[LinkRole::Gateway];
const RECORDER: &[LinkRole] = &[LinkRole::Recorder];
const RUNNER: &[LinkRole] = &[LinkRole::Runner];

/// Every folder; a parent folder comes first.
fn folders(home: &Home) -> [Place; 18] {
    use Lost::{Backup, Fine, Made};
    use Use::{Read, Write};
    let above = |file: PathBuf| file.parent().map_or_else(|| file.clone(), PathBuf::from);
    let unpublished = "new checkpoints are not published; every entry is safe in the store";
    let commands = "commands such as `status` and `approve` do not reach the recorder";
    let gateway = "a gateway that is started again fails; the one that serves goes on";
    [
        Place(home.root().to_owned(), Read, Backup, None, &LINK_ROLES),
        Place(above(home.agents()), Read, Backup, Some(NEXT), GATEWAY),
        Place(above(home.trust()), Read, Backup, Some(NEXT), &LINK_ROLES),
        Place(home.keys(), Read, Backup, Some(RUNNERS), KEYS),
        Place(home.plugins(), Read, Backup, Some(NEXT), LOADS),
        Place(home.tools(), Read, Backup, Some(NEXT), LOADS),
        Place(home.executors(), Read, Backup, Some(NEXT), LOADS),
        Place(home.commands(), Read, Fine, Some(NEXT), RUNNER),
        Place(home.policy(), Read, Backup, Some(NEXT), LOADS),
        Place(home.store(), Write, Made, None, RECORDER),
        Place(home.ledger(), Write, Made, Some(unpublished), RECORDER),
        Place(home.runs(), Write, Made, None, RUNNER),
        Place(home.journal(), Write, Made, None, RUNNER),
        Place(above(home.artefacts("gateway")), Read, Made, Some(RUNNERS), LOADS),
        Place(home.artefacts("gateway"), Write, Made, Some(gateway), GATEWAY),
        Place(home.artefacts("runner"), Write, Made, Some(RUNNERS), RUNNER),
        Place(home.run(), Write, Made, Some(commands), RECORDER),
        Place(home.served(), Write, Made, Some(NEXT), &LINK_ROLES),
    ]
}

/// Checks every folder of a home with this role, or with all. `serving`: roles use the folders now,
/// so a missing one has an effect now.
pub fn places(home: &Home, role: Option<LinkRole>, serving: bool, found: &mut Findings) {
    let before = found.0.len();
    let mut lost: Vec<PathBuf> = Vec::new();
    let used = |place: &Place| role.is_none_or(|own| place.4.contains(&own));
    for place in folders(home).into_iter().filter(used) {
        // Everything below a lost folder is lost too.
        if lost.iter().any(|above| place.0.starts_with(above)) {
            continue;
        }
        if !there(home, &place, serving, found) {
            lost.push(place.0);
            continue;
        }
        let Place(folder, used, _, effect, _) = &place;
        let barred = match used {
            Use::Read => can_list(folder).err().map(|error| writable::unreadable(folder, &error)),
            Use::Write => writable::folder(folder).err(),
        };
        if let Some(obstacle) = barred {
            tell(found, serving.then_some(*effect).flatten(), obstacle.cause, &obstacle.remedy);
        }
    }
    // A running `serve` makes no file in it; only a start does.
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

/// The folders of a home with this role alone.
pub fn folders_of(home: &Home, role: LinkRole) -> impl Iterator<Item = PathBuf> {
    folders(home)
        .into_iter()
        .filter(move |place| place.4.contains(&role))
        .map(|place| place.0)
        .filter(|folder| !folder.ends_with("served"))
}

/// Returns whether a place is a folder, and adds a finding if it is not.
fn there(
    home: &Home,
    Place(folder, _, lost, effect, _): &Place,
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
            // The check of the copies reports its loss.
            Lost::Made if *folder == home.served() => {}
            Lost::Made => {
                // A start makes an empty store only if no ledger is published yet.
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

/// Adds an error about a place: calls fail, or it has this effect.
fn tell(found: &mut Findings, effect: Option<Effect>, detail: String, remedy: &str) {
    match effect {
        None => found.bad("home", detail, remedy),
        Some(effect) => found.warn("home", format!("{detail}: {effect}"), remedy),
    }
}

/// Checks that other users cannot read the home, and in particular the keys.
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
