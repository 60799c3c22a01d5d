//! The checks of a token of one issuer: algorithm, key, signature, type, times, issuer, audience and
//! required claims. What a sender reads of a failed check is known only after the signature is: a
//! forged token is always just not valid.

use crate::claims::Claims;
use crate::identity::{Identity, map};
use crate::keys::KeySet;
use crate::refused::Refused;
use crate::signature::{ALGORITHMS, algorithm, is_signed};
use crate::token::Jwt;
use cofferdam_core::model::access::TokenRefusal;
use cofferdam_core::model::json;
use cofferdam_core::protocol::role_settings::{IssuerSettings, OauthSettings};
use jiff::Timestamp;
use jsonwebtoken::Algorithm;
use serde_json::Value;

/// The types of a JWT access token (RFC 9068 §2.1), in lower case.
const TYPES: [&str; 2] = ["at+jwt", "application/at+jwt"];

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The algorithm is unknown, or one that needs no key or a shared one.
    #[error("`{0}` is not a permitted algorithm; use some of {all}", all = ALGORITHMS.join(", "))]
    Algorithm(String),
}

/// One configured issuer.
#[derive(Debug, Clone)]
pub struct Issuer {
    pub(crate) settings: IssuerSettings,
    pub(crate) resource: String,
    pub(crate) scopes: [String; 2],
    skew: f64,
    algorithms: Vec<Algorithm>,
}

/// Claims that were checked: the signature is the issuer's, or the issuer itself told them.
#[derive(Debug, Clone)]
pub struct Checked {
    claims: Claims,
    expires: Timestamp,
    /// True if the token is a JWT; false if the issuer was asked.
    signed: bool,
}

impl Checked {
    /// The time at which the token ends.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }
}

impl Issuer {
    /// Reads the settings of all issuers.
    ///
    /// # Errors
    /// An algorithm is not permitted.
    pub fn all(oauth: &OauthSettings) -> Result<Vec<Self>, SettingsError> {
        oauth.issuers.iter().map(|issuer| Self::new(oauth, issuer)).collect()
    }

    fn new(oauth: &OauthSettings, settings: &IssuerSettings) -> Result<Self, SettingsError> {
        let known =
            |name: &String| algorithm(name).ok_or_else(|| SettingsError::Algorithm(name.clone()));
        Ok(Self {
            algorithms: settings.algorithms.iter().map(known).collect::<Result<_, _>>()?,
            settings: settings.clone(),
            resource: oauth.resource.clone(),
            scopes: [oauth.read_scope.clone(), oauth.call_scope.clone()],
            #[expect(clippy::cast_precision_loss, reason = "the skew is at most some minutes")]
            skew: oauth.skew_seconds as f64,
        })
    }

    /// The short name of the issuer.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// The claim `iss` of its tokens.
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// True if opaque tokens are given to this issuer.
    pub fn introspects(&self) -> bool {
        self.settings.introspection
    }

    /// Returns whether the issuer can still give this role.
    pub fn gives(&self, role: &str) -> bool {
        let IssuerSettings { roles, roles_of, .. } = &self.settings;
        roles.iter().chain(roles_of.values()).any(|given| given == role)
    }

    /// Checks a JWT with the keys of this issuer.
    ///
    /// # Errors
    /// The token is not a valid access token of this issuer for this server.
    pub fn check(&self, jwt: &Jwt<'_>, keys: &KeySet, now: Timestamp) -> Result<Checked, Refused> {
        let algorithm = algorithm(&jwt.algorithm)
            .filter(|algorithm| self.algorithms.contains(algorithm))
            .ok_or_else(|| self.unknown("its algorithm is not in `algorithms`"))?;
        let candidates = keys.candidates(jwt.kid.as_deref(), algorithm);
        if candidates.is_empty() {
            let cause = match jwt.kid {
                Some(_) => "the issuer has no key of its `kid` for its algorithm",
                None => "it has no `kid`, and the issuer has not exactly one key for its algorithm",
            };
            return Err(Refused { unknown_key: true, ..self.unknown(cause) });
        }
        if !candidates.iter().any(|key| is_signed(jwt.text, key, algorithm)) {
            return Err(self.unknown("its signature is wrong"));
        }
        if !self.is_access_token(jwt.kind.as_deref()) {
            return Err(self.unfit(
                "its `typ` is not `at+jwt`; if this issuer makes access tokens of type `JWT`, set \
                 `plain_jwt = true`",
            ));
        }
        self.check_claims(Claims(jwt.claims.clone()), now, true)
    }

