//! Files of statements and signatures: for `ssh-keygen -Y verify`, from `ssh-keygen -Y sign`, and of
//! passkeys for `cofferdam approver verify`. Never reads a private key.

use crate::command::input_file;
use anyhow::{Context as _, Result, bail};
use cofferdam_core::model::statement::{NAMESPACE, SignedStatement};
use cofferdam_core::model::trust::Approver;
use cofferdam_core::policy::passkey::Assertion;
use std::path::{Path, PathBuf};

/// The most bytes of a signature file: an armoured signature has a few hundred.
const SIGNATURE: usize = 16 * 1024;

/// Stops git from changing line ends: `ssh-keygen` refuses a signature with other ones.
const ATTRIBUTES: &str = "*.json.sig -text\n*.allowed_signers -text\n*.json.passkey -text\n";

/// The files of a statement and its signature.
pub struct Written {
    /// The file of the statement.
    pub statement: PathBuf,
    /// The file of the signature.
    pub signature: PathBuf,
    /// The file with the signer's name and key.
    pub allowed: PathBuf,
    /// The shell command that checks the signature.
    pub command: String,
}

/// Writes the three files for `ssh-keygen -Y verify`, or for `cofferdam approver verify`.
pub fn write_out(
    folder: &Path,
    id: &str,
    approver: &str,
    key: &str,
    signed: &SignedStatement,
) -> Result<Written> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    let stem = format!("{id}.{}", approver.replace(['/', '\\'], "_"));
    let statement = folder.join(format!("{stem}.json"));
    if Assertion::is_text_of_one(&signed.signature) {
        return write_passkey(folder, &stem, approver, key, signed);
    }
    let signature = folder.join(format!("{stem}.json.sig"));
    let allowed = folder.join(format!("{stem}.allowed_signers"));
    // The comment of a key is not needed to verify.
    let key = key.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let line = format!("{approver} namespaces=\"{NAMESPACE}\" {key}\n");
    let armour = unix_lines(&signed.signature);
    for (path, text) in [(&statement, &signed.statement), (&signature, &armour), (&allowed, &line)]
    {
        write(path, text)?;
    }
    write_attributes(folder)?;
    let command = format!(
        "ssh-keygen -Y verify -f {} -I {} -n {NAMESPACE} -s {} < {}",
        quoted(&allowed.to_string_lossy()),
        quoted(approver),
        quoted(&signature.to_string_lossy()),
        quoted(&statement.to_string_lossy())
    );
    Ok(Written { statement, signature, allowed, command })
}

/// Writes the three files of an approval by passkey.
fn write_passkey(
    folder: &Path,
    stem: &str,
    approver: &str,
    key: &str,
    signed: &SignedStatement,
) -> Result<Written> {
    let statement = folder.join(format!("{stem}.json"));
    let signature = folder.join(format!("{stem}.json.passkey"));
    let allowed = folder.join(format!("{stem}.approvers.toml"));
    let entry = Approver { name: approver.to_owned(), key: key.to_owned() };
    let line = format!("[[approver]]\n{}", toml::to_string(&entry)?);
    write(&statement, &signed.statement)?;
    write(&signature, &signed.signature)?;
    write(&allowed, &line)?;
    write_attributes(folder)?;
    let command = format!(
        "cofferdam approver verify {} --signature {} --approvers {}",
        quoted(&statement.to_string_lossy()),
        quoted(&signature.to_string_lossy()),
        quoted(&allowed.to_string_lossy())
    );
    Ok(Written { statement, signature, allowed, command })
}

/// Keeps git from changing line ends, unless the folder says something else.
fn write_attributes(folder: &Path) -> Result<()> {
    let attributes = folder.join(".gitattributes");
    if attributes.exists() { Ok(()) } else { write(&attributes, ATTRIBUTES) }
}

/// Writes one file; the error names its path.
pub fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
}

/// Reads a signature of `ssh-keygen -Y sign`, with any line ends, or the text of a passkey's.
pub fn read_signature(path: &Path) -> Result<String> {
    read_signature_in(path, NAMESPACE)
}

