//! Values that only the runner knows, filled in for `{"$host": …}` in a plan. A plan is hashed as
//! written, so that the same request has the same digest, and a restart still restarts.

use cofferdam_core::model::id::CallId;
use cofferdam_core::model::path::FieldPath;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

/// The values of one job.
#[derive(Debug, Clone)]
pub struct Host {
    call: CallId,
    started: Timestamp,
}

impl Host {
    /// The values of this job, which started at this time.
    pub fn new(call: CallId, started: Timestamp) -> Self {
        Self { call, started }
    }

    /// Values of the same form, for trying an edit without making it.
    pub fn sample() -> Self {
        Self { call: CallId::from_random(0), started: Timestamp::UNIX_EPOCH }
    }

    /// A value with its placeholders filled in. An unknown placeholder stays as text; sealing
    /// refuses it earlier.
    pub fn fill(&self, value: &Value) -> Value {
        match value {
            Value::Object(map) => match (map.len(), map.get("$host").and_then(Value::as_str)) {
                (1, Some("call_id")) => Value::from(self.call.as_str()),
                (1, Some("started_at")) => {
                    Value::from(self.started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
                }
                _ => Value::Object(
                    map.iter().map(|(key, value)| (key.clone(), self.fill(value))).collect(),
                ),
            },
            Value::Array(items) => Value::Array(items.iter().map(|item| self.fill(item)).collect()),
            other => other.clone(),
        }
    }

    /// Fills the values of changes in.
    pub fn filled(
        &self,
        changes: &[(FieldPath, Option<Value>)],
    ) -> Vec<(FieldPath, Option<Value>)> {
        changes
            .iter()
            .map(|(path, value)| (path.clone(), value.as_ref().map(|value| self.fill(value))))
            .collect()
    }

    /// Fills the values of fields in.
    pub fn fields(&self, fields: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
        fields.iter().map(|(path, value)| (path.clone(), self.fill(value))).collect()
    }
}
