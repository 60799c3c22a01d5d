//! A policy in guest processes: loaded as in the gateway, evaluated, and tried with many inputs.
//! Never decides a real call.

use super::{Bench, unexpected};
use crate::serve::guest_process;
use anyhow::{Context as _, Result, bail};
use cofferdam_core::journey::ports::GuestError;
use cofferdam_core::policy::digest::{CALL_ENTRYPOINT, LIST_ENTRYPOINT};
use cofferdam_core::protocol::role_guest::{Compute, Computed, GuestKind, Trial, Tried};

/// A policy that would load, with its data document.
pub struct Policy {
    bench: Bench,
    artefact: Vec<u8>,
    data: String,
}

/// The most bytes of a data document: each decision reads it, and parsed it needs about eight times
/// the memory.
const DATA: usize = 2 << 20;

/// The most bytes of policy inputs for one guest process, before they are written as JSON.
const TRIALS: usize = 1 << 20;

impl Bench {
    /// Loads a policy as the gateway does.
    pub fn policy(&self, module: &[u8], data: &str) -> Result<Policy> {
        let policy = self.compiled(&Compute::Compile { kind: GuestKind::Policy }, module, data)?;
        let artefact = policy.artefact.clone();
        let judge = Compute::Judge { data: data.to_owned() };
        let known = match guest_process::ask(
            &self.0,
            &judge,
            artefact.clone(),
            guest_process::COMPUTE,
        )?
        .0
        {
            Computed::Judging { entrypoints } => entrypoints,
            other => return Err(unexpected(&other)),
        };
        for needed in [CALL_ENTRYPOINT, LIST_ENTRYPOINT] {
            if !known.iter().any(|known| known == needed) {
                bail!(
                    "the policy has no entry point `{needed}`; build it with \
                     `scripts/build-policy`, which names both"
                );
            }
        }
        Ok(policy)
    }

    /// Loads a policy's module for trials, with or without its tests: for [`Policy::attempt`]
    /// alone.
    pub fn trial(&self, module: &[u8], data: &str) -> Result<Policy> {
        self.compiled(&Compute::CompileTrial, module, data)
    }

    /// `too-large` for data of more than [`DATA`] bytes; else the error of the guest for an invalid
    /// module.
    fn compiled(&self, compile: &Compute, module: &[u8], data: &str) -> Result<Policy> {
        if data.len() > DATA {
            let (kib, most) = (data.len() >> 10, DATA >> 10);
            let detail = format!(
                "data.json has {kib} KiB, at most {most} KiB are loaded: each decision reads all \
                 of it; keep there only what the rules need"
            );
            return Err(GuestError { code: "too-large".to_owned(), detail }.into());
        }
        let (_, artefact) =
            guest_process::ask(&self.0, compile, module.to_vec(), guest_process::COMPILE)?;
        Ok(Policy { bench: self.clone(), artefact, data: data.to_owned() })
    }
}

impl Policy {
    /// Runs trials, each in a fresh instance; one outcome for each, in order.
    ///
    /// # Errors
    /// The error of the guest, if the policy does not load.
    pub fn attempt(&self, trials: &[Trial]) -> Result<Vec<Tried>> {
        let mut tried = Vec::new();
        let mut rest = trials;
        while !rest.is_empty() {
            let mut bytes = 0_usize;
            let fitting = rest.iter().take_while(|trial| {
                bytes = bytes.saturating_add(trial.input.as_ref().map_or(0, String::len));
                bytes <= TRIALS
            });
            let (now, later) = rest.split_at(fitting.count().max(1).min(rest.len()));
            let ask = Compute::Try { data: self.data.clone(), trials: now.to_vec() };
            let (answer, body) = guest_process::ask(
                &self.bench.0,
                &ask,
                self.artefact.clone(),
                guest_process::COMPILE,
            )?;
            if answer != Computed::Tried {
                return Err(unexpected(&answer));
            }
            let some: Vec<Tried> = serde_json::from_slice(&body)
                .context("the guest process's answer is not readable")?;
            if some.len() != now.len() {
                bail!("the guest process answered {} of {} questions", some.len(), now.len());
            }
            tried.extend(some);
            rest = later;
        }
        Ok(tried)
    }

    /// Evaluates the policy for one input; returns JSON text.
    pub fn evaluate(&self, entrypoint: &str, input: &str) -> Result<String, GuestError> {
        let (entrypoint, data) = (entrypoint.to_owned(), self.data.clone());
        let decide = Compute::Decide { entrypoint, data, input: input.to_owned() };
        match guest_process::ask(
            &self.bench.0,
            &decide,
            self.artefact.clone(),
            guest_process::COMPUTE,
        )?
        .0
        {
            Computed::Decided { output } => Ok(output),
            other => Err(GuestError {
                code: "output".to_owned(),
                detail: unexpected(&other).to_string(),
            }),
        }
    }
}
