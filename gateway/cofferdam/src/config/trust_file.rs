//! Edits `trust.toml` one entry at a time. Comments and order remain. The whole file is checked
//! before it atomically replaces the old one.

use crate::config::home::{Home, write_private};
use anyhow::{Context as _, Result, anyhow, bail};
use cofferdam_core::model::console_role::{ConsoleEntry, ConsoleRole};
use cofferdam_core::model::delegation::SignedDelegation;
use cofferdam_core::model::id::PolicyDigest;
use cofferdam_core::model::trust::{Approver, Trust, TrustedCommand, TrustedExecutor, TrustedTool};
use serde::Serialize;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use toml_edit::{ArrayOfTables, DocumentMut, Item, RawString, Table, value};

/// An editor of a trust file.
#[derive(Debug)]
pub struct TrustFile {
    path: PathBuf,
    document: DocumentMut,
}

impl TrustFile {
    /// Reads the trust file of a home.
    pub fn open(home: &Home) -> Result<Self> {
        let path = home.trust();
        super::require_made(home)?;
        let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
        Self::of(path, &text)
    }

    /// Parses the text of a trust file at this path.
    pub fn of(path: PathBuf, text: &str) -> Result<Self> {
        let document = text.parse().with_context(|| {
            format!("`{}` is not TOML; restore it from a backup", path.display())
        })?;
        Ok(Self { path, document })
    }

    /// The trust file, parsed with all changes.
    pub fn trust(&self) -> Result<Trust> {
        Trust::parse(&self.document.to_string())
            .with_context(|| format!("`{}`", self.path.display()))
    }

    /// The text with all changes.
    pub fn text(&self) -> String {
        self.document.to_string()
    }

    /// Adds a tool, or replaces the one of its name.
    pub fn put_tool(&mut self, tool: &TrustedTool) -> Result<()> {
        self.put("tool", &tool.name, tool)
    }

    /// Keeps the entry that a tool replaced, for people who compare.
    pub fn put_replaced(&mut self, tool: &TrustedTool) -> Result<()> {
        self.put("replaced", &tool.name, tool)
    }

    /// Adds an executor, or replaces the one of its name.
    pub fn put_executor(&mut self, executor: &TrustedExecutor) -> Result<()> {
        self.put("executor", &executor.name, executor)
    }

    /// Adds a Wasm command, or replaces the one of its name.
    pub fn put_command(&mut self, command: &TrustedCommand) -> Result<()> {
        self.put("command", &command.name, command)
    }

    /// Adds an approver, or another key of this approver.
    pub fn add_approver(&mut self, approver: &Approver) -> Result<()> {
        let table = table_of(approver)?;
        self.list("approver")?.push(table);
        Ok(())
    }

    /// Removes every key of this approver; returns their number.
    pub fn remove_approver(&mut self, name: &str) -> Result<usize> {
        let list = self.list("approver")?;
        let before = list.len();
        list.retain(|entry| entry.get("name").and_then(Item::as_str) != Some(name));
        Ok(before - list.len())
    }

    /// Adds a delegation.
    pub fn add_delegation(&mut self, delegation: &SignedDelegation) -> Result<()> {
        let table = table_of(delegation)?;
        self.list("delegation")?.push(table);
        Ok(())
    }

    /// Removes every delegation that is not among these; returns their number.
    pub fn retain_delegations(&mut self, kept: &[SignedDelegation]) -> Result<usize> {
        let list = self.list("delegation")?;
        let before = list.len();
        let is =
            |entry: &Table, key, value: &str| entry.get(key).and_then(Item::as_str) == Some(value);
        list.retain(|entry| {
            kept.iter().any(|kept| {
                is(entry, "delegation", &kept.delegation) && is(entry, "signature", &kept.signature)
            })
        });
        Ok(before - list.len())
    }

    /// Gives a person of the console a role by one passkey.
    pub fn add_console(&mut self, entry: &ConsoleEntry) -> Result<()> {
        let table = table_of(entry)?;
        self.list("console")?.push(table);
        Ok(())
    }

    /// Removes a role of a person, or both roles of the console; returns the number of entries.
    pub fn remove_console(&mut self, name: &str, role: Option<ConsoleRole>) -> Result<usize> {
        let list = self.list("console")?;
        let before = list.len();
        let text = |entry: &Table, key| {
            entry.get(key).and_then(Item::as_str).unwrap_or_default().to_owned()
        };
        list.retain(|entry| {
            text(entry, "name") != name
                || role.is_some_and(|role| text(entry, "role") != role.word())
        });
        Ok(before - list.len())
    }

    /// Removes every entry of the console that is not among these; returns their number.
    pub fn retain_console(&mut self, kept: &[ConsoleEntry]) -> Result<usize> {
        let list = self.list("console")?;
        let before = list.len();
        let is =
            |entry: &Table, key, value: &str| entry.get(key).and_then(Item::as_str) == Some(value);
        list.retain(|entry| {
            kept.iter().any(|kept| {
                is(entry, "name", &kept.name)
                    && is(entry, "role", kept.role.word())
                    && is(entry, "key", &kept.key)
            })
        });
        Ok(before - list.len())
    }

