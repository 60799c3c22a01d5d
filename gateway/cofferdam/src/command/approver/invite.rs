//! `cofferdam approver invite` and `confirm`: a person enrols a passkey by a link, and the operator
//! confirms the number that both see. The link's secret is printed and never stored.

use super::{check_name, check_person};
use crate::command::approve::read_signature_in;
use crate::command::report::{Report, Usage};
use crate::command::{recorder_client, reload};
use crate::config::Config;
use crate::config::home::Home;
use crate::config::trust_file::TrustFile;
use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, ValueHint};
use cofferdam_core::model::enrolled::owner_of;
use cofferdam_core::model::id::hex;
use cofferdam_core::model::passkey::Passkey;
use cofferdam_core::model::trust::{Approver, Trust};
use cofferdam_core::policy::enrolment::{NAMESPACE, voucher};
use cofferdam_core::protocol::operator_recorder::{
    Invitation, InvitationDecision, Operate, Operated,
};
use cofferdam_core::text::seconds;
use data_encoding::BASE32_NOPAD;
use jiff::{SignedDuration, Timestamp};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use ssh_key::{HashAlg, PublicKey};
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

/// The bytes of a link's secret: 160 bits cannot be guessed.
const SECRET: usize = 20;

/// The fact that a comparison proves.
const COMPARED: &str = "The numbers are equal: the person who told you the number used the link.";

/// The fact that neither a comparison nor a signature proves.
const PAGE: &str = "This does not prove that the page of the gateway was honest on this day. If \
                    you doubt that, enrol an SSH key of the person instead.";

/// Prints a link with which a person makes a passkey, once and for a limited time
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cofferdam approver invite bob@example.com\n  cofferdam \
                        approver confirm bob@example.com")]
pub struct Invite {
    /// The name of the person, as policies and `agents add --for` use it
    name: String,
    /// Minutes for which the link can be used
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=1440))]
    minutes: u16,
}

/// Enrols the passkey of an invited person as the passkey of an approver
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam approver confirm bob@example.com\n  cofferdam \
                        approver confirm bob@example.com --fingerprint abcde-fghij-klmno-pqrst\n  cofferdam \
                        approver confirm bob@example.com --signed passkey.sig")]
pub struct Confirm {
    /// The name of the person
    name: String,
    /// The number that the person told you [default: asked for on a terminal]
    #[arg(long, value_name = "NUMBER")]
    fingerprint: Option<String>,
    /// In place of the number: the person's signature over the passkey's line, by an SSH key that is
    /// enrolled for the person already
    #[arg(long, value_name = "FILE.sig", conflicts_with = "fingerprint",
        value_hint = ValueHint::FilePath)]
    signed: Option<PathBuf>,
    /// Discard the passkey, and end the invitation
    #[arg(long, conflicts_with_all = ["fingerprint", "signed"])]
    discard: bool,
}

impl Invite {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home) -> Result<Report> {
        let confirm = format!("cofferdam approver confirm {}", self.name);
        self.confirmed_by(home, &confirm)
    }

    /// The name of the invited person.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes the invitation. `confirm`: the command that enrols the passkey afterwards.
    pub fn confirmed_by(self, home: &Home, confirm: &str) -> Result<Report> {
        let Self { name, minutes } = self;
        check_name(&name)?;
        check_person(&TrustFile::open(home)?.trust()?, &name)?;
        let party = Config::read(home)?.edge.people().context(
            "passkeys need an address that browsers accept: set `url` in `[edge]` of \
             cofferdam.toml to the https:// address at which people reach this server, and start \
             it again",
        )?;
        let mut secret = [0; SECRET];
        getrandom::fill(&mut secret).map_err(|error| anyhow!("no randomness: {error}"))?;
        let secret = BASE32_NOPAD.encode(&secret).to_ascii_lowercase();
        let expires = Timestamp::now()
            .checked_add(SignedDuration::from_mins(i64::from(minutes)))
            .context("the clock of this machine is wrong")?;
        let digest = hex(&Sha256::digest(&secret));
        let invite = Operate::Invite { person: name.clone(), digest, expires };
        let Operated::Done = recorder_client::ask(home, &invite)? else {
            return Err(recorder_client::unexpected());
        };
        let link = format!("{party}/enrol#{secret}");
        let picture = QrCode::new(&link)
            .map(|code| code.render::<Dense1x2>().quiet_zone(true).build())
            .context("the link is too long for a QR code; make `url` in `[edge]` shorter")?;
        let text = format!(
            "{picture}\n{link}\n\nGive this link to `{name}` alone. It works once, until {}, for the \
             first person who uses it. Then compare the number that `{name}` sees:\n  {confirm}",
            seconds(expires)
        );
        Ok(Report::new(text, json!({"name": name, "link": link, "expires": expires})))
    }
}

