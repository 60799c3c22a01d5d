//! One row of the list of calls, before it is written: the meaning of each entry for it, as a pure
//! function. Never reads the store.

use crate::ledger::leaf::Leaf;
use crate::store::row::parse;
use crate::store::sql::{FromRow, Row, Value as Column};
use cofferdam_core::model::call_state::CallState;
use cofferdam_core::model::ceiling::EPHEMERAL;
use cofferdam_core::model::document::Document;
use cofferdam_core::model::facts::facts_of;
use cofferdam_core::model::object_name::ObjectName;
use cofferdam_core::model::record::Event;
use cofferdam_core::model::run::Outcome;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The payloads of an entry, by name, as JSON texts.
pub(super) type Payloads = BTreeMap<String, String>;

/// The act that erases the payloads of a call.
const ERASE: &str = "erase";

/// A row of the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Draft {
    pub seq: i64,
    pub call: String,
    pub at: i64,
    pub changed: i64,
    pub ledger: i64,
    pub principal: String,
    pub person: Option<String>,
    pub tool: Option<String>,
    pub summary: Option<String>,
    pub state: String,
    pub is_final: bool,
    pub resolved: Option<String>,
    pub code: Option<String>,
    pub rule: Option<String>,
    pub erased: bool,
    objects: BTreeSet<ObjectName>,
    signers: Vec<(String, i64)>,
    touched: bool,
}

impl FromRow for Draft {
    fn from_row(row: &Row<'_>) -> sqlx::Result<Self> {
        Ok(Self {
            seq: row.get("seq")?,
            call: row.get("call")?,
            at: row.get("at")?,
            changed: row.get("changed")?,
            ledger: row.get("ledger")?,
            principal: row.get("principal")?,
            person: row.get("person")?,
            tool: row.get("tool")?,
            summary: row.get("summary")?,
            state: row.get("state")?,
            is_final: row.get("final")?,
            resolved: row.get("resolved")?,
            code: row.get("code")?,
            rule: row.get("rule")?,
            erased: row.get("erased")?,
            ..Self::default()
        })
    }
}

impl Draft {
    /// True if a call begins with this entry. A call begins with its ending or with its job; other
    /// entries of a call come later.
    pub fn begins(leaf: &Leaf) -> bool {
        matches!(leaf.event, Event::Ended { .. } | Event::Asked | Event::Intended)
    }

    /// The row of a call that begins with this entry.
    pub fn begin(index: i64, leaf: &Leaf, payloads: &Payloads) -> Self {
        let text = |name: &str| payloads.get(name).map(String::as_str).unwrap_or_default();
        let value = |name: &str| parse::<Value>(text(name), "payload").unwrap_or_default();
        let plan = parse::<Document>(text("plan"), "plan").ok();
        let word = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let mut draft = Self {
            seq: index,
            call: leaf.call.as_ref().map(ToString::to_string).unwrap_or_default(),
            at: time_ms(leaf).unwrap_or_default(),
            principal: leaf.principal.clone(),
            person: word(value("subject").pointer("/properties/for")),
            tool: leaf.tool.as_ref().map(|(name, _)| name.clone()),
            summary: plan.as_ref().map(|plan| plan.summary.clone()),
            rule: word(value("reasons").pointer("/0/id")),
            erased: payloads.is_empty() && !leaf.commitments.is_empty(),
            objects: plan.as_ref().map(objects).unwrap_or_default(),
            ..Self::default()
        };
        draft.add(index, leaf);
        draft
    }

    /// Adds an entry of the call.
    pub fn add(&mut self, index: i64, leaf: &Leaf) {
        (self.ledger, self.touched) = (index, true);
        self.changed = time_ms(leaf).unwrap_or(self.changed);
        match &leaf.event {
            // A call has one ending, which begins its row. A job that its second decision refused has
            // one as well; its outcome follows, and says the same. The gateway alone writes endings:
            // a later one says nothing about a call that has entries.
            Event::Ended { ending, code } if self.state.is_empty() => {
                self.set(CallState::of_ending(ending).unwrap_or(CallState::Failed), true);
                self.code = Some(code.clone());
            }
            Event::Asked => self.set(CallState::AwaitingApproval, false),
            Event::Intended => self.set(CallState::Queued, false),
            Event::Leased { .. } => self.set(CallState::Leased, false),
            Event::Moved { phase, .. } => {
                if let Some(state) = CallState::of_phase(*phase) {
                    self.set(state, false);
                }
            }
            Event::Finished { outcome } => {
                self.set(CallState::of_outcome(*outcome).unwrap_or(CallState::Failed), true);
                if *outcome != Outcome::Indeterminate {
                    self.resolved = None;
                }
            }
            Event::Resolved { found, .. } => self.resolved = Some(found.to_string()),
            Event::Signed { approver, .. } => self.signers.push((approver.clone(), index)),
            Event::Administered { what, .. } if what == ERASE => {
                (self.person, self.summary, self.rule) = (None, None, None);
                self.erased = true;
                self.objects.clear();
            }
            Event::Ended { .. }
            | Event::Started { .. }
            | Event::Done { .. }
            | Event::Closed { .. }
            | Event::Removed { .. }
            | Event::Administered { .. } => {}
        }
    }

    /// A state that is final stays: a call has one ending or one outcome.
    fn set(&mut self, state: CallState, is_final: bool) {
        if !self.is_final {
            (self.state, self.is_final) = (state.word().to_owned(), is_final);
        }
    }

    /// True if an entry was added.
    pub fn is_changed(&self) -> bool {
        self.touched
    }

    /// The columns of `calls`.
    pub fn columns(&self) -> Vec<Column> {
        vec![
            self.seq.into(),
            self.call.as_str().into(),
            self.at.into(),
            self.changed.into(),
            self.ledger.into(),
            self.principal.as_str().into(),
            self.person.clone().into(),
            self.tool.clone().into(),
            self.summary.clone().into(),
            self.state.as_str().into(),
            self.is_final.into(),
            self.resolved.clone().into(),
            self.code.clone().into(),
            self.rule.clone().into(),
            self.erased.into(),
        ]
    }

    /// The columns of `call_objects`, a row each.
    pub fn object_columns(&self) -> impl Iterator<Item = Vec<Column>> {
        let row =
            |object: &ObjectName| vec![object.as_str().into(), self.at.into(), self.seq.into()];
        self.objects.iter().map(row)
    }

    /// The columns of `call_signers`, a row each.
    pub fn signer_columns(&self) -> impl Iterator<Item = Vec<Column>> {
        let row = |(signer, leaf): &(String, i64)| {
            vec![signer.into(), self.at.into(), self.seq.into(), (*leaf).into()]
        };
        self.signers.iter().map(row)
    }
}

/// The named objects of a plan, without the objects in the run namespace of the call.
fn objects(plan: &Document) -> BTreeSet<ObjectName> {
    let facts = facts_of(&plan.operations).unwrap_or_default();
    let lasting = facts.iter().filter(|fact| fact.namespace != EPHEMERAL);
    lasting.filter_map(|fact| ObjectName::of(&fact.kind, &fact.namespace, &fact.name)).collect()
}

fn time_ms(leaf: &Leaf) -> Option<i64> {
    leaf.time.parse().ok().map(|time: Timestamp| time.as_millisecond())
}
