//! Trials of a policy before it is accepted: its tests in the compiled module, and the cost of a
//! decision. Each runs in a fresh instance, and none decides a call.

use super::{Policy, input_fits, single};
use crate::accounting::Account;
use crate::error::SandboxError;
use crate::limit;
use cofferdam_core::protocol::role_guest::{Trial, Tried};

impl Policy {
    /// Runs one trial. An error of the policy is part of the result.
    pub fn attempt(&self, trial: &Trial) -> Tried {
        match self.measured(trial) {
            Ok(tried) => tried,
            // The trial did not start.
            Err(fault) => Tried { fault: Some(told(fault)), ..Tried::default() },
        }
    }

    fn measured(&self, trial: &Trial) -> Result<Tried, SandboxError> {
        if let Some(input) = &trial.input {
            input_fits(input)?;
        }
        let entry = self.entry(&trial.entrypoint)?;
        // Instructions are counted, so the clock only stops an endless loop.
        let memory = if trial.test { limit::POLICY_TEST_MEMORY } else { limit::POLICY_MEMORY };
        let mut guest =
            self.guest_of(Account::printing(memory, limit::POLICY_TEST_TICKS, trial.test))?;
        if !trial.test {
            guest.grant(limit::POLICY_INSTRUCTIONS)?;
        }
        let asked = guest
            .parse(&self.data)
            .and_then(|data| guest.evaluate(entry, data, trial.input.as_deref()));
        let answer = asked
            .map_err(|error| guest.to_error(&error))
            .and_then(|text| single(&trial.entrypoint, &text));
        let (memory, printed) = guest.used();
        let left = guest.left();
        let (answer, fault) = match answer {
            Ok(answer) => (Some(answer), None),
            Err(fault) => (None, Some(told(fault))),
        };
        let instructions =
            if trial.test { 0 } else { limit::POLICY_INSTRUCTIONS.saturating_sub(left) };
        Ok(Tried {
            answer,
            fault,
            printed,
            instructions,
            memory: u64::try_from(memory).unwrap_or(u64::MAX),
        })
    }
}

fn told(fault: SandboxError) -> (String, String) {
    (fault.code.word().to_owned(), fault.detail)
}