    /// Removes every key that is not among these; returns their number.
    pub fn retain_approvers(&mut self, kept: &[Approver]) -> Result<usize> {
        let list = self.list("approver")?;
        let before = list.len();
        let text = |entry: &Table, key| {
            entry.get(key).and_then(Item::as_str).unwrap_or_default().to_owned()
        };
        list.retain(|entry| {
            kept.iter()
                .any(|kept| kept.name == text(entry, "name") && kept.key == text(entry, "key"))
        });
        Ok(before - list.len())
    }

    /// Sets the accepted policy.
    pub fn set_policy(&mut self, digest: PolicyDigest) {
        let fresh = value(digest.to_string());
        match self.document.get_mut("policy").and_then(Item::as_value_mut) {
            // Keeps the comment after the value.
            Some(old) => {
                let decor = old.decor().clone();
                if let Ok(mut new) = fresh.into_value() {
                    *new.decor_mut() = decor;
                    *old = new;
                }
            }
            None => {
                self.document.insert("policy", fresh);
            }
        }
    }

    /// Adds a comment above the entry of this name, after existing ones.
    pub fn note(&mut self, list: &str, name: &str, comment: Option<&str>) -> Result<()> {
        let entries = self.list(list)?;
        let entry =
            entries.iter_mut().find(|entry| entry.get("name").and_then(Item::as_str) == Some(name));
        if let (Some(entry), Some(comment)) = (entry, comment) {
            let above = entry.decor().prefix().and_then(RawString::as_str).unwrap_or("\n");
            let above = format!("{above}# {comment}\n");
            entry.decor_mut().set_prefix(above);
        }
        Ok(())
    }

    /// Adds a comment above the digest of the policy.
    pub fn note_policy(&mut self, comment: Option<&str>) {
        if let (Some(mut key), Some(comment)) = (self.document.key_mut("policy"), comment) {
            let above = key.leaf_decor().prefix().and_then(RawString::as_str).unwrap_or_default();
            let above = format!("{above}# {comment}\n");
            key.leaf_decor_mut().set_prefix(above);
        }
    }

    /// Checks the file and writes it, if roles can parse it.
    pub fn save(&self) -> Result<Trust> {
        let text = self.document.to_string();
        let trust = Trust::parse(&text)
            .context("the trust file would not be readable; nothing was written")?;
        write_private(&self.path, text.as_bytes())?;
        Ok(trust)
    }

    fn put(&mut self, list: &str, name: &str, entry: &impl Serialize) -> Result<()> {
        let table = table_of(entry)?;
        let list = self.list(list)?;
        let place =
            list.iter().position(|old| old.get("name").and_then(Item::as_str) == Some(name));
        match place.and_then(|place| list.get_mut(place)) {
            Some(old) => {
                let decor = old.decor().clone();
                let position = old.position();
                *old = table;
                *old.decor_mut() = decor;
                old.set_position(position);
            }
            None => list.push(table),
        }
        Ok(())
    }

    fn list(&mut self, name: &str) -> Result<&mut ArrayOfTables> {
        let item =
            self.document.entry(name).or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
        match item {
            Item::ArrayOfTables(list) => Ok(list),
            _ => bail!(
                "`{name}` in `{}` is not a list of `[[{name}]]`; restore the file from a backup",
                self.path.display()
            ),
        }
    }
}

/// The error for an unreadable trust file, with the remedy. Never `init`: on a used home it would
/// make another environment.
pub fn unreadable(path: &Path, error: &std::io::Error) -> anyhow::Error {
    let shown = path.display();
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            anyhow!(
                "there is no `{shown}`; restore it from a backup, or name the home with `--home \
                 DIR`"
            )
        }
        std::io::ErrorKind::PermissionDenied => {
            let owner =
                path.ancestors().find_map(|near| near.metadata().ok()).map(|facts| facts.uid());
            let owner = owner.map(|uid| format!("; it belongs to user {uid}")).unwrap_or_default();
            anyhow!("you may not read `{shown}`{owner}")
        }
        _ => anyhow!("cannot read `{shown}`: {error}; restore it from a backup"),
    }
}

/// Makes one entry as TOML, without a position.
pub fn table_of(entry: &impl Serialize) -> Result<Table> {
    let text = toml::to_string(entry).context("the entry has no form in TOML")?;
    let document: DocumentMut = text.parse().context("the entry has no form in TOML")?;
    let mut table = document.as_table().clone();
    unplace(&mut table);
    table.decor_mut().set_prefix("\n");
    Ok(table)
}

