//! The groups of approvers, which the policy's data may have as `approver_groups`: a name and its
//! people. A rule names a group as `group:NAME`, and the library puts its people in its place. Read
//! here to refuse a group that no rule could use; never part of a decision.

use super::json;
use super::trust::Approver;
use serde_json::Value;
use std::collections::BTreeMap;

/// The member of the policy's data.
const MEMBER: &str = "approver_groups";

/// The beginning of a group among approvers. No person has such a name.
pub const GROUP: &str = "group:";

/// The groups, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApproverGroups(BTreeMap<String, Vec<String>>);

/// An error in the groups of approvers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApproverGroupsError {
    /// The policy's data is not strict JSON.
    #[error("the policy's data is not strict JSON: {0}")]
    Json(String),
    /// The member has another form.
    #[error(
        "`{MEMBER}` in the policy's data: {0}; write `{{\"GROUP\": [\"bob@example.com\"]}}`, with the \
         names of people as they are enrolled"
    )]
    Form(String),
    /// A group has no people: no question to it could ever be answered.
    #[error(
        "`{MEMBER}.{0}` in the policy's data is empty, so that no person could ever sign for it; \
         add its people, or remove the group and the rules that name it"
    )]
    Empty(String),
    /// A group has `*` or another group as a member.
    #[error(
        "`{MEMBER}.{group}` in the policy's data has the member `{member}`; a group lists \
         people alone, neither `*` nor another group"
    )]
    Member {
        /// The group.
        group: String,
        /// The member.
        member: String,
    },
    /// The data names a group that it does not have.
    #[error(
        "the policy's data names the approvers `{GROUP}{0}`, and has no such group; add `{0}` with \
         its people to `{MEMBER}`"
    )]
    Unknown(String),
}

impl ApproverGroups {
    /// Reads the groups in the policy's data, which is JSON text. Data without the member has none.
    ///
    /// # Errors
    /// A member of another form, an empty group, a group in a group, or the name of an
    /// unknown group in a list `approvers` anywhere in the data.
    pub fn read(data: &str) -> Result<Self, ApproverGroupsError> {
        let data = json::strict(data.as_bytes())
            .map_err(|error| ApproverGroupsError::Json(error.to_string()))?;
        let groups: BTreeMap<String, Vec<String>> = match data.get(MEMBER) {
            None => BTreeMap::new(),
            Some(member) => serde_json::from_value(member.clone())
                .map_err(|error| ApproverGroupsError::Form(error.to_string()))?,
        };
        for (group, members) in &groups {
            if members.is_empty() {
                return Err(ApproverGroupsError::Empty(group.clone()));
            }
            let odd = |member: &&String| member.contains('*') || member.starts_with(GROUP);
            if let Some(member) = members.iter().find(odd) {
                let (group, member) = (group.clone(), member.clone());
                return Err(ApproverGroupsError::Member { group, member });
            }
        }
        match unknown(&data, &groups) {
            Some(name) => Err(ApproverGroupsError::Unknown(name)),
            None => Ok(Self(groups)),
        }
    }

    /// The members who are not enrolled under exactly this name, each with the group.
    pub fn strangers(&self, approvers: &[Approver]) -> Vec<(&str, &str)> {
        let is_stranger =
            |member: &&String| !approvers.iter().any(|approver| approver.name == **member);
        self.0
            .iter()
            .flat_map(|(group, members)| {
                members
                    .iter()
                    .filter(is_stranger)
                    .map(move |member| (group.as_str(), member.as_str()))
            })
            .collect()
    }
}

/// The first unknown group in a list `approvers` of the data.
fn unknown(value: &Value, groups: &BTreeMap<String, Vec<String>>) -> Option<String> {
    let absent = |entry: &Value| {
        let name = entry.as_str()?.strip_prefix(GROUP)?;
        (!groups.contains_key(name)).then(|| name.to_owned())
    };
    match value {
        Value::Array(items) => items.iter().find_map(|item| unknown(item, groups)),
        Value::Object(members) => members.iter().find_map(|(key, member)| match member {
            Value::Array(entries) if key == "approvers" => entries.iter().find_map(absent),
            other => unknown(other, groups),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_no_rule_could_use_is_named_with_a_remedy() {
        let check = |data: &str, expect: &str| {
            let told = ApproverGroups::read(data)
                .map_or_else(|error| error.to_string(), |_| "good".into());
            assert!(told.contains(expect), "{data}: {told}");
        };
        check("{}", "good");
        check(
            r#"{"approver_groups": {"leads": ["bob"]}, "a": [{"approvers": ["group:leads"]}]}"#,
            "good",
        );
        check(
            r#"{"approver_groups": {"leads": []}}"#,
            "`approver_groups.leads` in the policy's data is empty",
        );
        check(r#"{"approver_groups": {"leads": ["*"]}}"#, "neither `*` nor another group");
        check(r#"{"approver_groups": {"a": ["bob"], "b": ["group:a"]}}"#, "`approver_groups.b`");
        check(r#"{"approver_groups": {"leads": "bob"}}"#, "write `{\"GROUP\"");
        check(r#"{"approver_groups": ["bob"]}"#, "write `{\"GROUP\"");
        check(r#"{"approver_groups": null}"#, "write `{\"GROUP\"");
        check(r#"{"approver_groups": {"a": ["bob"], "a": ["eve"]}}"#, "not strict JSON");
        check(
            r#"{"approvals": {"x": {"approvers": ["group:leads"]}}}"#,
            "add `leads` with its people",
        );
    }

    #[test]
    fn members_who_are_not_enrolled_are_found() {
        let data = r#"{"approver_groups": {"leads": ["bob", "Carl"], "ops": ["dora"]}}"#;
        let enrolled =
            ["bob", "carl"].map(|name| Approver { name: name.into(), key: String::new() });
        let groups = ApproverGroups::read(data).unwrap();
        assert_eq!(groups.strangers(&enrolled), [("leads", "Carl"), ("ops", "dora")]);
    }
}