/// Reads a signature that was made in this namespace. Only its form is checked.
pub fn read_signature_in(path: &Path, namespace: &str) -> Result<String> {
    let most = u64::try_from(SIGNATURE).unwrap_or(u64::MAX);
    let remedy = "give the .sig file that `ssh-keygen -Y sign` wrote";
    let bytes = input_file::regular(path, most, remedy)?;
    let text = String::from_utf8(bytes).unwrap_or_default();
    if Assertion::read(text.trim_end()).is_ok() {
        return Ok(text.trim_end().to_owned());
    }
    let text = unix_lines(text.trim_start_matches('\u{feff}'));
    if text.len() > SIGNATURE || !text.starts_with("-----BEGIN SSH SIGNATURE-----") {
        bail!(
            "`{}` is no SSH signature; give the file that `ssh-keygen -Y sign -n {namespace} -f \
             KEY FILE` wrote, FILE.sig",
            path.display()
        );
    }
    Ok(text)
}

/// Replaces line ends with those of `ssh-keygen`.
fn unix_lines(text: &str) -> String {
    let mut lines: String =
        text.trim().lines().map(|line| format!("{}\n", line.trim_end())).collect();
    lines.shrink_to_fit();
    lines
}

/// Quotes a word for a shell.
pub fn quoted(text: &str) -> String {
    let plain = !text.is_empty()
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "/._-@+:".contains(letter));
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::ssh::Signer;
    use std::process::{Command, Stdio};

    /// A key and a signature by `ssh-keygen` itself.
    fn signed(folder: &Path, kind: &[&str]) -> (String, SignedStatement) {
        let key = folder.join("key");
        let make = || {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-N", "", "-C", "a key för Bob", "-f"])
                .arg(&key)
                .args(kind)
                .status()
                .unwrap();
            assert!(made.success());
            let signer = Signer::find(Some(&key), &[], |_| None);
            if let Err(error) = &signer {
                // 1 in 256 ECDSA keys is for the agent alone.
                assert!(error.to_string().contains("sign through an SSH agent"), "{error:#}");
                std::fs::remove_file(&key).unwrap();
            }
            signer.ok()
        };
        let signer = (0..8).find_map(|_| make()).unwrap();
        let signature = signer.sign(NAMESPACE, b"{}").unwrap();
        let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
        std::fs::remove_file(&key).unwrap();
        (public, SignedStatement { statement: "{}".to_owned(), signature })
    }

    #[test]
    fn the_printed_command_verifies_for_any_name_kind_and_line_end() {
        for (name, kind) in [
            ("bob@example.com", &["-t", "ed25519"][..]),
            ("bob+on-call@example.com", &["-t", "ecdsa", "-b", "256"]),
            ("o'brien$(id)&;|`x`", &["-t", "ed25519"]),
            ("a/b\\c[d]~-", &["-t", "ed25519"]),
            ("-bob", &["-t", "ed25519"]),
        ] {
            let folder = tempfile::Builder::new().prefix("with blank ").tempdir().unwrap();
            let (key, mut statement) = signed(folder.path(), kind);
            statement.signature = statement.signature.replace('\n', "\r\n");
            let out = folder.path().join("it's out");
            let written = write_out(&out, "abcd", name, &key, &statement).unwrap();
            let done = Command::new("sh")
                .arg("-c")
                .arg(&written.command)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            assert!(
                done.status.success(),
                "{}\n{}",
                written.command,
                String::from_utf8_lossy(&done.stderr)
            );
            assert!(!std::fs::read_to_string(&written.allowed).unwrap().contains("för"));
            assert!(
                std::fs::read_to_string(out.join(".gitattributes"))
                    .unwrap()
                    .contains("*.json.sig -text")
            );
        }
    }

    #[test]
    fn a_signature_is_read_with_any_line_end_and_other_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sig");
        let (_, statement) = signed(folder.path(), &["-t", "ed25519"]);
        for text in [
            statement.signature.clone(),
            statement.signature.replace('\n', "\r\n"),
            format!("\u{feff}{}\n\n", statement.signature),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read_signature(&path).unwrap().trim_end(), statement.signature.trim_end());
        }
        for other in ["", "{}", "-----BEGIN OPENSSH PRIVATE KEY-----"] {
            std::fs::write(&path, other).unwrap();
            assert!(
                read_signature(&path)
                    .unwrap_err()
                    .to_string()
                    .contains("is no SSH signature; give the file")
            );
        }
    }
}
