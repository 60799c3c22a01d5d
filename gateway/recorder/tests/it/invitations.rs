//! Invitations: one for each person, used once and in time, and ended by an operator. A passkey
//! signs through the recorder as an SSH key does.

use crate::world::*;
use cofferdam_core::model::passkey::Passkey;
use cofferdam_core::model::statement::{SignedStatement, Verdict};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_core::protocol::operator_recorder::{InvitationDecision, Operate, Operated};
use cofferdam_recorder::Recorder;
use cofferdam_testkit::authenticator::Authenticator;
use jiff::{SignedDuration, Timestamp};

/// The digest of a link's secret.
fn digest(letter: char) -> String {
    letter.to_string().repeat(64)
}

async fn invite(recorder: &Recorder, person: &str, letter: char, expires: Timestamp) {
    let invite = Operate::Invite { person: person.to_owned(), digest: digest(letter), expires };
    assert_eq!(recorder.operate(1000, invite).await, Ok(Operated::Done));
}

async fn invited(recorder: &Recorder, letter: char) -> Option<String> {
    match recorder.propose(Propose::Invited { digest: digest(letter) }).await {
        Ok(Proposed::Invited { person }) => Some(person),
        Err(RoleError::Refused(_)) => None,
        other => panic!("{other:?}"),
    }
}

async fn used(recorder: &Recorder, letter: char, passkey: &str) -> bool {
    let enrol = Propose::Enrol { digest: digest(letter), passkey: passkey.to_owned() };
    recorder.propose(enrol).await.is_ok()
}

async fn listed(recorder: &Recorder) -> Vec<(String, bool)> {
    match recorder.operate(1000, Operate::Invitations).await.unwrap() {
        Operated::Invitations { invitations } => {
            let told = invitations.into_iter().map(|one| (one.person, one.passkey.is_some()));
            told.collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_link_is_used_once_in_time_and_for_the_newest_invitation_alone() {
    let world = World::new();
    let recorder = world.open().await;
    let end = world.now() + SignedDuration::from_mins(60);
    let line = Authenticator::es256("carl").line();
    invite(&recorder, "carl", 'a', end).await;
    assert_eq!(invited(&recorder, 'a').await.as_deref(), Some("carl"));
    assert_eq!(invited(&recorder, 'b').await, None);
    invite(&recorder, "carl", 'b', end).await;
    assert!(!used(&recorder, 'a', &line).await, "it was replaced");
    assert!(!used(&recorder, 'b', "ssh-ed25519 AAAA").await, "it is no passkey");
    assert!(used(&recorder, 'b', &line).await);
    assert!(!used(&recorder, 'b', &line).await, "it was used");
    assert_eq!(invited(&recorder, 'b').await, None);
    invite(&recorder, "dora", 'c', end).await;
    let both = [("carl".to_owned(), true), ("dora".to_owned(), false)];
    assert_eq!(listed(&recorder).await, both);
    // A restart ends no invitation; time does, and a passkey that waits stays.
    recorder.close().await;
    let recorder = world.open().await;
    assert_eq!(listed(&recorder).await, both);
    world.pass(60 * 60 * 1_000);
    assert!(!used(&recorder, 'c', &line).await, "it ran out");
    assert_eq!(listed(&recorder).await, both[..1]);
    let done = Operate::EndInvitation {
        person: "carl".to_owned(),
        decision: InvitationDecision::Discarded,
    };
    assert_eq!(recorder.operate(1000, done.clone()).await, Ok(Operated::Done));
    assert!(matches!(recorder.operate(1000, done).await, Err(RoleError::NotFound(_))));
    assert_eq!(listed(&recorder).await, []);
}

#[tokio::test]
async fn the_ledger_tells_a_use_an_enrolment_and_a_discarded_passkey_apart() {
    let world = World::new();
    let recorder = world.open().await;
    let end = world.now() + SignedDuration::from_mins(60);
    let digest_of =
        |name: &str| Passkey::read(&Authenticator::es256(name).line()).unwrap().digest();
    let confirmed = InvitationDecision::Confirmed { passkey: digest_of("carl") };
    for (person, letter, decision) in
        [("carl", 'a', confirmed), ("dora", 'b', InvitationDecision::Discarded)]
    {
        invite(&recorder, person, letter, end).await;
        assert!(used(&recorder, letter, &Authenticator::es256(person).line()).await);
        let end = Operate::EndInvitation { person: person.to_owned(), decision };
        assert_eq!(recorder.operate(1000, end).await, Ok(Operated::Done));
    }
    recorder.close().await;
    let folder = std::fs::read_dir(world.ledger().join("tile/entries/000.p")).unwrap();
    let width = |path: &std::path::Path| -> u32 {
        path.file_name().unwrap().to_str().unwrap().parse().unwrap()
    };
    let bundle = folder.map(|file| file.unwrap().path()).max_by_key(|path| width(path)).unwrap();
    let bytes = std::fs::read(bundle).unwrap();
    let (entries, _) = cofferdam_recorder::ledger::tile::unbundle(&bytes);
    let told = entries.iter().filter_map(|entry| {
        let entry: serde_json::Value = serde_json::from_slice(entry).unwrap();
        let event = &entry["event"];
        let by = event["by"].as_str().filter(|by| *by != "recorder")?;
        Some(format!("{} by {by}", event["what"].as_str()?))
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            "operator invite by 1000",
            "invitation used by gateway",
            "operator confirm by 1000",
            "operator invite by 1000",
            "invitation used by gateway",
            "operator discard by 1000",
        ]
    );
    let stored =
        std::fs::read(cofferdam_recorder::database(&world.folder.path().join("store"))).unwrap();
    let has = |text: &str| stored.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    assert_eq!((has(&digest_of("carl")), has(&digest_of("dora"))), (true, false));
}

#[tokio::test]
async fn a_passkey_signs_one_question() {
    let world = World::new();
    let recorder = world.open().await;
    let device = Authenticator::eddsa("carl");
    for approver in &mut world.trust.lock().unwrap().approvers {
        if approver.name == "carl" {
            approver.key = device.line();
        }
    }
    let (first, second) = (
        world.job(1, "agent", "delete", Some(rule(1, &["*"]))),
        world.job(2, "agent", "scale", Some(rule(1, &["*"]))),
    );
    for job in [&first, &second] {
        enqueue(&recorder, job, None).await.unwrap();
    }
    let text = |job| statement(job, Verdict::Approve).canonical().unwrap().0;
    let (first, second) =
        (stored(&recorder, &first.call).await, stored(&recorder, &second.call).await);
    let signed =
        SignedStatement { statement: text(&first), signature: device.approve(&text(&first)) };
    let moved = SignedStatement { statement: text(&second), ..signed.clone() };
    let told = hand_in(&recorder, &second.call, moved).await.unwrap_err().to_string();
    assert!(told.contains("the passkey signed something else"), "{told}");
    let told = hand_in(&recorder, &second.call, signed.clone()).await.unwrap_err().to_string();
    assert!(told.contains("the approval is for another call"), "{told}");
    assert_eq!(hand_in(&recorder, &first.call, signed).await, Ok(("carl".to_owned(), 0)));
}
