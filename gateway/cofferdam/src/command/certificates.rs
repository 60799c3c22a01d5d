//! `cofferdam certificates`: makes the authority of links and a certificate for each role, where no
//! certificate manager does. Never replaces a certificate unless it is told to.

use super::report::{Report, Usage};
use crate::config::authority::{Authority, Pair};
use crate::config::home::{Home, write_private};
use crate::config::links::{DEFAULT_TRUST_DOMAIN, files, is_trust_domain};
use crate::config::read_trust;
use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, ValueHint};
use cofferdam_core::protocol::link::{LINK_ROLES, LinkRole};
use jiff::Timestamp;
use serde_json::json;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// The days of a certificate of a role, if no other number is given: a quarter of a year.
const DAYS: u32 = 90;

/// The bounds of these days: a longer life makes a stolen key useful for longer.
const DAYS_BOUNDS: std::ops::RangeInclusive<i64> = 1..=825;

/// The days of the authority: its renewal needs a visit to each host.
const AUTHORITY_DAYS: u32 = 3_650;

/// The mode of a folder that only its owner can enter.
const PRIVATE: u32 = 0o700;

/// Makes an authority and a certificate for each role, as PEM files in a folder for each role. Run it
/// where the home is in which you accept tools, keep `ca.key` there, and copy the folder of a role to
/// the `links` folder of its home. A running link uses new files at once. Certificates that are there
/// are kept, unless `--renew` is given.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam certificates --to ./certificates\n  cofferdam \
                        certificates --to ./certificates --role runner --renew")]
pub struct Certificates {
    /// The folder for the certificates, outside of the home
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    to: PathBuf,
    /// Make the certificate of this role alone (repeatable) [default: every role]
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<LinkRole>,
    /// The life of a certificate, in days
    #[arg(long, default_value_t = DAYS, value_parser = clap::value_parser!(u32).range(DAYS_BOUNDS))]
    days: u32,
    /// The trust domain of the names, as `links.trust_domain` has it
    #[arg(long, value_name = "DOMAIN", default_value = DEFAULT_TRUST_DOMAIN)]
    trust_domain: String,
    /// Replace the certificates and keys of these roles
    #[arg(long)]
    renew: bool,
}

impl Certificates {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home) -> Result<Report> {
        let trust = read_trust(home).map_err(|error| anyhow!("{error}"))?;
        let environment = trust.environment.id;
        let now = Timestamp::now();
        if !is_trust_domain(&self.trust_domain) {
            let why = format!(
                "`{}` is no trust domain; use a-z, 0-9, `.`, `-` and `_`",
                self.trust_domain.escape_debug()
            );
            return Err(Usage(why).into());
        }
        make(&self.to)?;
        if is_within(&self.to, home.root())? {
            let why = format!(
                "`{}` lies in the home, whose folders roles may read; name a folder outside of it",
                self.to.display()
            );
            return Err(Usage(why).into());
        }
        let (authority, ca, is_new) = authority(&self.to, &environment, now)?;
        let roles = if self.roles.is_empty() { LINK_ROLES.to_vec() } else { self.roles };
        let (mut made, mut kept) = (Vec::new(), Vec::new());
        for role in roles {
            let folder = self.to.join(role.word());
            let [certificate, key, roots] = files(&folder);
            if !self.renew && (is_there(&certificate)? || is_there(&key)?) {
                kept.push(role);
                continue;
            }
            let identity = format!("spiffe://{}/{environment}/{role}", self.trust_domain);
            let pair = authority.sign(&identity, role, self.days, now)?;
            make(&folder)?;
            write_private(&roots, ca.as_bytes())?;
            write_private(&key, pair.key.as_bytes())?;
            write_private(&certificate, pair.certificate.as_bytes())?;
            made.push(role);
        }
        let shown = self.to.display();
        let words = |roles: &[LinkRole]| {
            roles.iter().map(|role| role.word()).collect::<Vec<_>>().join(", ")
        };
        let mut lines = Vec::new();
        if is_new {
            lines.push(format!(
                "Made the authority `{shown}/ca.pem`. Keep its key `{shown}/ca.key` on this machine \
                 alone."
            ));
        }
        if !made.is_empty() {
            let (days, names) = (self.days, words(&made));
            lines.push(format!("Made certificates for {days} days, in `{shown}`: {names}."));
        }
        if !kept.is_empty() {
            let names = words(&kept);
            lines.push(format!("Kept those that are there: {names}. `--renew` replaces them."));
        }
        let json = json!({"folder": self.to, "authority_made": is_new, "made": made, "kept": kept,
            "days": self.days});
        Ok(Report::new(lines.join("\n"), json))
    }
}

/// The authority of this folder: the one that is there, or a new one. Returns its certificate, and
/// whether it is new.
fn authority(
    folder: &Path,
    environment: &str,
    now: Timestamp,
) -> Result<(Authority, String, bool)> {
    let (certificate, key) = (folder.join("ca.pem"), folder.join("ca.key"));
    match (is_there(&certificate)?, is_there(&key)?) {
        (false, false) => {
            let (authority, pair) = Authority::make(environment, AUTHORITY_DAYS, now)?;
            write_private(&key, pair.key.as_bytes())?;
            write_private(&certificate, pair.certificate.as_bytes())?;
            Ok((authority, pair.certificate, true))
        }
        (true, true) => {
            let read = |path: &Path| {
                fs::read_to_string(path)
                    .with_context(|| format!("cannot read `{}`", path.display()))
            };
            let pair = Pair { certificate: read(&certificate)?, key: read(&key)? };
            Ok((Authority::read(environment, &pair)?, pair.certificate, false))
        }
        (has_certificate, _) => {
            let missing = if has_certificate { key } else { certificate };
            bail!(
                "`{}` is missing: restore it, or name an empty folder with `--to`; a new authority \
                 needs a new certificate for each role",
                missing.display()
            )
        }
    }
}

/// Returns whether a folder lies in another one, after links. Both exist.
fn is_within(folder: &Path, other: &Path) -> Result<bool> {
    let real = |path: &Path| {
        fs::canonicalize(path).with_context(|| format!("cannot find `{}`", path.display()))
    };
    Ok(real(folder)?.starts_with(real(other)?))
}

/// Returns whether a file is there. An error of the disk is told: it must not
/// look like an absent file, because a new authority would replace the old one.
fn is_there(path: &Path) -> Result<bool> {
    path.try_exists().with_context(|| format!("cannot look for `{}`", path.display()))
}

fn make(folder: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(PRIVATE)
        .create(folder)
        .with_context(|| format!("cannot make the folder `{}`", folder.display()))
}
