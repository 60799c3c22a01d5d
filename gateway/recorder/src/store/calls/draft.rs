//! One row of the list of calls, before it is written: the meaning of each entry for it, as a pure
//! function. Never reads the store.

use super::flag;
use crate::ledger::leaf::Leaf;
use crate::store::row::parse;
use cofferdam_core::model::call_state::CallState;
use cofferdam_core::model::ceiling::EPHEMERAL;
use cofferdam_core::model::document::Document;
use cofferdam_core::model::facts::facts_of;
use cofferdam_core::model::object_name::ObjectName;
use cofferdam_core::model::record::Event;
use cofferdam_core::model::run::Outcome;
use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row as _};
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

impl FromRow<'_, SqliteRow> for Draft {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            seq: row.try_get("seq")?,
            call: row.try_get("call")?,
            at: row.try_get("at")?,
            changed: row.try_get("changed")?,
            ledger: row.try_get("ledger")?,
            principal: row.try_get("principal")?,
            person: row.try_get("person")?,
            tool: row.try_get("tool")?,
            summary: row.try_get("summary")?,
            state: row.try_get("state")?,
            is_final: row.try_get("final")?,
            resolved: row.try_get("resolved")?,
            code: row.try_get("code")?,
            rule: row.try_get("rule")?,
            erased: row.try_get("erased")?,
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
    pub fn columns(&self) -> Value {
        json!([
            self.seq,
            self.call,
            self.at,
            self.changed,
            self.ledger,
            self.principal,
            self.person,
            self.tool,
            self.summary,
            self.state,
            flag(self.is_final),
            self.resolved,
            self.code,
            self.rule,
            flag(self.erased),
        ])
    }

    /// The columns of `call_objects`, a row each.
    pub fn object_columns(&self) -> impl Iterator<Item = Value> {
        self.objects.iter().map(|object| json!([object, self.at, self.seq]))
    }

    /// The columns of `call_signers`, a row each.
    pub fn signer_columns(&self) -> impl Iterator<Item = Value> {
        self.signers.iter().map(|(signer, leaf)| json!([signer, self.at, self.seq, leaf]))
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
