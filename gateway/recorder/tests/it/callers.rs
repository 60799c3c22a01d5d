//! The register of callers: a token that ended stays ended, and the last use of a caller survives.

use crate::world::*;
use cofferdam_core::model::callers::{GivenToken, ServedCaller};
use cofferdam_core::model::id::TokenDigest;
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_core::protocol::operator_recorder::{Operate, Operated};
use cofferdam_recorder::Recorder;

fn digest(name: &str) -> TokenDigest {
    TokenDigest::of(name.as_bytes())
}

/// Gives the tokens of a file, in words; returns those that ended earlier.
async fn tokens(recorder: &Recorder, given: &str, ended: &str) -> Vec<TokenDigest> {
    let given = given.split_whitespace().map(|name| GivenToken {
        agent: name.trim_end_matches(char::is_numeric).to_owned(),
        token: digest(name),
    });
    let ended = ended.split_whitespace().map(digest).collect();
    match recorder.propose(Propose::Tokens { given: given.collect(), ended }).await {
        Ok(Proposed::EndedTokens { tokens }) => tokens,
        other => panic!("{other:?}"),
    }
}

async fn callers(recorder: &Recorder) -> (Vec<ServedCaller>, Vec<TokenDigest>) {
    match recorder.operate(1000, Operate::Callers).await {
        Ok(Operated::Callers { served, ended }) => (served, ended),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_token_that_was_missing_once_has_ended_for_ever() {
    let world = World::new();
    let recorder = world.open().await;
    let Ok(Proposed::Recorded(first)) = end(&recorder, 1).await else { panic!() };
    // The tokens of the file, those that commands ended, those that are refused, and new entries.
    let table = [
        ("a1 b1", "", "", 0),
        ("a1 b1", "", "", 0),
        // `a` was rotated.
        ("a2 b1", "", "", 1),
        // A backup brings the first token back: the second one is missing now.
        ("a1 b1", "", "a1", 1),
        ("a1 b1", "", "a1", 0),
        ("a3 b1", "", "", 0),
        // A command ended a token that the file has, and one that the recorder never saw.
        ("a3 b1", "b1 c1", "b1", 1),
        ("a3", "", "", 0),
        ("a3 c1", "", "c1", 1),
        ("", "", "", 1),
    ];
    let mut index = first.index;
    for (number, (given, ended, refused, entries)) in (2..).zip(table) {
        let expect: Vec<TokenDigest> = refused.split_whitespace().map(digest).collect();
        assert_eq!(tokens(&recorder, given, ended).await, expect, "{given} / {ended}");
        let Ok(Proposed::Recorded(next)) = end(&recorder, number).await else { panic!() };
        assert_eq!(next.index - index - 1, entries, "{given} / {ended}");
        index = next.index;
    }
    recorder.close().await;
    let recorder = world.open().await;
    assert_eq!(tokens(&recorder, "a1", "").await, [digest("a1")], "after a restart");
    let mut ended = ["a1", "a2", "a3", "b1", "c1"].map(digest);
    ended.sort_by_key(ToString::to_string);
    assert_eq!(callers(&recorder).await.1, ended);
}

#[tokio::test]
async fn the_last_use_of_a_caller_survives_a_restart_and_is_never_earlier() {
    let world = World::new();
    let recorder = world.open().await;
    let served = |name: &str, roles: &[&str], seconds: i64| ServedCaller {
        name: name.to_owned(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        person: Some("ada".to_owned()),
        used: jiff::Timestamp::from_second(seconds).unwrap(),
    };
    let used = [served("a", &["viewer"], 10), served("idp:c:s", &[], 20)];
    let told = recorder.propose(Propose::Served { callers: used.to_vec() }).await;
    assert_eq!(told, Ok(Proposed::Done));
    let used = vec![served("a", &["operator"], 30), served("idp:c:s", &[], 15)];
    recorder.propose(Propose::Served { callers: used }).await.unwrap();
    recorder.close().await;
    let recorder = world.open().await;
    let expect = [served("a", &["operator"], 30), served("idp:c:s", &[], 20)];
    assert_eq!(callers(&recorder).await.0, expect);
}
