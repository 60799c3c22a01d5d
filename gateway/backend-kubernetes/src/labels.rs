//! Names, labels and annotations of the objects of a run. A name derives from call and lease epoch,
//! so that the successor of a lost runner finds them. An object belongs to a run only if its name
//! *and* its labels say so. Pure.

use cofferdam_core::model::id::{CallId, Fence, PlanDigest};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// The prefix of a run's name.
const PREFIX: &str = "cofferdam-run-";

/// The namespace of Cofferdam's own identities.
pub const HOME: &str = "cofferdam-system";

/// The field manager of the objects of a run.
pub const MANAGER: &str = "cofferdam-runner";

/// The ServiceAccount that target operations run as, and the name of its Role and RoleBinding in
/// the run's namespace.
pub const JOB: &str = "job";

/// The ServiceAccount that Pods run as: no binding.
pub const TASK: &str = "task";

/// The Secret that tokens are bound to. It is empty, and the tokens end with it. No other Secret
/// has that name, on which the provisioner has rights everywhere.
pub const IDENTITY: &str = "cofferdam-identity";

/// The provisioner's ServiceAccount, and the RoleBinding with which it takes on what it needs in a
/// run.
pub const PROVISIONER: &str = "provisioner";

/// Label of everything that Cofferdam created: `true`.
pub const MANAGED: &str = "cofferdam.dev/managed";
/// Label with the id of the call.
pub const CALL: &str = "cofferdam.dev/call";
/// Label: the fence of the lease it was made under.
pub const FENCE: &str = "cofferdam.dev/fence";

/// Annotation: after this moment the reaper removes it, RFC 3339.
pub const EXPIRES: &str = "cofferdam.dev/expires-at";
/// Annotation: the plan's digest.
pub const PLAN: &str = "cofferdam.dev/plan";
/// Annotation: the namespaces with derived rights, sorted, with commas between.
pub const TARGETS: &str = "cofferdam.dev/targets";
/// Annotation with the objects to remove before the namespace, as `batch/v1/jobs/NAME`, with commas
/// between.
pub const WORKLOAD: &str = "cofferdam.dev/workload";

/// The name of one run: of its namespace, and of its derived rights at targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunName {
    /// The call of the run.
    pub call: CallId,
    /// The lease's fencing token.
    pub fence: Fence,
}

impl RunName {
    /// The name of a call's run under a lease.
    pub fn new(call: &CallId, fence: Fence) -> Self {
        Self { call: call.clone(), fence }
    }

    /// Reads a name back; none for any other.
    pub fn parse(name: &str) -> Option<Self> {
        let (call, fence) = name.strip_prefix(PREFIX)?.split_once('-')?;
        let own = Self { call: CallId::parse(call).ok()?, fence: Fence(fence.parse().ok()?) };
        // One spelling only: no `01`, no `+1`, and fences begin at one.
        (own.fence.0 > 0 && own.to_string() == name).then_some(own)
    }

    /// The run that an object in the API is of: its name says so, and its labels say the same.
    pub fn of(object: &Value) -> Option<Self> {
        let own = Self::parse(name(object)?)?;
        let labels = object.pointer("/metadata/labels")?;
        let bears =
            own.labels().iter().filter(|(key, _)| key.starts_with("cofferdam.dev/")).all(
                |(key, value)| labels.get(key).and_then(Value::as_str) == Some(value.as_str()),
            );
        bears.then_some(own)
    }

    /// The labels of everything in a run.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let label = |key: &str, value: String| (key.to_owned(), value);
        BTreeMap::from([
            label(MANAGED, "true".to_owned()),
            label(CALL, self.call.to_string()),
            label(FENCE, self.fence.to_string()),
            label("app.kubernetes.io/managed-by", "cofferdam".to_owned()),
        ])
    }
}

impl fmt::Display for RunName {
    /// Writes `cofferdam-run-CALL-EPOCH`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}-{}", self.call, self.fence)
    }
}

