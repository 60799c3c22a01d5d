//! Opens a way out of the run namespace, as the provisioner: the job may write no network policy,
//! and no identity of Cofferdam may change an existing one. Opens only destinations of an approved
//! operation.

use super::{refused, unknown};
use crate::namespace::{Namespace, own_apply};
use crate::run_objects::{Guard, egress::policy};
use cofferdam_backend::effect_error::EffectError;
use cofferdam_core::model::operation::Egress;
use cofferdam_core::model::preview::PreviewedOperation;
use serde_json::Value;
use std::collections::BTreeMap;

impl Namespace {
    /// Allows the pods of the run one more destination.
    pub(super) async fn open(
        &mut self,
        to: &Egress,
        approved: &PreviewedOperation,
    ) -> Result<BTreeMap<String, Value>, EffectError> {
        let mut opened = self.opened.clone();
        opened.insert(to.clone());
        let Guard { path, object } = policy(&self.marks, &opened, to, self.server);
        let answer = own_apply(&self.provisioner, &path, &object).await.map_err(|error| {
            if error.is_unclear() {
                unknown(&approved.target, "it may be open", &error)
            } else {
                refused(&approved.target, &error)
            }
        })?;
        if answer.get("spec") != object.get("spec") {
            return Err(EffectError::Differs(format!(
                "{} is another one than was written",
                approved.target
            )));
        }
        self.opened = opened;
        Ok(approved.after.clone())
    }
}
