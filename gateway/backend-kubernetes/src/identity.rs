//! The identity of a job: the ServiceAccount `job` of its run, by tokens or by impersonation. The
//! API server sees the same name either way, so rights, admission policies and the gate are the
//! same (DECISIONS.md 32). Takes on no other identity, and none before the API server agreed.

use super::api::{ApiError, Bearer, Cluster, Gate};
use super::credential::Credential;
use super::labels::JOB;
use super::namespace::{Maker, RIGHTS_WAIT};
use super::poll::Poll;
use super::{review, run_objects};
use cofferdam_core::protocol::role_settings::JobIdentity;

/// The connection of the job. Its tokens are bound to the Secret with the UID `secret`; `gate`
/// limits its requests on this side.
pub(super) async fn connect(
    maker: Maker<'_>,
    run: &str,
    secret: &str,
    gate: Option<Gate>,
) -> Result<Cluster, ApiError> {
    let Maker { provisioner, credential, jobs } = maker;
    let job = match jobs {
        JobIdentity::Token => {
            // Tokens end with the Secret that they are bound to: at the latest with the namespace.
            let bound = review::identity_secret(Some(secret));
            Cluster::connect_for(
                credential,
                Bearer::new(provisioner.clone(), run_objects::token_path(run), bound),
                gate,
            )?
        }
        JobIdentity::Impersonation => impersonate(credential, run, gate).await?,
    };
    Ok(job.with_write_time(provisioner.write_time()))
}

/// The provisioner's connection as the job, once the API server says that it is: the right was
/// bound a moment ago, and its authorizer takes its time.
async fn impersonate(
    credential: &Credential,
    run: &str,
    gate: Option<Gate>,
) -> Result<Cluster, ApiError> {
    let user = format!("system:serviceaccount:{run}:{JOB}");
    // Without the gate, which allows the plan's objects alone.
    let asking = Cluster::impersonating(credential, &user, None)?;
    let mut poll = Poll::within(RIGHTS_WAIT);
    loop {
        match review::own_name(&asking).await {
            Err(error) if error.is_forbidden() || error.is_unclear() => {
                if !poll.again().await {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
            Ok(Some(name)) if name == user => {
                return Cluster::impersonating(credential, &user, gate);
            }
            Ok(_) => {
                return Err(ApiError::Unclear(
                    "the API server names another identity than was asked for".to_owned(),
                ));
            }
        }
    }
}
