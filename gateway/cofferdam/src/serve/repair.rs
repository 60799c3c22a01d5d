//! Repairs the home before a start: makes missing files that can be made again, and logs each.
//! Never makes a file that only a backup has: a signing key, the trust file, the agents, the
//! policy.

use crate::config::has_role;
use crate::config::home::{Home, Secret, write_private};
use crate::serve::health::{self, Findings};
use anyhow::{Result, anyhow};
use cofferdam_core::model::id::hex;
use cofferdam_core::protocol::link::LinkRole;
use cofferdam_process::writable;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;

/// The mode of a folder that only its owner can enter.
const PRIVATE: u32 = 0o700;

/// Makes the missing files of a home with this role, or with all, and logs them and wrong
/// permissions.
pub fn repair(home: &Home, role: Option<LinkRole>) -> Result<()> {
    for made in [folders(home, role)?, keys(home, role)?].concat() {
        tracing::warn!(what = "home", "repaired: {made}");
    }
    let mut found = Findings::default();
    health::permissions(home, &mut found);
    for open in found.bad_ones() {
        tracing::warn!(what = "home", "{}", open.line());
    }
    Ok(())
}

/// Makes the folders whose content can be made again.
fn folders(home: &Home, role: Option<LinkRole>) -> Result<Vec<String>> {
    let mut made = Vec::new();
    let of_recorder = [home.store(), home.ledger(), home.run()];
    let of_runner = [home.runs(), home.journal(), home.artefacts("runner")];
    let of_gateway = [home.artefacts("gateway")];
    let own = of_recorder
        .into_iter()
        .map(|folder| (LinkRole::Recorder, folder))
        .chain(of_runner.map(|folder| (LinkRole::Runner, folder)))
        .chain(of_gateway.map(|folder| (LinkRole::Gateway, folder)));
    for (_, folder) in own.filter(|(own, _)| has_role(role, *own)) {
        if folder.symlink_metadata().is_ok() {
            continue;
        }
        let shown = folder.display();
        fs::DirBuilder::new().recursive(true).mode(PRIVATE).create(&folder).map_err(|error| {
            anyhow!("{}", writable::obstacle(&folder, "is missing and cannot be made", &error))
        })?;
        made.push(format!("the folder `{shown}` was missing; it was made again, empty"));
    }
    Ok(made)
}

/// Makes missing keys of compiled artefacts: with a new key, everything is compiled again.
fn keys(home: &Home, role: Option<LinkRole>) -> Result<Vec<String>> {
    let mut made = Vec::new();
    let own = [Secret::GatewayArtefacts, Secret::RunnerArtefacts];
    for secret in own.into_iter().filter(|secret| has_role(role, secret.role())) {
        let path = home.secret(secret);
        if path.symlink_metadata().is_ok() || !home.keys().is_dir() {
            continue;
        }
        let mut bits = [0; 32];
        getrandom::fill(&mut bits)
            .map_err(|error| anyhow!("the operating system gives no randomness: {error}"))?;
        write_private(&path, format!("{}\n", hex(&bits)).as_bytes())?;
        let shown = path.display();
        made.push(format!(
            "the key `{shown}` was missing; a new one was made, and everything is compiled again"
        ));
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_made_again_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().to_owned());
        home.make_folders().unwrap();
        fs::remove_dir(home.ledger()).unwrap();
        fs::remove_dir(home.journal()).unwrap();
        repair(&home, None).unwrap();
        assert!(home.ledger().is_dir() && home.journal().is_dir());
        assert!(home.read_secret(Secret::RunnerArtefacts).is_ok());
        assert!(
            !home.secret(Secret::Permits).exists()
                && !home.trust().exists()
                && !home.agents().exists()
        );
        let kept = fs::read(home.secret(Secret::RunnerArtefacts)).unwrap();
        repair(&home, None).unwrap();
        assert_eq!(fs::read(home.secret(Secret::RunnerArtefacts)).unwrap(), kept);
    }
}
