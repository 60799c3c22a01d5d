//! Checks people's signatures in a ledger with the keys that the caller brings: each signature over
//! its exact statement, each statement against its entries, and each job against its signatures.
//! Never asks a gateway or a recorder. A payload that is not there is named, and proves nothing.

mod entries;
mod error;
pub mod payloads;
mod signature;

pub use entries::ApprovalEntries;
pub use error::{ApprovalCode, ApprovalError};

use super::leaf::Leaf;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::limit::CLOCK_SECONDS;
use cofferdam_core::model::person::people;
use cofferdam_core::model::record::Event;
use cofferdam_core::model::trust::Approver;
use jiff::Timestamp;
use payloads::ApprovalPayloads;
use signature::signature;
use std::collections::BTreeMap;

/// The name of the payload with a statement and its signature.
pub const SIGNED: &str = "signed";

/// The name of the payload with the rule of the question.
pub const RULE: &str = "approval";

/// The name of the payload with the delegation by which a person signed in another's place.
pub const DELEGATION: &str = "delegation";

/// The most errors in a report.
const TOLD: usize = 64;

/// The people whose signatures count for the caller.
#[derive(Debug, Clone)]
pub struct People {
    /// The enrolled keys.
    pub approvers: Vec<Approver>,
    /// True if the caller named them, and so expects each signature to be proven: one whose payload
    /// is not there is an error, unless the ledger says that it was erased.
    pub expected: bool,
    /// True if the person for whom an agent works may approve its calls.
    pub self_approval: bool,
}

/// A checked signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The person, by the caller's keys.
    pub name: String,
    /// The absent approver in whose place they signed, by a checked delegation.
    pub stands_for: Option<String>,
    /// True for a passkey, false for an SSH key.
    pub passkey: bool,
    /// The index of its entry.
    pub entry: u64,
    /// The time after which it does not count.
    pub expires: Timestamp,
}

/// The signatures of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallApprovals {
    /// The id of the call.
    pub call: CallId,
    /// The people whose proven signatures approve it.
    pub approved: Vec<Signer>,
    /// The people whose proven signatures deny it.
    pub denied: Vec<Signer>,
    /// The number of people whom its rule asks for; `None` if no payload tells it.
    pub needed: Option<u32>,
    /// The number of signatures whose payloads are not there.
    pub unproven: u64,
    /// True if it was decided after its question.
    pub decided: bool,
}

/// The result for all calls of a ledger that asked a person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApprovalReport {
    /// Each call with a question, in the order of the ledger.
    pub calls: Vec<CallApprovals>,
    /// The errors, in the order of the ledger.
    pub errors: Vec<ApprovalError>,
    /// The number of errors, also of those beyond the bound of the list.
    pub count: u64,
    /// The facts that this check cannot prove, a sentence each.
    pub unproven: Vec<String>,
}

/// The facts of one call in the ledger so far.
struct Question<'a> {
    asked: Option<&'a Leaf>,
    found: CallApprovals,
    /// Signatures that are in the ledger and are wrong.
    wrong: u64,
    /// The people of approvals whose payloads are not there, by the ledger's word.
    /// Signers whose payloads are not there, each with the person in whose place they signed.
    unproven: Vec<(&'a str, &'a str)>,
    /// True if it was decided under another policy than the one of the question.
    replaced: bool,
    place: usize,
}

struct Check<'a> {
    origin: &'a str,
    people: Option<&'a People>,
    entries: &'a ApprovalEntries,
    questions: BTreeMap<&'a CallId, Question<'a>>,
    report: ApprovalReport,
}

/// Checks the approvals in these entries. `people` are the caller's own; without them, and without
/// payloads, nothing is proven.
pub fn check(
    origin: &str,
    entries: &ApprovalEntries,
    people: Option<&People>,
    mut payloads: Option<ApprovalPayloads>,
) -> ApprovalReport {
    let report = ApprovalReport::default();
    let mut check = Check { origin, people, entries, questions: BTreeMap::new(), report };
    for leaf in &entries.leaves {
        check.entry(leaf, payloads.as_mut());
    }
    if let Some(payloads) = payloads {
        payloads.end().into_iter().for_each(|error| check.error(error));
    }
    check.end()
}

