//! Reloads: each is an entry, and an operator's request is answered by its own end.

use crate::world::*;
use cofferdam_core::model::id::TrustDigest;
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_core::protocol::operator_recorder::{Loaded, Notice, Operate, Operated, Reload};
use cofferdam_recorder::{Recorder, RecorderContext};
use std::sync::Arc;

/// The index of the next entry.
async fn next_index(recorder: &Recorder, number: u128) -> u64 {
    match end(recorder, number).await {
        Ok(Proposed::Recorded(recorded)) => recorded.index + 1,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_reload_is_an_entry_before_and_after_and_a_gateway_that_starts_again_is_none() {
    let world = World::new();
    let recorder = world.open().await;
    let mut index = next_index(&recorder, 1).await;
    let table: [(&[u8], bool, u64); 8] = [
        // The digest of the recorder's own trust file, with which it started.
        (b"trust", false, 0),
        (b"new", true, 1),
        (b"new", false, 1),
        (b"new", false, 0),
        // A reload of the same files.
        (b"new", true, 1),
        (b"new", false, 0),
        // An announced set that is not used.
        (b"broken", true, 1),
        (b"new", false, 0),
    ];
    for (number, (text, announced, entries)) in (2..).zip(table) {
        let trust = Box::new(world.trust.lock().unwrap().clone());
        let digest = TrustDigest::of(text);
        let propose = if announced {
            Propose::Reload { digest, trust }
        } else {
            Propose::Serving { digest, trust }
        };
        assert_eq!(recorder.propose(propose).await, Ok(Proposed::Done));
        let now = next_index(&recorder, number).await;
        assert_eq!(now - index - 1, entries, "{number}");
        index = now;
    }
}

#[tokio::test]
async fn a_request_for_a_reload_is_answered_by_no_earlier_one() {
    let world = World::new();
    let (asked, mut asks) = tokio::sync::mpsc::unbounded_channel();
    let reload = Arc::new(move |request| asked.send(request).unwrap());
    let recorder = Recorder::open(RecorderContext { reload, ..world.settings() }).await.unwrap();
    let loaded = Loaded::of(&world.trust.lock().unwrap(), TrustDigest::of(b"trust"), world.now());
    let know = |request, refused: Option<&str>| {
        let refused = refused.map(str::to_owned);
        let reload = Some(Reload { request, at: world.now(), refused });
        recorder.know(Notice { loaded: Some(loaded.clone()), reload, ..Notice::default() });
    };
    let mut last = 0;
    for refused in [None, Some("the tool `t` is gone")] {
        let waiting = tokio::spawn({
            let recorder = recorder.clone();
            async move { recorder.operate(1000, Operate::Reload).await }
        });
        let request = asks.recv().await.unwrap();
        assert!(request > last, "{request} {last}");
        // The end of an earlier reload.
        know(request - 1, Some("an earlier one"));
        tokio::task::yield_now().await;
        know(request, refused);
        let refused = refused.map(str::to_owned);
        let loaded = loaded.clone();
        assert_eq!(waiting.await.unwrap(), Ok(Operated::Reloaded { loaded, refused }));
        last = request;
    }
}
