//! Frames of the protocols between roles, as each version recorded them: every request and every
//! answer of every socket that can lead to another host. Each is read and written again without a
//! difference, so that roles of two neighbouring versions understand each other. Never changes a
//! recorded frame: a new variant or member gets a line in the folder of its own version.

#![cfg(test)]

use cofferdam_core::model::difference::Drifted;
use cofferdam_core::model::operation::{Operation, Step};
use cofferdam_core::model::record::{Entry, Event};
use cofferdam_core::protocol::approver::{ApproverAnswer, ApproverAsk};
use cofferdam_core::protocol::console::{ConsoleAnswer, ConsoleAsk, ConsoleRefusal};
use cofferdam_core::protocol::courier::{Fetch, FetchError, Fetched};
use cofferdam_core::protocol::courier_recorder::{Collect, Collected};
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_core::protocol::gateway_viewer::{ReadRequest, ReadResponse};
use cofferdam_core::protocol::operator_recorder::{
    FreshPreview, InvitationDecision, Operate, Operated,
};
use cofferdam_core::protocol::runner_recorder::{Claim, Claimed, RunnerEvent};
use cofferdam_core::protocol::{RoleError, VERSION, Version};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The versions with recorded frames, oldest first.
const VERSIONS: [Version; 2] = [Version { major: 1, minor: 0 }, Version { major: 1, minor: 1 }];

/// Type and variant of a value that some frame has.
type Seen = BTreeSet<(&'static str, &'static str)>;

/// An enum of the protocols, with the names of its variants.
trait Variants {
    const ALL: &'static [(&'static str, &'static str)];
    fn variant(&self) -> (&'static str, &'static str);
    /// Notes the variant of this value, and of the enums within.
    fn note(&self, seen: &mut Seen) {
        seen.insert(self.variant());
        self.within(seen);
    }
    fn within(&self, _: &mut Seen) {}
}

/// Lists the variants of an enum. A variant that is missing here does not compile.
macro_rules! variants {
    ($kind:ident { $($variant:ident)+ } $(|$value:ident, $seen:ident| $within:expr)?) => {
        impl Variants for $kind {
            const ALL: &'static [(&'static str, &'static str)] =
                &[$((stringify!($kind), stringify!($variant))),+];
            fn variant(&self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$variant { .. } => (stringify!($kind), stringify!($variant))),+
                }
            }
            $(fn within(&self, $seen: &mut Seen) {
                let $value = self;
                $within
            })?
        }
    };
}

variants!(Propose {
    End Enqueue Same Key Rejection Job Task Plan Calls Ended Cancel NextApproved NextPreview
    Previewed Permit Withdraw Approver Console Reload Serving Tokens Served Invited Enrol Runners
    Health Head OverLimit Counts
} |value, seen| match value {
    Self::End { entry: Entry { event, .. }, .. } => event.note(seen),
    Self::Previewed { seen: fresh, .. } => fresh.note(seen),
    Self::Approver { ask, .. } => ask.note(seen),
    Self::Console { ask, .. } => ask.note(seen),
    _ => {}
});
variants!(Proposed {
    Recorded Joined Same Ended Key Rejection Job Task Plan Calls Approved ToPreview EndedTokens
    Invited Runners Health Head Counts Approver Console Done
} |value, seen| match value {
    Self::Job { job } => job.meanwhile.iter().for_each(|one| one.what.note(seen)),
    Self::Approver { told } => told.note(seen),
    Self::Console { told } => told.note(seen),
    _ => {}
});
variants!(ApproverAsk { Waiting Question Preview Sign Follow Watch });
variants!(ApproverAnswer { Waiting Question Previewed Signed Signatures Followed });
variants!(ConsoleAsk { Calls Changes Story Proof Waiting Agents Overview Cancel });
variants!(ConsoleAnswer {
    Calls Changes Story Proof Waiting Agents Overview Cancelled Refused
} |value, seen| if let Self::Refused { code, .. } = value { code.note(seen) });
variants!(ConsoleRefusal { NotEnrolled NotForRole MayNotCancel UnknownCall NotOpen Invalid });
variants!(ReadRequest { Preview Read } |value, seen| match value {
    Self::Preview { operations, .. } | Self::Read { operations, .. } => {
        operations.iter().for_each(|Step { operation, .. }| operation.note(seen));
    }
});
variants!(ReadResponse { Preview Results Refused });
variants!(Operation { Read List Logs Apply Patch Delete Task Egress });
variants!(Claim { Next Resume Heartbeat Move LetGo Progress } |value, seen| {
    if let Self::Move { events, .. } = value {
        events.iter().for_each(|event| event.note(seen));
    }
});
variants!(Claimed { Leased Lease Released Recorded });
variants!(RunnerEvent { Prepared Acting Started Done Finished Gone });
variants!(Drifted { Appeared Gone Replaced Field Other Result Elsewhere Remarked });
variants!(Event {
    Ended Asked Intended Signed Leased Moved Started Done Finished Resolved Closed Removed
    Administered
});
variants!(Fetch { Keys Introspect SignInPage Exchange });
variants!(Fetched { Keys Claims SignInPage IdToken Failed } |value, seen| {
    if let Self::Failed { error } = value {
        error.note(seen);
    }
});
variants!(FetchError { Unreachable Refused Malformed TooLarge NotConfigured });
variants!(Collect { Next Delivered Failed });
variants!(Collected { Next Noted });
variants!(Operate {
    Jobs Calls CallChanges Show Sign Preview Follow Callers Status Reload Resolve TestReceiver
    Invite Invitations EndInvitation Approvals Erase Stop LiftStop Stops
} |value, seen| if let Self::EndInvitation { decision, .. } = value { decision.note(seen) });
variants!(InvitationDecision { Confirmed Discarded });
variants!(Operated {
    Jobs Story Invitations Approvals Signed Previewed Followed Calls CallChanges Callers Status
    Tested Reloaded Done Stops
});
variants!(FreshPreview { Now Not });
variants!(RoleError { NotFound Refused Fenced TooLarge Busy OverLimit Stopped Unavailable });

