//! `cofferdam approver remove`: removes a person, or one key of a person, from the trust file and
//! from each copy that is served. In effect at once: every role reads its copy again before it
//! counts a signature.

use super::described;
use crate::command::reload;
use crate::command::report::Report;
use crate::config::home::Home;
use crate::config::trust_file::TrustFile;
use crate::serve::copies;
use anyhow::{Result, bail};
use clap::Args;
use cofferdam_core::model::trust::Approver;
use serde_json::json;

/// Removes a person with all keys, or one key. Signatures of a removed key no longer count for
/// calls that have not run
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam approver remove bob@example.com\n  cofferdam \
                        approver remove bob@example.com --key abcde-fghij-klmno-pqrst")]
pub struct Remove {
    /// The name of the person
    name: String,
    /// Remove this key alone, by its fingerprint in `cofferdam approver list`; the person's other
    /// keys stay
    #[arg(long, value_name = "FINGERPRINT")]
    key: Option<String>,
}

impl Remove {
    /// The removal of a person with all keys.
    #[cfg(test)]
    pub fn person(name: &str) -> Self {
        Self { name: name.to_owned(), key: None }
    }

    /// Runs the command and returns its report.
    pub fn run(self, home: &Home) -> Result<Report> {
        let Self { name, key } = self;
        let mut file = TrustFile::open(home)?;
        let (removed, keys) = match &key {
            None => removed_person(&mut file, &name)?,
            Some(key) => (removed_key(&mut file, &name, key)?, 1),
        };
        let trust = file.save()?;
        remove_everywhere(home)?;
        let loaded = reload::now(home);
        let note = loaded.as_ref().err().map(|error| {
            format!(
                "\nQuestions that lack approvers now stay open until `cofferdam reload` \
                 succeeds: {error:#}"
            )
        });
        let json = json!({"removed": name, "keys": keys,
            "loaded": loaded.is_ok_and(|loaded| loaded)});
        let enters = key.is_none() && trust.console.iter().any(|own| own.name == name);
        let enters = if enters {
            format!(
                "\n`{name}` may still enter the console; `cofferdam people remove {name}` ends that."
            )
        } else {
            String::new()
        };
        Ok(Report::new(format!("{removed}{enters}{}", note.unwrap_or_default()), json))
    }
}

/// Removes every key of this person. Returns the sentence about it, and the number of keys.
fn removed_person(file: &mut TrustFile, name: &str) -> Result<(String, usize)> {
    let keys = file.remove_approver(name)?;
    if keys == 0 {
        bail!("there is no approver `{name}`; `cofferdam approver list` names them");
    }
    let removed = if keys == 1 { "1 key".to_owned() } else { format!("{keys} keys") };
    let told = format!(
        "Removed `{name}` ({removed}). From now on no signature of this person counts, also not \
         for a call that has not run yet."
    );
    Ok((told, keys))
}

/// Removes one key of this person. Returns the sentence about it.
fn removed_key(file: &mut TrustFile, name: &str, wanted: &str) -> Result<String> {
    let approvers = file.trust()?.approvers;
    let is_wanted = |approver: &Approver| {
        approver.name == name && is_same_print(&described(approver).2, wanted)
    };
    if !approvers.iter().any(is_wanted) {
        bail!(
            "`{name}` has no key with the fingerprint `{wanted}`; `cofferdam approver list` has \
             the fingerprints"
        );
    }
    let kept: Vec<_> = approvers.iter().filter(|approver| !is_wanted(approver)).cloned().collect();
    file.retain_approvers(&kept)?;
    let left = kept.iter().filter(|approver| approver.name == name).count();
    let left = match left {
        0 => "It was the last key: this person is no longer an approver.".to_owned(),
        1 => "1 other key of this person stays.".to_owned(),
        more => format!("{more} other keys of this person stay."),
    };
    Ok(format!(
        "Removed this key of `{name}`. From now on no signature of this key counts, also not for \
         a call that has not run yet. {left}"
    ))
}

/// Compares a fingerprint as a person typed it: that of an SSH key exactly, the number of a passkey
/// in any case of its letters, and with or without hyphens.
fn is_same_print(known: &str, typed: &str) -> bool {
    let plain = |text: &str| text.replace('-', "").to_ascii_lowercase();
    let typed = typed.trim();
    known == typed || (!known.starts_with("SHA256:") && plain(known) == plain(typed))
}

/// Carries a removal of people into every copy that is served. A runner uses the copies from the
/// start of its job, which may be earlier copies.
pub fn remove_everywhere(home: &Home) -> Result<()> {
    let mut problem = None;
    for copies in copies::loads(home) {
        let removed = copies::remove_approvers(home, &copies);
        // A load that was refused meanwhile has no copies any more.
        if copies.trust().exists() {
            problem = problem.or(removed.err());
        }
    }
    problem.map_or(Ok(()), |problem| {
        Err(problem.context(
            "the trust file has the removal, and a served copy does not have it yet: `cofferdam \
             serve` tries again each second",
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::is_same_print;

    #[test]
    fn a_fingerprint_is_compared_whole() {
        let number = "abcde-fghij-klmno-pqrst";
        for good in [
            number,
            "ABCDE-FGHIJ-KLMNO-PQRST",
            "abcdefghijklmnopqrst",
            " abcde-fghij-klmno-pqrst\n",
        ] {
            assert!(is_same_print(number, good), "{good}");
        }
        for bad in ["", "abcde", "abcde-fghij-klmno-pqrsu"] {
            assert!(!is_same_print(number, bad), "{bad}");
        }
        let ssh = "SHA256:AbCd-";
        assert!(is_same_print(ssh, ssh));
        for bad in ["SHA256:abcd-", "SHA256:AbCd", "AbCd-", ""] {
            assert!(!is_same_print(ssh, bad), "{bad}");
        }
    }
}
