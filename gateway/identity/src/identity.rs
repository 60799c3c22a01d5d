//! From checked claims to a caller: principal, access, and what the sender has to prove. The issuer's
//! settings name each claim. A claim in an unexpected form refuses the token; none is guessed.

use crate::claims::Claims;
use crate::issuer::Issuer;
use crate::refused::Refused;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cofferdam_core::model::access::Access;
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::principal_name::principal_name;
use serde_json::Value;

/// The largest number of members of an `act` chain. Delegation beyond it has no known use.
const CHAIN: usize = 8;

/// The largest number of bytes of a person's name, as for approvers.
const PERSON: usize = 128;

/// The caller of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The caller.
    pub principal: Principal,
    /// The use that the token permits.
    pub access: Access,
    /// The key or the certificate that the token is bound to.
    pub binding: Binding,
}

/// What the sender of a token has to prove (`cnf`, RFC 7800).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Binding {
    /// The thumbprint of the sender's key (RFC 9449 §6), SHA-256.
    pub key: Option<[u8; 32]>,
    /// The thumbprint of the sender's certificate (RFC 8705 §3.1), SHA-256.
    pub certificate: Option<[u8; 32]>,
}

pub(crate) fn map(issuer: &Issuer, claims: &Claims, signed: bool) -> Result<Identity, Refused> {
    let binding = binding(issuer, claims)?;
    let client = client(issuer, claims)?;
    let person = person(issuer, claims)?;
    let subject = match claims.text("sub") {
        Some(subject) => subject,
        // RFC 7662 leaves it out for a client that acts for itself. With a person in the answer,
        // all persons of this client would have one name.
        None if !signed
            && person.is_none()
            && ["sub", "username"].iter().all(|name| claims.get(name).is_none()) =>
        {
            client
        }
        None => return Err(issuer.unfit("it has no `sub`")),
    };
    let act = chain(issuer, claims)?;
    let name = principal_name(issuer.name(), client, subject, &act)
        .ok_or_else(|| issuer.unfit("its client or its `sub` is too long"))?;
    let act = with_own_names(claims, (client, subject, person.as_deref()), act);
    let principal =
        Principal { name, anonymous: false, roles: roles(issuer, claims)?, person, act };
    Ok(Identity { principal, access: access(issuer, claims)?, binding })
}

fn client<'a>(issuer: &Issuer, claims: &'a Claims) -> Result<&'a str, Refused> {
    let named = issuer.settings.client_claim.as_str();
    let found = match named {
        "" => claims.text("client_id").or_else(|| claims.text("azp")),
        named => claims.text(named),
    };
    let shown = if named.is_empty() { "client_id` or `azp" } else { named };
    found.ok_or_else(|| {
        issuer.unfit(&format!("it has no text in `{shown}`, which names the client; see `client`"))
    })
}

/// The person, by a name that can be compared with the names of approvers.
fn person(issuer: &Issuer, claims: &Claims) -> Result<Option<String>, Refused> {
    let name = issuer.settings.person_claim.as_str();
    let Some(person) = claims.get(name) else {
        return if issuer.settings.person_optional {
            Ok(None)
        } else {
            Err(issuer.unfit(&format!(
                "it has no `{name}`, which names the person; see `person` and `person_optional`"
            )))
        };
    };
    // An address that its owner only claims could be another person's. `/email` is the same claim.
    let is_email = name.strip_prefix('/').unwrap_or(name) == "email";
    if is_email && claims.get("email_verified") != Some(&Value::Bool(true)) {
        return Err(issuer.unfit(
            "its `email_verified` is not true; let the issuer add it, or name another claim in \
             `person`",
        ));
    }
    match person.as_str().filter(|person| is_person(person)) {
        Some(person) => Ok(Some(person.to_owned())),
        None => Err(issuer.unfit(&format!(
            "its `{name}` is not 1 to {PERSON} visible ASCII characters without blanks, as names \
             of approvers are; name another claim in `person`"
        ))),
    }
}

fn is_person(name: &str) -> bool {
    (1..=PERSON).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
}

