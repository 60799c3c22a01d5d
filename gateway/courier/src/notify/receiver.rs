//! One receiver: its secret and its certificates, which are read before the process confines
//! itself, and how a message is sent to it. A secret is never shown: not in errors either.

use super::mail::{Account, Mailer};
use super::signature::SigningKey;
use super::web_format;
use crate::courier::Times;
use crate::http::{Http, Post, PostError};
use crate::trust;
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use cofferdam_core::model::escape;
use cofferdam_core::model::notification::Notification;
use cofferdam_core::model::web_address::{Place, WebAddress};
use cofferdam_core::protocol::courier::FetchError;
use cofferdam_core::protocol::role_settings::{ReceiverKind, ReceiverSettings};
use cofferdam_core::text::letter;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use jiff::Timestamp;
use serde_json::Value;
use std::time::Duration;
use tokio::time::timeout;

/// The most characters of a topic of ntfy.
const TOPIC: usize = 64;

/// A receiver that can be sent to.
pub struct Receiver {
    /// The name of the configuration.
    pub name: String,
    /// True if it is told that the ledger cannot be written.
    pub unwritable: bool,
    environment: String,
    base: String,
    place: Place,
    way: Way,
    whole: Duration,
}

enum Way {
    Web { http: Http, address: WebAddress, format: Format },
    Mail(Box<Mailer>),
}

enum Format {
    Webhook(SigningKey),
    Slack,
    Teams,
    Ntfy { topic: String, token: Option<HeaderValue> },
    Pagerduty { routing_key: String },
}

/// A message that was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The web server.
    #[error("the server {0}")]
    Web(#[from] PostError),
    /// The mail server.
    #[error("the mail server did not take it: {0}")]
    Mail(String),
    /// The message cannot be made.
    #[error("the message cannot be made: {0}")]
    Message(String),
}

impl SendError {
    /// The pause that the server asked for.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Web(PostError { retry_after, .. }) => *retry_after,
            Self::Mail(_) | Self::Message(_) => None,
        }
    }
}

impl Receiver {
    /// Reads the secret and the certificates of a receiver.
    ///
    /// # Errors
    /// A file is missing or wrong.
    pub fn read(
        settings: ReceiverSettings,
        (environment, base): (&str, &str),
        times: Times,
    ) -> Result<Self> {
        let name = settings.name.clone();
        Self::read_parts(settings, (environment, base), times)
            .with_context(|| format!("the receiver `{name}` of notifications"))
    }

    fn read_parts(
        settings: ReceiverSettings,
        (environment, base): (&str, &str),
        times: Times,
    ) -> Result<Self> {
        let ReceiverSettings { name, unwritable, kind, secret_file, ca_file } = settings;
        let secret = |what: &str| {
            let file = secret_file.as_deref();
            file.map(|file| trust::read_secret(file, what)).transpose()
        };
        let needed =
            |what: &str| secret(what)?.with_context(|| format!("`secret_file` with the {what}"));
        let hidden_url = |what: &str| {
            // The error of an address does not have its text.
            WebAddress::read(&needed(what)?).with_context(|| format!("the {what} in the file"))
        };
        let (address, format) = match kind {
            ReceiverKind::Webhook { url } => {
                (url, Format::Webhook(SigningKey::read(&needed("secret")?)?))
            }
            ReceiverKind::Slack => (hidden_url("URL of Slack")?, Format::Slack),
            ReceiverKind::Teams => (hidden_url("URL of Teams")?, Format::Teams),
            ReceiverKind::Ntfy { url } => {
                let (root, topic) = split_topic(&url)?;
                let token = secret("access token")?
                    .map(|token| sensitive(&format!("Bearer {token}")))
                    .transpose()?;
                (root, Format::Ntfy { topic, token })
            }
            ReceiverKind::Pagerduty { url } => {
                (url, Format::Pagerduty { routing_key: needed("routing key")? })
            }
            ReceiverKind::Mail { server, user, from, to } => {
                let account = match user {
                    Some(user) => Some(Account { user, password: needed("password")? }),
                    None => None,
                };
                let ends = (from.as_str(), to.as_slice());
                let ca_file = ca_file.as_deref();
                let mailer = Mailer::new(&server, account, ends, ca_file, times.whole)?;
                let place = Place { secure: true, host: server.host, port: server.port };
                return Ok(Self {
                    name,
                    unwritable,
                    environment: environment.to_owned(),
                    base: base.to_owned(),
                    place,
                    way: Way::Mail(Box::new(mailer)),
                    whole: times.whole,
                });
            }
        };
        let http = Http::new(trust::tls(ca_file.as_deref())?, times.connect);
        Ok(Self {
            name,
            unwritable,
            environment: environment.to_owned(),
            base: base.to_owned(),
            place: address.place().clone(),
            way: Way::Web { http, address, format },
            whole: times.whole,
        })
    }