/// A message of a socket: a request, an answer, or an error in place of an answer.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Message<T> {
    id: u64,
    #[serde(alias = "ok", alias = "fault")]
    ask: T,
}

fn folder(version: Version) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/frames/{version}"))
}

/// The frames of a file in all versions: each with its place, for errors.
fn frames(file: &str) -> Vec<(String, String)> {
    let texts = VERSIONS.into_iter().filter_map(|version| {
        let text = std::fs::read_to_string(folder(version).join(file)).ok()?;
        Some((version, text))
    });
    let numbered = texts.flat_map(|(version, text)| {
        let line =
            |(at, line): (usize, &str)| (format!("{version}/{file}:{}", at + 1), line.to_owned());
        text.lines().enumerate().map(line).collect::<Vec<_>>()
    });
    let frames: Vec<_> = numbered.collect();
    assert!(!frames.is_empty(), "`{file}` has no frames");
    frames
}

/// Reads every frame of a file and writes it again: nothing is lost and nothing is added.
fn replay<T: Variants + Serialize + DeserializeOwned>(file: &str, seen: &mut Seen) {
    for (place, line) in frames(file) {
        let message: Message<T> =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{place}: {error}"));
        let recorded: Value = serde_json::from_str(&line).unwrap();
        let content = ["ask", "ok", "fault"].into_iter().find_map(|member| recorded.get(member));
        let written = serde_json::to_value(&message.ask).unwrap();
        assert_eq!(Some(&written), content, "{place} is written otherwise than it was recorded");
        message.ask.note(seen);
    }
    for variant in T::ALL {
        assert!(seen.contains(variant), "no frame of `{file}` has the variant {variant:?}");
    }
}

/// The files, each with the type of its frames.
fn replay_all() -> Seen {
    let mut seen = Seen::new();
    replay::<Propose>("gateway_recorder.asks.jsonl", &mut seen);
    replay::<Proposed>("gateway_recorder.answers.jsonl", &mut seen);
    replay::<ReadRequest>("gateway_viewer.asks.jsonl", &mut seen);
    replay::<ReadResponse>("gateway_viewer.answers.jsonl", &mut seen);
    replay::<Claim>("runner_recorder.asks.jsonl", &mut seen);
    replay::<Claimed>("runner_recorder.answers.jsonl", &mut seen);
    replay::<Fetch>("gateway_courier.asks.jsonl", &mut seen);
    replay::<Fetched>("gateway_courier.answers.jsonl", &mut seen);
    replay::<Collect>("courier_recorder.asks.jsonl", &mut seen);
    replay::<Collected>("courier_recorder.answers.jsonl", &mut seen);
    replay::<Operate>("operator_recorder.asks.jsonl", &mut seen);
    replay::<Operated>("operator_recorder.answers.jsonl", &mut seen);
    replay::<RoleError>("errors.jsonl", &mut seen);
    seen
}

#[test]
fn every_recorded_frame_is_understood_and_written_as_it_was_recorded() {
    let seen = replay_all();
    let within = [
        ApproverAsk::ALL,
        ApproverAnswer::ALL,
        ConsoleAsk::ALL,
        ConsoleAnswer::ALL,
        ConsoleRefusal::ALL,
        Operation::ALL,
        RunnerEvent::ALL,
        Drifted::ALL,
        Event::ALL,
        FetchError::ALL,
        FreshPreview::ALL,
        InvitationDecision::ALL,
    ];
    for variant in within.concat() {
        assert!(seen.contains(&variant), "no frame has the variant {variant:?}");
    }
}

#[test]
fn the_present_version_and_no_later_one_has_frames() {
    assert_eq!(VERSIONS.last(), Some(&VERSION), "a new version records its frames");
    let kept = std::fs::read_dir(folder(VERSION).parent().unwrap()).unwrap();
    let kept: BTreeSet<String> =
        kept.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let known = VERSIONS.iter().map(Version::to_string).collect();
    assert_eq!(kept, known);
}

/// The members of a value by path, without the numbers of lists: those that are `null`, and those
/// with a value.
fn members(value: &Value, path: &str, empty: &mut BTreeSet<String>, full: &mut BTreeSet<String>) {
    match value {
        Value::Null => drop(empty.insert(path.to_owned())),
        Value::Array(list) => list.iter().for_each(|one| members(one, path, empty, full)),
        Value::Object(object) => {
            for (key, member) in object {
                members(member, &format!("{path}.{key}"), empty, full);
            }
            full.insert(path.to_owned());
        }
        _ => drop(full.insert(path.to_owned())),
    }
}

#[test]
fn a_member_that_may_be_missing_has_a_value_in_some_frame() {
    for file in std::fs::read_dir(folder(VERSIONS[0])).unwrap() {
        let file = file.unwrap().file_name().into_string().unwrap();
        let (mut empty, mut full) = (BTreeSet::new(), BTreeSet::new());
        for (_, line) in frames(&file) {
            members(&serde_json::from_str(&line).unwrap(), "", &mut empty, &mut full);
        }
        let never: Vec<_> = empty.difference(&full).collect();
        assert!(never.is_empty(), "`{file}` has these members only as `null`: {never:?}");
    }
}
