//! The outcome of a job whose runner was lost while it acted: its records, compared with the live
//! objects. Pure. Called only after its rights are observed gone, and until the API server has
//! ended every earlier request. Never guesses: a state that is neither before nor after is for a
//! person.

use super::{held, object};
use cofferdam_core::model::ceiling::EPHEMERAL;
use cofferdam_core::model::job::OperationRecord;
use cofferdam_core::model::preview::{Expect, Preview, PreviewedOperation};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The state of a job's operations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fate {
    /// Those that are in effect: done and not undone.
    pub in_effect: BTreeSet<u32>,
    /// Those that were done in the run's own namespace, and went with it.
    pub passed: BTreeSet<u32>,
    /// Operations whose effect is not known, with the present state.
    pub unclear: BTreeMap<u32, String>,
    /// Operations that are in effect and whose object is terminating, with its finalizers.
    pub held: BTreeMap<u32, String>,
    /// Operations whose undo had begun: an earlier operation had failed.
    pub undoing: BTreeSet<u32>,
    /// Operations whose object does not show the last request. A request that the API server
    /// accepted before the rights went may still take effect.
    pub open: BTreeSet<u32>,
    /// How many there are.
    pub operations: usize,
}

impl Fate {
    /// Returns whether every operation was done, and no undo had begun.
    pub fn is_complete(&self) -> bool {
        self.unclear.is_empty()
            && self.undoing.is_empty()
            && self.in_effect.len() + self.passed.len() == self.operations
    }

    /// The operations in effect, as text for an outcome.
    pub fn words(&self, preview: &Preview) -> String {
        let named = |index: &u32| {
            let target = preview
                .operations
                .iter()
                .find(|operation| operation.index == *index)
                .map(|operation| operation.target.to_string());
            format!("operation {index} ({})", target.unwrap_or_default())
        };
        let list = |indexes: Vec<String>| indexes.join(", ");
        let effect = match self.in_effect.len() {
            0 => "nothing is in effect".to_owned(),
            _ => format!("in effect: {}", list(self.in_effect.iter().map(named).collect())),
        };
        let held = self
            .held
            .iter()
            .map(|(index, by)| format!("{} is {by}", named(index)))
            .collect::<Vec<_>>();
        let effect = if held.is_empty() {
            effect
        } else {
            format!("{effect}; asked to be deleted and still there: {}", list(held))
        };
        if self.unclear.is_empty() {
            return effect;
        }
        let unclear =
            self.unclear.iter().map(|(index, why)| format!("{}: {why}", named(index))).collect();
        format!("{effect}; not known: {}", list(unclear))
    }
}

/// The state of one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Left {
    /// The state after is there.
    Effect,
    /// The state before is there.
    Nothing,
    /// Something else is there.
    Unclear(String),
}

/// Which operations have to be looked at: begun, and not recorded as done.
pub fn open<'a>(preview: &'a Preview, recorded: &[OperationRecord]) -> Vec<&'a PreviewedOperation> {
    let is_open = |operation: &&PreviewedOperation| {
        operation.target.namespace != EPHEMERAL
            && recorded
                .iter()
                .any(|record| record.index == operation.index && record.after.is_none())
    };
    preview.operations.iter().filter(is_open).collect()
}

