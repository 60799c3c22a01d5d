//! ID tokens of OpenID Connect, for people at the console: is a token the issuer's answer to this
//! sign-in, whose is it, and which roles do its groups give? Pure. Never makes an approver: an
//! approval is a signature by a key of the trust file.

use crate::SettingsError;
use crate::claims::Claims;
use crate::keys::KeySet;
use crate::refused::Refused;
use crate::signature::{algorithm, is_signed};
use crate::token::Jwt;
use cofferdam_core::model::console_role::{ConsoleRole, SignInKind, SignedIn};
use cofferdam_core::protocol::role_settings::PeopleIssuer;
use jiff::Timestamp;
use jsonwebtoken::Algorithm;

/// The most characters of a person's name, as `approver add` takes it.
const NAME: usize = 128;

/// The issuer of `[people.oidc]`.
#[derive(Debug, Clone)]
pub struct IdTokens {
    settings: PeopleIssuer,
    algorithms: Vec<Algorithm>,
    skew: f64,
}

/// An ID token that gives no sign-in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// The token is not a valid answer to this sign-in. The text is for the log.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The token has no usable name of the person.
    #[error(
        "the ID token has no claim `{0}` that is a name: visible ASCII without blanks, verified if \
         it is an address of mail; set `name` in [people.oidc] to a claim that the issuer sends"
    )]
    Name(String),
    /// The token has no groups.
    #[error(
        "the ID token of `{person}` has no claim `{claim}`, so that no role is known; make the \
         issuer send it, or set `groups` in [people.oidc] to the claim that it sends"
    )]
    NoGroups {
        /// The name of the person.
        person: String,
        /// The name of the claim.
        claim: String,
    },
    /// No group of the person has a role.
    #[error(
        "no group of `{0}` has a role here; an administrator of the issuer adds the person to a \
         group, or an operator adds a group to `auditor` or `operator` in [people.oidc]"
    )]
    NoRole(String),
}

impl IdTokens {
    /// Reads the settings. `skew_seconds`: how far the clocks may differ.
    ///
    /// # Errors
    /// An algorithm is not permitted.
    pub fn new(settings: PeopleIssuer, skew_seconds: u32) -> Result<Self, SettingsError> {
        let known =
            |name: &String| algorithm(name).ok_or_else(|| SettingsError::Algorithm(name.clone()));
        let algorithms = settings.algorithms.iter().map(known).collect::<Result<_, _>>()?;
        Ok(Self { settings, algorithms, skew: f64::from(skew_seconds) })
    }

    /// The claim `iss` of its tokens.
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// The id of this server at the issuer.
    pub fn client(&self) -> &str {
        &self.settings.client_id
    }

    /// The scopes that a sign-in asks for, with blanks between them.
    pub fn scopes(&self) -> String {
        self.settings.scopes.join(" ")
    }

    /// Checks the ID token of the sign-in with this nonce (OpenID Connect Core, section 3.1.3.7).
    ///
    /// # Errors
    /// It is not an answer to this sign-in, or gives no role.
    pub fn check(
        &self,
        text: &str,
        keys: &KeySet,
        nonce: &str,
        now: Timestamp,
    ) -> Result<SignedIn, IdTokenError> {
        let jwt = Jwt::read(text)?;
        let refused = |cause: &str| Refused::unknown(format!("an ID token is refused: {cause}"));
        let algorithm = algorithm(&jwt.algorithm)
            .filter(|algorithm| self.algorithms.contains(algorithm))
            .ok_or_else(|| refused("its algorithm is not in `algorithms`"))?;
        let candidates = keys.candidates(jwt.kid.as_deref(), algorithm);
        if candidates.is_empty() {
            let unknown = refused("the issuer has no key of its `kid` for its algorithm");
            return Err(Refused { unknown_key: true, ..unknown }.into());
        }
        if !candidates.iter().any(|key| is_signed(jwt.text, key, algorithm)) {
            return Err(refused("its signature is wrong").into());
        }
        // An access token has another type, and is no proof of a sign-in here.
        if jwt.kind.as_deref().is_some_and(|kind| !kind.eq_ignore_ascii_case("jwt")) {
            return Err(refused("its `typ` is not `JWT`").into());
        }
        let claims = Claims(jwt.claims.clone());
        self.check_claims(&claims, nonce, now).map_err(|cause| refused(&cause))?;
        self.person(&claims)
    }

    fn check_claims(&self, claims: &Claims, nonce: &str, now: Timestamp) -> Result<(), String> {
        let fail = |cause: &str| Err(cause.to_owned());
        if claims.text("iss") != Some(self.issuer()) {
            return fail("its `iss` is another");
        }
        // Exactly this client: a token for several readers could come from another of them.
        if claims.texts("aud").as_deref() != Some(&[self.client()]) {
            return fail("its `aud` is not this client alone");
        }
        if claims.get("azp").is_some() && claims.text("azp") != Some(self.client()) {
            return fail("its `azp` is another client");
        }
        if claims.text("nonce") != Some(nonce) {
            return fail("its `nonce` is of another sign-in");
        }
        if claims.text("sub").is_none() {
            return fail("it has no `sub`");
        }
        #[expect(clippy::cast_precision_loss, reason = "seconds of this century are exact")]
        let clock = now.as_second() as f64;
        let time =
            |name: &str| claims.seconds(name).map_err(|()| format!("its `{name}` is not a number"));
        let required = |name: &str| time(name)?.ok_or_else(|| format!("it has no `{name}`"));
        if required("exp")? + self.skew <= clock {
            return fail("it has expired");
        }
        if required("iat")? - self.skew > clock {
            return fail("its `iat` is still to come");
        }
        if time("nbf")?.is_some_and(|begins| begins - self.skew > clock) {
            return fail("its `nbf` is still to come");
        }
        Ok(())
    }

    fn person(&self, claims: &Claims) -> Result<SignedIn, IdTokenError> {
        let PeopleIssuer { name_claim, groups_claim, roles_of, .. } = &self.settings;
        let is_name = |name: &&str| {
            (1..=NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
        };
        // An address that the issuer did not verify may be the one of another person.
        let is_email = name_claim.rsplit('/').next() == Some("email");
        let unverified = is_email && !claims.has("email_verified", "true");
        let name = claims.text(name_claim).filter(is_name).filter(|_| !unverified);
        let name = name.ok_or_else(|| IdTokenError::Name(name_claim.clone()))?.to_owned();
        let groups = claims.get(groups_claim).and_then(|_| claims.texts(groups_claim));
        let Some(groups) = groups else {
            return Err(IdTokenError::NoGroups { person: name, claim: groups_claim.clone() });
        };
        let has = |role: &ConsoleRole| {
            *role != ConsoleRole::Approver
                && groups
                    .iter()
                    .any(|group| roles_of.get(*group).is_some_and(|roles| roles.contains(role)))
        };
        let roles: Vec<_> = ConsoleRole::ALL.into_iter().filter(has).collect();
        if roles.is_empty() {
            return Err(IdTokenError::NoRole(name));
        }
        Ok(SignedIn { name, roles, by: SignInKind::Oidc })
    }
}
