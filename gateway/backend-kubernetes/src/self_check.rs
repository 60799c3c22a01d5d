//! The self-check at start: requests that the cluster must reject, sent with a role's own
//! credential before any other request. A role does not start if an admission policy is missing.
//! Changes nothing: probes are dry runs, in a namespace that `deploy/` creates for them alone.
//!
//! An access review is not enough, since it sees RBAC and no admission policy. A refusal counts
//! only in the words of the policy, since another refusal would hide that the policy is missing.
//! The check waits for a policy that is applied and not yet in effect.

mod probes;
mod retry;

use super::api::{ApiError, Cluster, Mode};
use super::credential::Credential;
use super::error_text;
use super::review::{self, identity_secret, token_request};
use super::typed::to_json;
use cofferdam_core::model::escape;
use cofferdam_core::protocol::role_settings::JobIdentity;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use probes::{Answer, Probe, RUN, Right};
use retry::RetryWindow;
use serde_json::Value;

/// The file of `deploy/` with what impersonation needs.
const OPTION: &str = "options/impersonation.yaml";

/// Whose credential is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// The role `runner`'s own, and how its jobs act.
    Provisioner(JobIdentity),
    /// The account of the role `viewer`.
    Viewer,
    /// The account of the role `reaper`.
    Reaper,
}

impl Identity {
    /// Its ServiceAccount in the namespace `cofferdam-system`.
    pub fn account(self) -> &'static str {
        match self {
            Self::Provisioner(_) => "provisioner",
            Self::Viewer => "viewer",
            Self::Reaper => "reaper",
        }
    }
}

/// Why a role must not start with this credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// The credential belongs to another account, such as an administrator's, to which no admission
    /// policy of Cofferdam applies.
    #[error(
        "the credential is `{given}`, not `{expected}`: the admission policies apply to the latter alone; \
         give this role a token of that ServiceAccount"
    )]
    Stranger {
        /// The account according to the API server.
        given: String,
        /// The account of the role.
        expected: String,
    },
    /// RBAC gives a right that no other rule would take away.
    #[error(
        "the credential may {right}, which is forbidden; find the binding with `kubectl get \
         clusterrolebindings,rolebindings -A -o wide`, and remove it"
    )]
    Excess {
        /// The right, as `get secrets in every namespace`.
        right: String,
    },
    /// A fence is not there, or lets through what it must refuse.
    #[error(
        "the admission policy `{fence}` is missing or not in effect: {probe} was allowed; apply \
         `deploy/{file}`"
    )]
    Open {
        /// The name of the policy.
        fence: &'static str,
        /// The probe that was sent.
        probe: &'static str,
        /// The file of `deploy/` that has it.
        file: &'static str,
    },
    /// A fence is there, and the API server does not go by it.
    #[error(
        "the admission policy `{fence}` is applied and not in effect: {probe} was still allowed \
         after {} s; compare `kubectl get \
         validatingadmissionpolicy,validatingadmissionpolicybinding {fence} -o yaml` with \
         `deploy/{file}`",
        retry::LONGEST.as_secs()
    )]
    Idle {
        /// The name of the policy.
        fence: &'static str,
        /// The probe that was sent.
        probe: &'static str,
        /// The file of `deploy/` that has it.
        file: &'static str,
    },
    /// Something else refused, so that the fence cannot be seen.
    #[error(
        "the admission policy `{fence}` cannot be checked: another rule refused {probe}; apply all of \
         `deploy/`. The API server said: {said}"
    )]
    Hidden {
        /// The name of the policy.
        fence: &'static str,
        /// The probe that was sent.
        probe: &'static str,
        /// The refusal of the API server.
        said: String,
    },
    /// Jobs shall act by impersonation, and what that needs is not there.
    #[error(
        "`job_identity` is \"impersonation\", and the credential may not {right}: apply \
         `deploy/{OPTION}`, or set it to \"token\""
    )]
    NotInstalled {
        /// The right that is missing.
        right: String,
    },
    /// Jobs act by tokens, and the right to impersonate them is there all the same.
    #[error(
        "`job_identity` is \"token\", and the credential may {right}: `kubectl delete -f \
         deploy/{OPTION}`, or set it to \"impersonation\""
    )]
    Unasked {
        /// The right that no role needs.
        right: String,
    },
    /// Admission of others adds to a run's namespace what may not be there.
    #[error(
        "{probe} was refused, so that no job can run: {}. The API server said: {said}",
        error_text::FINALIZED
    )]
    Finalized {
        /// The probe that was sent.
        probe: &'static str,
        /// The refusal of the API server.
        said: String,
    },
    /// The cluster rejects a request that the role needs.
    #[error(
        "{probe} was refused, and this role needs it; apply all of `deploy/`. The API server \
         said: {said}"
    )]
    Shut {
        /// The probe that was sent.
        probe: &'static str,
        /// The refusal of the API server.
        said: String,
    },
    /// The cluster did not answer.
    #[error("the start-up self-check could not ask the cluster: {0}")]
    Unanswered(#[from] ApiError),
}

