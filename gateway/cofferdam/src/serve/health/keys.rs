//! Checks the private keys: present, readable by their owner alone, and matching the trust file.
//! Never prints a key.

use super::{Findings, instead};
use crate::config::has_role;
use crate::config::home::{Home, Secret};
use cofferdam_core::model::permit::verifying_key_text;
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::link::LinkRole;
use ed25519_dalek::SigningKey;

/// Checks every key of a home with this role, or with all. `serving`: new runners still read their
/// key.
pub fn keys(
    home: &Home,
    role: Option<LinkRole>,
    trust: &Trust,
    serving: bool,
    found: &mut Findings,
) {
    let before = found.0.len();
    let own = |secret: &Secret| has_role(role, secret.role());
    let pairs =
        [(Secret::Permits, &trust.keys.gateway), (Secret::Checkpoints, &trust.keys.recorder)];
    for (secret, expected) in pairs.into_iter().filter(|(secret, _)| own(secret)) {
        let path = home.secret(secret);
        let restore = format!(
            "restore `{}` from a backup: no other key fits this home's trust file and ledger",
            path.display()
        );
        match home.read_secret(secret) {
            Ok(seed)
                if verifying_key_text(&SigningKey::from_bytes(&seed).verifying_key())
                    == *expected => {}
            Ok(_) => {
                let detail =
                    format!("`{}` is not the key that the trust file names", path.display());
                found.bad("keys", detail, &restore);
            }
            Err(error) => {
                let link = instead(&path).map(|link| format!("`{}` {link}", path.display()));
                found.bad("keys", link.unwrap_or_else(|| cause(&error)), &restore);
            }
        }
    }
    let made = [Secret::GatewayArtefacts, Secret::RunnerArtefacts];
    for secret in made.into_iter().filter(own) {
        let path = home.secret(secret);
        match home.read_secret(secret) {
            Ok(_) => {}
            Err(_) if serving && secret == Secret::RunnerArtefacts && missed(home, found) => {}
            Err(_) if path.symlink_metadata().is_err() && home.keys().is_dir() => {
                let detail = format!("`{}` is missing", path.display());
                let remedy = "nothing to do: `cofferdam serve` makes a new one at its start and \
                              compiles again";
                found.less("keys", detail, remedy);
            }
            Err(error) => {
                let remedy =
                    "make it readable, or move it away: `cofferdam serve` then makes a new one";
                found.bad("keys", cause(&error), remedy);
            }
        }
    }
    if found.0.len() == before {
        found.good("keys", "those that the trust file names");
    }
}

/// Returns whether new runners miss their key, and adds the finding.
pub fn missed(home: &Home, found: &mut Findings) -> bool {
    let path = home.secret(Secret::RunnerArtefacts);
    let missed = home.keys().is_dir() && !path.exists();
    if missed {
        let detail = format!(
            "`{}` is missing: runners that start from now on fail, and with them calls",
            path.display()
        );
        found.warn(
            "keys",
            detail,
            "start `cofferdam serve` again, which makes a new one and compiles again",
        );
    }
    missed
}

/// The cause of an unreadable key, without the remedy: a finding has its own.
fn cause(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    text.strip_suffix(cofferdam_process::secret::REMEDY).map_or_else(|| text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_key_of_artefacts_has_the_remedy_of_its_moment() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("home"));
        home.make_folders().unwrap();
        let digest = cofferdam_core::model::id::PolicyDigest::of(b"policy");
        let trust = Trust::parse(&format!(
            "policy = \"{digest}\"\nself_approval = false\n[environment]\nname = \"lab\"\nid = \
             \"0\"\n[keys]\ngateway = \"g\"\nrecorder = \"r\"\n[floor]\nactions = []\nnamespaces \
             = []\n"
        ))
        .unwrap();
        let told = |serving: bool| {
            let mut found = Findings::default();
            keys(&home, None, &trust, serving, &mut found);
            found
                .0
                .into_iter()
                .filter(|one| one.detail.contains("runner-artefacts"))
                .map(|one| one.remedy)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            told(true),
            ["start `cofferdam serve` again, which makes a new one and compiles again"]
        );
        assert_eq!(
            told(false),
            ["nothing to do: `cofferdam serve` makes a new one at its start and compiles again"]
        );
    }

    #[test]
    fn a_finding_about_a_key_has_one_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("home"));
        let told = cause(&home.read_secret(Secret::Permits).unwrap_err());
        assert!(told.starts_with("cannot read the key `") && !told.contains("restore"), "{told}");
    }
}
