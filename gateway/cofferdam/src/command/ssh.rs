//! Signs with an SSH key of a person: a key file, or the SSH agent at SSH_AUTH_SOCK, also for
//! security keys. Never stores or sends a private key, and never signs for another namespace.

use super::input_file;
use super::public_key::{MAKE_ONE, public_key};
use anyhow::{Context as _, Result, bail};
use cofferdam_core::model::passkey::Passkey;
use cofferdam_core::model::statement::{NAMESPACE, SignedStatement};
use cofferdam_core::model::trust::Approver;
use cofferdam_core::policy::passkey::{Assertion, challenge_of};
use ssh_key::{
    Algorithm, EcdsaCurve, HashAlg, LineEnding, PrivateKey, PublicKey, Signature, SshSig,
};
use std::io::{BufRead as _, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Message numbers of the SSH agent protocol (draft-ietf-sshm-ssh-agent, section 3): two requests
/// and their responses.
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// The most bytes of a response, as in the client of OpenSSH.
const LONGEST_ANSWER: usize = 256 * 1024;

/// The variable with the path of the passphrase file of an encrypted key, for programs.
pub const PASSPHRASE_FILE: &str = "COFFERDAM_PASSPHRASE_FILE";

/// The source of a signature.
#[derive(Debug)]
pub enum Signer {
    /// A private key, decrypted.
    File(Box<PrivateKey>),
    /// A key in an SSH agent.
    Agent(PathBuf, PublicKey),
}

impl Signer {
    /// Finds the signing key: a private key file, the SSH agent's key for a public key file, or the
    /// one enrolled key in the SSH agent.
    pub fn find(
        key: Option<&Path>,
        approvers: &[Approver],
        variable: impl Fn(&str) -> Option<PathBuf>,
    ) -> Result<Self> {
        let agent = || {
            variable("SSH_AUTH_SOCK").context(
                "no SSH agent is running (SSH_AUTH_SOCK is not set); give your key with `--key \
                 ~/.ssh/id_ed25519`",
            )
        };
        let Some(path) = key else {
            let socket = agent()?;
            let Held { keys, certificates } = identities(&socket)?;
            let empty = keys.is_empty() && certificates == 0;
            let mut enrolled = keys.into_iter().filter(|key| enrolled(key, approvers));
            return match (enrolled.next(), enrolled.next()) {
                (Some(one), None) => Ok(Self::Agent(socket, one)),
                (Some(_), Some(_)) => bail!(
                    "the SSH agent holds several enrolled keys; choose one with `--key FILE.pub`"
                ),
                (None, _) if empty => bail!(
                    "the SSH agent shows no key; unlock it with `ssh-add -X` if it is locked, add \
                     yours with `ssh-add`, or give it with `--key FILE`"
                ),
                (None, _) if certificates > 0 => bail!(
                    "the SSH agent holds no enrolled key, and certificates cannot sign; add the \
                     key itself with `ssh-add`, or give it with `--key FILE`"
                ),
                (None, _) => bail!(
                    "the SSH agent holds no enrolled key; add yours with `ssh-add`, give it with \
                     `--key FILE`, or have it enrolled with `cofferdam approver add NAME --key \
                     FILE.pub`"
                ),
            };
        };
        let bytes = input_file::bytes(
            path,
            "give your private key file, or the .pub file of a key in your SSH agent",
        )?;
        if !bytes.windows(11).any(|window| window == b"PRIVATE KEY") {
            let wanted = public_key(path)?;
            let socket = agent()?;
            let held =
                identities(&socket)?.keys.iter().any(|held| held.key_data() == wanted.key_data());
            return if held {
                Ok(Self::Agent(socket, wanted))
            } else {
                bail!(
                    "the SSH agent does not hold `{}`; add it with `ssh-add`, or unlock the agent \
                     with `ssh-add -X`",
                    path.display()
                )
            };
        }
        let private = PrivateKey::from_openssh(&bytes).with_context(|| {
            // Of the ECDSA keys, 1 in 256 has a private number with a leading zero byte. OpenSSH
            // leaves that byte out, and the library does not read such a key.
            format!(
                "`{}` is not readable as an OpenSSH private key; convert it with `ssh-keygen -p \
                 -f {0}`, or sign through an SSH agent: `ssh-add {0}`, then `--key {0}.pub`",
                path.display()
            )
        })?;
        if matches!(private.algorithm(), Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256) {
            bail!(
                "`{}` is a security key's; sign through the agent: `ssh-add {0}`, then `--key \
                 {0}.pub`",
                path.display()
            );
        }
        if !matches!(
            private.algorithm(),
            Algorithm::Ed25519 | Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }
        ) {
            bail!("keys of the kind `{}` are not supported; {MAKE_ONE}", private.algorithm());
        }
        if private.is_encrypted() {
            let passphrase = passphrase(path, &variable)?;
            let open = private
                .decrypt(passphrase.as_bytes())
                .with_context(|| format!("the passphrase does not decrypt `{}`", path.display()))?;
            return Ok(Self::File(Box::new(open)));
        }
        Ok(Self::File(Box::new(private)))
    }

    /// Finds the signing key where the enrolled keys are not known: a private key file, the SSH
    /// agent's key for a public key file, or the only usable key in the SSH agent.
    pub fn find_own(
        key: Option<&Path>,
        variable: impl Fn(&str) -> Option<PathBuf>,
    ) -> Result<Self> {
        if key.is_some() {
            return Self::find(key, &[], variable);
        }
        let socket = variable("SSH_AUTH_SOCK").context(
            "no SSH agent is running (SSH_AUTH_SOCK is not set); give your key with `--key \
             ~/.ssh/id_ed25519`",
        )?;
        let mut usable = identities(&socket)?.keys.into_iter().filter(is_accepted);
        match (usable.next(), usable.next()) {
            (Some(one), None) => Ok(Self::Agent(socket, one)),
            (Some(_), Some(_)) => {
                bail!("the SSH agent holds several keys; choose yours with `--key FILE.pub`")
            }
            (None, _) => bail!(
                "the SSH agent shows no key that can approve; unlock it with `ssh-add -X` if it is \
                 locked, add yours with `ssh-add`, or give it with `--key FILE`"
            ),
        }
    }

    /// The public key of the signer.
    pub fn public(&self) -> PublicKey {
        match self {
            Self::File(key) => key.public_key().clone(),
            Self::Agent(_, key) => key.clone(),
        }
    }

    /// Signs in this namespace; returns the armoured SSHSIG.
    pub fn sign(&self, namespace: &str, message: &[u8]) -> Result<String> {
        let signature = match self {
            Self::File(key) => {
                key.sign(namespace, HashAlg::Sha512, message).context("the key cannot sign")?
            }
            Self::Agent(socket, key) => {
                let signed = SshSig::signed_data(namespace, HashAlg::Sha512, message)
                    .context("the message cannot be signed")?;
                let signature = agent_sign(socket, key, &signed)?;
                SshSig::new(key.key_data().clone(), namespace, HashAlg::Sha512, signature)
                    .context("the agent's signature is of another kind")?
            }
        };
        signature.to_pem(LineEnding::LF).context("the signature has no text form")
    }
}

