//! One object deleted, of the UID that was approved; and one that was deleted written again.

use super::{PAUSE, TRIES, Undo, is_as_approved, look, refused, unknown};
use crate::effect::EffectFault;
use crate::kubernetes::api::{ApiFault, Cluster, Manager, Mode};
use crate::kubernetes::namespace::Namespace;
use crate::kubernetes::object;
use cofferdam_core::ceiling::EPHEMERAL;
use cofferdam_core::operation::Target;
use cofferdam_core::preview::{Expect, PreviewedOperation};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long a deleted object may take until it is gone or says that it is going.
const GOING: Duration = Duration::from_secs(30);

/// How long an object that is going may take before one of its name is written again: a Pod's grace.
const GONE: Duration = Duration::from_secs(60);

impl Namespace {
    /// Deletes the approved object, and remembers how to write it again.
    pub(super) async fn delete(&mut self, approved: &PreviewedOperation) -> Result<BTreeMap<String, Value>, EffectFault> {
        let target = &approved.target;
        let Expect::Present { uid, .. } = &approved.expect else { return Err(EffectFault::Conflict(target.clone())) };
        let job = self.job().await?;
        let at = self.at(target)?;
        let live = look(&job, &at, target, None).await?.filter(|live| is_as_approved(live, &approved.expect));
        let live = live.ok_or_else(|| EffectFault::Conflict(target.clone()))?;
        remove(&job, &at, target, uid).await?;
        self.undo.insert(approved.index, Undo::Object(object::without_server_fields(&live)));
        Ok(BTreeMap::new())
    }

    /// Takes back what an apply created, and nothing that came in its place.
    pub(super) async fn take_back(&self, uid: &str, target: &Target) -> Result<(), EffectFault> {
        let job = self.job().await?;
        let at = self.at(target)?;
        if target.namespace != EPHEMERAL {
            return remove(&job, &at, target, uid).await;
        }
        // There the job reads nothing; the whole namespace goes anyway.
        job.delete(&at, Some(uid), Mode::Real).await.map_err(|fault| refused(target, &fault))
    }

    /// Writes a deleted object again. Only where nobody else has.
    pub(super) async fn restore(&self, object: &Value, target: &Target) -> Result<(), EffectFault> {
        let job = self.job().await?;
        let at = self.at(target)?;
        let end = Instant::now() + GONE;
        loop {
            match look(&job, &at, target, None).await? {
                None => break,
                Some(live) if object::is_terminating(&live) && Instant::now() < end => tokio::time::sleep(PAUSE).await,
                Some(_) => return Err(EffectFault::Conflict(target.clone())),
            }
        }
        let manager = Manager { name: &self.manager, force: false };
        let mut unclear: Option<ApiFault> = None;
        for _ in 0..TRIES {
            match job.apply(&at, object, manager, Mode::Real).await {
                Ok(_) => return Ok(()),
                Err(fault) if fault.is_unclear() => unclear = Some(fault),
                Err(fault) => {
                    return Err(match unclear {
                        Some(unclear) => unknown(target, "the next attempt was refused", &unclear),
                        None => refused(target, &fault),
                    });
                }
            }
            // The same apply a second time changes nothing.
            tokio::time::sleep(PAUSE).await;
        }
        Err(unclear.map_or_else(|| EffectFault::Conflict(target.clone()), |fault| unknown(target, "no attempt got a clear answer", &fault)))
    }
}

/// Deletes one object of this UID, in the background, and looks until it is gone or going.
async fn remove(job: &Cluster, at: &str, target: &Target, uid: &str) -> Result<(), EffectFault> {
    let mut unclear: Option<ApiFault> = None;
    for _ in 0..TRIES {
        match job.delete(at, Some(uid), Mode::Real).await {
            Ok(()) => return going(job, at, target, uid).await,
            // The UID names one object once: whoever deleted it, it is as approved.
            Err(fault) if fault.is_conflict() && unclear.is_some() => return going(job, at, target, uid).await,
            Err(fault) if fault.is_conflict() => return Err(EffectFault::Conflict(target.clone())),
            Err(fault) if fault.is_unclear() => {
                tokio::time::sleep(PAUSE).await;
                if is_gone(look(job, at, target, Some(&fault)).await?.as_ref(), uid) {
                    return Ok(());
                }
                unclear = Some(fault);
            }
            Err(fault) => {
                return Err(match unclear {
                    Some(unclear) => unknown(target, "the next attempt was refused", &unclear),
                    None => refused(target, &fault),
                });
            }
        }
    }
    Err(unclear.map_or_else(|| EffectFault::Conflict(target.clone()), |fault| unknown(target, "no attempt got a clear answer", &fault)))
}

/// Looks until it is gone or going: a delete was accepted.
async fn going(job: &Cluster, at: &str, target: &Target, uid: &str) -> Result<(), EffectFault> {
    let end = Instant::now() + GOING;
    let accepted = ApiFault::Unclear("its deletion was accepted".to_owned());
    while !is_gone(look(job, at, target, Some(&accepted)).await?.as_ref(), uid) {
        if Instant::now() >= end {
            return Err(unknown(target, "it is still there", &accepted));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Nothing, something else of that name, or on its way out.
fn is_gone(live: Option<&Value>, uid: &str) -> bool {
    live.is_none_or(|live| object::uid(live) != Some(uid) || object::is_terminating(live))
}
