//! The sign-in of people at the issuer of `[people.oidc]`: authorization code, PKCE, `state` and
//! `nonce`. The courier exchanges the code; the check of the ID token is in `cofferdam-identity`.
//! Keeps nothing for a sign-in that only began: its state is a text with a MAC of this process,
//! bound to a secret of the browser. Never makes an approver.

use super::log_rate::LogRate;
use super::oauth::{HeldIssuer, IssuerSource};
use cofferdam_core::journey::ports::SignInRefusal;
use cofferdam_core::model::console_role::SignedIn;
use cofferdam_core::model::escape::line;
use cofferdam_core::model::sign_in::{AtIssuer, FromIssuer};
use cofferdam_core::model::web_address::form_encoded;
use cofferdam_identity::{IdTokenError, IdTokens};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use hmac::{Hmac, Mac as _};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// How long a person may take at the issuer: a password, and a second factor from another device.
const AT_ISSUER: SignedDuration = SignedDuration::from_mins(10);

/// Most sign-ins that came back within [`AT_ISSUER`] and are known as used.
const ENDED: usize = 10_000;

/// Bound into each MAC of a state, so that it is no MAC of anything else.
const STATE: &str = "cofferdam.issuer-state.v1";

/// The same for the secret of PKCE.
const VERIFIER: &str = "cofferdam.issuer-verifier.v1";

/// The same for the nonce.
const NONCE: &str = "cofferdam.issuer-nonce.v1";

/// The answer to a person whose sign-in is not the one that this browser began.
const OTHER: &str = "this is not the sign-in that this browser began here, or it took too long; sign \
                     in again";

/// What the issuer of people tells, through the courier. The error is for the log.
pub trait PeopleSource: IssuerSource {
    /// The page where people sign in, and whether the issuer promises to name itself (RFC 9207).
    fn sign_in_page(
        &self,
        issuer: &str,
    ) -> impl Future<Output = Result<(String, bool), String>> + Send;

    /// The ID token for a code, with the secret of PKCE and the address of the return.
    fn exchange(
        &self,
        issuer: &str,
        code: &str,
        verifier: &str,
        redirect: &str,
    ) -> impl Future<Output = Result<String, String>> + Send;
}

/// The issuer of people.
pub struct PeopleSignIn<S> {
    held: Arc<HeldIssuer<IdTokens>>,
    source: S,
    key: [u8; 32],
    /// The nonces of the sign-ins that came back, with the ends of their states.
    ended: Mutex<BTreeMap<String, Timestamp>>,
    refused: LogRate,
}

/// The state of a sign-in, read and not believed.
struct State<'a> {
    /// Its end, in seconds.
    expires: &'a str,
    random: &'a str,
    /// The page of ours after the sign-in, in base64url.
    next: &'a str,
    tag: &'a str,
}

impl<'a> State<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.split('.');
        let state = Self {
            expires: parts.next()?,
            random: parts.next()?,
            next: parts.next()?,
            tag: parts.next()?,
        };
        parts.next().is_none().then_some(state)
    }
}

impl<S: PeopleSource> PeopleSignIn<S> {
    /// Prepares the sign-in, with a key of 256 random bits. Fetches nothing yet.
    pub fn new(issuer: IdTokens, source: S, random: (u128, u128)) -> Self {
        let key = Sha256::digest([random.0.to_le_bytes(), random.1.to_le_bytes()].concat()).into();
        let held = Arc::new(HeldIssuer::new(issuer));
        Self { held, source, key, ended: Mutex::default(), refused: LogRate::default() }
    }

    /// The host of the issuer, for people.
    pub fn host(&self) -> String {
        let issuer = self.held.issuer.issuer();
        let rest = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default().to_owned()
    }

    /// Begins a sign-in. `redirect`: the address of the return; `next`: a page of ours.
    ///
    /// # Errors
    /// The issuer cannot be reached.
    pub async fn start(
        &self,
        redirect: &str,
        next: &str,
        (random, binding): (u128, u128),
        now: Timestamp,
    ) -> Result<AtIssuer, SignInRefusal> {
        let issuer = self.held.issuer.issuer();
        let (page, _) = self.source.sign_in_page(issuer).await.map_err(|why| self.away(&why))?;
        let binding = format!("{binding:032x}");
        let expires = now.checked_add(AT_ISSUER).unwrap_or(now).as_second().to_string();
        let random = format!("{random:032x}");
        let next = BASE64URL_NOPAD.encode(next.as_bytes());
        let tag =
            HEXLOWER.encode(&self.mac(STATE, &[&binding, redirect, &expires, &random, &next]));
        let state = format!("{expires}.{random}.{next}.{tag}");
        let challenge = Sha256::digest(self.derived(VERIFIER, &random));
        let query: Vec<String> = [
            ("response_type", "code"),
            ("client_id", self.held.issuer.client()),
            ("redirect_uri", redirect),
            ("scope", &self.held.issuer.scopes()),
            ("state", &state),
            ("nonce", &self.derived(NONCE, &random)),
            ("code_challenge", &BASE64URL_NOPAD.encode(&challenge)),
            ("code_challenge_method", "S256"),
        ]
        .iter()
        .map(|(name, value)| format!("{name}={}", form_encoded(value)))
        .collect();
        let joint = if page.contains('?') { '&' } else { '?' };
        let address = format!("{page}{joint}{}", query.join("&"));
        Ok(AtIssuer { address, binding, seconds: AT_ISSUER.as_secs() })
    }

