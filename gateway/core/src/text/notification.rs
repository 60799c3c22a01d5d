//! The text of a notification, for each format of a receiver. Words of agents and tools stay in
//! values of their own, on one line, cut, and with each link broken.
//! Never says anything that approves a call.

use super::{seconds, unlinked};
use crate::model::notification::{Notification, NotifyEvent};

/// The most characters of a value: it is read on a telephone.
const VALUE: usize = 300;

/// The text of a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The subject, in our own words.
    pub title: String,
    /// Label and value. The labels are ours; values may have words of an agent or a tool.
    pub lines: Vec<(&'static str, String)>,
    /// The next step, in our own words.
    pub next: String,
    /// The page of the call.
    pub link: Option<String>,
    /// True if calls do not run, or wait for a person, until the cause is removed.
    pub is_urgent: bool,
}

/// Writes the text. `environment` is the name of the environment, `base` the address of the
/// gateway for people: `https://cofferdam.example.com`.
pub fn letter(notification: &Notification, environment: &str, base: &str) -> Letter {
    let Notification { event, time, call, detail, .. } = notification;
    let mut lines = vec![("Environment", environment.to_owned())];
    if let Some(call) = call {
        lines.push(("Call", call.call.to_string()));
        lines.push(("Agent", harmless(&call.agent)));
        lines.extend(call.person.iter().map(|person| ("For", harmless(person))));
        lines.push(("Tool", harmless(&call.tool)));
        lines.push(("Summary by the tool", harmless(&call.summary)));
        if let (Some(quorum), true) = (call.quorum, asks(*event)) {
            lines.push(("Signatures needed", quorum.to_string()));
            lines.push(("Ends", seconds(call.expires)));
        }
    }
    lines.push(("Time", seconds(*time)));
    if !detail.is_empty() {
        lines.push(("Detail", harmless(detail)));
    }
    let id = call.as_ref().map_or_else(|| "ID".to_owned(), |call| call.call.to_string());
    let (title, next) = words(*event, environment, &id, base);
    let page = if asks(*event) { "approve" } else { "calls" };
    let link = call.as_ref().map(|call| format!("{base}/{page}/{}", call.call));
    Letter { title, lines, next, link, is_urgent: is_urgent(*event) }
}

fn asks(event: NotifyEvent) -> bool {
    matches!(
        event,
        NotifyEvent::ApprovalNeeded | NotifyEvent::Escalated | NotifyEvent::ApprovalExpiring
    )
}

fn is_urgent(event: NotifyEvent) -> bool {
    match event {
        NotifyEvent::ApprovalNeeded | NotifyEvent::Expired | NotifyEvent::Test => false,
        NotifyEvent::Escalated
        | NotifyEvent::ApprovalExpiring
        | NotifyEvent::Indeterminate
        | NotifyEvent::JobStuck
        | NotifyEvent::LedgerUnwritable
        | NotifyEvent::FenceMissing => true,
    }
}

/// The title, and the next step.
fn words(event: NotifyEvent, environment: &str, id: &str, base: &str) -> (String, String) {
    // Over plain HTTP, the gateway answers this machine alone.
    let server =
        if base.starts_with("https://") { format!(" --server {base}") } else { String::new() };
    let sign = format!(
        "Read it, then sign or deny it on your own machine: cofferdam approve {id}{server}"
    );
    let (title, next) = match event {
        NotifyEvent::ApprovalNeeded => ("A call needs your approval in", sign),
        NotifyEvent::Escalated => ("Further people may approve a call in", sign),
        NotifyEvent::ApprovalExpiring => ("A call that needs your approval ends soon in", sign),
        NotifyEvent::Expired => (
            "A call ended out of time in",
            "Nothing was changed. The agent can ask again.".to_owned(),
        ),
        NotifyEvent::Indeterminate => (
            "The outcome of a call is not known in",
            format!(
                "Find out what was changed, then record it: cofferdam show {id}, cofferdam \
                 resolve {id}"
            ),
        ),
        NotifyEvent::JobStuck => (
            "A job cannot be finished in",
            format!("Remove the cause: cofferdam status, cofferdam show {id}"),
        ),
        NotifyEvent::LedgerUnwritable => (
            "The ledger cannot be written in",
            "No new call runs. Remove the cause: cofferdam status, cofferdam doctor".to_owned(),
        ),
        NotifyEvent::FenceMissing => (
            "An admission policy is missing in",
            "No job runs. Apply the manifests of `deploy` again: cofferdam doctor".to_owned(),
        ),
        NotifyEvent::Test => {
            ("This is a test from", "There is nothing to do: this receiver works.".to_owned())
        }
    };
    (format!("{title} {environment}"), next)
}

