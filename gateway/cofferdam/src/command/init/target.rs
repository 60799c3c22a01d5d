//! The target of a new home: an existing tree, or a cluster that all three identities reach.

use crate::command::runner_binary;
use crate::config::home::Home;
use crate::config::{self, Cluster, Infrastructure};
use anyhow::{Context as _, Result, anyhow, bail};
use cofferdam_core::model::id::hex;
use cofferdam_core::model::trust::Environment;
use cofferdam_core::protocol::role_settings::JobIdentity;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The infrastructure of a new home.
#[derive(Debug)]
pub struct Target {
    /// The location of the infrastructure.
    pub infrastructure: Infrastructure,
    /// Its id, and its name unless the home already has one.
    pub environment: Environment,
    /// A short description for people.
    pub words: String,
}

/// Makes the target of a tree. Its id is random.
pub fn tree(given: &Path, name: Option<String>, home: &Home, working: &Path) -> Result<Target> {
    let tree = std::fs::canonicalize(working.join(given))
        .ok()
        .filter(|tree| tree.is_dir())
        .with_context(|| {
            format!(
                "`{}` is not a folder; name the folder that holds the manifests",
                given.display()
            )
        })?;
    if !config::overlaps(&tree, home).is_empty() {
        bail!(
            "the home `{}` and the tree `{}` overlap, so an agent could change the \
             configuration; choose another home with `--home DIR`",
            home.root().display(),
            tree.display()
        );
    }
    let name = name.map_or_else(|| environment_name(&tree), Ok)?;
    let environment = Environment { name, id: hex(&random::<16>()?) };
    let words = format!("tree {}", tree.display());
    Ok(Target { infrastructure: Infrastructure::Directory { tree }, environment, words })
}

/// Makes the target of a cluster. Each identity must reach the same cluster.
pub fn cluster(
    name: String,
    [viewer, provisioner, reaper]: [PathBuf; 3],
    working: &Path,
) -> Result<Target> {
    let real = |given: PathBuf| {
        std::fs::canonicalize(working.join(&given)).ok().filter(|path| path.is_file()).with_context(
            || {
                format!(
                    "`{}` is not a file; deploy/README.md says how to make the kubeconfig of each \
                     identity",
                    given.display()
                )
            },
        )
    };
    let request_timeout = Duration::from_secs(config::REQUEST_TIMEOUT.into());
    let job_identity = JobIdentity::Token;
    let cluster = Cluster {
        viewer: real(viewer)?,
        provisioner: real(provisioner)?,
        reaper: real(reaper)?,
        request_timeout,
        job_identity,
    };
    let mut met: Option<runner_binary::Identified> = None;
    for (identity, kubeconfig) in cluster.identities() {
        let found = runner_binary::identify(kubeconfig).with_context(|| {
            format!(
                "cannot identify the cluster of the {identity}'s kubeconfig `{}`",
                kubeconfig.display()
            )
        })?;
        match &met {
            Some(first) if first.environment_id != found.environment_id => bail!(
                "the kubeconfigs are for different clusters: the viewer's for {} ({}), the \
                 {identity}'s for {} ({})",
                first.server,
                first.environment_id,
                found.server,
                found.environment_id
            ),
            Some(_) => {}
            None => met = Some(found),
        }
    }
    let found = met.context("no identity was given")?;
    let environment = Environment { name, id: found.environment_id };
    if !environment.is_cluster() {
        bail!(
            "{} gives `{}` as the UID of kube-system, which is not a UID; check that it is an API \
             server",
            found.server,
            environment.id
        );
    }
    let words =
        format!("the Kubernetes {} cluster at {}, {}", found.version, found.server, environment.id);
    Ok(Target { infrastructure: Infrastructure::Kubernetes(cluster), environment, words })
}

/// Returns random bytes from the operating system.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow!("the operating system gives no random bytes: {error}"))?;
    Ok(bytes)
}

/// Makes the name of an environment from a folder's name: small letters, digits and hyphens.
fn environment_name(tree: &Path) -> Result<String> {
    let name: String = tree
        .file_name()
        .map(|name| name.to_string_lossy().to_lowercase())
        .unwrap_or_default()
        .chars()
        .map(
            |letter| {
                if letter.is_ascii_lowercase() || letter.is_ascii_digit() { letter } else { '-' }
            },
        )
        .take(40)
        .collect();
    let name = name.trim_matches('-').to_owned();
    if name.is_empty() {
        Err(anyhow!(
            "the name of the folder is not a valid name of an environment; give one with `--name`"
        ))
    } else {
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_name() {
        let check = |path: &str, expect: Option<&str>| {
            assert_eq!(environment_name(Path::new(path)).ok().as_deref(), expect)
        };
        check("/home/me/My Manifests", Some("my-manifests"));
        check("/srv/staging_2", Some("staging-2"));
        check("/srv/___", None);
    }

    #[test]
    fn a_kubeconfig_that_is_not_there_is_named_before_anything_runs() {
        let folder = tempfile::tempdir().unwrap();
        let error = cluster("lab".to_owned(), ["a", "b", "c"].map(PathBuf::from), folder.path())
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "`a` is not a file; deploy/README.md says how to make the kubeconfig of each identity"
        );
    }
}