impl<'a> Check<'a> {
    fn error(&mut self, error: ApprovalError) {
        self.report.count += 1;
        if self.report.errors.len() < TOLD {
            self.report.errors.push(error);
        }
    }

    fn entry(&mut self, leaf: &'a Leaf, payloads: Option<&mut ApprovalPayloads>) {
        let Some(call) = &leaf.call else { return };
        let (origin, entries, people) = (self.origin, self.entries, self.people);
        let place = self.questions.len();
        let question = self.questions.entry(call).or_insert_with(|| Question {
            asked: None,
            found: CallApprovals {
                call: call.clone(),
                approved: Vec::new(),
                denied: Vec::new(),
                needed: None,
                unproven: 0,
                decided: false,
            },
            wrong: 0,
            unproven: Vec::new(),
            replaced: false,
            place,
        });
        let mut errors = Vec::new();
        match &leaf.event {
            Event::Asked => match question.asked {
                None => {
                    question.asked = Some(leaf);
                    if entries.is_late(leaf) {
                        errors.push(ApprovalCode::AskedLate.about(leaf, ""));
                    }
                }
                // Signatures of one question must not count for another one under the same id.
                Some(first) if is_same_question(first, leaf) => {}
                Some(_) => errors.push(ApprovalCode::OtherQuestion.about(leaf, "")),
            },
            Event::Signed { .. } => {
                let from = (origin, entries, people);
                let checked = signed(from, question, leaf, payloads, &mut errors);
                if let Err(error) = checked {
                    question.wrong += 1;
                    errors.push(error);
                }
            }
            Event::Intended => errors.extend(question.decided(leaf)),
            Event::Started { .. } => errors.extend(question.started(leaf)),
            _ => {}
        }
        errors.into_iter().for_each(|error| self.error(error));
    }

    fn end(mut self) -> ApprovalReport {
        let mut questions: Vec<Question<'_>> = self.questions.into_values().collect();
        questions.sort_by_key(|question| question.place);
        let replaced = questions.iter().filter(|question| question.replaced).count();
        let found = questions.into_iter().filter(|question| question.asked.is_some());
        self.report.calls = found.map(|question| question.found).collect();
        let unproven: u64 = self.report.calls.iter().map(|call| call.unproven).sum();
        let ruleless = |call: &&CallApprovals| {
            call.needed.is_none() && call.decided && !call.approved.is_empty()
        };
        let ruleless = self.report.calls.iter().filter(ruleless).count();
        if unproven > 0 && self.people.is_none() {
            self.report.unproven.push(format!(
                "signatures of people: {unproven}. No approvers are known here; give them with \
                 `--approvers FILE`"
            ));
        } else if unproven > 0 {
            self.report.unproven.push(format!(
                "signatures of people: {unproven}. Their payloads were erased or are not among these \
                 files; `cofferdam ledger export DIR` writes those that there are"
            ));
        }
        if self.people.is_some() {
            self.report.unproven.push(
                "calls without a question: only policy says which calls need a person, and it is \
                 not checked here"
                    .to_owned(),
            );
        }
        if ruleless > 0 {
            self.report.unproven.push(format!(
                "the number of signatures that was needed, in {ruleless} of the calls: it is not \
                 among their payloads"
            ));
        }
        if replaced > 0 {
            self.report.unproven.push(format!(
                "the signatures that were needed, in {replaced} of the calls: they were decided once \
                 more, under another policy than the one of their question"
            ));
        }
        if !self.report.calls.is_empty() {
            self.report.unproven.push(
                "the text that people were shown, and the number of people needed, which is the \
                 recorder's word: a statement has the digest of that text, and `cofferdam show ID \
                 --shown` prints it"
                    .to_owned(),
            );
        }
        self.report
    }
}