    /// Checks the answer of an introspection (RFC 7662).
    ///
    /// # Errors
    /// The token is not active, or not for this server.
    pub fn check_introspection(&self, answer: &[u8], now: Timestamp) -> Result<Checked, Refused> {
        let Ok(Value::Object(claims)) = json::strict(answer) else {
            return Err(self.unknown("its introspection is not a strict JSON object"));
        };
        if claims.get("active") != Some(&Value::Bool(true)) {
            return Err(self.unknown("its introspection says that it is not active"));
        }
        self.check_claims(Claims(claims), now, false)
    }

    /// Maps checked claims to a caller.
    ///
    /// # Errors
    /// The token lacks a claim that the configuration needs.
    pub fn identity(&self, checked: &Checked) -> Result<Identity, Refused> {
        map(self, &checked.claims, checked.signed)
    }

    fn is_access_token(&self, kind: Option<&str>) -> bool {
        match kind.map(str::to_ascii_lowercase) {
            None => self.settings.plain_jwt,
            Some(kind) => {
                TYPES.contains(&kind.as_str()) || (self.settings.plain_jwt && kind == "jwt")
            }
        }
    }

    /// Refuses a token of another kind that its claims show: an ID token, a refresh token, a logout
    /// token. It lives longer than an access token, or was made for another reader.
    fn check_kind(&self, claims: &Claims) -> Result<(), Refused> {
        let is = |name: &str, allowed: &[&str]| {
            claims
                .text(name)
                .is_none_or(|kind| allowed.iter().any(|allowed| kind.eq_ignore_ascii_case(allowed)))
        };
        let others = ["id", "refresh", "offline", "logout"];
        let is_other = claims
            .text("typ")
            .is_some_and(|kind| others.iter().any(|other| kind.eq_ignore_ascii_case(other)));
        let of_id_tokens = ["at_hash", "c_hash", "events"];
        let looks_like_id =
            self.settings.plain_jwt && of_id_tokens.iter().any(|name| claims.get(name).is_some());
        if is_other
            || looks_like_id
            || !is("token_use", &["access_token", "access"])
            || !is("token_type", &["bearer", "dpop", "access_token"])
        {
            return Err(self.unfit("it is no access token, but one of another kind"));
        }
        Ok(())
    }

    fn check_claims(
        &self,
        claims: Claims,
        now: Timestamp,
        signed: bool,
    ) -> Result<Checked, Refused> {
        self.check_kind(&claims)?;
        // The issuer of an introspection is known by its connection; it may leave out its name.
        let named = claims.get("iss").is_some();
        if (signed || named) && claims.text("iss") != Some(self.issuer()) {
            return Err(self.unknown("its `iss` is another"));
        }
        let malformed = |name: &str| self.unfit(&format!("its `{name}` is not a number"));
        #[expect(clippy::cast_precision_loss, reason = "seconds of this century are exact")]
        let clock = now.as_second() as f64;
        let expires = claims
            .seconds("exp")
            .map_err(|()| malformed("exp"))?
            .ok_or_else(|| self.unfit("it has no `exp`"))?;
        if expires + self.skew <= clock {
            return Err(Refused::new(TokenRefusal::Expired, self.says("it has expired")));
        }
        let begins = claims.seconds("nbf").map_err(|()| malformed("nbf"))?;
        if begins.is_some_and(|begins| begins - self.skew > clock) {
            return Err(Refused::new(TokenRefusal::Early, self.says("its `nbf` is still to come")));
        }
        if !claims.has("aud", &self.settings.audience) {
            let cause = self.says("its `aud` does not have the configured `audience`");
            return Err(Refused::new(TokenRefusal::Audience, cause));
        }
        if claims.get("resource").is_some() && !claims.has("resource", &self.resource) {
            let cause = self.says("its `resource` does not have the configured `resource`");
            return Err(Refused::new(TokenRefusal::Audience, cause));
        }
        for (name, value) in &self.settings.required_claims {
            if !claims.has(name, value) {
                return Err(self
                    .unfit(&format!("its claim `{name}` has not the value in `required_claims`")));
            }
        }
        // A year that does not exist is later than any token is good for.
        #[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates")]
        let expires = Timestamp::from_second(expires as i64).unwrap_or(Timestamp::MAX);
        Ok(Checked { claims, expires, signed })
    }

    pub(crate) fn says(&self, cause: &str) -> String {
        format!("a token of the issuer `{}` is refused: {cause}", self.name())
    }

    pub(crate) fn unknown(&self, cause: &str) -> Refused {
        Refused::unknown(self.says(cause))
    }

    pub(crate) fn unfit(&self, cause: &str) -> Refused {
        Refused::unfit(self.says(cause))
    }
}
