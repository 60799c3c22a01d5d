//! E-mail: the message, and the way to the mail server. TLS is always used. Never logs a message or
//! a password.

use super::web_format::text;
use crate::trust;
use anyhow::{Context as _, Result};
use cofferdam_core::model::notification::Notification;
use cofferdam_core::protocol::role_settings::MailServer;
use cofferdam_core::text::Letter;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use std::error::Error;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The way to a mail server.
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

/// The user and the password at a mail server.
pub struct Account {
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

/// `Auto-Submitted` (RFC 3834): no program answers such a message.
#[derive(Debug, Clone)]
struct AutoSubmitted(String);

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(text: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(Self(text.to_owned()))
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), self.0.clone())
    }
}

impl Mailer {
    /// Reads the trusted certificates. `limit` is the time limit of each command.
    ///
    /// # Errors
    /// An address is not one, or there is no certificate.
    pub fn new(
        server: &MailServer,
        account: Option<Account>,
        (from, to): (&str, &[String]),
        ca_file: Option<&Path>,
        limit: Duration,
    ) -> Result<Self> {
        let mailbox = |address: &str| {
            let read = address.parse::<Mailbox>();
            read.with_context(|| format!("`{address}` is not an e-mail address"))
        };
        let mut tls =
            TlsParameters::builder(server.host.clone()).certificate_store(CertificateStore::None);
        for certificate in trust::authorities(ca_file)? {
            tls = tls.add_root_certificate(
                Certificate::from_der(certificate.to_vec()).context("a certificate of a CA")?,
            );
        }
        let tls = tls.build_rustls().context("TLS to the mail server")?;
        let tls = if server.implicit_tls { Tls::Wrapper(tls) } else { Tls::Required(tls) };
        let mut transport =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server.host.clone())
                .port(server.port)
                .tls(tls)
                .hello_name(ClientId::Domain("cofferdam.invalid".to_owned()))
                .timeout(Some(limit));
        if let Some(Account { user, password }) = account {
            transport = transport
                .credentials(Credentials::new(user, password))
                .authentication(vec![Mechanism::Plain, Mechanism::Login]);
        }
        let to = to.iter().map(|address| mailbox(address)).collect::<Result<_>>()?;
        Ok(Self { transport: transport.build(), from: mailbox(from)?, to })
    }

    /// Sends one message to all recipients.
    ///
    /// # Errors
    /// The server did not take it for all of them. The text never has the password.
    pub async fn send(
        &self,
        notification: &Notification,
        letter: &Letter,
        environment: &str,
    ) -> Result<()> {
        let message = self.message(notification, letter, environment)?;
        self.transport.send(message).await.map(drop).map_err(anyhow::Error::from)
    }

    fn message(
        &self,
        notification: &Notification,
        letter: &Letter,
        environment: &str,
    ) -> Result<Message> {
        let mut message = Message::builder()
            .from(self.from.clone())
            .subject(letter.title.clone())
            .date(SystemTime::from(notification.time))
            .message_id(Some(format!("<{}@{environment}.cofferdam.invalid>", notification.id)))
            .header(AutoSubmitted("auto-generated".to_owned()))
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            message = message.to(to.clone());
        }
        Ok(message.body(text(letter))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_core::model::id::CallId;
    use cofferdam_core::model::notification::{NotifiedCall, NotifyEvent};
    use cofferdam_core::text::letter;
    use cofferdam_testkit::tls::CA;
    use jiff::Timestamp;

    fn mailer(to: &[&str]) -> Result<Mailer> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, CA).unwrap();
        let server = MailServer { host: "127.0.0.1".into(), port: 1, implicit_tls: true };
        let to: Vec<String> = to.iter().map(|&one| one.to_owned()).collect();
        let ends = ("Cofferdam <gate@example.com>", to.as_slice());
        Mailer::new(&server, None, ends, Some(&file), Duration::from_secs(1))
    }

    #[test]
    fn words_of_others_make_no_header_and_no_second_message() {
        let time = Timestamp::from_second(1_800_000_000).unwrap();
        for words in ["x\r\nBcc: eve@evil.example", "a\n.\nQUIT", "\u{2028}Bcc: eve", "=?utf-8?q?"]
        {
            let call = NotifiedCall {
                call: CallId::parse("abcdefghijklmnopqrstuvwxyz").unwrap(),
                agent: words.into(),
                person: None,
                tool: words.into(),
                summary: words.into(),
                quorum: Some(1),
                expires: time,
            };
            let event = NotifyEvent::ApprovalNeeded;
            let call = Some(call);
            let notification =
                Notification { id: "a.b".into(), event, time, call, detail: words.into() };
            let told = letter(&notification, "shop", "https://gate.example.com");
            let mailer = mailer(&["ops@example.com"]).unwrap();
            let message = mailer.message(&notification, &told, "shop").unwrap();
            assert_eq!(message.envelope().to().len(), 1);
            let sent = String::from_utf8(message.formatted()).unwrap();
            let (head, body) = sent.split_once("\r\n\r\n").unwrap();
            assert!(!head.contains("Bcc") && !head.contains("evil"), "{head}");
            assert!(head.contains("Subject: A call needs your approval in shop"), "{head}");
            assert!(head.contains("Auto-Submitted: auto-generated"), "{head}");
            assert!(head.contains("Message-ID: <a.b@shop.cofferdam.invalid>"), "{head}");
            assert!(!body.contains("\r\nBcc") && !body.contains("\r\n.\r\n"), "{body}");
        }
    }

    #[test]
    fn a_wrong_address_is_an_error() {
        for address in ["", "ops", "ops@example.com\r\nBcc: eve@evil.example"] {
            let error = mailer(&[address]).err().unwrap();
            assert!(format!("{error:#}").contains("is not an e-mail address"), "{error:#}");
        }
    }
}