impl<'a> Question<'a> {
    /// Checks a decision about a call with a question.
    fn decided(&mut self, leaf: &Leaf) -> Option<ApprovalError> {
        let asked = self.asked?;
        self.found.decided = true;
        // A reload may replace the policy; another one that allows the plan needs no signature, and
        // may decide over a newer state. Plan and denial hold under every policy.
        self.replaced |= leaf.policy != asked.policy;
        let replaced = leaf.policy != asked.policy;
        let same = [
            (leaf.plan == asked.plan, ApprovalCode::OtherPlan),
            (leaf.principal == asked.principal, ApprovalCode::OtherRequester),
            (self.found.denied.is_empty(), ApprovalCode::Denied),
            (replaced || leaf.preview == asked.preview, ApprovalCode::OtherPreview),
        ];
        if let Some((_, code)) = same.iter().find(|(same, _)| !same) {
            return Some(code.about(leaf, ""));
        }
        if replaced {
            return None;
        }
        let Ok(time) = leaf.time.parse::<Timestamp>() else {
            return Some(ApprovalCode::OutOfTime.about(leaf, "the entry has no time"));
        };
        // The gateway decides a moment before the recorder writes.
        let counts = |signer: &&Signer| {
            time.as_second() < signer.expires.as_second().saturating_add(CLOCK_SECONDS)
        };
        if let Some(over) = self.found.approved.iter().find(|signer| !counts(signer)) {
            let why = format!("the signature of `{}` ended at {}", over.name, over.expires);
            return Some(ApprovalCode::OutOfTime.about(leaf, &why));
        }
        let approved = &self.found.approved;
        let signers = approved.iter().map(|signer| signer.name.as_str());
        let voices = approved
            .iter()
            .map(|signer| signer.stands_for.as_ref().unwrap_or(&signer.name).as_str());
        // A person has one voice, and an absent one has one, whoever signs in their place.
        let count =
            |names: Vec<&str>, other: Vec<&str>| people(names.into_iter().chain(other)).len();
        let unproven = self.unproven.iter();
        let (by, whose) = (unproven.clone().map(|own| own.0), unproven.map(|own| own.1));
        let there =
            count(signers.collect(), by.collect()).min(count(voices.collect(), whose.collect()));
        let there = u64::try_from(there).unwrap_or(u64::MAX).saturating_add(self.wrong);
        let needed = self.found.needed.unwrap_or(1).max(1);
        (there < u64::from(needed)).then(|| {
            ApprovalCode::QuorumMissing.about(leaf, &format!("{there} of {needed} signatures"))
        })
    }

    /// Checks an effect of a call with a question.
    fn started(&self, leaf: &Leaf) -> Option<ApprovalError> {
        let asked = self.asked?;
        if !self.found.decided {
            return Some(ApprovalCode::NotDecided.about(leaf, ""));
        }
        (leaf.plan != asked.plan).then(|| ApprovalCode::OtherPlan.about(leaf, ""))
    }

    /// Counts a signature whose payload is not there.
    fn count_unproven(&mut self, leaf: &'a Leaf) {
        self.found.unproven += 1;
        if let Event::Signed { approver, verdict, stands_for, .. } = &leaf.event
            && verdict == "approve"
        {
            self.unproven.push((approver, stands_for.as_ref().unwrap_or(approver)));
        }
    }
}

/// Checks one signature, if its payload is there and the caller knows people.
fn signed<'a>(
    (origin, entries, people): (&str, &ApprovalEntries, Option<&People>),
    question: &mut Question<'a>,
    leaf: &'a Leaf,
    payloads: Option<&mut ApprovalPayloads>,
    errors: &mut Vec<ApprovalError>,
) -> Result<(), ApprovalError> {
    // A file that lacks a line hides a signature; without a file, only a caller who expects one
    // misses it.
    let expected = payloads.is_some() || people.is_some_and(|people| people.expected);
    let payload = payloads.and_then(|payloads| payloads.of(leaf.index, errors));
    if question.found.decided {
        return Err(ApprovalCode::SignedLate.about(leaf, ""));
    }
    match (payload, people) {
        (Some(payload), Some(people)) => signature(origin, question, leaf, &payload, people),
        (None, _) if expected && !entries.explains_absence(leaf) => {
            Err(ApprovalCode::SignatureMissing.about(leaf, ""))
        }
        _ => {
            question.count_unproven(leaf);
            Ok(())
        }
    }
}

fn is_same_question(first: &Leaf, second: &Leaf) -> bool {
    (&first.plan, &first.preview, &first.policy, &first.principal)
        == (&second.plan, &second.preview, &second.policy, &second.principal)
}

#[cfg(test)]
mod tests;
