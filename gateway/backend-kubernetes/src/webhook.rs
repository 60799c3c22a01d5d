//! The configuration of an admission webhook in the cluster. The API server names the webhook
//! alone, and an operator repairs its configuration. Reads names, and changes nothing.

use super::api::{ApiError, Cluster, Extent};
use cofferdam_core::model::escape;
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;

/// The kinds that have webhooks, each with its collection.
const KINDS: [(&str, &str); 2] = [
    ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
    ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
];

/// Configurations that are looked through, of each kind: some clusters have a hundred.
const EXTENT: Extent = Extent { page: 100, pages: 5 };

/// The time limit of the search. The search only adds text; after the limit the answer goes without
/// it.
const LONGEST: Duration = Duration::from_secs(5);

/// Configurations that are named. A webhook's name is unique within one configuration alone.
const NAMED: usize = 3;

/// How an operator finds the configuration of a webhook.
pub const FIND: &str = "`kubectl get mutatingwebhookconfigurations,validatingwebhookconfigurations -o \
     'custom-columns=KIND:.kind,NAME:.metadata.name,WEBHOOKS:.webhooks[*].name'`";

/// A configuration that has a webhook of the name that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    kind: &'static str,
    name: String,
}

impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind, escape::line(&self.name))
    }
}

impl Configuration {
    /// The command that shows it.
    pub fn command(&self) -> String {
        format!("`kubectl get {} {} -o yaml`", self.kind.to_lowercase(), escape::line(&self.name))
    }
}

/// The configurations that have a webhook of this name. Empty if this identity may not list them,
/// none has it, or the search takes too long.
pub async fn configurations(cluster: &Cluster, webhook: &str) -> Vec<Configuration> {
    let search = async {
        let mut found = Vec::new();
        for (kind, resource) in KINDS {
            found.extend(of(cluster, kind, resource, webhook).await?);
        }
        Ok::<_, ApiError>(found)
    };
    let mut found = match tokio::time::timeout(LONGEST, search).await {
        Ok(Ok(found)) => found,
        Ok(Err(_)) | Err(_) => Vec::new(),
    };
    found.truncate(NAMED);
    found
}

async fn of(
    cluster: &Cluster,
    kind: &'static str,
    resource: &str,
    webhook: &str,
) -> Result<Vec<Configuration>, ApiError> {
    let collection = format!("/apis/admissionregistration.k8s.io/v1/{resource}");
    let (items, _) = cluster.list_all(&collection, "", EXTENT, |item| kept(&item, webhook)).await?;
    let names = items.iter().filter_map(Value::as_str);
    Ok(names.map(|name| Configuration { kind, name: name.to_owned() }).collect())
}

/// The name of a configuration that has the webhook; of another, nothing is kept.
fn kept(item: &Value, webhook: &str) -> Value {
    let webhooks =
        item.get("webhooks").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let has = webhooks.iter().any(|one| one.get("name").and_then(Value::as_str) == Some(webhook));
    if has { item.pointer("/metadata/name").cloned().unwrap_or_default() } else { json!(null) }
}

/// The place of a webhook's configuration, and the command that shows it.
pub fn told(found: &[Configuration]) -> (String, String) {
    if found.is_empty() {
        return (String::new(), format!("{FIND} shows its configuration"));
    }
    let names: Vec<_> = found.iter().map(Configuration::to_string).collect();
    let commands: Vec<_> = found.iter().map(Configuration::command).collect();
    (
        format!("; it stands in {}", names.join(" and ")),
        format!("{} shows its service", commands.join(" or ")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_known_by_each_of_its_webhooks() {
        let item = json!({
            "metadata": {"name": "policies"},
            "webhooks": [{"name": "a.example.com"}, {"name": "b.example.com"}],
        });
        for (webhook, expect) in [
            ("a.example.com", json!("policies")),
            ("b.example.com", json!("policies")),
            ("example.com", json!(null)),
            ("policies", json!(null)),
        ] {
            assert_eq!(kept(&item, webhook), expect, "{webhook}");
        }
        assert_eq!(kept(&json!({"metadata": {"name": "empty"}}), "a.example.com"), json!(null));
    }

    #[test]
    fn what_was_found_is_told_with_its_command_and_else_how_it_is_found() {
        let (where_, how) = told(&[]);
        assert_eq!((where_.as_str(), how), ("", format!("{FIND} shows its configuration")));
        let of = |kind, name: &str| Configuration { kind, name: name.to_owned() };
        let (where_, how) = told(&[of(KINDS[0].0, "a"), of(KINDS[1].0, "b\u{202e}")]);
        assert_eq!(
            where_,
            "; it stands in MutatingWebhookConfiguration `a` and ValidatingWebhookConfiguration \
             `b\\u{202e}`"
        );
        assert!(
            how.starts_with(
                "`kubectl get mutatingwebhookconfiguration a -o yaml` or `kubectl get validating"
            ),
            "{how}"
        );
    }
}
