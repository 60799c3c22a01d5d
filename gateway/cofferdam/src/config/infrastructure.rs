//! Reads the sections `[directory]` and `[kubernetes]`: a directory of manifests, or a cluster with
//! a kubeconfig for each identity. Never reads a kubeconfig: each role opens its own.

use super::paths;
use super::toml_reader::Section;
use super::{Cluster, Infrastructure};
use crate::config::home::Home;
use cofferdam_core::protocol::link::LinkRole;
use cofferdam_core::protocol::role_settings::JobIdentity;
use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The default time limit of the API server for one write, in seconds: its own default for each
/// request.
pub const REQUEST_TIMEOUT: u32 = 60;

/// The bounds of this limit, in seconds: with less, a busy server would give up good writes; with
/// more, a caller waits too long for an outcome.
const REQUEST_TIMEOUTS: (i64, i64) = (5, 300);

/// The keys of `[kubernetes]` with a kubeconfig, one for each role with a credential.
const IDENTITIES: [&str; 3] = ["viewer", "provisioner", "reaper"];

/// The role that uses an identity.
fn role_of(identity: &str) -> LinkRole {
    match identity {
        "viewer" => LinkRole::Viewer,
        "reaper" => LinkRole::Reaper,
        _ => LinkRole::Runner,
    }
}

/// Reads the one present section of both.
pub(super) fn check(root: &mut Section<'_>, home: &Home) -> Option<Infrastructure> {
    match (root.has("directory"), root.has("kubernetes")) {
        (true, false) => root.section("directory", |section| check_directory(section, home))?,
        (false, true) => root
            .section("kubernetes", |section| check_cluster(section, home))?
            .map(Infrastructure::Kubernetes),
        (true, true) => {
            root.report(
                "kubernetes",
                "both `[directory]` and `[kubernetes]` are there",
                "remove one: each environment has a home of its own",
            );
            None
        }
        (false, false) => {
            let remedy = "add one of them; `cofferdam init` writes an example";
            root.report("directory", "neither `[directory]` nor `[kubernetes]` is there", remedy);
            None
        }
    }
}

fn check_directory(section: &mut Section<'_>, home: &Home) -> Option<Infrastructure> {
    let tree = section.string("tree", "the folder of manifests: tree = \"/home/me/manifests\"")?;
    check_tree(section, Path::new(&tree), home).map(|tree| Infrastructure::Directory { tree })
}

fn check_tree(section: &mut Section<'_>, tree: &Path, home: &Home) -> Option<PathBuf> {
    let shown = tree.display();
    if !section.hold(
        "tree",
        tree.is_absolute(),
        &format!("`{shown}` is a relative path"),
        "write the whole path, beginning with /",
    ) {
        return None;
    }
    if !section.has_role(LinkRole::Viewer) && !section.has_role(LinkRole::Runner) {
        return Some(tree.to_owned());
    }
    let real = std::fs::canonicalize(tree).ok().filter(|real| real.is_dir());
    let Some(real) = real else {
        section.report(
            "tree",
            &format!("`{shown}` is not a folder"),
            "name the folder that holds the manifests",
        );
        return None;
    };
    let reached = paths::overlaps(&real, home);
    if !reached.is_empty() {
        section.report(
            "tree",
            &format!(
                "the tree overlaps with {}: a change could reach what decides about changes",
                reached.join(", ")
            ),
            "keep the home outside the tree (`--home DIR`), without links between them",
        );
    }
    check_home(section, "tree", home);
    Some(real)
}

/// Checks that the folders of the home are separate from the infrastructure.
fn check_home(section: &mut Section<'_>, key: &str, home: &Home) {
    for (one, other) in paths::tangled(home) {
        section.report(
            key,
            &format!("{one} and {other} lie in one place"),
            "remove the link between them in the home folder",
        );
    }
}

fn check_cluster(section: &mut Section<'_>, home: &Home) -> Option<Cluster> {
    let files = IDENTITIES.map(|identity| {
        let path = section.string(
            identity,
            &format!(
                "the kubeconfig of this identity: {identity} = \"/home/me/{identity}.kubeconfig\""
            ),
        )?;
        check_kubeconfig(section, identity, Path::new(&path), home)
    });
    let request_timeout =
        section.integer("request_timeout_seconds", REQUEST_TIMEOUT.into(), REQUEST_TIMEOUTS);
    let request_timeout = Duration::from_secs(request_timeout.unsigned_abs());
    check_home(section, "viewer", home);
    // Compared by inode and not by path: a hard link is the same credential.
    for (index, (identity, file)) in IDENTITIES.iter().zip(&files).enumerate() {
        let earlier = IDENTITIES.iter().zip(&files).take(index);
        let same = |other: &Kubeconfig| {
            file.as_ref().is_some_and(|file| file.file.is_some() && file.file == other.file)
        };
        for (other, _) in earlier.filter(|(_, known)| known.as_ref().is_some_and(same)) {
            let problem =
                format!("the same file as `{other}`: one role would hold the rights of another");
            section.report(identity, &problem, "give each identity a kubeconfig of its own");
        }
    }
    let word = section.optional_string("job_identity").unwrap_or_else(|| "token".to_owned());
    let job_identity = JobIdentity::parse(&word);
    let remedy =
        "write \"token\", or \"impersonation\" once deploy/options/impersonation.yaml is applied";
    section.hold(
        "job_identity",
        job_identity.is_some(),
        &format!("`{word}` is no way for jobs to act"),
        remedy,
    );
    let [viewer, provisioner, reaper] = files;
    let job_identity = job_identity?;
    Some(Cluster {
        viewer: viewer?.path,
        provisioner: provisioner?.path,
        reaper: reaper?.path,
        request_timeout,
        job_identity,
    })
}

/// A readable kubeconfig.
struct Kubeconfig {
    path: PathBuf,
    /// The device and the inode; `None` in a home of another role, which has no such file.
    file: Option<(u64, u64)>,
}

/// Checks that only its owner can read a kubeconfig, and that its folder is not readable for roles.
fn check_kubeconfig(
    section: &mut Section<'_>,
    key: &str,
    path: &Path,
    home: &Home,
) -> Option<Kubeconfig> {
    let shown = path.display();
    if !section.hold(
        key,
        path.is_absolute(),
        &format!("`{shown}` is a relative path"),
        "write the whole path, beginning with /",
    ) {
        return None;
    }
    if !section.has_role(role_of(key)) {
        return Some(Kubeconfig { path: path.to_owned(), file: None });
    }
    let found: Option<(PathBuf, Metadata)> = std::fs::canonicalize(path)
        .and_then(|real| std::fs::metadata(&real).map(|meta| (real, meta)))
        .ok()
        .filter(|(_, meta)| meta.is_file());
    let Some((real, meta)) = found else {
        section.report(
            key,
            &format!("`{shown}` is not a file"),
            "name the kubeconfig of this identity; deploy/README.md says how to make one",
        );
        return None;
    };
    let open = meta.permissions().mode() & 0o077 != 0;
    section.hold(
        key,
        !open,
        &format!("`{shown}` can be read by others"),
        &format!("chmod 600 {}", real.display()),
    );
    if let Some(place) = paths::readable(&real, home) {
        let problem = format!(
            "`{shown}` lies in the folder of the {place}, which roles without this credential may \
             read"
        );
        section.report(key, &problem, "move it to a folder of its own");
    }
    Some(Kubeconfig { path: real, file: Some((meta.dev(), meta.ino())) })
}
