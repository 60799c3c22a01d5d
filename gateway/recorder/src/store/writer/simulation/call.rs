//! A call of a history: its gateway and its people. What was not answered is asked again.

use super::random::Numbers;
use crate::store::change::{Change, Signature};
use crate::store::row::JobRow;
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::document::{Document, PLAN_SCHEMA, ToolName};
use cofferdam_core::model::id::{
    CallId, ComponentDigest, PlanDigest, PolicyDigest, StatementDigest, TrustDigest,
};
use cofferdam_core::model::job::StoredJob;
use cofferdam_core::model::json;
use cofferdam_core::model::operation::{Operation, Step, Target};
use cofferdam_core::model::permit::SignedPermit;
use cofferdam_core::model::preview::Preview;
use cofferdam_core::model::reason::ApprovalRule;
use cofferdam_core::model::record::{Entry, Event};
use cofferdam_core::model::run::Phase;
use cofferdam_core::model::statement::{SignedStatement, Verdict};
use cofferdam_testkit::build::{environment, principal};
use jiff::{SignedDuration, Timestamp};

/// A request of the gateway or of people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Enqueue,
    Sign,
    Reject,
    Permit,
    Withdraw,
    Cancel,
}

/// A call with its job.
pub(super) struct Call {
    pub job: StoredJob,
    /// The index of the entry that its gateway got as an answer.
    pub acknowledged: Option<u64>,
    /// The request without an answer.
    pub open: Option<Open>,
    /// People have signed.
    pub signed: bool,
    /// The number of its operations.
    pub operations: u32,
}

/// A request without an answer: it is repeated as it was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    pub asked: Asked,
    /// The number that makes its permit another one than earlier permits.
    pub number: u64,
    /// The policy of the gateway that asks.
    pub policy: PolicyDigest,
}

fn permit(number: u64) -> SignedPermit {
    SignedPermit { permit: number.to_string(), signature: String::new() }
}

impl Call {
    /// A call with this many operations on objects of a small set.
    pub fn new(number: u64, numbers: &mut Numbers, now: Timestamp) -> Self {
        let count = 1 + numbers.below(2) as u32;
        let operations = (0..count)
            .map(|_| Step {
                operation: Operation::Delete {
                    target: Target {
                        group: "apps".to_owned(),
                        version: "v1".to_owned(),
                        kind: "Deployment".to_owned(),
                        namespace: "team-a".to_owned(),
                        name: format!("web-{}", numbers.below(3)),
                    },
                },
                after: vec![],
                reversible: false,
            })
            .collect();
        let asks = numbers.once_in(3);
        let document = Document {
            schema: PLAN_SCHEMA.to_owned(),
            tool: ToolName {
                name: "deployment_delete".to_owned(),
                version: "1.0.0".to_owned(),
                digest: ComponentDigest::of(b"tool"),
            },
            executor: None,
            arguments: serde_json::json!({ "number": number }),
            summary: "deletes".to_owned(),
            operations,
            environment: environment(),
        };
        let plan = json::canonical(&document).unwrap();
        let (preview, preview_digest) = Preview { operations: vec![] }.seal().unwrap();
        let job = StoredJob {
            call: CallId::from_random(u128::from(numbers.next())),
            principal: Principal { person: Some("ann".to_owned()), ..principal("agent") },
            tool: "deployment_delete".to_owned(),
            tool_digest: ComponentDigest::of(b"tool"),
            arguments: format!("{{\"number\":{number}}}"),
            purpose: None,
            plan_digest: PlanDigest::of(plan.as_bytes()),
            plan,
            preview,
            preview_digest,
            environment: environment(),
            policy: PolicyDigest::of(b"policy"),
            reasons: vec![],
            permit: (!asks).then(|| permit(0)),
            approval: asks.then(|| ApprovalRule::of(1, vec!["bob".to_owned()], 600)),
            nonce: String::new(),
            statements: vec![],
            trace: None,
            created: now,
            expires: now + SignedDuration::from_mins(10),
        };
        Self { job, acknowledged: None, open: None, signed: !asks, operations: count }
    }

    /// The next request of its gateway or its people; `None` if there is none now.
    pub fn next(&self, row: Option<&JobRow>, numbers: &mut Numbers) -> Option<Asked> {
        if self.acknowledged.is_none() {
            return Some(Asked::Enqueue);
        }
        let row = row?;
        if row.phase != Phase::Closed.word() && numbers.once_in(40) {
            return Some(Asked::Cancel);
        }
        let waits = row.phase == Phase::AwaitingApproval.word();
        match (waits, row.approved, numbers.once_in(8)) {
            (false, ..) => None,
            (true, false, true) => Some(Asked::Reject),
            (true, false, false) => Some(Asked::Sign),
            (true, true, true) => Some(Asked::Withdraw),
            (true, true, false) => Some(Asked::Permit),
        }
    }

    /// The change that the request without an answer asks for.
    pub fn change(&self, now: Timestamp) -> Change {
        let call = self.job.call.clone();
        let Open { asked, number, policy } = self.open.unwrap();
        let entry = |event| {
            let mut entry = Entry::of(event, Some(call.clone()), &self.job.principal.name);
            (entry.plan, entry.policy) = (Some(self.job.plan_digest), Some(policy));
            entry
        };
        match asked {
            Asked::Enqueue => {
                let event = if self.job.permit.is_some() { Event::Intended } else { Event::Asked };
                let job = Box::new(self.job.clone());
                Change::Enqueue { job, entry: Box::new(entry(event)), key: None, seen: None }
            }
            Asked::Sign => self.signature(Verdict::Approve),
            Asked::Reject => self.signature(Verdict::Reject),
            Asked::Permit => Change::Permit {
                call: call.clone(),
                permit: Box::new(permit(number)),
                entry: Box::new(entry(Event::Intended)),
                expires: now + SignedDuration::from_mins(10),
            },
            Asked::Withdraw => Change::Withdraw {
                call: call.clone(),
                detail: "the second decision refused it".to_owned(),
                entry: Box::new(entry(Event::Ended {
                    ending: "denied".to_owned(),
                    code: "denied".to_owned(),
                })),
            },
            Asked::Cancel => Change::Cancel { principal: self.job.principal.name.clone(), call },
        }
    }

    fn signature(&self, verdict: Verdict) -> Change {
        let signed = SignedStatement { statement: "{}".to_owned(), signature: "s".to_owned() };
        Change::Sign(Box::new(Signature {
            call: self.job.call.clone(),
            approver: "bob".to_owned(),
            voice: "bob".to_owned(),
            delegation: None,
            verdict,
            reason: "as asked".to_owned(),
            digest: StatementDigest::of(b"statement"),
            signed,
            void: vec![],
            trust: TrustDigest::of(b"trust"),
            by: "bob".to_owned(),
        }))
    }
}
