//! Reads the receivers of notifications: `[notify.NAME]`. Never reads a secret: the courier opens
//! its own files.

use super::paths;
use super::toml_reader::Section;
use crate::config::home::Home;
use cofferdam_core::model::notification::{NOTIFY_EVENTS, NotifyEvent, Receiver};
use cofferdam_core::model::web_address::WebAddress;
use cofferdam_core::protocol::link::LinkRole;
use cofferdam_core::protocol::role_settings::{MailServer, ReceiverKind, ReceiverSettings};
use std::path::Path;

/// The most receivers: each has a task and a place in the outbox.
const RECEIVERS: usize = 16;

/// The most recipients of a message: one that a server refuses keeps it from all others.
const RECIPIENTS: usize = 20;

/// The permissions that no other user may have on a secret.
const OTHERS: u32 = 0o077;

/// The kinds, for errors.
const KINDS: &str = "one of webhook, slack, teams, ntfy, pagerduty, mail";

/// The address of PagerDuty for events, outside of its region in Europe.
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

/// A receiver of notifications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    /// The events that it is told.
    pub events: Vec<NotifyEvent>,
    /// The address and the files, for the courier.
    pub settings: ReceiverSettings,
}

impl Notify {
    /// The secret, with its key in the configuration.
    pub fn secret(&self) -> Option<(String, &Path)> {
        let key = format!("notify.{}.secret_file", self.settings.name);
        Some((key, self.settings.secret_file.as_deref()?))
    }

    /// The part that the recorder knows.
    pub fn receiver(&self) -> Receiver {
        Receiver { name: self.settings.name.clone(), events: self.events.clone() }
    }
}

/// Reads all receivers. Leaves out those with an error.
pub(super) fn check(root: &mut Section<'_>, home: &Home) -> Vec<Notify> {
    let all = root.named("notify", |name, section| receiver(name, section, home));
    if all.len() > RECEIVERS {
        let remedy = format!("keep at most {RECEIVERS}");
        root.report("notify", &format!("{} receivers", all.len()), &remedy);
    }
    all.into_iter().flatten().collect()
}

fn receiver(name: &str, section: &mut Section<'_>, home: &Home) -> Option<Notify> {
    let valid = (1..=40).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    section.hold(
        "kind",
        valid,
        &format!("`{name}` is no name for a receiver"),
        "use 1 to 40 of a-z, 0-9 and -",
    );
    let events = events(section);
    let word = section.string("kind", &format!("{KINDS}: kind = \"slack\""));
    let kind = word.as_deref().and_then(|word| kind(word, section));
    let ca_file = section
        .optional_string("ca_file")
        .and_then(|path| paths::file(section, LinkRole::Courier, "ca_file", &path, 0));
    let secret_file = match section.optional_string("secret_file") {
        Some(path) => {
            let file = paths::file(section, LinkRole::Courier, "secret_file", &path, OTHERS);
            if let Some(file) = &file {
                paths::hidden(section, "secret_file", file, home);
            }
            // A wrong file has its error already.
            Some(file?)
        }
        None => {
            let signs_in = section.has("user");
            if let Some(secret) = word.as_deref().and_then(|word| secret_of(word, signs_in)) {
                section.report(
                    "secret_file",
                    "missing",
                    &format!("add the file with the {secret}: secret_file = \"/etc/cofferdam/{name}.secret\""),
                );
            }
            None
        }
    };
    let settings = ReceiverSettings {
        name: name.to_owned(),
        unwritable: events.contains(&NotifyEvent::LedgerUnwritable),
        kind: kind?,
        secret_file,
        ca_file,
    };
    Some(Notify { events, settings })
}

/// The secret that this kind cannot do without.
fn secret_of(kind: &str, signs_in: bool) -> Option<&'static str> {
    match kind {
        "webhook" => Some("secret of the signature, `whsec_` and base64"),
        "slack" => Some("URL of the incoming webhook"),
        "teams" => Some("URL of the workflow"),
        "pagerduty" => Some("routing key"),
        "mail" if signs_in => Some("password"),
        _ => None,
    }
}

/// The events; all of them if the key is missing.
fn events(section: &mut Section<'_>) -> Vec<NotifyEvent> {
    if !section.has("events") {
        return NOTIFY_EVENTS.to_vec();
    }
    let mut events = Vec::new();
    let words = section.strings("events");
    section.hold(
        "events",
        !words.is_empty(),
        "no event is named",
        "leave out the key for all events, or remove this receiver",
    );
    for word in words {
        let event = NOTIFY_EVENTS.into_iter().find(|event| event.word() == word);
        let known = NOTIFY_EVENTS.map(NotifyEvent::word).join(", ");
        section.hold(
            "events",
            event.is_some(),
            &format!("`{word}` is no event"),
            &format!("use some of {known}"),
        );
        events.extend(event.filter(|event| !events.contains(event)));
    }
    events
}

