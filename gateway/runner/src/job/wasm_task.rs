//! A task that is a Wasm command: a guest process of its own, which reads its input, writes its
//! result and reaches nothing, on every infrastructure. A failed command is an operation that was
//! not done.

use super::Runner;
use crate::guest_process::Start;
use crate::lease::Recorder;
use cofferdam_backend::Backend;
use cofferdam_backend::effect_error::EffectError;
use cofferdam_core::model::escape;
use cofferdam_core::model::id::ComponentDigest;
use cofferdam_core::model::operation::Operation;
use cofferdam_core::model::preview::PreviewedOperation;
use cofferdam_core::model::trust::TrustedCommand;
use cofferdam_core::protocol::role_guest::{Compute, Computed, GuestKind};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// The time that a Wasm command may take on the clock beyond its own time: its process has to
/// start, and the machine may be busy.
const START: Duration = Duration::from_secs(30);

impl<R: Recorder, S: Start, B: Backend> Runner<R, S, B> {
    /// Runs a command to its end. The state after holds `result`, its standard output, and
    /// `exit_code`.
    pub(super) async fn command(
        &self,
        digest: &str,
        operation: &Operation,
        approved: &PreviewedOperation,
        trusted: &[TrustedCommand],
    ) -> Result<BTreeMap<String, Value>, EffectError> {
        let Operation::Task { name, input, seconds, .. } = operation else {
            return Err(EffectError::Refused("it is not a task".to_owned()));
        };
        let refused =
            |why: String| EffectError::Refused(format!("the task {name} did not run: {why}"));
        let digest = ComponentDigest::parse(digest).map_err(|error| refused(error.to_string()))?;
        let wasm =
            self.components.command(digest, trusted).map_err(|error| refused(error.to_string()))?;
        let guest_ms = u64::from(*seconds) * 1_000;
        let run = Compute::Run { name: name.clone(), input: input.clone(), guest_ms };
        let limit = Duration::from_millis(guest_ms) + START;
        let ran = self.guests.ask_within(limit, GuestKind::Command, &wasm, &run).await;
        match ran.map_err(|error| refused(error.to_string()))? {
            Computed::Ran { output, code: 0, .. } => {
                let mut after = approved.after.clone();
                after.insert("result".to_owned(), json!(output));
                after.insert("exit_code".to_owned(), json!(0));
                Ok(after)
            }
            Computed::Ran { note, code, .. } => Err(EffectError::Refused(format!(
                "the task {name} ended with exit code {code}; it says {:?}",
                escape::line(&note)
            ))),
            _ => Err(refused("its sandbox sent an unexpected response".to_owned())),
        }
    }
}