    /// The server that the receiver needs.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Sends a notification once, within the time limit.
    ///
    /// # Errors
    /// The server did not take it.
    pub async fn send(&self, notification: &Notification, now: Timestamp) -> Result<(), SendError> {
        let late = |_| {
            let detail = format!("no response within {} s", self.whole.as_secs());
            let error = FetchError::Unreachable { detail };
            SendError::Web(PostError { error, retry_after: None })
        };
        timeout(self.whole, self.send_now(notification, now)).await.map_err(late)?
    }

    async fn send_now(&self, notification: &Notification, now: Timestamp) -> Result<(), SendError> {
        let told = letter(notification, &self.environment, &self.base);
        let environment = self.environment.as_str();
        let (http, address, format) = match &self.way {
            Way::Web { http, address, format } => (http, address, format),
            Way::Mail(mailer) => {
                let sent = mailer.send(notification, &told, environment).await;
                return sent.map_err(|error| SendError::Mail(escape::chain(error.as_ref())));
            }
        };
        let plain = |value: Value| (value, Vec::new());
        let (body, headers) = match format {
            Format::Webhook(_) => plain(web_format::webhook(notification, &told, environment)),
            Format::Slack => plain(web_format::slack(&told)),
            Format::Teams => plain(web_format::teams(&told)),
            Format::Ntfy { topic, token } => {
                let token = token.iter().map(|token| (AUTHORIZATION, token.clone()));
                (web_format::ntfy(&told, topic), token.collect())
            }
            Format::Pagerduty { routing_key } => {
                plain(web_format::pagerduty(notification, &told, environment, routing_key))
            }
        };
        let body = Bytes::from(body.to_string());
        let mut post = Post { headers, body };
        if let Format::Webhook(key) = format {
            post.headers = signed(key, &notification.id, now, &post.body)
                .map_err(|error| SendError::Message(error.to_string()))?;
        }
        Ok(http.post(address, post, now).await?)
    }
}

/// The headers of a signed webhook.
fn signed(
    key: &SigningKey,
    id: &str,
    now: Timestamp,
    body: &[u8],
) -> Result<Vec<(HeaderName, HeaderValue)>> {
    let seconds = now.as_second();
    let signature = key.sign(id, seconds, body)?;
    Ok(vec![
        (HeaderName::from_static("webhook-id"), HeaderValue::from_str(id)?),
        (HeaderName::from_static("webhook-timestamp"), HeaderValue::from(seconds)),
        (HeaderName::from_static("webhook-signature"), sensitive(&signature)?),
    ])
}

fn sensitive(text: &str) -> Result<HeaderValue> {
    // The error of a header could show its value.
    let value = HeaderValue::from_str(text);
    let mut value = value.ok().context("the secret has a sign that no header can have")?;
    value.set_sensitive(true);
    Ok(value)
}

/// The root of a server of ntfy, which takes JSON, and the topic.
fn split_topic(url: &WebAddress) -> Result<(WebAddress, String)> {
    let (root, topic) = url.path().rsplit_once('/').unwrap_or_default();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if topic.is_empty() || topic.len() > TOPIC || !topic.bytes().all(is_name) {
        bail!("`url` names no topic of ntfy; write it as https://ntfy.sh/TOPIC");
    }
    Ok((url.at(&format!("{root}/"))?, topic.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topic_of_ntfy_is_the_end_of_its_address() {
        let check = |url: &str, expect: Option<(&str, &str)>| {
            let split = split_topic(&WebAddress::read(url).unwrap()).ok();
            let split = split.map(|(root, topic)| (root.text().to_owned(), topic));
            let expect = expect.map(|(root, topic)| (root.to_owned(), topic.to_owned()));
            assert_eq!(split, expect, "{url}");
        };
        check("https://ntfy.sh/ops", Some(("https://ntfy.sh/", "ops")));
        check("https://a.example/ntfy/ops-1_x", Some(("https://a.example/ntfy/", "ops-1_x")));
        check("https://ntfy.sh", None);
        check("https://ntfy.sh/a.b", None);
    }
}
