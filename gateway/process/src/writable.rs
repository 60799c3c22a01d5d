//! Checks that files can be written in their folder, without a write, and the remedy for each
//! error. Never changes a file. The kernel does not reveal every obstacle beforehand (a security
//! module, a network file system); those show at the write.

use crate::rooted_fs::{Kind, Root, is_manifest, split};
use cofferdam_core::model::job::Obstacle;
use rustix::fs::{
    Access, AtFlags, Mode, OFlags, Statx, StatxAttributes, StatxFlags, accessat, openat, statx,
};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// The most levels of folders that [`tree`] visits.
const DEPTH: usize = 32;

/// The most files and folders that [`tree`] visits: as many manifests as a tree may have, and their
/// folders.
const ENTRIES: usize = 20_000;

/// Describes an error for a person. `what` continues the sentence after the path (`cannot be
/// replaced`).
pub fn obstacle(path: &Path, what: &str, error: &io::Error) -> Obstacle {
    Obstacle::new(format!("`{}` {what}: {error}", path.display()), remedy(error))
}

/// Describes a path that cannot be read, for a person.
pub fn unreadable(path: &Path, error: &io::Error) -> Obstacle {
    Obstacle::new(format!("`{}` cannot be read: {error}", path.display()), remedy_of_reading(error))
}

/// The remedy for an error of the file system.
pub fn remedy(error: &io::Error) -> String {
    let user = rustix::process::geteuid().as_raw();
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::ROFS) => "its file system is mounted read-only; mount it writable".to_owned(),
        Some(Errno::NOSPC | Errno::DQUOT) => "free some space there".to_owned(),
        Some(Errno::ACCESS) => {
            format!("give user {user}, who runs Cofferdam, the right to write there")
        }
        Some(Errno::PERM) => {
            format!(
                "give user {user}, who runs Cofferdam, the right to write there, or take a mark \
                 away that `lsattr` shows"
            )
        }
        Some(Errno::NOTDIR | Errno::EXIST) => {
            "move away the file that lies in place of a folder".to_owned()
        }
        Some(Errno::ISDIR) => "move away the folder that lies in its place".to_owned(),
        Some(Errno::NOENT) => "make it again, or restore it from a copy".to_owned(),
        Some(Errno::BUSY) => "unmount what lies over it".to_owned(),
        Some(Errno::IO) => "look at the disk: the kernel's log says more".to_owned(),
        _ => "look at that place and remove what the error names".to_owned(),
    }
}

/// The remedy for an error of reading, which needs another right.
pub fn remedy_of_reading(error: &io::Error) -> String {
    let user = rustix::process::geteuid().as_raw();
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::ACCESS | Errno::PERM) => {
            format!("give user {user}, who runs Cofferdam, the right to read it")
        }
        Some(Errno::UCLEAN | Errno::BADMSG) => remedy(&Errno::IO.into()),
        _ => remedy(error),
    }
}

/// Checks that this process could replace or remove a regular file beneath a root. Paths in the
/// result are relative to the root, as given.
pub fn file(root: &Root, path: &Path) -> Result<(), Obstacle> {
    let fail = |error: io::Error| obstacle(path, "cannot be replaced", &error);
    let (parent, name) = split(path).map_err(fail)?;
    let folder = root.folder(parent).map_err(fail)?;
    let own = look(&folder, Path::new(".")).map_err(fail)?;
    let place = if parent.as_os_str().is_empty() {
        "the tree's own folder".to_owned()
    } else {
        format!("`{}`", parent.display())
    };
    check_folder(&folder, &own, &place).map_err(|(cause, remedy)| {
        Obstacle::new(format!("`{}` cannot be replaced: {cause}", path.display()), remedy)
    })?;
    let seen = match look(&folder, Path::new(name)) {
        Ok(seen) => seen,
        // A missing file is no obstacle.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fail(error)),
    };
    let path = path.display();
    let marked = |mark: &str, letter: char| {
        let cause = format!(
            "`{path}` cannot be replaced: {}: the file is marked {mark}",
            io::Error::from(Errno::PERM)
        );
        Obstacle::new(cause, format!("run `chattr -{letter}` on it"))
    };
    let user = rustix::process::geteuid().as_raw();
    let sticky = u32::from(own.stx_mode) & STICKY != 0;
    if seen.stx_attributes.contains(StatxAttributes::IMMUTABLE) {
        Err(marked("immutable", 'i'))
    } else if seen.stx_attributes.contains(StatxAttributes::APPEND) {
        Err(marked("append-only", 'a'))
    } else if seen.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
        let cause = format!(
            "`{path}` cannot be replaced: {}: another file is mounted over it",
            io::Error::from(Errno::BUSY)
        );
        Err(Obstacle::new(cause, "unmount it, or mount its folder instead"))
    } else if sticky && user != 0 && ![seen.stx_uid, own.stx_uid].contains(&user) {
        let error = io::Error::from(Errno::PERM);
        let cause = format!(
            "`{path}` cannot be replaced: {error}: {place} is sticky and the file is user {}'s",
            seen.stx_uid
        );
        Err(Obstacle::new(cause, format!("give the file to user {user}, who runs Cofferdam")))
    } else {
        Ok(())
    }
}

/// The sticky bit of a folder: only the owner of a file may replace it there.
const STICKY: u32 = 0o1000;