/// Checks that a credential is refused what its identity must not do, and is allowed what it needs.
/// Changes nothing. Waits at most 20 seconds for a policy that is applied and not yet in effect;
/// the log says so.
pub async fn check(credential: &Credential, identity: Identity) -> Result<(), CheckError> {
    check_aloud(credential, identity, |words| tracing::warn!(what = "rights", "{words}")).await
}

/// The same as [`check`]. Calls `tell` once with the reason if it has to wait.
pub async fn check_aloud(
    credential: &Credential,
    identity: Identity,
    tell: impl Fn(&str),
) -> Result<(), CheckError> {
    let cluster = Cluster::connect(credential)?;
    check_account(&cluster, identity).await?;
    for right in probes::forbidden_rights() {
        if has_right(&cluster, &right).await? {
            return Err(CheckError::Excess { right: right.to_string() });
        }
    }
    if let Identity::Provisioner(jobs) = identity {
        check_impersonation_option(&cluster, jobs).await?;
    }
    let mut retries = RetryWindow::new(&cluster, tell);
    for probe in probes::identity_probes(identity) {
        retries.until_effective(|| run_probe(&cluster, &probe)).await?;
    }
    if let Identity::Provisioner(jobs) = identity {
        // Policies that do not apply to the provisioner itself are probed as a job.
        let job = match jobs {
            JobIdentity::Token => {
                let token = retries.until_effective(|| token(&cluster)).await?;
                Cluster::connect_as(credential, token, None)?
            }
            JobIdentity::Impersonation => Cluster::impersonating(
                credential,
                &format!("system:serviceaccount:{RUN}:job"),
                None,
            )?,
        };
        for probe in probes::job_probes() {
            retries.until_effective(|| run_probe(&job, &probe)).await?;
        }
    }
    Ok(())
}

/// Checks that the option to impersonate is installed if it is configured, and absent otherwise.
async fn check_impersonation_option(
    cluster: &Cluster,
    jobs: JobIdentity,
) -> Result<(), CheckError> {
    for right in probes::impersonation_rights() {
        match (jobs, has_right(cluster, &right).await?) {
            (JobIdentity::Impersonation, false) => {
                return Err(CheckError::NotInstalled { right: right.to_string() });
            }
            (JobIdentity::Token, true) => {
                return Err(CheckError::Unasked { right: right.to_string() });
            }
            (JobIdentity::Impersonation, true) | (JobIdentity::Token, false) => {}
        }
    }
    Ok(())
}

/// It is who it should be.
async fn check_account(cluster: &Cluster, identity: Identity) -> Result<(), CheckError> {
    let given = review::own_name(cluster).await?.unwrap_or_default();
    let expected = format!("system:serviceaccount:cofferdam-system:{}", identity.account());
    if given == expected {
        Ok(())
    } else {
        Err(CheckError::Stranger { given: escape::line(&given), expected })
    }
}