/// The approver with this key.
pub fn owner<'a>(key: &PublicKey, approvers: &'a [Approver]) -> Option<&'a str> {
    let same = |known: &&Approver| {
        PublicKey::from_openssh(&known.key).is_ok_and(|known| known.key_data() == key.key_data())
    };
    approvers.iter().find(same).map(|approver| approver.name.as_str())
}

/// The approver whose key made this signature, by the signature itself.
pub fn signer_of<'a>(signed: &SignedStatement, approvers: &'a [Approver]) -> Option<&'a Approver> {
    if Assertion::is_text_of_one(&signed.signature) {
        let assertion = Assertion::read(&signed.signature).ok()?;
        let challenge = challenge_of(&signed.statement);
        return approvers.iter().find(|approver| {
            Passkey::read(&approver.key).is_some_and(|passkey| {
                passkey.credential == assertion.credential()
                    && assertion.check(&passkey, &challenge).is_ok()
            })
        });
    }
    let signature = SshSig::from_pem(signed.signature.as_bytes()).ok()?;
    approvers.iter().find(|approver| {
        PublicKey::from_openssh(&approver.key)
            .is_ok_and(|key| key.verify(NAMESPACE, signed.statement.as_bytes(), &signature).is_ok())
    })
}

/// True for the kinds of keys that can be enrolled.
fn is_accepted(key: &PublicKey) -> bool {
    matches!(
        key.algorithm(),
        Algorithm::Ed25519
            | Algorithm::SkEd25519
            | Algorithm::SkEcdsaSha2NistP256
            | Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }
    )
}

