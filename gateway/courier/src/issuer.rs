//! One issuer: the addresses of its keys, its introspection and its sign-in, by the configuration or
//! by its own metadata (RFC 8414, OpenID Connect Discovery). Metadata must name the issuer itself, and
//! configured hosts alone. Verifies no token.

use crate::http::{Ask, Http};
use crate::trust::Authorization;
use anyhow::Result;
use cofferdam_core::model::web_address::{Place, WebAddress, form_encoded};
use cofferdam_core::protocol::courier::{FetchError, Fetched, TOKEN, Token};
use cofferdam_core::protocol::role_settings::IssuerConnection;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long metadata is kept: addresses of an issuer change rarely.
const METADATA: Duration = Duration::from_secs(600);

/// An issuer, as it is configured, with its newest metadata.
pub struct Issuer {
    connection: IssuerConnection,
    client: Option<Authorization>,
    sign_in: Option<Authorization>,
    metadata: Mutex<Option<(Instant, Metadata)>>,
}

/// The part of an issuer's metadata that is used.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: Option<String>,
    introspection_endpoint: Option<String>,
    /// These are for sign-ins alone: an issuer of access tokens may have anything here.
    authorization_endpoint: Option<Value>,
    token_endpoint: Option<Value>,
    authorization_response_iss_parameter_supported: Option<Value>,
}

/// A response to an exchange. Only the ID token is used, so that no access token is kept.
#[derive(Deserialize)]
struct Exchanged {
    id_token: String,
}

/// A JWK set, unread.
#[derive(Deserialize)]
struct Jwks {
    #[expect(dead_code, reason = "its form is the check")]
    keys: Vec<IgnoredAny>,
}

/// A response about a token, unread.
#[derive(Deserialize)]
struct Introspected {
    #[expect(dead_code, reason = "its form is the check")]
    active: bool,
}

impl Issuer {
    /// An issuer whose metadata were not read yet. Reads the secrets of the clients.
    ///
    /// # Errors
    /// A secret cannot be read.
    pub fn new(connection: IssuerConnection) -> Result<Self> {
        let client = connection.introspection.as_ref();
        let client = client.map(|own| Authorization::read(&own.client_id, &own.secret_file));
        let sign_in = connection.sign_in.as_ref();
        let sign_in = sign_in.map(|own| Authorization::read(&own.client_id, &own.secret_file));
        let (client, sign_in) = (client.transpose()?, sign_in.transpose()?);
        Ok(Self { connection, client, sign_in, metadata: Mutex::default() })
    }

    /// The issuer, letter by letter.
    pub fn name(&self) -> &str {
        self.connection.issuer.text()
    }

