//! The first trust file and agents file of a home. They have public keys and digests, never a
//! secret.

use crate::config::home::{Home, Secret};
use anyhow::Result;
use cofferdam_core::model::permit::verifying_key_text;
use cofferdam_core::model::trust::Environment;
use ed25519_dalek::SigningKey;

/// The first text of `agents.toml`.
pub const AGENTS: &str = "\
# Who may connect. Written by `cofferdam agents add|remove|rotate`; read again by the gateway when \
                          it changes.
# Tokens are not kept: `token` is the SHA-256 of one.
";

/// The public key of a role, in the form of trust files.
fn public(home: &Home, secret: Secret) -> Result<String> {
    Ok(verifying_key_text(&SigningKey::from_bytes(&home.read_secret(secret)?).verifying_key()))
}

/// The first trust file of an environment. It accepts the policy with this digest and nothing else.
pub fn text(home: &Home, environment: &Environment, policy: &str) -> Result<String> {
    let Environment { name, id } = environment;
    let origin =
        if environment.is_cluster() { "The UID of kube-system" } else { "Random, made once" };
    let (gateway, recorder) = (public(home, Secret::Permits)?, public(home, Secret::Checkpoints)?);
    Ok(format!(
        r#"# The parts that the roles of this installation trust. Written by `cofferdam accept` and `cofferdam approver`; every role reads
# its own copy. Whatever is not here is refused.

# The accepted policy: its module and its data.
policy = "{policy}"
# `true` lets the person an agent acts for approve its calls. Keep `false` unless you alone use this machine.
self_approval = false

[environment]
name = "{name}"
# {origin}: plans and approvals are good for this environment alone.
id = "{id}"

[keys]
# Signs permits.
gateway = "{gateway}"
# Signs the ledger's checkpoints: `cofferdam ledger verify` wants it.
recorder = "{recorder}"

# What needs a person's signature whatever the policy says.
[floor]
actions = ["delete", "task"]
namespaces = ["default", "production", "prod", "prod-*"]
"#
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::home::{SECRETS, write_private};
    use cofferdam_core::model::id::hex;
    use cofferdam_core::model::trust::{Floor, Trust};
    use cofferdam_core::policy::digest::policy_digest;

    #[test]
    fn a_fresh_trust_file_is_readable_and_has_the_conservative_floor() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().to_owned());
        home.make_folders().unwrap();
        for secret in SECRETS {
            write_private(&home.secret(secret), hex(&[secret as u8; 32]).as_bytes()).unwrap();
        }
        let digest = policy_digest(b"module", "{}").unwrap().to_string();
        let environment = Environment { name: "lab".to_owned(), id: "3f".to_owned() };
        let trust = Trust::parse(&text(&home, &environment, &digest).unwrap()).unwrap();
        assert_eq!(trust.environment, environment);
        assert_eq!(trust.floor, Floor::conservative());
        assert!(!trust.self_approval);
        assert_eq!(trust.policy.to_string(), digest);
        assert!(cofferdam_core::model::permit::verifying_key(&trust.keys.gateway).is_some());
    }
}