fn enrolled(key: &PublicKey, approvers: &[Approver]) -> bool {
    owner(key, approvers).is_some()
}

/// The keys in an SSH agent, without those of unknown kinds.
struct Held {
    keys: Vec<PublicKey>,
    certificates: usize,
}

/// Asks an SSH agent for its keys. A locked one returns none.
fn identities(socket: &Path) -> Result<Held> {
    let answer = exchange(socket, &[REQUEST_IDENTITIES])?;
    let mut rest = match answer.split_first() {
        Some((&IDENTITIES_ANSWER, rest)) => rest,
        _ => bail!("the SSH agent does not list its keys; unlock it with `ssh-add -X`"),
    };
    let count = take_number(&mut rest).context("the SSH agent's answer is cut short")?;
    let (mut keys, mut certificates) = (Vec::new(), 0);
    for _ in 0..count {
        let blob = take(&mut rest).context("the SSH agent's answer is cut short")?;
        let _comment = take(&mut rest).context("the SSH agent's answer is cut short")?;
        match PublicKey::from_bytes(blob) {
            Ok(key) => keys.push(key),
            Err(_) if blob.windows(6).take(64).any(|part| part == b"-cert-") => certificates += 1,
            Err(_) => {}
        }
    }
    Ok(Held { keys, certificates })
}

fn agent_sign(socket: &Path, key: &PublicKey, message: &[u8]) -> Result<Signature> {
    let blob = key.to_bytes().context("the key has no binary form")?;
    let mut request = vec![SIGN_REQUEST];
    put(&mut request, &blob)?;
    put(&mut request, message)?;
    // No flags: they only choose a digest for RSA.
    request.extend(0_u32.to_be_bytes());
    let answer = exchange(socket, &request)?;
    let mut rest = match answer.split_first() {
        Some((&SIGN_RESPONSE, rest)) => rest,
        _ => bail!(
            "the SSH agent refused to sign; was the question declined, or the security key not \
             touched?"
        ),
    };
    let signature = take(&mut rest).context("the SSH agent's answer is cut short")?;
    Signature::try_from(signature).context("the SSH agent's signature is not readable")
}

/// Sends one message and reads the response.
fn exchange(socket: &Path, request: &[u8]) -> Result<Vec<u8>> {
    let lost = || format!("cannot talk to the SSH agent at `{}`", socket.display());
    let mut stream = UnixStream::connect(socket).with_context(lost)?;
    let mut framed = Vec::new();
    put(&mut framed, request)?;
    stream.write_all(&framed).with_context(lost)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length).with_context(lost)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > LONGEST_ANSWER {
        bail!("the SSH agent's answer is too long");
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).with_context(lost)?;
    Ok(answer)
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    out.extend(
        u32::try_from(bytes.len())
            .context("the message is too long for an SSH agent")?
            .to_be_bytes(),
    );
    out.extend(bytes);
    Ok(())
}

fn take_number(rest: &mut &[u8]) -> Option<u32> {
    let (number, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    Some(u32::from_be_bytes(*number))
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_number(rest)?).ok()?;
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(bytes)
}

