//! Errors of a read of a cluster, in two kinds: an agent can remedy the first, only an operator the
//! second. Never passes on the server's words about Cofferdam's own identities.

use super::api::ApiError;
use super::error_text::quoted;
use cofferdam_backend::refusal::Refusal;

/// The remedy if an administrator has not given a right.
const OPT_IN: &str = "an administrator opts the namespace in: label it and bind the ceiling \
                      there, as `deploy/README.md` says; or name another namespace";

/// All that the server says when a JSON Patch's `test` does not hold.
const UNPATCHED: &str = "the server rejected our request due to an error in our request";

/// A read without a result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookError {
    /// The infrastructure is not as the plan needs it, or would not take it: for the agent.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The infrastructure cannot be asked: for the operator.
    #[error(transparent)]
    Unavailable(ApiError),
}

impl LookError {
    /// The meaning of an error of a request to `what`: `patch Deployment web in namespace shop`.
    pub(super) fn of(error: ApiError, what: &str) -> Self {
        let (status, message) = match &error {
            ApiError::Refused { status, message, .. } => (*status, message),
            _ => return Self::Unavailable(error),
        };
        let said = quoted(message);
        let refusal = match status {
            404 => Refusal::new(
                "not-found",
                format!("cannot {what}: {said}"),
                "list what is there and name one of those",
            ),
            409 => Refusal::new(
                "conflict",
                format!("cannot {what}: {said}"),
                "read the object again and ask for what it needs now",
            ),
            // The server's words name the identity and its rights. An agent must not see them.
            403 | 422 if by_rights(message) => {
                tracing::warn!(what, error = said, "this identity has no right to a read");
                Refusal::new("forbidden", format!("Cofferdam has no rights to {what}"), OPT_IN)
            }
            403 => Refusal::new(
                "forbidden",
                format!("the cluster would refuse to {what}: {said}"),
                "ask for what the cluster's rules admit",
            ),
            422 if message.contains(UNPATCHED) => Refusal::new(
                "conflict",
                format!("the object changed while trying to {what}"),
                "ask again",
            ),
            400 | 405 | 413 | 415 | 422 => Refusal::new(
                "invalid",
                format!("the API server would not take it to {what}: {said}"),
                "correct what it names, and ask again",
            ),
            _ => {
                tracing::warn!(what, status, error = said, "the API server refused a read");
                return Self::Unavailable(error);
            }
        };
        Self::Refused(refusal)
    }
}

/// Returns whether RBAC or an admission policy of Cofferdam (`deploy/`) refused, and not a rule of
/// the cluster about the change. RBAC says `User "…" cannot patch resource …`; a
/// ValidatingAdmissionPolicy gives its name.
fn by_rights(message: &str) -> bool {
    (message.contains(" is forbidden: User ") && message.contains(" cannot "))
        || message.contains("ValidatingAdmissionPolicy 'cofferdam-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, message: &str, expect: &str) {
        let error =
            ApiError::Refused { status, reason: String::new(), message: message.to_owned() };
        let got = match LookError::of(error, "patch Deployment web in namespace shop") {
            LookError::Refused(Refusal { code, reason, .. }) => format!("{code}: {reason}"),
            LookError::Unavailable(error) => format!("unavailable: {error}"),
        };
        assert_eq!(got, expect);
    }

    #[test]
    fn the_agents_faults_and_the_operators_are_told_apart() {
        let rbac = "deployments.apps \"web\" is forbidden: User \"cofferdam-viewer\" cannot patch \
                    resource \"deployments\" in API group \"apps\" in the namespace \"shop\"";
        check(
            403,
            rbac,
            "forbidden: Cofferdam has no rights to patch Deployment web in namespace shop",
        );
        let fence = "deployments.apps \"web\" is forbidden: ValidatingAdmissionPolicy \
                     'cofferdam-viewer' with binding 'cofferdam-viewer' denied request: the \
                     viewer tries writes in namespaces that opted in, nowhere else";
        check(
            422,
            fence,
            "forbidden: Cofferdam has no rights to patch Deployment web in namespace shop",
        );
        check(
            403,
            "exceeded quota: small",
            "forbidden: the cluster would refuse to patch Deployment web in namespace shop: the \
             API server says \"exceeded quota: small\"",
        );
        let said = |words: &str| {
            format!("patch Deployment web in namespace shop: the API server says \"{words}\"")
        };
        check(
            409,
            "conflict\nwith \"x\"",
            &said("conflict; with 'x'").replace("patch", "conflict: cannot patch"),
        );
        check(404, "gone", &said("gone").replace("patch", "not-found: cannot patch"));
        check(422, "bad", &format!("invalid: the API server would not take it to {}", said("bad")));
        check(
            422,
            UNPATCHED,
            "conflict: the object changed while trying to patch Deployment web in namespace shop",
        );
        let whole = r#" "" is invalid: patch: Invalid value: "{\"data\":{\"other\":\"1\"}}": strict decoding error: unknown field "dta""#;
        let form = said(
            "'' is invalid: patch: Invalid value: (not shown): strict decoding error: unknown \
             field 'dta'",
        );
        check(422, whole, &format!("invalid: the API server would not take it to {form}"));
        check(401, "who?", "unavailable: the API server refused it (401 ): who?");
        check(429, "later", "unavailable: the API server refused it (429 ): later");
        let error = LookError::of(ApiError::Unclear("lost".into()), "x");
        assert_eq!(error, LookError::Unavailable(ApiError::Unclear("lost".into())));
    }
}
