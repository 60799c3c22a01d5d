//! What an API server's refusal is called in a job's outcome, which its agent reads: the server's words on one line, without those about this
//! software's own identities, which go to the log alone.

use super::api::ApiFault;
use cofferdam_core::text;

/// A fault in words for an outcome.
pub fn said(fault: &ApiFault) -> String {
    match fault {
        ApiFault::Refused { status, message, .. } if fault.is_forbidden() && is_about_rights(message) => {
            tracing::warn!(status, fault = text::line(message), "the cluster gives this identity no right to it");
            "the cluster gives Cofferdam no right to it".to_owned()
        }
        ApiFault::Refused { message, .. } => quoted(message),
        other => text::line(&other.to_string()),
    }
}

/// How the server begins to tell of a JSON Patch that gives an object of another form: it goes on with the whole object.
const WHOLE: &str = "patch: Invalid value: \"{";

/// The server's words, on one line. Where it quotes the whole object nothing of that is passed on: a plan shows the fields that it names.
pub fn quoted(message: &str) -> String {
    if message.contains(WHOLE) {
        return "a field is not known to the kind, or its value is not of the field's type".to_owned();
    }
    text::line(message)
}

/// RBAC and its escalation check name the identity and its rights; admission says something else with the same status.
fn is_about_rights(message: &str) -> bool {
    message.contains(" is forbidden: User ") || message.contains("attempting to grant RBAC permissions") || message == "Unauthorized"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, message: &str, expect: &str) {
        let fault = ApiFault::Refused { status, reason: String::new(), message: message.to_owned() };
        assert_eq!(said(&fault), expect);
    }

    #[test]
    fn rights_are_no_agents_business() {
        let hidden = "the cluster gives Cofferdam no right to it";
        check(
            403,
            r#"deployments.apps "web" is forbidden: User "system:serviceaccount:x:job" cannot patch resource "deployments""#,
            hidden,
        );
        check(
            403,
            r#"roles "x" is forbidden: user "system:y" (groups=[]) is attempting to grant RBAC permissions not currently held: {}"#,
            hidden,
        );
        check(401, "Unauthorized", hidden);
        check(403, "pods \"x\" is forbidden: exceeded quota: limits", "pods \"x\" is forbidden: exceeded quota: limits");
        check(422, "bad\nvalue", r"bad\u{a}value");
    }
}