/// Removes the position of a table, so that it is written at its new place.
fn unplace(table: &mut Table) {
    table.set_position(None);
    for (_, item) in table.iter_mut() {
        match item {
            Item::Table(inner) => unplace(inner),
            Item::ArrayOfTables(list) => list.iter_mut().for_each(unplace),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_core::model::ceiling::{Ceiling, Grant};
    use cofferdam_core::model::id::ComponentDigest;
    use cofferdam_core::model::operation::Action;
    use expect_test::expect;

    const FILE: &str = r#"# Ours, kept by the platform team.
policy = "sha256:0000000000000000000000000000000000000000000000000000000000000000" # reviewed in spring
self_approval = false

[environment]
name = "lab" # the one in the cellar
id = "3f"

[keys]
gateway = "ed25519:aa"
recorder = "ed25519:bb"

[floor]
actions = ["delete", "task"]
namespaces = ["prod-*"]

# Reviewed by Ada.
[[tool]]
name = "scale"
version = "0.1.0"
digest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"

[tool.ceiling]
executors = []

# Both of them.
[[approver]]
name = "ada@example.com"
key = "ssh-ed25519 AAAA"
"#;

    #[test]
    fn an_edit_changes_one_entry_and_keeps_every_comment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trust.toml");
        let text = FILE.replace("executors = []\n", "executors = []\ngrants = []\n");
        let mut file = TrustFile::of(path.clone(), &text).unwrap();
        let grant = Grant {
            action: Action::Patch,
            group: "apps".into(),
            version: "v1".into(),
            kind: "Deployment".into(),
            namespaces: vec!["*".into()],
            fields: vec!["spec.replicas".into()],
        };
        let ceiling = Ceiling { grants: vec![grant], executors: vec!["sequential".into()] };
        for name in ["scale", "greet"] {
            let digest = ComponentDigest::of(name.as_bytes());
            file.put_tool(&TrustedTool {
                name: name.into(),
                version: "0.2.0".into(),
                digest,
                ceiling: ceiling.clone(),
            })
            .unwrap();
        }
        file.put_executor(&TrustedExecutor {
            name: "sequential".into(),
            digest: ComponentDigest::of(b"s"),
        })
        .unwrap();
        file.note("tool", "scale", Some("accepted: \"a word\"")).unwrap();
        file.note("tool", "greet", None).unwrap();
        file.note("executor", "sequential", Some("accepted: \"another\"")).unwrap();
        file.add_approver(&Approver {
            name: "bob@example.com".into(),
            key: "ssh-ed25519 BBBB".into(),
        })
        .unwrap();
        assert_eq!(file.remove_approver("ada@example.com").unwrap(), 1);
        file.set_policy(PolicyDigest::of(b"new"));
        file.note_policy(Some("accepted: \"a third\""));
        let trust = file.save().unwrap();
        assert_eq!(trust.tools.len(), 2);
        assert_eq!(trust.approvers.len(), 1);
        expect![[r##"
            # Ours, kept by the platform team.
            # accepted: "a third"
            policy = "sha256:11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437" # reviewed in spring
            self_approval = false

            [environment]
            name = "lab" # the one in the cellar
            id = "3f"

            [keys]
            gateway = "ed25519:aa"
            recorder = "ed25519:bb"

            [floor]
            actions = ["delete", "task"]
            namespaces = ["prod-*"]

            # Reviewed by Ada.
            # accepted: "a word"
            [[tool]]
            name = "scale"
            version = "0.2.0"
            digest = "sha256:f469802a31447f90d6a033d43f18db7ebfbee7cc3c378024bcc0f1573d3feef8"

            [tool.ceiling]
            executors = ["sequential"]

            [[tool.ceiling.grants]]
            action = "patch"
            group = "apps"
            version = "v1"
            kind = "Deployment"
            namespaces = ["*"]
            fields = ["spec.replicas"]

            [[tool]]
            name = "greet"
            version = "0.2.0"
            digest = "sha256:231bf89d726826891c1578a8ffe06ad898e70ecad4adb07668c2d9beca734b0c"

            [tool.ceiling]
            executors = ["sequential"]

            [[tool.ceiling.grants]]
            action = "patch"
            group = "apps"
            version = "v1"
            kind = "Deployment"
            namespaces = ["*"]
            fields = ["spec.replicas"]

            [[approver]]
            name = "bob@example.com"
            key = "ssh-ed25519 BBBB"

            # accepted: "another"
            [[executor]]
            name = "sequential"
            digest = "sha256:043a718774c572bd8a25adbeb1bfcd5c0256ae11cecf9f9c3f925d0e52beaf89"
        "##]]
        .assert_eq(&std::fs::read_to_string(path).unwrap());
    }

    #[test]
    fn what_no_role_could_read_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trust.toml");
        let file = TrustFile::of(path.clone(), "policy = 3").unwrap();
        assert!(file.save().is_err());
        assert!(!path.exists());
    }
}
