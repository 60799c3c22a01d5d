//! Reads the public key file of an approver in every common form, or refuses it with a remedy.
//! Never reads a private key, and keeps no comment.

use super::input_file;
use anyhow::{Context as _, Result, bail};
use cofferdam_core::model::escape::legible;
use ssh_key::PublicKey;
use std::path::Path;

/// The supported kinds of keys, by their names in key files.
const TAKEN: [&str; 4] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// The remedy for an unsupported kind of key.
pub const MAKE_ONE: &str = "make one with `ssh-keygen -t ed25519` (or `-t ed25519-sk`)";

/// File forms of other tools: first bytes, description and remedy. `{}` is the file.
const OTHER_FORMS: [(&str, &str); 7] = [
    (
        "---- BEGIN SSH2 PUBLIC KEY",
        "is a public key in the form of RFC 4716; convert it with `ssh-keygen -i -f {} > key.pub`",
    ),
    (
        "-----BEGIN PUBLIC KEY",
        "is a public key in PEM; convert it with `ssh-keygen -i -m PKCS8 -f {} > key.pub`",
    ),
    (
        "-----BEGIN RSA PUBLIC KEY",
        "is an RSA key, and these are not taken; make one with `ssh-keygen -t ed25519`",
    ),
    (
        "-----BEGIN SSH SIGNATURE",
        "is a signature; give the public key that it was made with, a file that ends in .pub",
    ),
    (
        "-----BEGIN CERTIFICATE",
        "is an X.509 certificate; give an SSH public key, a file that ends in .pub",
    ),
    (
        "PuTTY-User-Key-File",
        "is a private key of PuTTY; copy the public key for OpenSSH out of PuTTYgen into a file",
    ),
    (
        "untrusted comment",
        "is a key of signify or minisign; give an SSH public key, a file that ends in .pub",
    ),
];

/// Reads a public key file, refusing kinds whose signatures this build cannot check.
pub fn public_key(path: &Path) -> Result<PublicKey> {
    let bytes = input_file::bytes(path, "give the public key file, which ends in .pub")?;
    parse(&bytes, &path.display().to_string())
}

fn parse(bytes: &[u8], file: &str) -> Result<PublicKey> {
    if matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) {
        bail!(
            "`{file}` is UTF-16, as PowerShell's `>` writes it; write it with `| Out-File \
             -Encoding ascii` instead"
        );
    }
    // Only the comment can have letters outside of ASCII, and it is not kept.
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.contains("PRIVATE KEY") {
        bail!(
            "`{file}` is a private key, which only its owner should see; give the file that ends \
             in .pub"
        );
    }
    if let Some((_, remedy)) = OTHER_FORMS.iter().find(|(begin, _)| text.starts_with(begin)) {
        bail!("`{file}` {}", remedy.replace("{}", file));
    }
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let line = match lines.as_slice() {
        [] => bail!("`{file}` is empty; give the file that ends in .pub"),
        [line] => *line,
        more => bail!(
            "`{file}` has {} lines with keys; give a file with one key, and enrol each by a \
             command of its own",
            more.len()
        ),
    };
    let mut words = line.split_whitespace();
    let (kind, key) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if !is_kind(kind) {
        // The line has a prefix, as in `authorized_keys`, `allowed_signers` and `known_hosts`.
        if let Some(at) = line.split_whitespace().position(is_kind) {
            let alone: Vec<&str> = line.split_whitespace().skip(at).take(1).collect();
            bail!(
                "`{file}` has names or options before the key; give a file with the key alone, \
                 from `{}` on",
                legible(&alone.concat())
            );
        }
        bail!("`{file}` is no SSH public key; give the file that ends in .pub");
    }
    if kind.contains("-cert-v01@") {
        bail!("`{file}` is a certificate; give the key that it is for, the file without `-cert`");
    }
    if !TAKEN.contains(&kind) {
        bail!("keys of the kind `{}` are not supported; {MAKE_ONE}", legible(kind));
    }
    PublicKey::from_openssh(&format!("{kind} {key}")).with_context(|| {
        format!(
            "`{file}` is no SSH public key: it is damaged or cut; copy the file that ends in .pub \
             again"
        )
    })
}

/// Returns whether a word names a kind of SSH key.
fn is_kind(word: &str) -> bool {
    let begins = [
        "ssh-ed25519",
        "ssh-rsa",
        "ssh-dss",
        "ecdsa-sha2-",
        "sk-ssh-",
        "sk-ecdsa-",
        "rsa-sha2-",
        "ssh-ed448",
        "webauthn-sk-",
    ];
    begins.iter().any(|begin| word.starts_with(begin))
        || (word.contains('@') && word.contains("-cert-v"))
}

