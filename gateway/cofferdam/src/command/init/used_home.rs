//! Lost files of a used home come from a backup, never from `init`: a new file would mean another
//! environment, another key or access without a token.

use crate::config::home::{Home, Secret};
use anyhow::{Result, bail};
use cofferdam_recorder::database;
use std::path::PathBuf;

/// Refuses a home with a lost file that only a backup has. `fresh`: the home has no trust file.
pub fn check(home: &Home, fresh: bool) -> Result<()> {
    let root = home.root().display();
    if fresh {
        let used = [database(&home.store()), home.ledger().join("checkpoint")];
        if let Some(used) = used.iter().find(|path| path.symlink_metadata().is_ok()) {
            bail!(
                "`{root}` was used before: it has `{}` and no trust file; restore `{}` from a \
                 backup, or use another home with `--home DIR`. A new trust file would be of \
                 another environment than this ledger",
                used.display(),
                home.trust().display()
            );
        }
        return Ok(());
    }
    let needed: [PathBuf; 5] = [
        home.secret(Secret::Permits),
        home.secret(Secret::Checkpoints),
        home.agents(),
        home.policy_module(),
        home.policy_data(),
    ];
    if let Some(lost) = needed.iter().find(|path| !path.exists()) {
        bail!(
            "`{root}` has a trust file, and `{}` is lost; restore it from a backup, or use \
             another home with `--home DIR`",
            lost.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::home::write_private;

    #[test]
    fn what_only_a_backup_has_is_never_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().to_owned());
        check(&home, true).unwrap();
        home.make_folders().unwrap();
        check(&home, true).unwrap();
        write_private(&home.ledger().join("checkpoint"), b"x").unwrap();
        let said = check(&home, true).unwrap_err().to_string();
        assert!(said.contains("trust.toml` from a backup"), "{said}");
        let lost = check(&home, false).unwrap_err().to_string();
        assert!(lost.contains("keys/gateway` is lost; restore it from a backup"), "{lost}");
    }
}
