//! The effects of a job over the present files. A change by others between copy and commit is kept,
//! as long as the objects of the job are still as approved. Called under the tree's lock alone;
//! never writes to the tree.

use super::{Done, PrivateCopy, edited};
use crate::index::Index;
use crate::preview::preview_operation;
use cofferdam_backend::effect_error::EffectError;
use cofferdam_backend::refusal::Refusal;
use cofferdam_core::model::id::ObjectDigest;
use cofferdam_core::model::job::Obstacle;
use cofferdam_core::stage::drift;
use cofferdam_core::stage::drift::Compared;
use cofferdam_process::rooted_fs::Root;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How often a commit may find its files changed: under the lock only people and other programs
/// write to them.
pub const RENEWALS: u32 = 5;

impl PrivateCopy {
    /// Does every operation again in fresh copies of its files.
    pub fn renew(&mut self, root: &Root) -> Result<(), EffectError> {
        let index = Index::read(root, None).map_err(Obstacle::from)?;
        // Each file as it is in the tree, and with the effects of the job.
        let mut texts: BTreeMap<PathBuf, (String, Option<String>)> = BTreeMap::new();
        let mut done = Vec::with_capacity(self.done.len());
        for Done { path, operation, approved, host } in &self.done {
            let changed = || EffectError::Changed(format!("{} is gone", approved.target));
            let now = preview_operation(&index, operation, approved.index).map_err(|refusal| {
                match refusal.code {
                    "not-found" => changed(),
                    _ => refusal.into(),
                }
            })?;
            let Compared { inside, outside } = drift::compare(approved, &now);
            EffectError::unless_held(inside, &outside, self.unchanged)?;
            drift::add(&mut self.meanwhile, outside);
            let found = index.find(&approved.target).map_err(Refusal::from)?;
            let (_, text) = texts
                .entry(path.clone())
                .or_insert_with(|| (found.file.text.clone(), Some(found.file.text.clone())));
            let before = text.clone().ok_or_else(changed)?;
            *text =
                edited(path, &before, operation, &now, (self.written(&approved.target), host))?.0;
            done.push(Done {
                path: path.clone(),
                operation: operation.clone(),
                approved: now,
                host: host.clone(),
            });
        }
        for (path, (before, after)) in texts {
            self.write(&path, after.as_deref())?;
            if let Some(copied) = self.files.get_mut(&path) {
                copied.before = ObjectDigest::of(before.as_bytes());
            }
        }
        self.done = done;
        Ok(())
    }
}
