//! The trust file, `trust.toml`: the facts that a role believes without a question to another role.
//! Written by `cofferdam accept`, `approver add` and `init`; read, never written, by gateway,
//! viewer, recorder and runner. Each of them has its own copy, which never widens the trust of
//! another.

use crate::model::ceiling::Ceiling;
use crate::model::console_role::ConsoleEntry;
use crate::model::delegation::{DELEGATIONS, SignedDelegation};
use crate::model::enrolled::{check_console, check_enrolled};
use crate::model::id::{ComponentDigest, PolicyDigest, TrustDigest};
use crate::model::operation::Action;
use serde::{Deserialize, Serialize};

/// The one infrastructure a gateway serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// The name that people use: `staging`.
    pub name: String,
    /// The identity: the UID of `kube-system`, or the random id that `init` gave a directory.
    pub id: String,
}

impl Environment {
    /// The kind of infrastructure in one word, for agents and people.
    pub fn kind(&self) -> &'static str {
        if self.is_cluster() { "cluster" } else { "folder of manifests" }
    }

    /// True if it is a cluster: its id has the form of a UID, as API servers give them and `init`
    /// gives no directory.
    pub fn is_cluster(&self) -> bool {
        const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
        let groups: Vec<&str> = self.id.split('-').collect();
        groups.iter().map(|group| group.len()).eq(GROUPS)
            && groups.iter().all(|group| {
                group.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
            })
    }
}

/// A tool that an operator accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedTool {
    /// The name of the tool.
    pub name: String,
    /// The version of the tool.
    pub version: String,
    /// Digest of its component.
    pub digest: ComponentDigest,
    /// The ceiling as accepted, the same as declared or narrower.
    pub ceiling: Ceiling,
}

/// An executor that an operator accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedExecutor {
    /// The name of the executor.
    pub name: String,
    /// Digest of its component.
    pub digest: ComponentDigest,
}

/// An accepted Wasm command: what `task` operations may name by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedCommand {
    /// Its name, for people.
    pub name: String,
    /// Digest of its component.
    pub digest: ComponentDigest,
}

/// A person who may approve, by the SSH key or the passkey they have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    /// The name: `bob@example.com`.
    pub name: String,
    /// The public key: in OpenSSH form, `ssh-ed25519 AAAA… comment`, or the line of a passkey,
    /// `passkey ORIGIN CREDENTIAL KEY`.
    pub key: String,
}

/// Effects that need a person's signature whatever policy says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// Actions that always need a person.
    pub actions: Vec<Action>,
    /// Namespaces in which every change needs a person: exact names, or a prefix with `*`.
    pub namespaces: Vec<String>,
}

impl Floor {
    /// The floor of a new trust file: deletes, tasks, and namespaces whose names suggest production
    /// or the cluster itself.
    pub fn conservative() -> Self {
        let namespaces = ["default", "production", "prod", "prod-*"].map(str::to_owned).to_vec();
        Self { actions: vec![Action::Delete, Action::Task], namespaces }
    }
}

/// Public keys of the roles that sign: Ed25519, `ed25519:` and 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleKeys {
    /// The key that signs permits.
    pub gateway: String,
    /// The key that signs checkpoints.
    pub recorder: String,
}

/// The trust of one role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    /// The environment of this installation.
    pub environment: Environment,
    /// The keys that sign permits and checkpoints.
    pub keys: RoleKeys,
    /// Digest of the accepted policy.
    pub policy: PolicyDigest,
    /// The operations that always need a signature.
    pub floor: Floor,
    /// True if the person an agent acts for may approve its calls. False unless one person alone
    /// uses the machine.
    pub self_approval: bool,
    /// The accepted tools.
    #[serde(default, rename = "tool")]
    pub tools: Vec<TrustedTool>,
    /// The entries that accepted tools replaced, one for each name: for people who compare. Nothing
    /// is permitted by this list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<TrustedTool>,
    /// The accepted executors.
    #[serde(default, rename = "executor")]
    pub executors: Vec<TrustedExecutor>,
    /// The accepted Wasm commands.
    #[serde(default, rename = "command")]
    pub commands: Vec<TrustedCommand>,
    /// People who may approve.
    #[serde(default, rename = "approver")]
    pub approvers: Vec<Approver>,
    /// Delegations of approvers. Each reader verifies one before it counts.
    #[serde(default, rename = "delegation", skip_serializing_if = "Vec::is_empty")]
    pub delegations: Vec<SignedDelegation>,
    /// People who may enter the console as auditor or operator. No approval counts by this list.
    #[serde(default)]
    pub console: Vec<ConsoleEntry>,
}

/// A trust file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The text is not TOML of this form.
    #[error("the trust file is damaged")]
    Shape(#[from] toml::de::Error),
    /// A name is in the file twice.
    #[error("the trust file names `{0}` twice; remove one of the two entries")]
    Twice(String),
    /// An approver has the name of a group of a policy.
    #[error(
        "the trust file enrols `{0}`, which is the name of a group of a policy; remove it with \
         `cofferdam approver remove NAME`, and enrol the person under another name"
    )]
    Group(String),
    /// One approver is in the file in two spellings.
    #[error(
        "the trust file enrols `{0}` and `{1}`, which count as one person; remove one with \
         `cofferdam approver remove NAME`, and enrol each key of one person under exactly the \
         same name"
    )]
    Spelling(String, String),
    /// Two lines have one passkey: one signature would count for each of them.
    #[error(
        "the trust file has a passkey twice, for `{0}` and for `{1}`; remove one with `cofferdam \
         approver remove NAME`, and invite that person again"
    )]
    Passkey(String, String),
    /// There are too many delegations.
    #[error(
        "the trust file has {0} delegations, and at most {most} are read; remove those that ended \
         with `cofferdam approver delegate --end`",
        most = DELEGATIONS
    )]
    Delegations(usize),
    /// An entry of the console's list is not one of a passkey, or gives the role of an approver.
    #[error(
        "the trust file has an entry of `[[console]]` for `{0}` that {1}; remove it with \
         `cofferdam people remove {0}`"
    )]
    Console(String, &'static str),
}

impl Trust {
    /// Reads a trust file's text.
    pub fn parse(text: &str) -> Result<Self, TrustError> {
        let trust: Self = toml::from_str(text)?;
        let mut names: Vec<_> = trust.tools.iter().map(|tool| tool.name.as_str()).collect();
        names.sort_unstable();
        let twice = names
            .windows(2)
            .find_map(|pair| (pair.first() == pair.last()).then(|| pair.first()))
            .flatten();
        if let Some(twice) = twice {
            return Err(TrustError::Twice((*twice).to_owned()));
        }
        check_enrolled(&trust.approvers)?;
        if trust.delegations.len() > DELEGATIONS {
            return Err(TrustError::Delegations(trust.delegations.len()));
        }
        check_console(&trust.approvers, &trust.console)?;
        Ok(trust)
    }

    /// Digest of the file's bytes, as the ledger names it.
    pub fn digest(text: &str) -> TrustDigest {
        TrustDigest::of(text.as_bytes())
    }

    /// The accepted tool of this name.
    pub fn tool(&self, name: &str) -> Option<&TrustedTool> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    /// The accepted executor of this name.
    pub fn executor(&self, name: &str) -> Option<&TrustedExecutor> {
        self.executors.iter().find(|executor| executor.name == name)
    }

    /// The accepted command of this digest.
    pub fn command(&self, digest: ComponentDigest) -> Option<&TrustedCommand> {
        self.commands.iter().find(|command| command.digest == digest)
    }
}