/// Returns whether RBAC gives a right. Only a clear response counts.
async fn has_right(cluster: &Cluster, right: &Right) -> Result<bool, CheckError> {
    let Right { verb, group, resource, subresource, namespace, name } = right;
    let text = |part: &str| Some(part.to_owned());
    let review = to_json(&SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                verb: text(verb),
                group: text(group),
                resource: text(resource),
                subresource: text(subresource),
                namespace: text(namespace),
                name: text(name),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    });
    let answer = cluster
        .create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &review, Mode::Real)
        .await?;
    let allowed = answer.pointer("/status/allowed").and_then(Value::as_bool);
    allowed.ok_or_else(|| ApiError::Unclear("an access review without an answer".to_owned()).into())
}

async fn run_probe(cluster: &Cluster, probe: &Probe) -> Result<(), CheckError> {
    let body = probe.body.as_ref().map(|(kind, object)| (*kind, object));
    let answer = cluster.ask(&probe.method, &probe.path, probe.query, body).await;
    match (&probe.answer, answer) {
        (Answer::Done, Ok(_)) => Ok(()),
        (Answer::Done, Err(ApiError::Refused { message, .. }))
            if error_text::is_finalized(&message) =>
        {
            Err(CheckError::Finalized { probe: probe.what, said: escape::line(&message) })
        }
        (Answer::Done, Err(ApiError::Refused { message, .. })) => {
            Err(CheckError::Shut { probe: probe.what, said: escape::line(&message) })
        }
        (Answer::RefusedBy { fence, file, .. }, Ok(_)) => {
            Err(CheckError::Open { fence, probe: probe.what, file })
        }
        (Answer::RefusedBy { fence, file, says }, Err(ApiError::Refused { message, .. })) => {
            if is_denied_by(&message, fence) && message.contains(says) {
                Ok(())
            // Admission checks the quota last: if it is exceeded, no policy rejected the request.
            } else if message.contains("exceeded quota") {
                Err(CheckError::Open { fence, probe: probe.what, file })
            } else {
                Err(CheckError::Hidden { fence, probe: probe.what, said: escape::line(&message) })
            }
        }
        (_, Err(error)) => Err(error.into()),
    }
}

/// Returns whether a message is a refusal by this policy, installed as an object or, from 1.37 on,
/// as a file of the API server.
fn is_denied_by(message: &str, fence: &str) -> bool {
    message.contains(&format!("ValidatingAdmissionPolicy '{fence}'"))
        || message.contains(&format!("ValidatingAdmissionPolicy '{fence}.static.k8s.io'"))
}

/// A token of the self-check's own `job`, which has rights in no other namespace but those that are
/// tried here.
async fn token(cluster: &Cluster) -> Result<String, CheckError> {
    const WHAT: &str = "a token for `job` in the self-check's namespace";
    let request = token_request(Some(identity_secret(None)), &[]);
    let path = format!("/api/v1/namespaces/{RUN}/serviceaccounts/job/token");
    let answer =
        cluster.create(&path, &request, Mode::Real).await.map_err(|error| match error {
            ApiError::Refused { message, .. } => {
                CheckError::Shut { probe: WHAT, said: escape::line(&message) }
            }
            other => other.into(),
        })?;
    let token = answer.pointer("/status/token").and_then(Value::as_str);
    token
        .map(str::to_owned)
        .ok_or_else(|| ApiError::Unclear("a token request without a token".to_owned()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_counts_in_the_policys_own_name() {
        let said = |policy: &str| {
            format!(
                "pods \"x\" is forbidden: ValidatingAdmissionPolicy '{policy}' with binding 'b' \
                 denied request: no"
            )
        };
        assert!(is_denied_by(&said("cofferdam-viewer"), "cofferdam-viewer"));
        assert!(is_denied_by(&said("cofferdam-viewer.static.k8s.io"), "cofferdam-viewer"));
        assert!(!is_denied_by(&said("cofferdam-viewer-2"), "cofferdam-viewer"));
        assert!(!is_denied_by(
            "pods \"cofferdam-viewer\" is forbidden: User \"x\" cannot create resource \"pods\"",
            "cofferdam-viewer"
        ));
    }
}