    /// The servers that the configuration names for this issuer.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        let IssuerConnection { issuer, jwks_uri, introspection, sign_in } = &self.connection;
        let endpoint = introspection.as_ref().and_then(|client| client.endpoint.as_ref());
        let exchange = sign_in.as_ref().and_then(|client| client.token_endpoint.as_ref());
        let named = std::iter::once(issuer).chain(jwks_uri).chain(endpoint).chain(exchange);
        named.map(WebAddress::place)
    }

    /// Fetches the keys.
    ///
    /// # Errors
    /// There is no key set.
    pub async fn keys(&self, http: &Http) -> Result<Fetched, FetchError> {
        let address = match &self.connection.jwks_uri {
            Some(address) => address.clone(),
            None => {
                let found = self.metadata(http).await?.jwks_uri;
                self.named("jwks_uri", found)?
            }
        };
        let response = http.exchange(&address, Ask::Get).await.inspect_err(|_| self.forget())?;
        has_form::<Jwks>(&response.body, "a JWK set: an object with a list `keys`")?;
        Ok(Fetched::Keys { jwks: response.body, cache_seconds: response.cache_seconds })
    }

    /// Asks about a token.
    ///
    /// # Errors
    /// There is no response about it.
    pub async fn introspect(&self, http: &Http, token: &Token) -> Result<Fetched, FetchError> {
        let (Some(configured), Some(client)) = (&self.connection.introspection, &self.client)
        else {
            let detail = format!("`{}` has no client for introspection", self.name());
            return Err(FetchError::NotConfigured { detail });
        };
        if token.0.len() > TOKEN {
            return Err(FetchError::TooLarge);
        }
        let address = match &configured.endpoint {
            Some(address) => address.clone(),
            None => {
                let found = self.metadata(http).await?.introspection_endpoint;
                self.named("introspection_endpoint", found)?
            }
        };
        let form = format!("token={}&token_type_hint=access_token", form_encoded(&token.0));
        let response = http
            .exchange(&address, Ask::Post { form: &form, client })
            .await
            .inspect_err(|_| self.forget())?;
        has_form::<Introspected>(&response.body, "an object with a boolean `active`")?;
        Ok(Fetched::Claims { claims: response.body })
    }

    /// Finds the page where people sign in. The courier does not connect to it: a browser does.
    ///
    /// # Errors
    /// It is not known.
    pub async fn sign_in_page(&self, http: &Http) -> Result<Fetched, FetchError> {
        let Some(configured) = &self.connection.sign_in else { return Err(self.no_sign_in()) };
        let metadata = self.metadata(http).await?;
        let promise = metadata.authorization_response_iss_parameter_supported;
        let names_itself = promise == Some(Value::Bool(true));
        let address = match &configured.authorization_endpoint {
            Some(address) => address.clone(),
            None => self.named("authorization_endpoint", text(metadata.authorization_endpoint))?,
        };
        Ok(Fetched::SignInPage { address: address.text().to_owned(), names_itself })
    }

    /// Exchanges the code of a sign-in. `form`: of [`exchange_form`].
    ///
    /// # Errors
    /// There is no ID token: the code was used, or is of another client.
    pub async fn exchange(&self, http: &Http, form: String) -> Result<Fetched, FetchError> {
        let (Some(configured), Some(client)) = (&self.connection.sign_in, &self.sign_in) else {
            return Err(self.no_sign_in());
        };
        if form.len() > TOKEN {
            return Err(FetchError::TooLarge);
        }
        let address = match &configured.token_endpoint {
            Some(address) => address.clone(),
            None => {
                let found = self.metadata(http).await?.token_endpoint;
                self.named("token_endpoint", text(found))?
            }
        };
        // A code counts once, so that a failure is no reason to ask again.
        let response = http.exchange(&address, Ask::Post { form: &form, client }).await?;
        let Exchanged { id_token } = has_form(&response.body, "an object with a text `id_token`")?;
        if id_token.len() > TOKEN {
            return Err(FetchError::TooLarge);
        }
        Ok(Fetched::IdToken { token: Token(id_token) })
    }

    fn no_sign_in(&self) -> FetchError {
        let detail = format!("`{}` has no client for sign-ins of people", self.name());
        FetchError::NotConfigured { detail }
    }

    /// The metadata, which may be some minutes old.
    async fn metadata(&self, http: &Http) -> Result<Metadata, FetchError> {
        let kept = self.metadata.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((read, metadata)) = kept
            && read.elapsed() < METADATA
        {
            return Ok(metadata);
        }
        let metadata = self.discover(http).await?;
        let kept = Some((Instant::now(), metadata.clone()));
        *self.metadata.lock().unwrap_or_else(PoisonError::into_inner) = kept;
        Ok(metadata)
    }

    /// Reads the metadata again the next time: an address in them may have moved.
    fn forget(&self) {
        *self.metadata.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn discover(&self, http: &Http) -> Result<Metadata, FetchError> {
        let issuer = &self.connection.issuer;
        let path = issuer.path();
        let mut last = None;
        for place in [
            format!("/.well-known/oauth-authorization-server{path}"),
            format!("{path}/.well-known/openid-configuration"),
        ] {
            let address = issuer.at(&place).map_err(|error| FetchError::NotConfigured {
                detail: format!("`{issuer}`: {error}"),
            })?;
            match http.exchange(&address, Ask::Get).await {
                Ok(response) => return self.checked(&response.body),
                // The issuer has one document or the other.
                Err(error @ FetchError::Refused { .. }) => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or(FetchError::Refused { status: 404 }))
    }

    fn checked(&self, body: &str) -> Result<Metadata, FetchError> {
        let metadata: Metadata = has_form(body, "metadata: an object with a text `issuer`")?;
        if metadata.issuer == self.name() {
            return Ok(metadata);
        }
        let detail = format!(
            "its metadata are of the issuer `{}`; configure exactly this issuer, if it is the one",
            cofferdam_core::model::escape::line(&metadata.issuer)
        );
        Err(FetchError::Malformed { detail })
    }

    /// An address of the metadata, if its server is configured for this issuer.
    fn named(&self, member: &str, found: Option<String>) -> Result<WebAddress, FetchError> {
        let Some(text) = found else {
            let detail = format!("its metadata have no `{member}`; configure it");
            return Err(FetchError::Malformed { detail });
        };
        let shown = cofferdam_core::model::escape::line(&text);
        let address = WebAddress::read(&text).map_err(|error| FetchError::Malformed {
            detail: format!("`{member}` of its metadata is `{shown}`: {error}"),
        })?;
        if self.places().any(|place| place == address.place()) {
            return Ok(address);
        }
        let detail = format!(
            "`{member}` of its metadata is `{shown}`, on another server than the issuer's; if that \
             is right, configure it for this issuer"
        );
        Err(FetchError::NotConfigured { detail })
    }
}

/// The form of an exchange (RFC 6749 §4.1.3, RFC 7636 §4.5).
pub fn exchange_form(code: &Token, verifier: &Token, redirect: &str) -> String {
    format!(
        "grant_type=authorization_code&code={}&redirect_uri={}&code_verifier={}",
        form_encoded(&code.0),
        form_encoded(redirect),
        form_encoded(&verifier.0)
    )
}

fn text(member: Option<Value>) -> Option<String> {
    member.as_ref().and_then(Value::as_str).map(str::to_owned)
}

fn has_form<T: DeserializeOwned>(body: &str, form: &str) -> Result<T, FetchError> {
    serde_json::from_str(body).map_err(|error| FetchError::Malformed {
        detail: format!("this is not {form} (line {}, column {})", error.line(), error.column()),
    })
}