impl Confirm {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home) -> Result<Report> {
        let Self { name, fingerprint, signed, discard } = self;
        if discard {
            return discarded(home, &name);
        }
        let (passkey, shown) = match &signed {
            Some(path) => vouched(home, &name, path)?,
            None => (compared(home, &name, fingerprint)?, COMPARED.to_owned()),
        };
        let ours = passkey.fingerprint();
        let mut file = TrustFile::open(home)?;
        let trust = file.trust()?;
        check_person(&trust, &name)?;
        let line = passkey.to_string();
        let known = owner_of(&passkey, &trust.approvers).map(str::to_owned);
        let known = known.or_else(|| owner_of_another(&passkey, &trust, &name));
        if let Some(known) = known {
            bail!(
                "this passkey is enrolled for `{known}`, and a key belongs to one person. Discard \
                 it with `cofferdam approver confirm {name} --discard`"
            );
        }
        file.add_approver(&Approver { name: name.clone(), key: line })?;
        file.save()?;
        // The key is enrolled; an invitation that stays open for a moment longer gives no right.
        let ended = end(home, &name, InvitationDecision::Confirmed { passkey: passkey.digest() });
        let (after, loaded) = reload::after(home, &format!("the passkey of `{name}` is enrolled"))?;
        let open =
            ended.err().map(|error| format!("\nThe invitation could not be ended: {error:#}"));
        Ok(Report::new(
            format!(
                "Enrolled the passkey of `{name}` for {}. {after}\n{shown} {PAGE}{}",
                passkey.party,
                open.unwrap_or_default()
            ),
            json!({"name": name, "enrolled": true, "fingerprint": ours, "loaded": loaded,
                "signed": signed.is_some()}),
        ))
    }
}

/// Ends the invitation of a person.
pub fn end(home: &Home, name: &str, decision: InvitationDecision) -> Result<()> {
    let end = Operate::EndInvitation { person: name.to_owned(), decision };
    match recorder_client::ask(home, &end)? {
        Operated::Done => Ok(()),
        _ => Err(recorder_client::unexpected()),
    }
}

/// Ends an invitation without an enrolment.
pub fn discarded(home: &Home, name: &str) -> Result<Report> {
    end(home, name, InvitationDecision::Discarded)?;
    let text = format!("The invitation of `{name}` has ended. Nothing was enrolled.");
    Ok(Report::new(text, json!({"name": name, "enrolled": false})))
}

/// The passkey of this person that waits, after the comparison of its number with the one that the
/// person told.
pub fn compared(home: &Home, name: &str, fingerprint: Option<String>) -> Result<Passkey> {
    let passkey = waiting(home, name)?;
    let told = match fingerprint {
        Some(told) => told,
        None if std::io::stdin().is_terminal() => {
            ask(&format!("The number that `{name}` sees and tells you: "))?
        }
        None => {
            return Err(Usage(
                "give the number that the person told you: `--fingerprint NUMBER`".to_owned(),
            )
            .into());
        }
    };
    if !same(&told, &passkey.fingerprint()) {
        bail!(
            "the passkey that waits has another number; nothing was enrolled. Another person may \
             have used the link: discard it with `cofferdam approver confirm {name} --discard`, \
             and invite `{name}` again"
        );
    }
    Ok(passkey)
}

/// Another person of any role who has this passkey.
pub fn owner_of_another(passkey: &Passkey, trust: &Trust, name: &str) -> Option<String> {
    let mut keys = trust.keys_of_people();
    keys.retain(|known| known.name != name);
    owner_of(passkey, &keys).map(str::to_owned)
}

/// The passkey of this person that waits, after a key that is enrolled for the person signed its
/// line; and what that shows.
fn vouched(home: &Home, name: &str, path: &Path) -> Result<(Passkey, String)> {
    let passkey = waiting(home, name)?;
    let signature = read_signature_in(path, NAMESPACE)?;
    let mut own = TrustFile::open(home)?.trust()?.approvers;
    own.retain(|known| known.name == name);
    let known = voucher(&passkey, &signature, &own).map_err(|error| {
        anyhow!(
            "no key that is enrolled for `{name}` signed this passkey ({error}); nothing was \
             enrolled. Compare the number with `{name}`, or discard it with `cofferdam approver \
             confirm {name} --discard`"
        )
    })?;
    let print = PublicKey::from_openssh(&known.key)
        .map(|key| key.fingerprint(HashAlg::Sha256).to_string())
        .unwrap_or_default();
    Ok((passkey, format!("`{name}` signed for this passkey with the enrolled key {print}.")))
}

/// The passkey of this person that waits for an operator.
fn waiting(home: &Home, name: &str) -> Result<Passkey> {
    let Operated::Invitations { invitations } = recorder_client::ask(home, &Operate::Invitations)?
    else {
        return Err(recorder_client::unexpected());
    };
    let of_name = |invitation: &Invitation| invitation.person == name;
    let Some(found) = invitations.into_iter().find(of_name) else {
        bail!("`{name}` was not invited; `cofferdam approver invite {name}` prints a link");
    };
    let Some(line) = found.passkey else {
        bail!(
            "`{name}` has not used the link yet; it can be used until {}",
            seconds(found.expires)
        );
    };
    Passkey::read(&line).context("the passkey that waits is not readable; invite the person again")
}

/// Compares what a person typed: without blanks and hyphens, in any case of the letters.
fn same(told: &str, ours: &str) -> bool {
    let plain = |text: &str| -> String {
        text.chars()
            .filter(|letter| !letter.is_whitespace() && *letter != '-')
            .map(|letter| letter.to_ascii_lowercase())
            .collect()
    };
    plain(told) == plain(ours)
}

fn ask(question: &str) -> Result<String> {
    eprint!("{question}");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_compared_whole_however_it_was_typed() {
        let ours = "abcde-fghij-klmno-pqrst";
        for good in [ours, "ABCDE FGHIJ KLMNO PQRST", " abcdefghijklmnopqrst\n"] {
            assert!(same(good, ours), "{good}");
        }
        for bad in ["", "abcde", "abcde-fghij-klmno-pqrsu", "abcde-fghij-klmno-pqrst-u"] {
            assert!(!same(bad, ours), "{bad}");
        }
    }
}