/// Returns whether each signature of a key needs a touch of its device.
pub fn is_security_key(key: &PublicKey) -> bool {
    key.algorithm().as_str().starts_with("sk-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    /// From the test data of `ssh-keygen` (regress/unittests/sshkey/testdata).
    const SECURITY_KEY: &str = "sk-ssh-ed25519@openssh.com \
                                AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAICFo/\
                                k5LU8863u66YC9eUO2170QduohPURkQnbLa/dczAAAABHNzaDo=";

    fn refused(text: impl AsRef<[u8]>, words: &str) {
        let error = parse(text.as_ref(), "id.pub").unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn a_key_is_taken_in_any_dress_and_without_its_comment() {
        let latin1 = [KEY.as_bytes(), b" schl\xfcssel\n"].concat();
        for text in [
            KEY.to_owned(),
            format!("{KEY} a comment of several words für Bob\n"),
            format!("{KEY} bob\r\n"),
            format!("\u{feff}{KEY}\r\n\r\n"),
            format!("# my key\n\n  {}  \n", KEY.replace(' ', "\t")),
        ] {
            assert_eq!(
                parse(text.as_bytes(), "id.pub").unwrap().to_openssh().unwrap(),
                KEY,
                "{text:?}"
            );
        }
        assert_eq!(parse(&latin1, "id.pub").unwrap().to_openssh().unwrap(), KEY);
        assert!(is_security_key(&parse(SECURITY_KEY.as_bytes(), "id.pub").unwrap()));
        assert!(!is_security_key(&parse(KEY.as_bytes(), "id.pub").unwrap()));
    }

    #[test]
    fn other_files_are_refused_with_what_to_do() {
        refused("", "is empty");
        refused("hello", "is no SSH public key; give the file that ends in .pub");
        refused(format!("{KEY}\n{KEY}\n"), "has 2 lines with keys; give a file with one key");
        refused(
            format!("bob@example.com namespaces=\"a b\" {KEY}"),
            "names or options before the key",
        );
        refused(
            format!("no-touch-required {SECURITY_KEY}"),
            "from `sk-ssh-ed25519@openssh.com` on",
        );
        refused(format!("example.com,192.0.2.1 {KEY}"), "names or options before the key");
        refused(
            "ssh-ed25519-cert-v01@openssh.com AAAA bob",
            "is a certificate; give the key that it is for",
        );
        refused("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM", "is damaged or cut");
        refused("ssh-ed25519", "is damaged or cut");
        refused("-----BEGIN OPENSSH PRIVATE KEY-----", "private key");
        refused("---- BEGIN SSH2 PUBLIC KEY ----", "ssh-keygen -i -f id.pub");
        refused("-----BEGIN PUBLIC KEY-----", "ssh-keygen -i -m PKCS8 -f id.pub");
        refused("PuTTY-User-Key-File-3: ssh-ed25519", "PuTTYgen");
        refused(
            KEY.encode_utf16()
                .flat_map(u16::to_le_bytes)
                .fold(vec![0xff, 0xfe], |mut all, byte| (all.push(byte), all).1),
            "UTF-16",
        );
        for kind in ["ssh-rsa", "ssh-dss", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"] {
            refused(
                format!("{kind} AAAA bob"),
                &format!("keys of the kind `{kind}` are not supported; make one with"),
            );
        }
    }

    #[test]
    fn keys_that_ssh_keygen_makes_are_taken_or_refused_by_their_kind() {
        let folder = tempfile::tempdir().unwrap();
        for (number, (kind, bits, taken)) in [
            ("ed25519", "256", true),
            ("ecdsa", "256", true),
            ("ecdsa", "384", false),
            ("ecdsa", "521", false),
            ("rsa", "2048", false),
        ]
        .iter()
        .enumerate()
        {
            let path = folder.path().join(format!("key{number}"));
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", kind, "-b", bits, "-N", "", "-C", "two words", "-f"])
                .arg(&path)
                .status();
            assert!(made.unwrap().success());
            let read = public_key(&path.with_extension("pub"));
            assert_eq!(read.is_ok(), *taken, "{kind} {bits}: {read:?}");
        }
        // A certificate of the first key, by the second.
        let (key, ca) = (folder.path().join("key0.pub"), folder.path().join("key1"));
        let made =
            Command::new("ssh-keygen").args(["-q", "-I", "bob", "-s"]).arg(&ca).arg(&key).status();
        assert!(made.unwrap().success());
        let error = public_key(&folder.path().join("key0-cert.pub")).unwrap_err().to_string();
        assert!(error.contains("is a certificate"), "{error}");
    }
}
