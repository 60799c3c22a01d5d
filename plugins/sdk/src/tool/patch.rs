//! Changes to fields, and the paths that name them. The host parses a path and checks it against
//! the ceiling.

use super::{Change, Patch, Step};
use serde::Serialize;

/// A value that only the runner knows. The plan holds its name, so the same request still gives the
/// same plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostValue {
    /// The call's id.
    CallId,
    /// The start of the job, as RFC 3339 in UTC.
    StartedAt,
}

impl Patch {
    /// Gives a field a new value. `None` removes it, as [`Patch::remove`] does.
    pub fn set(self, path: impl Into<String>, value: impl Serialize) -> Self {
        // A value without a JSON form becomes an empty text, which the host refuses. It never
        // removes a field by mistake.
        match serde_json::to_string(&value).unwrap_or_default() {
            null if null == "null" => self.change(path, None),
            text => self.change(path, Some(text)),
        }
    }

    /// Gives a field a value that only the runner knows.
    pub fn fill(self, path: impl Into<String>, value: HostValue) -> Self {
        let text = match value {
            HostValue::CallId => r#"{"$host":"call_id"}"#,
            HostValue::StartedAt => r#"{"$host":"started_at"}"#,
        };
        self.change(path, Some(text.into()))
    }

    /// Removes a field.
    pub fn remove(self, path: impl Into<String>) -> Self {
        self.change(path, None)
    }

    /// The finished step, with an undo: see [`Step::reversible`].
    pub fn reversible(self) -> Step {
        Step::from(self).reversible()
    }

    fn change(mut self, path: impl Into<String>, value: Option<String>) -> Self {
        self.changes.push(Change { path: path.into(), value });
        self
    }
}

/// The path of one key of a map, in quotes and brackets where it needs them: `data.COLOR`,
/// `data["app.properties"]`. A path has one spelling; the host refuses others.
pub fn key(map: &str, key: &str) -> String {
    let plain = key.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && key.chars().all(|other| other.is_ascii_alphanumeric() || other == '_' || other == '-');
    // Text always has a JSON form.
    if plain {
        format!("{map}.{key}")
    } else {
        format!("{map}[{}]", serde_json::to_string(key).unwrap_or_default())
    }
}

/// The path of a field of one list member, found by its merge key:
/// `spec.template.spec.containers[name=web].image`. Container and port names need no quotes;
/// for other values the input schema must forbid `]`.
pub fn member(list: &str, merge_key: &str, value: &str, field: &str) -> String {
    format!("{list}[{merge_key}={value}].{field}")
}

#[cfg(test)]
mod tests {
    use super::{HostValue, key, member};
    use crate::tool::{CONFIG_MAP, Change};

    fn check(of: &str, expect: &str) {
        assert_eq!(key("data", of), expect);
    }

    #[test]
    fn keys_are_quoted_where_a_path_would_misread_them() {
        check("COLOR", "data.COLOR");
        check("log-level", "data.log-level");
        check("app.properties", r#"data["app.properties"]"#);
        check("2", r#"data["2"]"#);
        check("-v", r#"data["-v"]"#);
        check("", r#"data[""]"#);
        check("*", r#"data["*"]"#);
        check(r#"a"b"#, r#"data["a\"b"]"#);
        assert_eq!(
            member("spec.template.spec.containers", "name", "web", "image"),
            "spec.template.spec.containers[name=web].image"
        );
    }

    #[test]
    fn values_are_json_text_and_null_removes() {
        let patch = CONFIG_MAP
            .patch("team-a", "web")
            .set("data.a", "b")
            .set("data.n", None::<String>)
            .remove("data.c")
            .fill("data.d", HostValue::CallId);
        let changes = [
            ("data.a", Some(r#""b""#)),
            ("data.n", None),
            ("data.c", None),
            ("data.d", Some(r#"{"$host":"call_id"}"#)),
        ];
        assert_eq!(
            patch.changes,
            changes.map(|(path, value)| Change { path: path.into(), value: value.map(Into::into) })
        );
    }
}