fn kind(word: &str, section: &mut Section<'_>) -> Option<ReceiverKind> {
    match word {
        "webhook" => Some(ReceiverKind::Webhook { url: url(section, None)? }),
        "slack" => Some(ReceiverKind::Slack),
        "teams" => Some(ReceiverKind::Teams),
        "ntfy" => Some(ReceiverKind::Ntfy { url: url(section, None)? }),
        "pagerduty" => Some(ReceiverKind::Pagerduty { url: url(section, Some(PAGERDUTY))? }),
        "mail" => mail(section),
        _ => {
            section.report("kind", &format!("`{word}` is no kind"), &format!("use {KINDS}"));
            None
        }
    }
}

fn url(section: &mut Section<'_>, default: Option<&str>) -> Option<WebAddress> {
    let text = match default {
        Some(default) if !section.has("url") => default.to_owned(),
        _ => section.string("url", "the address: url = \"https://HOST/PATH\"")?,
    };
    match WebAddress::read(&text) {
        Ok(address) => Some(address),
        Err(error) => {
            let error = error.to_string();
            let (problem, remedy) =
                error.split_once("; ").unwrap_or((&error, "write https://HOST/PATH"));
            section.report("url", &format!("`{text}` is no address here: {problem}"), remedy);
            None
        }
    }
}

fn mail(section: &mut Section<'_>) -> Option<ReceiverKind> {
    let server = section
        .string("server", "the mail server: server = \"smtps://mail.example.com\"")
        .and_then(|text| {
            let server = mail_server(&text);
            section.hold(
                "server",
                server.is_some(),
                &format!("`{text}` is no mail server here"),
                "write smtps://HOST:PORT for TLS from the beginning (port 465), or \
                 smtp://HOST:PORT for STARTTLS (port 587)",
            );
            server
        });
    let user = section.optional_string("user");
    let from = section.string("from", "the sender: from = \"cofferdam@example.com\"");
    let to = section.strings("to");
    section.hold(
        "to",
        (1..=RECIPIENTS).contains(&to.len()),
        &format!("{} recipients", to.len()),
        &format!("name 1 to {RECIPIENTS}: to = [\"ops@example.com\"]"),
    );
    for (key, address) in
        from.iter().map(|from| ("from", from)).chain(to.iter().map(|to| ("to", to)))
    {
        let valid = address.contains('@') && !address.chars().any(char::is_control);
        section.hold(
            key,
            valid,
            &format!("`{}` is no e-mail address", cofferdam_core::model::escape::line(address)),
            "write NAME@HOST",
        );
    }
    Some(ReceiverKind::Mail { server: server?, user, from: from?, to })
}

/// Reads `smtps://HOST:PORT` or `smtp://HOST:PORT`.
fn mail_server(text: &str) -> Option<MailServer> {
    let (scheme, rest) = text.split_once("://")?;
    let (implicit_tls, usual) = match scheme {
        "smtps" => (true, 465),
        "smtp" => (false, 587),
        _ => return None,
    };
    let address = WebAddress::read(&format!("https://{rest}")).ok()?;
    if address.target() != "/" || rest.ends_with('/') {
        return None;
    }
    let port = if rest.ends_with(":443") || address.place().port != 443 {
        address.place().port
    } else {
        usual
    };
    Some(MailServer { host: address.place().host.clone(), port, implicit_tls })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_server_has_a_scheme_a_host_and_the_usual_port() {
        let check = |text: &str, expect: Option<(&str, u16, bool)>| {
            let server = mail_server(text).map(|one| (one.host, one.port, one.implicit_tls));
            let expect = expect.map(|(host, port, tls)| (host.to_owned(), port, tls));
            assert_eq!(server, expect, "{text}");
        };
        check("smtps://mail.example.com", Some(("mail.example.com", 465, true)));
        check("smtp://mail.example.com", Some(("mail.example.com", 587, false)));
        check("smtps://mail.example.com:443", Some(("mail.example.com", 443, true)));
        check("smtp://[::1]:2525", Some(("::1", 2525, false)));
        for wrong in ["mail.example.com", "https://a", "smtps://a/b", "smtps://u@a", "smtps://"] {
            check(wrong, None);
        }
    }
}
