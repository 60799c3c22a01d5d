//! The values that most tests begin with. A test changes a field with struct update syntax, as in
//! `Trust { approvers, ..trust(environment) }`. Never a value that a real process made.

use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::id::{CallId, ComponentDigest, PolicyDigest};
use cofferdam_core::model::trust::{Approver, Environment, Floor, RoleKeys, Trust};

/// The environment `test` with id `4f2a`.
pub fn environment() -> Environment {
    Environment { name: "test".to_owned(), id: "4f2a".to_owned() }
}

/// A trust file that accepts no tool, has no keys, no approvers and an empty floor. Its policy is
/// the digest of the bytes `policy`.
pub fn trust(environment: Environment) -> Trust {
    Trust {
        environment,
        keys: RoleKeys { gateway: String::new(), recorder: String::new() },
        policy: PolicyDigest::of(b"policy"),
        floor: Floor { actions: vec![], namespaces: vec![] },
        self_approval: false,
        tools: vec![],
        executors: vec![],
        commands: vec![],
        approvers: vec![],
        delegations: vec![],
        console: vec![],
        replaced: vec![],
    }
}

/// An agent with a token, without roles, that works for no person.
pub fn principal(name: &str) -> Principal {
    Principal { name: name.to_owned(), anonymous: false, roles: vec![], person: None, act: vec![] }
}

/// The SSH key of a person. The same name always gives the same key.
pub fn ssh_key(person: &str) -> ssh_key::PrivateKey {
    let seed = ComponentDigest::of(person.as_bytes());
    ssh_key::PrivateKey::from(ssh_key::private::Ed25519Keypair::from_seed(seed.as_bytes()))
}

/// An approver of this name, with the key of [`fn@ssh_key`].
pub fn approver(person: &str) -> Approver {
    Approver { name: person.to_owned(), key: ssh_key(person).public_key().to_openssh().unwrap() }
}

/// A call id that depends on the name of a test alone, so that tests which share a cluster or a
/// store never have the same one.
pub fn call_id(test: &str) -> CallId {
    let digest = ComponentDigest::of(test.as_bytes());
    let mut first = [0; 16];
    first.copy_from_slice(&digest.as_bytes()[..16]);
    CallId::from_random(u128::from_be_bytes(first))
}