    /// Ends a sign-in: the person, and the page of ours after it.
    ///
    /// # Errors
    /// It is not a sign-in that this browser began, it came back before, or the person has no role.
    pub async fn end(
        &self,
        returned: &FromIssuer,
        redirect: &str,
        now: Timestamp,
    ) -> Result<(SignedIn, String), SignInRefusal> {
        let (random, next) = self.own_state(returned, redirect, now)?;
        let issuer = self.held.issuer.issuer();
        let (_, named) = self.source.sign_in_page(issuer).await.map_err(|why| self.away(&why))?;
        // Another issuer that sent the browser here must not get the code (RFC 9207). An error has
        // none, and some issuers leave their name out of it.
        let promised = named && returned.error.is_none();
        if returned.issuer.as_ref().map_or(promised, |told| told != issuer) {
            return Err(self.refuse("the answer names another issuer"));
        }
        if let Some(error) = &returned.error {
            let told = line(error);
            return Err(SignInRefusal::Refused(format!(
                "the issuer gave no sign-in (`{told}`); sign in again, or ask its administrator"
            )));
        }
        let Some(code) = &returned.code else {
            return Err(self.refuse("the answer has neither a code nor an error"));
        };
        let verifier = self.derived(VERIFIER, &random);
        let token =
            self.source.exchange(issuer, code, &verifier, redirect).await.map_err(|why| {
                self.refuse(&format!("the code gives no ID token: the issuer {why}"))
            })?;
        let person = self.check(&token, &self.derived(NONCE, &random), now).await?;
        Ok((person, next))
    }

    /// Checks the state, and uses it: it counts once, in time and in the browser that began it.
    fn own_state(
        &self,
        returned: &FromIssuer,
        redirect: &str,
        now: Timestamp,
    ) -> Result<(String, String), SignInRefusal> {
        let other = || SignInRefusal::Refused(OTHER.to_owned());
        let (Some(binding), Some(state)) = (&returned.binding, &returned.state) else {
            return Err(other());
        };
        let State { expires, random, next, tag } = State::read(state).ok_or_else(other)?;
        let tag = HEXLOWER.decode(tag.as_bytes()).map_err(|_| other())?;
        let parts = [binding.as_str(), redirect, expires, random, next];
        if self.keyed(STATE, &parts).is_none_or(|mac| mac.verify_slice(&tag).is_err()) {
            return Err(other());
        }
        let ends = expires.parse().ok().and_then(|ends| Timestamp::from_second(ends).ok());
        let ends = ends.filter(|ends| *ends > now).ok_or_else(other)?;
        let page = BASE64URL_NOPAD.decode(next.as_bytes()).ok();
        let page = page.and_then(|page| String::from_utf8(page).ok()).ok_or_else(other)?;
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.retain(|_, ends| *ends > now);
        if ended.insert(random.to_owned(), ends).is_some() {
            return Err(SignInRefusal::Refused(
                "this sign-in came back before; sign in again".to_owned(),
            ));
        }
        // Any program can begin sign-ins, so a full list refuses no person: it forgets the one that
        // ends first, whose code the issuer takes once.
        if ended.len() > ENDED
            && let Some(first) = ended.iter().min_by_key(|(_, ends)| **ends)
        {
            let first = first.0.clone();
            ended.remove(&first);
        }
        Ok((random.to_owned(), page))
    }

    async fn check(
        &self,
        token: &str,
        nonce: &str,
        now: Timestamp,
    ) -> Result<SignedIn, SignInRefusal> {
        let second = now.as_second();
        let away = |away: super::oauth::Away| self.away(&away.0);
        let keys = self.held.keys(&self.source, second).await.map_err(away)?;
        let checked = match self.held.issuer.check(token, &keys, nonce, now) {
            Err(IdTokenError::Refused(refused)) if refused.unknown_key => {
                let newer = self.held.newer_keys(&self.source, &keys, second).await;
                match newer.map_err(away)? {
                    Some(newer) => self.held.issuer.check(token, &newer, nonce, now),
                    None => Err(refused.into()),
                }
            }
            checked => checked,
        };
        match checked {
            Ok(person) => Ok(person),
            Err(IdTokenError::Refused(refused)) => Err(self.refuse(&refused.to_string())),
            // These tell the person what is missing, and who can add it.
            Err(missing) => {
                let why = missing.to_string();
                self.log(&why);
                Err(SignInRefusal::Refused(why))
            }
        }
    }

    /// A refusal whose cause is for the log alone: its sender may be no person of ours.
    fn refuse(&self, why: &str) -> SignInRefusal {
        self.log(why);
        SignInRefusal::Refused(
            "the issuer's answer does not count for this sign-in; sign in again. The log of this \
             server has the cause"
                .to_owned(),
        )
    }

    fn log(&self, why: &str) {
        if let Some(kept_back) = self.refused.pass(Instant::now()) {
            tracing::warn!(what = "sign-in", why, kept_back, "a sign-in of a person was refused");
        }
    }

    fn away(&self, why: &str) -> SignInRefusal {
        self.log(why);
        let host = self.host();
        SignInRefusal::Unavailable(format!("`{host}` cannot be asked now; try again in a minute"))
    }

    fn derived(&self, purpose: &str, random: &str) -> String {
        HEXLOWER.encode(&self.mac(purpose, &[random]))
    }

    fn mac(&self, purpose: &str, parts: &[&str]) -> Vec<u8> {
        let mac = self.keyed(purpose, parts);
        mac.map(|mac| mac.finalize().into_bytes().to_vec()).unwrap_or_default()
    }

    /// `None` never happens: HMAC takes a key of any length. No part has a line break.
    fn keyed(&self, purpose: &str, parts: &[&str]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(purpose.as_bytes());
        for part in parts {
            mac.update(b"\n");
            mac.update(part.as_bytes());
        }
        Some(mac)
    }
}

#[cfg(test)]
mod tests;