/// The fate of a job, from what it recorded and from the objects of its open operations as they are
/// now, by index.
pub fn fate(
    preview: &Preview,
    recorded: &[OperationRecord],
    live: &BTreeMap<u32, Option<Value>>,
) -> Fate {
    let mut fate = Fate { operations: preview.operations.len(), ..Fate::default() };
    for operation in &preview.operations {
        let index = operation.index;
        let of = |undo: bool| {
            recorded.iter().find(|record| record.index == index && record.undo == undo)
        };
        let Some(done) = of(false) else { continue };
        if of(true).is_some() {
            fate.undoing.insert(index);
        }
        // An object in the run namespace is removed with it.
        if operation.target.namespace == EPHEMERAL {
            if done.after.is_some() {
                fate.passed.insert(index);
            }
            continue;
        }
        let undo = of(true).map(|undo| undo.after.is_some());
        let left = match (done.after.is_some(), undo) {
            (true, None) => Left::Effect,
            (_, Some(true)) => Left::Nothing,
            // The operation or its undo had begun: the present state shows the result.
            (false, None) | (_, Some(false)) => {
                let left = match live.get(&index) {
                    Some(object) => operation_state(operation, object.as_ref()),
                    None => Left::Unclear("it was not looked at".to_owned()),
                };
                let wanted = if undo.is_some() { Left::Nothing } else { Left::Effect };
                fate.open.extend((left != wanted).then_some(index));
                left
            }
        };
        if left == Left::Effect && operation.after.is_empty() {
            let going = live
                .get(&index)
                .and_then(Option::as_ref)
                .filter(|live| object::is_terminating(live))
                .map(held::words);
            let recorded = done
                .after
                .as_ref()
                .filter(|after| held::is_state(after))
                .map(|_| "going, as it was seen last".to_owned());
            fate.held.extend(going.or(recorded).map(|by| (index, by)));
        }
        match left {
            Left::Effect => drop(fate.in_effect.insert(index)),
            Left::Nothing => {}
            Left::Unclear(why) => drop(fate.unclear.insert(index, why)),
        }
    }
    fate
}

/// The state of one operation, from the live object.
fn operation_state(operation: &PreviewedOperation, live: Option<&Value>) -> Left {
    let deletes = operation.after.is_empty();
    match (&operation.expect, live) {
        (Expect::Present { .. }, None) if deletes => Left::Effect,
        (Expect::Present { uid, .. }, Some(live)) if deletes => {
            // Another one of its name: it was deleted, and written again by its undo or by another
            // client.
            let is_it = object::uid(live) == Some(uid.as_str());
            match (is_it, object::is_terminating(live)) {
                (true, false) => Left::Nothing,
                (true, true) => Left::Effect,
                (false, _) => Left::Unclear("another object has its name now".to_owned()),
            }
        }
        (Expect::Absent, None) => Left::Nothing,
        (Expect::Present { .. }, None) => Left::Unclear("it is not there any more".to_owned()),
        (Expect::Present { uid, .. }, Some(live)) if object::uid(live) != Some(uid.as_str()) => {
            Left::Unclear("another object has its name now".to_owned())
        }
        (expect, Some(live)) => {
            let before = if matches!(expect, Expect::Absent) {
                None
            } else {
                object::fields_as(live, &operation.before).ok()
            };
            if before.as_ref() == Some(&operation.before) && operation.before != operation.after {
                return Left::Nothing;
            }
            match object::fields_as(live, &operation.after) {
                Ok(seen)
                    if operation.after.iter().all(|(path, approved)| {
                        seen.get(path).is_some_and(|seen| fits(approved, seen))
                    }) =>
                {
                    Left::Effect
                }
                _ => Left::Unclear("it is neither as before nor as approved".to_owned()),
            }
        }
    }
}

/// Returns whether a value fits the approved one. The exact start of the lost runner is not known,
/// so a time of that runner fits any time.
fn fits(approved: &Value, seen: &Value) -> bool {
    match (approved, seen) {
        (Value::Object(members), seen) if members.len() == 1 && members.contains_key("$host") => {
            let name = members.get("$host").and_then(Value::as_str);
            let text = seen.as_str();
            match name {
                Some("started_at") => text.is_some_and(|text| text.parse::<Timestamp>().is_ok()),
                Some("call_id") => {
                    text.is_some_and(|text| cofferdam_core::model::id::CallId::parse(text).is_ok())
                }
                _ => approved == seen,
            }
        }
        (Value::Object(approved), Value::Object(seen)) => {
            approved.len() == seen.len()
                && approved
                    .iter()
                    .all(|(key, value)| seen.get(key).is_some_and(|seen| fits(value, seen)))
        }
        (Value::Array(approved), Value::Array(seen)) => {
            approved.len() == seen.len()
                && approved.iter().zip(seen).all(|(approved, seen)| fits(approved, seen))
        }
        _ => approved == seen,
    }
}

#[cfg(test)]
mod tests;