/// Reads the passphrase from the file in the variable, else from the terminal without an echo.
fn passphrase(key: &Path, variable: impl Fn(&str) -> Option<PathBuf>) -> Result<String> {
    if let Some(path) = variable(PASSPHRASE_FILE) {
        let remedy = format!("name a file with the passphrase in {PASSPHRASE_FILE}");
        let text = input_file::text(&path, &remedy)?;
        return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
    }
    let terminal = || {
        format!(
            "no terminal to ask for the passphrase of `{}`; name a file with it in \
             {PASSPHRASE_FILE}, or use an SSH agent",
            key.display()
        )
    };
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .with_context(terminal)?;
    let echo = |mode: &str| -> Result<()> {
        let status = Command::new("stty")
            .arg(mode)
            .stdin(Stdio::from(file.try_clone()?))
            .status()
            .with_context(terminal)?;
        if status.success() { Ok(()) } else { bail!(terminal()) }
    };
    write!(&file, "Passphrase of {}: ", key.display())?;
    echo("-echo")?;
    let mut line = String::new();
    let read = std::io::BufReader::new(&file).read_line(&mut line);
    echo("echo")?;
    writeln!(&file)?;
    read.with_context(terminal)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// A key without a passphrase, made by `ssh-keygen`.
    fn keygen(folder: &Path, passphrase: &str) -> PathBuf {
        let path = folder.join(format!("id{}", passphrase.len()));
        let status = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", passphrase, "-C", "bob", "-f"])
            .arg(&path)
            .status();
        assert!(status.unwrap().success());
        path
    }

    #[test]
    fn files_agents_and_ssh_keygen_agree() {
        let folder = tempfile::tempdir().unwrap();
        let plain = keygen(folder.path(), "");
        let signer = Signer::find(Some(&plain), &[], |_| None).unwrap();
        let by_file = signer.sign("approval@cofferdam.dev", b"statement").unwrap();
        // Ed25519 is deterministic: the same key by any way gives the same signature.
        let sealed = keygen(folder.path(), "secret");
        let secret = folder.path().join("passphrase");
        std::fs::write(&secret, "secret\n").unwrap();
        assert!(
            Signer::find(Some(&sealed), &[], |name| (name == PASSPHRASE_FILE)
                .then(|| secret.clone()))
            .is_ok()
        );
        std::fs::write(&secret, "wrong").unwrap();
        let wrong = Signer::find(Some(&sealed), &[], |name| {
            (name == PASSPHRASE_FILE).then(|| secret.clone())
        })
        .unwrap_err();
        assert!(wrong.to_string().contains("does not decrypt"));

        let socket = folder.path().join("agent");
        let mut agent = Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while UnixStream::connect(&socket).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let added = Command::new("ssh-add")
            .arg("-q")
            .arg(&plain)
            .env("SSH_AUTH_SOCK", &socket)
            .status()
            .unwrap();
        assert!(added.success());
        let variable = |name: &str| (name == "SSH_AUTH_SOCK").then(|| socket.clone());
        let bob = Approver { name: "bob".into(), key: signer.public().to_openssh().unwrap() };
        assert!(
            Signer::find(None, &[], variable).unwrap_err().to_string().contains("no enrolled key")
        );
        let from_agent = Signer::find(None, std::slice::from_ref(&bob), variable).unwrap();
        assert_eq!(from_agent.sign("approval@cofferdam.dev", b"statement").unwrap(), by_file);
        let named = Signer::find(Some(&plain.with_extension("pub")), &[], variable).unwrap();
        assert_eq!(owner(&named.public(), std::slice::from_ref(&bob)), Some("bob"));
        agent.kill().unwrap();
        agent.wait().unwrap();
    }

    #[test]
    fn a_lying_agent_is_refused() {
        let check = |answer: &'static [u8], expect: &str| {
            let folder = tempfile::tempdir().unwrap();
            let socket = folder.path().join("agent");
            let listener = UnixListener::bind(&socket).unwrap();
            let liar = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 5];
                stream.read_exact(&mut request).unwrap();
                stream.write_all(answer).unwrap();
            });
            let error = identities(&socket).map(|held| held.keys).unwrap_err();
            assert!(format!("{error:#}").contains(expect), "{error:#}");
            liar.join().unwrap();
        };
        check(b"\xff\xff\xff\xff", "too long");
        check(b"\0\0\0\x01\x05", "does not list its keys");
        check(b"\0\0\0\x05\x0c\0\0\0\x02", "cut short");
        check(b"\0\0\0\x09\x0c\0\0\0\x01\xff\xff\xff\xff", "cut short");
    }
}
