//! The recorder's own word on who enters the console: by its trust file and its settings. A gateway
//! that names another role gets nothing.

use crate::world::World;
use ConsoleRole::{Approver, Auditor, Operator};
use SignInKind::{Oidc, Passkey};
use cofferdam_core::model::console_role::{ConsoleEntry, ConsolePerson, ConsoleRole, SignInKind};
use cofferdam_core::protocol::RoleError;
use cofferdam_recorder::{Recorder, RecorderContext};

fn enters(recorder: &Recorder, name: &str, role: ConsoleRole, by: SignInKind) -> bool {
    match recorder.check_entry(&ConsolePerson { name: name.to_owned(), role, by }) {
        Ok(()) => true,
        Err(RoleError::Refused(_)) => false,
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_role_that_the_gateway_made_up_is_refused() {
    let world = World::new();
    let entry = ConsoleEntry { name: "ada".into(), role: Auditor, key: String::new() };
    world.trust.lock().unwrap().console.push(entry);
    let context = RecorderContext { oidc_roles: vec![Auditor], ..world.settings() };
    let recorder = Recorder::open(context).await.unwrap();
    for (name, role, by, expect) in [
        ("ada", Auditor, Passkey, true),
        ("ada", Operator, Passkey, false),
        ("ada", Approver, Passkey, false),
        ("Ada", Auditor, Passkey, false),
        ("bob", Approver, Passkey, true),
        ("bob", Auditor, Passkey, false),
        ("eve", Auditor, Passkey, false),
        ("eve", Auditor, Oidc, true),
        ("eve", Operator, Oidc, false),
        ("bob", Approver, Oidc, false),
    ] {
        assert_eq!(enters(&recorder, name, role, by), expect, "{name} {role} {by:?}");
    }
    world.trust.lock().unwrap().console.clear();
    assert!(!enters(&recorder, "ada", Auditor, Passkey), "a removal holds at once");
    recorder.close().await;
    let recorder = world.open().await;
    assert!(!enters(&recorder, "eve", Auditor, Oidc), "without an issuer, none enters by it");
}
