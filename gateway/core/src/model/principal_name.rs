//! The name of a principal that came with an access token: issuer, client, subject and the digest of
//! its actors in one text, such as `keycloak:claude-code:5b2c`. Two identities never have one name,
//! and none has the name of an agent of `agents.toml`, which has no colon.

use super::id::{ArgumentsDigest, hex};

/// The largest number of bytes of each part, as a token has it. A longer part is refused.
pub const PART: usize = 200;

/// The beginning of the part for actors. No encoded client and no encoded subject begins so.
const ACTORS: char = '*';

/// Hexadecimal digits of the digest of the actors.
const DIGITS: usize = 16;

/// The name of a principal: the issuer's short name, the client, the subject unless it is the client
/// itself, and a digest of the actors if there are any. An agent that acts through another one is
/// another principal. `None` if a part is empty or longer than [`PART`].
pub fn principal_name(
    issuer: &str,
    client: &str,
    subject: &str,
    actors: &[String],
) -> Option<String> {
    let fits = |part: &str| (1..=PART).contains(&part.len());
    if !(fits(issuer) && fits(client) && fits(subject)) {
        return None;
    }
    let name = format!("{issuer}:{}", encoded(client));
    let name = if client == subject { name } else { format!("{name}:{}", encoded(subject)) };
    if actors.is_empty() {
        return Some(name);
    }
    let text: String = actors.iter().map(|actor| format!("{}:{actor}", actor.len())).collect();
    let digest = hex(ArgumentsDigest::of(text.as_bytes()).as_bytes());
    Some(format!("{name}:{ACTORS}{}", digest.get(..DIGITS)?))
}

/// The client and the subject of such a name. Empty for the name of another agent.
pub fn identities(name: &str) -> Vec<String> {
    name.split(':').skip(1).filter(|part| !part.starts_with(ACTORS)).map(decoded).collect()
}

/// Writes each byte outside of a small set as `%` and two digits, and so each colon.
fn encoded(part: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~@/+=|".contains(&byte);
    part.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn decoded(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let byte = after.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let Some(byte) = byte else { return part.to_owned() };
        bytes.push(byte);
        rest = after.get(2..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_identities_never_have_one_name() {
        let parts = ["a", "b", "a:b", "b:a", ":", "%3A", "a%3Ab", "ä", "https://c.example/x.json"];
        let mut names = std::collections::BTreeMap::new();
        for client in parts {
            for subject in parts {
                let name = principal_name("idp", client, subject, &[]).unwrap();
                assert!(name.contains(':') && name.is_ascii(), "{name}");
                let before = names.insert(name.clone(), (client, subject));
                assert_eq!(before, None, "{name}");
                let expect = if client == subject { vec![client] } else { vec![client, subject] };
                assert_eq!(identities(&name), expect, "{name}");
            }
        }
        let name = principal_name("idp", "claude-code", "alice", &[]).unwrap();
        assert_eq!(name, "idp:claude-code:alice");
        assert!(identities("planner-7").is_empty());
        assert_eq!(principal_name("idp", "", "s", &[]), None);
        assert_eq!(principal_name("idp", "c", &"s".repeat(PART + 1), &[]), None);
    }

    #[test]
    fn other_actors_are_another_principal() {
        let of = |actors: &[&str]| {
            let actors: Vec<String> = actors.iter().map(|actor| (*actor).to_owned()).collect();
            principal_name("idp", "broker", "alice", &actors).unwrap()
        };
        let chains: [&[&str]; 6] = [&[], &["a"], &["b"], &["a", "b"], &["b", "a"], &["a1:b"]];
        let names: std::collections::BTreeSet<_> = chains.iter().map(|chain| of(chain)).collect();
        assert_eq!(names.len(), chains.len(), "{names:?}");
        for name in names {
            assert_eq!(identities(&name), ["broker", "alice"], "{name}");
        }
        let subject = principal_name("idp", "broker", "*a", &[]).unwrap();
        assert_eq!(identities(&subject), ["broker", "*a"], "a subject is no digest of actors");
    }
}
