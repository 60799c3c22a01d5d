//! The requests to the recorder that are sent again after a lost connection: those whose repetition
//! changes nothing. An agent then waits a little longer, and gets no error.

use cofferdam_core::protocol::approver::ApproverAsk;
use cofferdam_core::protocol::console::ConsoleAsk;
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_core::protocol::{RoleError, UNREADABLE};
use cofferdam_process::rpc::Client;
use std::time::Duration;

/// Sends a request to the recorder. After a lost connection, it is sent over the next one if that is
/// safe, for at most this long.
/// # Errors
/// The error of the recorder, or that it is not there.
pub async fn ask(
    recorder: &Client<Propose, Proposed>,
    propose: &Propose,
    within: Duration,
) -> Result<Proposed, RoleError> {
    let Some(again) = again(propose) else { return recorder.call(propose).await };
    match recorder.call_again(propose, &again, within).await {
        // A recorder of version 1.0 does not know that an end may come again.
        Err(RoleError::Refused(why)) if why.starts_with(UNREADABLE) => recorder.call(propose).await,
        answered => answered,
    }
}

/// The request as it is sent again; `None` if its repetition would be another request.
fn again(propose: &Propose) -> Option<Propose> {
    let repeats = match propose {
        Propose::End { entry, .. } => {
            return Some(Propose::End { entry: entry.clone(), again: true });
        }
        // By the id of the call, its phase and its permit.
        Propose::Enqueue { .. }
        | Propose::Permit { .. }
        | Propose::Withdraw { .. }
        | Propose::Cancel { .. }
        // They only read, or say what is so at present.
        | Propose::Same { .. }
        | Propose::Key { .. }
        | Propose::Rejection { .. }
        | Propose::Job { .. }
        | Propose::Task { .. }
        | Propose::Plan { .. }
        | Propose::Calls { .. }
        | Propose::Ended { .. }
        | Propose::Tokens { .. }
        | Propose::Served { .. }
        | Propose::Previewed { .. }
        | Propose::Invited { .. } => true,
        Propose::Approver { ask, .. } => !matches!(ask, ApproverAsk::Sign { .. }),
        Propose::Console { ask, .. } => !matches!(ask, ConsoleAsk::Cancel { .. }),
        // The loops behind these ask again by themselves.
        Propose::NextApproved { .. }
        | Propose::NextPreview { .. }
        | Propose::Reload { .. }
        | Propose::Serving { .. }
        | Propose::OverLimit { .. }
        // A link counts once.
        | Propose::Enrol { .. }
        // They tell whether the recorder is there.
        | Propose::Runners
        | Propose::Health
        | Propose::Head
        | Propose::Counts => false,
    };
    repeats.then(|| propose.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_core::model::id::CallId;
    use cofferdam_core::model::record::{Entry, Event, Recorded};
    use cofferdam_core::model::statement::SignedStatement;
    use cofferdam_process::rpc::serve;
    use std::os::unix::net::UnixStream;
    use std::sync::{Arc, Mutex};

    const WITHIN: Duration = Duration::from_secs(60);

    fn end() -> Propose {
        let event = Event::Ended { ending: "denied".to_owned(), code: "rule".to_owned() };
        let entry = Entry::of(event, Some(CallId::from_random(1)), "agent");
        Propose::End { entry, again: false }
    }

    /// Loses the connection at the first request, and answers later ones over the next connection.
    async fn interrupted(propose: &Propose) -> (Result<Proposed, RoleError>, Vec<Propose>) {
        let client = Arc::new(Client::new());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (ours, theirs) = UnixStream::pair().unwrap();
        client.connect(ours).unwrap();
        let (seen, next) = (Arc::clone(&asked), Arc::clone(&client));
        let (lost, loses) = tokio::sync::oneshot::channel();
        let lost = Arc::new(Mutex::new(Some(lost)));
        let first = tokio::spawn(serve(theirs, move |ask: Propose| {
            seen.lock().unwrap().push(ask);
            let _gone = lost.lock().unwrap().take().map(|lost| lost.send(()));
            std::future::pending::<Result<Proposed, RoleError>>()
        }));
        let seen = Arc::clone(&asked);
        let reconnect = tokio::spawn(async move {
            loses.await.unwrap();
            first.abort();
            let _aborted = first.await;
            let (ours, theirs) = UnixStream::pair().unwrap();
            next.connect(ours).unwrap();
            let answers = serve(theirs, move |ask: Propose| {
                seen.lock().unwrap().push(ask);
                async { Ok(Proposed::Recorded(Recorded { index: 41 })) }
            });
            drop(answers.await);
        });
        let answer = ask(&client, propose, WITHIN).await;
        reconnect.abort();
        let asked = asked.lock().unwrap().clone();
        (answer, asked)
    }

    #[tokio::test]
    async fn a_request_is_sent_again_only_if_its_repetition_changes_nothing() {
        let (answer, asked) = interrupted(&end()).await;
        assert_eq!(answer, Ok(Proposed::Recorded(Recorded { index: 41 })));
        let Propose::End { entry, .. } = end() else { panic!() };
        assert_eq!(asked, [end(), Propose::End { entry, again: true }], "it says that it repeats");
        let call = CallId::from_random(1);
        let cancel = Propose::Cancel { principal: "agent".to_owned(), call: call.clone() };
        let (answer, asked) = interrupted(&cancel).await;
        assert!(answer.is_ok() && asked == [cancel.clone(), cancel], "{answer:?}");
        let signed = SignedStatement { statement: String::new(), signature: String::new() };
        let ask = ApproverAsk::Sign { call, signed };
        let sign = Propose::Approver { approver: "bob".to_owned(), ask };
        let (answer, asked) = interrupted(&sign).await;
        assert!(matches!(answer, Err(RoleError::Unavailable(_))), "{answer:?}");
        assert_eq!(asked, [sign], "a person learns that it is not known, and looks");
    }
}