fn roles(issuer: &Issuer, claims: &Claims) -> Result<Vec<String>, Refused> {
    let settings = &issuer.settings;
    let mut roles = settings.roles.clone();
    if !settings.roles_claim.is_empty() {
        let given = claims.texts(&settings.roles_claim).ok_or_else(|| {
            issuer.unfit(&format!("its `{}` is not a list of texts", settings.roles_claim))
        })?;
        roles.extend(given.iter().filter_map(|value| settings.roles_of.get(*value).cloned()));
    }
    roles.sort();
    roles.dedup();
    Ok(roles)
}

/// Adds the names of the token's own client and person that neither the principal's name nor its
/// person has: none of them may approve. Of a second client, and of the address of a person who is
/// not named otherwise.
fn with_own_names(
    claims: &Claims,
    (client, subject, person): (&str, &str, Option<&str>),
    mut act: Vec<String>,
) -> Vec<String> {
    let email = claims.text("email").filter(|_| person.is_none());
    let own = [claims.text("client_id"), claims.text("azp"), email];
    for name in own.into_iter().flatten() {
        if ![client, subject].contains(&name) && !act.iter().any(|known| known == name) {
            act.push(name.to_owned());
        }
    }
    act
}

/// The actors of the token (RFC 8693 §4.1), the current one first. Each is there under all of its
/// names: none of them may approve.
fn chain(issuer: &Issuer, claims: &Claims) -> Result<Vec<String>, Refused> {
    let settings = &issuer.settings;
    let mut names: Vec<String> = Vec::new();
    let mut next = claims.get("act").cloned();
    let mut length = 0;
    while let Some(actor) = next {
        length += 1;
        let Value::Object(members) = actor else {
            return Err(issuer.unfit("its `act` is not an object"));
        };
        if length > CHAIN {
            return Err(issuer.unfit(&format!("its `act` has more than {CHAIN} members")));
        }
        let actor = Claims(members);
        let known = ["sub", "client_id", "azp", "email"];
        let also = [settings.client_claim.as_str(), settings.person_claim.as_str()];
        let found: Vec<&str> =
            known.into_iter().chain(also).filter_map(|name| actor.text(name)).collect();
        if found.is_empty() {
            return Err(issuer.unfit("a member of its `act` has no `sub`"));
        }
        if found.iter().any(|name| name.len() > cofferdam_core::model::principal_name::PART) {
            return Err(issuer.unfit("a name in its `act` is too long"));
        }
        for name in found {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        next = actor.get("act").cloned();
    }
    Ok(names)
}

fn access(issuer: &Issuer, claims: &Claims) -> Result<Access, Refused> {
    let named = issuer.settings.scopes_claim.as_str();
    let name = match named {
        "" if claims.get("scope").is_some() => "scope",
        "" => "scp",
        named => named,
    };
    let given = claims
        .texts(name)
        .ok_or_else(|| issuer.unfit(&format!("its `{name}` is not a list of scopes")))?;
    let has = |scope: &str| given.iter().flat_map(|text| text.split(' ')).any(|word| word == scope);
    let [read, call] = &issuer.scopes;
    Ok(match (has(read), has(call)) {
        (_, true) => Access::Call,
        (true, false) => Access::Read,
        (false, false) => Access::None,
    })
}

fn binding(issuer: &Issuer, claims: &Claims) -> Result<Binding, Refused> {
    let mut binding = Binding::default();
    let Some(bound) = claims.0.get("cnf") else { return Ok(binding) };
    let unknown =
        || issuer.unfit("its `cnf` binds it to something other than a key or certificate");
    let members = bound.as_object().filter(|members| !members.is_empty()).ok_or_else(unknown)?;
    for (name, value) in members {
        let thumbprint = value
            .as_str()
            .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
            .ok_or_else(unknown)?;
        match name.as_str() {
            "jkt" => binding.key = Some(thumbprint),
            "x5t#S256" => binding.certificate = Some(thumbprint),
            _ => return Err(unknown()),
        }
    }
    Ok(binding)
}