/// Words of others, for a value.
pub fn harmless(text: &str) -> String {
    unlinked(text, VALUE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::CallId;
    use crate::model::notification::{NOTIFY_EVENTS, NotifiedCall};
    use jiff::Timestamp;

    fn notification(event: NotifyEvent, summary: &str) -> Notification {
        let time = Timestamp::from_second(1_800_000_000).unwrap();
        let call = NotifiedCall {
            call: CallId::parse("abcdefghijklmnopqrstuvwxyz").unwrap(),
            agent: "deployer".into(),
            person: Some("ann@example.com".into()),
            tool: "scale".into(),
            summary: summary.into(),
            quorum: Some(2),
            expires: time,
        };
        Notification { id: "x".into(), event, time, call: Some(call), detail: String::new() }
    }

    fn value<'a>(letter: &'a Letter, label: &str) -> &'a str {
        letter.lines.iter().find(|(known, _)| *known == label).map_or("", |(_, value)| value)
    }

    #[test]
    fn a_letter_names_call_and_environment_and_links_to_the_page() {
        let told = letter(
            &notification(NotifyEvent::ApprovalNeeded, "Scale web to 3"),
            "shop",
            "https://gate.example.com",
        );
        assert_eq!(told.title, "A call needs your approval in shop");
        assert_eq!(value(&told, "Summary by the tool"), "Scale web to 3");
        assert_eq!(value(&told, "Signatures needed"), "2");
        let link = told.link.unwrap();
        assert_eq!(link, "https://gate.example.com/approve/abcdefghijklmnopqrstuvwxyz");
        let command =
            "cofferdam approve abcdefghijklmnopqrstuvwxyz --server https://gate.example.com";
        assert!(told.next.ends_with(command), "{}", told.next);
        let here = notification(NotifyEvent::ApprovalNeeded, "s");
        let told = letter(&here, "shop", "http://127.0.0.1:8620");
        assert!(told.next.ends_with("cofferdam approve abcdefghijklmnopqrstuvwxyz"));
    }

    #[test]
    fn only_a_question_names_signatures() {
        for event in NOTIFY_EVENTS {
            let told = letter(&notification(event, "s"), "shop", "https://a");
            let asks = value(&told, "Signatures needed") == "2";
            let question =
                ["approval_needed", "escalated", "approval_expiring"].contains(&event.word());
            assert_eq!(asks, question, "{event}");
        }
    }

    #[test]
    fn words_of_others_are_one_line_and_no_link() {
        let check = |summary: &str, expect: &str| {
            let told = letter(&notification(NotifyEvent::Expired, summary), "shop", "https://a");
            assert_eq!(value(&told, "Summary by the tool"), expect);
        };
        check("two\r\nBcc: eve@example.com", r"two\u{d}\u{a}Bcc: eve@example[.]com");
        check("see https://evil.example/approve", "see https[:]//evil[.]example/approve");
        check("see evil.example", "see evil[.]example");
        check("\u{202e}lanoitcnuf", r"\u{202e}lanoitcnuf");
        check(&"x".repeat(301), &format!("{}…", "x".repeat(299)));
    }
}
