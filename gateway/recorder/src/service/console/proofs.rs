//! The proofs of the entries of a call, from the published ledger. Read in a thread of their own,
//! because they read files.

use super::ConsoleError;
use crate::ledger::prove::{ProveError, Prover};
use crate::service::Recorder;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::permit::verifying_key_text;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::console::{CallProof, EntryProof, PROOFS_MOST};

/// The most bytes of proofs in one answer: half of a socket's limit.
const LONGEST: usize = 4 << 20;

impl Recorder {
    /// The proofs of a call.
    pub(super) async fn proofs(&self, call: &CallId) -> Result<CallProof, ConsoleError> {
        let indexes = self.inner.reader.entry_indexes(call, PROOFS_MOST + 1).await?;
        let (folder, key) =
            (self.inner.settings.ledger.clone(), self.inner.settings.key.verifying_key());
        let made = tokio::task::spawn_blocking(move || {
            let mut prover = Prover::open(&folder, &key)?;
            let (mut proofs, mut size) = (Vec::new(), 0);
            for index in indexes.iter().copied().take(PROOFS_MOST) {
                match prover.prove(index) {
                    Ok(proof) => {
                        size += proof.len();
                        if size > LONGEST && !proofs.is_empty() {
                            return Ok((proofs, true));
                        }
                        proofs.push(EntryProof { index, proof });
                    }
                    // The next checkpoint signs it.
                    Err(ProveError::Absent { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok((proofs, indexes.len() > PROOFS_MOST))
        });
        let made = made.await.map_err(|error| {
            RoleError::Unavailable(format!("the proofs could not be made: {error}"))
        })?;
        let (proofs, more) = made.map_err(|error| RoleError::Unavailable(error.to_string()))?;
        Ok(CallProof { key: verifying_key_text(&key), proofs, more })
    }
}
