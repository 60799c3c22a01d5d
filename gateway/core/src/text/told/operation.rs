//! One operation in a reply: its members in the structure and its lines in the text. Never shows
//! the input of a task again.

use super::line::{Line, Weight};
use crate::model::facts::TASK;
use crate::text::{changes, value};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One operation, as it would be or was done.
#[derive(Debug)]
pub(crate) struct Operation {
    /// Its index in the plan.
    pub index: u32,
    /// `patch Deployment web in namespace team-a`; `None` where the plan was erased.
    pub what: Option<String>,
    /// `destructive`, `decides what code runs`.
    pub marks: Vec<&'static str>,
    /// The place of the object: `team-a/web.yaml:7`; empty in a cluster.
    pub place: String,
    /// The fields before the change.
    pub before: BTreeMap<String, Value>,
    /// The fields after; `None` where the runner was lost before it recorded them.
    pub after: Option<BTreeMap<String, Value>>,
    /// Remarks that have to be known, a line each.
    pub remarks: Vec<String>,
}

/// Said of an effect that its runner could not record, and that the next runner found.
const UNRECORDED: &str =
    "found done, as it was approved; its runner was lost before it could say so";

/// The path of a task's result in the state after it.
const RESULT: &str = "result";

impl Operation {
    pub(super) fn value(&self) -> Value {
        let mut value = json!({"index": self.index, "before": self.before, "after": self.after});
        if let Some(object) = value.as_object_mut() {
            object.extend(self.what.as_ref().map(|what| ("what".to_owned(), json!(what))));
            if !self.marks.is_empty() {
                object.insert("marks".to_owned(), json!(self.marks));
            }
            if !self.place.is_empty() {
                object.insert("place".to_owned(), json!(self.place));
            }
            if !self.remarks.is_empty() {
                object.insert("remarks".to_owned(), json!(self.remarks));
            }
            if self.after.is_none() {
                object.insert("note".to_owned(), json!(UNRECORDED));
            }
        }
        value
    }

    fn named(&self) -> String {
        self.what.clone().unwrap_or_else(|| self.number())
    }

    fn number(&self) -> String {
        format!("operation {}", self.index)
    }

    fn noted<'a>(&'a self, indent: &'a str) -> impl Iterator<Item = Line> + 'a {
        self.remarks.iter().map(move |words| Line::needed(format!("{indent}note: {words}")))
    }

    pub(super) fn done(&self) -> Vec<Line> {
        let result = self.after.as_ref().and_then(|after| after.get(RESULT));
        let instead = result.map(|_| self.number());
        let mut lines = vec![Line { weight: Weight::Name, text: self.named(), instead }];
        match &self.after {
            Some(after) => {
                // A task's input is the agent's own; repeated, a large input would take the place
                // of the result.
                let found =
                    after.iter().filter(|(path, _)| !path.starts_with(TASK) && *path != RESULT);
                let found = found.map(|(path, value)| (path.clone(), value.clone())).collect();
                lines.extend(
                    changes(&self.before, &found)
                        .into_iter()
                        .map(|text| Line::value(format!("  {text}"))),
                );
            }
            None => lines.push(Line::value(format!("  {UNRECORDED}"))),
        }
        lines.extend(self.noted("  "));
        lines.extend(
            result.map(|result| Line::needed(format!("  {RESULT}: {}", value(Some(result))))),
        );
        lines
    }

    pub(super) fn would(&self) -> Vec<Line> {
        let marks = if self.marks.is_empty() {
            String::new()
        } else {
            format!(" ({})", self.marks.join(", "))
        };
        let mut lines = vec![Line {
            weight: Weight::Name,
            text: format!("  {}. {}{marks}", self.index, self.named()),
            instead: None,
        }];
        if !self.place.is_empty() {
            lines.push(Line::value(format!("     at {}", self.place)));
        }
        let after = self.after.clone().unwrap_or_default();
        lines.extend(
            changes(&self.before, &after)
                .into_iter()
                .map(|text| Line::value(format!("     {text}"))),
        );
        lines.extend(self.noted("     "));
        lines
    }
}
