//! Checks that paths do not overlap: the tree, which agents change, and the files that decide about
//! changes.

use super::error::ConfigError;
use super::toml_reader::Section;
use crate::config::home::Home;
use cofferdam_core::protocol::link::LinkRole;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Reads the text of a file, or returns the error.
pub fn text(path: &Path, remedy: &str) -> Result<String, ConfigError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    fs::read_to_string(path).map_err(|error| {
        let why = if error.kind() == std::io::ErrorKind::NotFound {
            "is not there".to_owned()
        } else {
            format!("cannot be read ({error})")
        };
        ConfigError::new(&name, "", format!("`{}` {why}", path.display()), remedy)
    })
}

/// The error for a key that other users can read or change.
pub fn open_to_others(key: &Path) -> Option<ConfigError> {
    let mode = fs::metadata(key).ok()?.permissions().mode();
    (mode & 0o077 != 0).then(|| {
        let name = format!("keys/{}", key.file_name().unwrap_or_default().to_string_lossy());
        let problem = format!("other users can read `{}` (mode {:o})", key.display(), mode & 0o777);
        ConfigError::new(&name, "", problem, &format!("chmod 600 {}", key.display()))
    })
}

/// The places that overlap with the tree: the same folder, a parent or a child. Symbolic links are
/// followed first.
pub fn overlaps(tree: &Path, home: &Home) -> Vec<&'static str> {
    let tree = resolve(tree);
    apart(home)
        .into_iter()
        .filter(|(_, path)| {
            let path = resolve(path);
            tree.starts_with(&path) || path.starts_with(&tree)
        })
        .map(|(name, _)| name)
        .collect()
}

/// The place of the home with this file, if a role can read it while it serves.
pub fn readable(file: &Path, home: &Home) -> Option<&'static str> {
    let folder = |(name, path): (&'static str, PathBuf)| match name {
        // By folder, because such a file is replaced by a rename.
        "agents" | "trust file" => (name, path.parent().map(Path::to_owned).unwrap_or(path)),
        _ => (name, path),
    };
    let served = apart(home)
        .into_iter()
        .filter(|(name, _)| !["configuration", "keys"].contains(name))
        .map(folder);
    served.into_iter().find(|(_, path)| file.starts_with(resolve(path))).map(|(name, _)| name)
}

/// Checks a file that an operator made and this role reads: an absolute path to an existing file. No
/// other user may have the permissions `others` on it. Returns the path as it was written: links may
/// change. A home of another role has no such file.
pub fn file(
    section: &mut Section<'_>,
    of: LinkRole,
    key: &'static str,
    path: &str,
    others: u32,
) -> Option<PathBuf> {
    let file = PathBuf::from(path);
    if !section.hold(
        key,
        file.is_absolute(),
        &format!("`{path}` is a relative path"),
        "write the whole path, beginning with /",
    ) {
        return None;
    }
    if !section.has_role(of) {
        return Some(file);
    }
    let Some(found) = fs::metadata(&file).ok().filter(fs::Metadata::is_file) else {
        let remedy = "name an existing file that this user can read";
        section.report(key, &format!("`{path}` is not a file"), remedy);
        return None;
    };
    section.hold(
        key,
        found.permissions().mode() & others == 0,
        &format!("other users can read `{path}`"),
        &format!("chmod 600 {path}"),
    );
    Some(file)
}

/// Checks that the folder of a file has nothing of the home but this place of its own, because a role
/// may read the whole folder while it serves.
pub fn alone(
    section: &mut Section<'_>,
    key: &'static str,
    file: &Path,
    home: &Home,
    own: Option<&str>,
) {
    let near = |folder: &PathBuf| {
        let others = apart(home).into_iter().filter(|(name, _)| Some(*name) != own);
        let places = others.map(|(name, place)| (name, resolve(&place)));
        let mut places =
            places.filter(|(_, place)| place.starts_with(folder) || folder.starts_with(place));
        places.next().map(|(name, _)| name)
    };
    if let Some(place) = folders(file).iter().find_map(near) {
        let problem = format!("`{}` lies in a folder with the {place} of the home", file.display());
        section.report(key, &problem, "move it to a folder of its own: a role reads the folder");
    }
}

/// Checks that no role can read a secret while it serves: its own role reads it before.
pub fn hidden(section: &mut Section<'_>, key: &'static str, file: &Path, home: &Home) {
    let Ok(real) = fs::canonicalize(file) else { return };
    if let Some(place) = readable(&real, home) {
        let problem = format!(
            "`{}` lies in the folder of the {place}, which roles without this secret may read",
            file.display()
        );
        section.report(key, &problem, "move it to a folder of its own");
    }
}

/// The folder of a file, and the folder of the file that it links to.
pub fn folders(file: &Path) -> Vec<PathBuf> {
    let real = fs::canonicalize(file).ok();
    let linked = real.as_deref().and_then(Path::parent).map(Path::to_owned);
    file.parent().map(resolve).into_iter().chain(linked).collect()
}

/// The pairs of places in the home that a link made the same.
pub fn tangled(home: &Home) -> Vec<(&'static str, &'static str)> {
    let places: Vec<_> =
        apart(home).into_iter().map(|(name, path)| (name, resolve(&path))).collect();
    let pairs = places
        .iter()
        .enumerate()
        .flat_map(|(index, one)| places.iter().skip(index + 1).map(move |other| (one, other)));
    pairs
        .filter(|((_, one), (_, other))| one.starts_with(other) || other.starts_with(one))
        .map(|((one, _), (other, _))| (*one, *other))
        .collect()
}

/// The places of the home, with their names.
fn apart(home: &Home) -> [(&'static str, PathBuf); 13] {
    [
        ("configuration", home.config()),
        ("agents", home.agents()),
        ("trust file", home.trust()),
        ("keys", home.keys()),
        ("plugins", home.plugins()),
        ("policy", home.policy()),
        ("store", home.store()),
        ("ledger", home.ledger()),
        ("runs", home.runs()),
        ("journal", home.journal()),
        ("artefacts", home.artefacts("")),
        ("served copies", home.served()),
        ("links", home.links()),
    ]
}

/// Resolves symbolic links; for a missing path, those of its nearest existing folder.
fn resolve(path: &Path) -> PathBuf {
    path.ancestors()
        .find_map(|existing| {
            let real = fs::canonicalize(existing).ok()?;
            Some(path.strip_prefix(existing).map_or(real.clone(), |rest| {
                if rest.as_os_str().is_empty() { real.clone() } else { real.join(rest) }
            }))
        })
        .unwrap_or_else(|| path.to_owned())
}
