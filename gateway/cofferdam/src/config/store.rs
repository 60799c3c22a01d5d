//! Reads `[store]`: the PostgreSQL database that takes the place of the file in the home. Never
//! reads the password: the recorder opens its file.

use super::paths;
use super::toml_reader::Section;
use crate::config::home::Home;
use cofferdam_core::protocol::link::LinkRole;
use cofferdam_core::protocol::role_settings::{DatabaseSettings, DatabaseTls};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// The permissions that no other user may have on the password.
const OTHERS: u32 = 0o077;

/// The port of PostgreSQL, if the address names none.
const PORT: u16 = 5_432;

/// The most characters of a user and of a database: PostgreSQL cuts longer names.
const NAME: usize = 63;

/// The form of the address.
const FORM: &str = "write postgresql://USER@HOST:PORT/DATABASE";

/// The checks of a server.
const CHECKS: &str = "write \"verify-full\", \"verify-ca\" or \"off\"";

/// Reads the section; `None` without a database, and after an error.
pub(super) fn check(section: &mut Section<'_>, home: &Home) -> Option<DatabaseSettings> {
    let text = section.string("postgres", &format!("{FORM}, or remove `[store]`"));
    let address = text.as_deref().and_then(|text| match address(text) {
        Ok(address) => Some(address),
        Err(problem) => {
            // The text may have a password in it.
            section.report("postgres", problem, FORM);
            None
        }
    });
    let password_file = file(section, "password_file", OTHERS, home);
    let ca_file = file(section, "ca_file", 0, home);
    let word = section.optional_string("tls");
    let (user, host, port, database) = address?;
    let tls = match tls(word.as_deref(), &host) {
        Ok(tls) => tls,
        Err(problem) => {
            section.report("tls", &problem, CHECKS);
            return None;
        }
    };
    section.hold(
        "ca_file",
        tls == DatabaseTls::Off || ca_file.is_some(),
        "the server is checked by TLS, and no authority is named",
        "name the PEM file of its authority: ca_file = \"/etc/cofferdam/database-ca.pem\"",
    );
    Some(DatabaseSettings { host, port, user, database, password_file, ca_file, tls })
}

/// The check of a server; without a word, that of its host.
fn tls(word: Option<&str>, host: &str) -> Result<DatabaseTls, String> {
    match word {
        None if is_local(host) => Ok(DatabaseTls::Off),
        None | Some("verify-full") => Ok(DatabaseTls::VerifyFull),
        Some("verify-ca") => Ok(DatabaseTls::VerifyCa),
        Some("off") => Ok(DatabaseTls::Off),
        Some(other) => Err(format!("`{other}` is no check of a server")),
    }
}

/// The database that a command names, with the files of its user's password and of its authorities.
///
/// # Errors
/// The address or the check is not valid, or a check lacks its authorities: problem and remedy.
pub fn named(
    text: &str,
    (password_file, ca_file): (Option<PathBuf>, Option<PathBuf>),
    word: Option<&str>,
) -> Result<DatabaseSettings, String> {
    // The text may have a password in it.
    let (user, host, port, database) =
        address(text).map_err(|problem| format!("{problem}; {FORM}"))?;
    let tls = tls(word, &host).map_err(|problem| format!("{problem}; {CHECKS}"))?;
    if tls != DatabaseTls::Off && ca_file.is_none() {
        return Err(
            "the server is checked by TLS, and no authority is named; give the PEM file of \
                    its authority with `--ca-file`"
                .to_owned(),
        );
    }
    Ok(DatabaseSettings { host, port, user, database, password_file, ca_file, tls })
}

fn file(section: &mut Section<'_>, key: &'static str, others: u32, home: &Home) -> Option<PathBuf> {
    let path = section.optional_string(key)?;
    let file = paths::file(section, LinkRole::Recorder, key, &path, others)?;
    if others != 0 {
        paths::hidden(section, key, &file, home);
    }
    Some(file)
}

/// The parts of an address: user, host, port and database.
fn address(text: &str) -> Result<(String, String, u16, String), &'static str> {
    let rest = text
        .strip_prefix("postgresql://")
        .or_else(|| text.strip_prefix("postgres://"))
        .ok_or("this is no address of PostgreSQL")?;
    let (user, rest) = rest.split_once('@').ok_or("the address names no user")?;
    if user.contains(':') {
        return Err("the address has a password, which belongs into `password_file`");
    }
    let (server, database) = rest.split_once('/').ok_or("the address names no database")?;
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            (host, port.parse().map_err(|_| "the address has no valid port")?)
        }
        _ => (server, PORT),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_host = |c: char| c.is_ascii_alphanumeric() || ".-:".contains(c);
    if host.is_empty() || !host.chars().all(is_host) || port == 0 {
        return Err("the address has no valid host");
    }
    let is_name = |name: &str| {
        let valid = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        (1..=NAME).contains(&name.len()) && name.chars().all(valid)
    };
    if !is_name(user) || !is_name(database) {
        return Err("user and database have 1 to 63 of letters, digits, _ and -");
    }
    Ok((user.to_owned(), host.to_owned(), port, database.to_owned()))
}

/// Returns whether the server is on this machine.
fn is_local(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The secret, with its key in the configuration.
pub(super) fn secret(database: &DatabaseSettings) -> Option<(String, &Path)> {
    Some(("store.password_file".to_owned(), database.password_file.as_deref()?))
}