/// The label selector of all objects of Cofferdam.
pub fn managed() -> String {
    format!("{MANAGED}=true")
}

/// The label selector of everything made for a call.
pub fn made_for(call: &CallId) -> String {
    format!("{MANAGED}=true,{CALL}={call}")
}

/// The name of an object.
pub fn name(object: &Value) -> Option<&str> {
    object.pointer("/metadata/name").and_then(Value::as_str)
}

/// The namespace of an object.
pub fn namespace(object: &Value) -> Option<&str> {
    object.pointer("/metadata/namespace").and_then(Value::as_str)
}

/// One of an object's annotations.
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.pointer("/metadata/annotations")?.get(key)?.as_str()
}

/// The members of an annotation that is a list.
pub fn listed<'a>(object: &'a Value, key: &str) -> Vec<&'a str> {
    annotation(object, key)
        .map(|text| text.split(',').filter(|entry| !entry.is_empty()).collect())
        .unwrap_or_default()
}

/// A moment as annotations spell it: RFC 3339, UTC, whole seconds.
pub fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Returns whether the expiry of an object is over. An object without a readable expiry does not
/// expire: it is reported, and never removed.
pub fn is_expired(object: &Value, now: Timestamp) -> bool {
    annotation(object, EXPIRES)
        .and_then(|text| text.parse::<Timestamp>().ok())
        .is_some_and(|end| end <= now)
}

/// The labels and annotations of every object of one run.
#[derive(Debug, Clone)]
pub struct Marks {
    /// The name of the run.
    pub name: RunName,
    /// When the reaper removes it.
    pub expires: Timestamp,
    /// The plan it is for.
    pub plan: PlanDigest,
}

impl Marks {
    /// The metadata of an object of this run; in a namespace, or of a namespace with an empty one.
    pub fn metadata(&self, namespace: &str, name: &str) -> ObjectMeta {
        ObjectMeta {
            name: Some(name.to_owned()),
            namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
            labels: Some(self.name.labels()),
            annotations: Some(BTreeMap::from([
                (EXPIRES.to_owned(), moment(self.expires)),
                (PLAN.to_owned(), self.plan.to_string()),
            ])),
            ..ObjectMeta::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run() -> RunName {
        RunName::new(&CallId::from_random(7), Fence(3))
    }

    #[test]
    fn names_read_back_in_one_spelling_only() {
        let name = run().to_string();
        assert_eq!(RunName::parse(&name), Some(run()));
        assert!(name.len() <= 63, "{name}");
        let call = run().call;
        for bad in ["03", "+3", "0", "3-", "-3", "", "3a", "18446744073709551616"] {
            assert_eq!(RunName::parse(&format!("cofferdam-run-{call}-{bad}")), None, "{bad}");
        }
        assert_eq!(RunName::parse("cofferdam-run-short-3"), None);
        assert_eq!(RunName::parse("kube-system"), None);
    }

    #[test]
    fn name_and_labels_have_to_agree() {
        let marks =
            Marks { name: run(), expires: Timestamp::UNIX_EPOCH, plan: PlanDigest::of(b"plan") };
        let mut object = json!({"metadata": marks.metadata("", &run().to_string())});
        assert_eq!(RunName::of(&object), Some(run()));
        assert!(is_expired(&object, Timestamp::UNIX_EPOCH));
        for (key, value) in [(MANAGED, "false"), (FENCE, "4"), (CALL, "other")] {
            let mut other = object.clone();
            other["metadata"]["labels"][key] = json!(value);
            assert_eq!(RunName::of(&other), None, "{key}");
        }
        object["metadata"]["name"] = json!("production");
        assert_eq!(RunName::of(&object), None);
        object["metadata"]["annotations"][EXPIRES] = json!("soon");
        assert!(!is_expired(&object, Timestamp::UNIX_EPOCH));
    }
}