/// Checks that this process could create files in a folder; for `doctor` and for starts.
pub fn folder(path: &Path) -> Result<(), Obstacle> {
    let fail = |error: io::Error| obstacle(path, "cannot be written", &error);
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let folder =
        openat(rustix::fs::CWD, path, flags, Mode::empty()).map_err(|error| fail(error.into()))?;
    let own = look(&folder, Path::new(".")).map_err(fail)?;
    check_folder(&folder, &own, &format!("`{}`", path.display()))
        .map_err(|(cause, remedy)| Obstacle::new(cause, remedy))
}

/// Returns at most `most` places of a tree of manifests that this process could not replace; for
/// `doctor`. Visits folders and `.yaml`, `.yml` and `.json` files, and skips dot-paths, as a job
/// does.
pub fn tree(path: &Path, most: usize) -> Vec<Obstacle> {
    let mut found = Vec::new();
    match Root::open(path) {
        Ok(root) => {
            if let Err(obstacle) = folder(path) {
                found.push(obstacle);
            }
            let mut left = ENTRIES;
            walk(&root, Path::new(""), 0, (most, &mut left), &mut found);
        }
        Err(error) => found.push(obstacle(path, "cannot be opened", &error)),
    }
    found.truncate(most);
    found
}

fn walk(
    root: &Root,
    place: &Path,
    depth: usize,
    (most, left): (usize, &mut usize),
    found: &mut Vec<Obstacle>,
) {
    let entries = match root.entries(place) {
        Ok(entries) => entries,
        Err(error) => return found.push(obstacle(place, "cannot be read", &error)),
    };
    for entry in entries {
        *left = left.saturating_sub(1);
        if found.len() >= most || *left == 0 {
            return;
        }
        let Some(name) = entry.name.to_str().filter(|name| !name.starts_with('.')) else {
            continue;
        };
        let path = place.join(name);
        match entry.kind {
            Kind::Directory if depth < DEPTH => {
                walk(root, &path, depth + 1, (most, &mut *left), found)
            }
            Kind::File if is_manifest(name) => found.extend(file(root, &path).err()),
            _ => {}
        }
    }
}

fn look(folder: &OwnedFd, name: &Path) -> io::Result<Statx> {
    Ok(statx(folder, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS)?)
}

/// Cause and remedy if a folder accepts no new name, or no removal of one.
fn check_folder(folder: &OwnedFd, own: &Statx, place: &str) -> Result<(), (String, String)> {
    for (mark, letter, words) in [
        (StatxAttributes::IMMUTABLE, 'i', "immutable"),
        (StatxAttributes::APPEND, 'a', "append-only"),
    ] {
        if own.stx_attributes.contains(mark) {
            let cause = format!("{}: {place} is marked {words}", io::Error::from(Errno::PERM));
            return Err((cause, format!("run `chattr -{letter}` on that folder")));
        }
    }
    accessat(folder, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::empty()).map_err(|error| {
        let error = io::Error::from(error);
        (format!("{place} cannot be written: {error}"), remedy(&error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_can_be_written_is_no_obstacle_and_what_is_missing_is_named() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("shop")).unwrap();
        fs::write(place.path().join("shop/a.yaml"), "a: 1\n").unwrap();
        let root = Root::open(place.path()).unwrap();
        for path in ["shop/a.yaml", "shop/new.yaml", "new.yaml"] {
            assert_eq!(file(&root, Path::new(path)), Ok(()), "{path}");
        }
        assert_eq!((folder(place.path()), tree(place.path(), 5)), (Ok(()), Vec::new()));
        let gone = file(&root, Path::new("else/a.yaml")).unwrap_err();
        assert!(gone.cause.contains("`else/a.yaml` cannot be replaced: No such file"), "{gone}");
        let gone = folder(&place.path().join("else")).unwrap_err();
        assert!(gone.to_string().ends_with("make it again, or restore it from a copy"), "{gone}");
    }

    #[test]
    fn errors_have_their_remedy() {
        let words = |errno: Errno| remedy(&io::Error::from(errno));
        assert!(words(Errno::ROFS).contains("mount it writable"));
        assert!(words(Errno::NOSPC).contains("free some space"));
        assert!(words(Errno::ACCESS).contains("the right to write there"));
        assert!(words(Errno::BUSY).contains("unmount"));
    }

    #[test]
    fn errors_of_reading_have_their_own_remedy() {
        let table = [
            (Errno::ACCESS, "the right to read it"),
            (Errno::PERM, "the right to read it"),
            (Errno::IO, "look at the disk"),
            (Errno::UCLEAN, "look at the disk"),
            (Errno::BADMSG, "look at the disk"),
            (Errno::NOENT, "make it again, or restore it from a copy"),
            (Errno::ISDIR, "move away the folder"),
            (Errno::NOTDIR, "move away the file"),
        ];
        for (errno, words) in table {
            let said = remedy_of_reading(&io::Error::from(errno));
            assert!(said.contains(words) && !said.contains("to write"), "{errno:?}: {said}");
        }
    }

    #[test]
    fn procfs_takes_nothing_and_says_so() {
        // No process of any user may create files in this file system.
        let said = fs::create_dir("/proc/cofferdam").unwrap_err();
        assert!(!remedy(&said).is_empty());
    }
}
