//! Reads one table of `cofferdam.toml`: types, bounds and unknown keys. Knows no key by name.

use super::error::ConfigError;
use cofferdam_core::protocol::link::LinkRole;
use std::collections::BTreeMap;
use toml_edit::{Item, Table, TableLike};

/// The name of the file in errors.
pub(super) const FILE: &str = "cofferdam.toml";

/// The line number, from 1, of a byte.
pub(super) fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// A reader of one table: the keys that were read, and their errors.
pub(super) struct Section<'a> {
    text: &'a str,
    table: &'a dyn TableLike,
    path: String,
    known: Vec<&'static str>,
    /// The one role of the home; `None` for a home with every role.
    role: Option<LinkRole>,
    errors: &'a mut Vec<ConfigError>,
}

impl Section<'_> {
    /// A reader of the whole document.
    pub(super) fn root<'a>(
        text: &'a str,
        table: &'a dyn TableLike,
        errors: &'a mut Vec<ConfigError>,
    ) -> Section<'a> {
        Section { text, table, path: String::new(), known: Vec::new(), role: None, errors }
    }

    /// Notes the one role of the home, for this section and those within.
    pub(super) fn set_role(&mut self, role: Option<LinkRole>) {
        self.role = role;
    }

    /// Returns whether the home has the files of this role.
    pub(super) fn has_role(&self, role: LinkRole) -> bool {
        self.role.is_none_or(|own| own == role)
    }

    fn know(&mut self, name: &'static str) {
        if !self.known.contains(&name) {
            self.known.push(name);
        }
    }

    /// Returns whether the table has the key. The key is known from now on.
    pub(super) fn has(&mut self, name: &'static str) -> bool {
        self.know(name);
        self.table.get(name).is_some()
    }

    /// Reads a required table.
    pub(super) fn section<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> Option<T> {
        if self.table.get(name).is_none() {
            self.know(name);
            self.report(
                name,
                "the section is missing",
                &format!("add `[{name}]`; `cofferdam init` writes an example"),
            );
            return None;
        }
        self.table_of(name, read)
    }

    /// Reads an optional table, whose keys all have defaults.
    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Section<'_>) -> Option<T>,
    ) -> Option<T> {
        if self.table.get(name).is_some() {
            return self.table_of(name, read).flatten();
        }
        self.know(name);
        let empty = Table::new();
        let mut section = Section {
            text: self.text,
            table: &empty,
            path: name.to_owned(),
            known: Vec::new(),
            role: self.role,
            errors: self.errors,
        };
        read(&mut section)
    }

    /// Reads a list of tables (`[[name]]`); empty if it is missing.
    pub(super) fn each<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(&mut Section<'_>) -> T,
    ) -> Vec<T> {
        self.know(name);
        let Some(item) = self.table.get(name) else { return Vec::new() };
        let tables: Option<Vec<&dyn TableLike>> = match item {
            Item::ArrayOfTables(tables) => {
                Some(tables.iter().map(|table| -> &dyn TableLike { table }).collect())
            }
            Item::Value(value) => value.as_array().and_then(|list| {
                list.iter().map(|value| Some(value.as_inline_table()? as &dyn TableLike)).collect()
            }),
            _ => None,
        };
        let Some(tables) = tables else {
            let path = self.key(name);
            self.report(
                name,
                &format!("{} where a list of sections belongs", item.type_name()),
                &format!("write `[[{path}]]` on a line of its own, once for each"),
            );
            return Vec::new();
        };
        let path = self.key(name);
        let mut all = Vec::with_capacity(tables.len());
        for (index, table) in tables.into_iter().enumerate() {
            let mut section = Section {
                text: self.text,
                table,
                path: format!("{path}[{index}]"),
                known: Vec::new(),
                role: self.role,
                errors: self.errors,
            };
            all.push(read(&mut section));
            section.unknown();
        }
        all
    }

    /// Reads a table for each name that the operator chose (`[name.ONE]`), in the order of the file;
    /// empty if there is none.
    pub(super) fn named<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(&str, &mut Section<'_>) -> T,
    ) -> Vec<T> {
        self.know(name);
        let Some(item) = self.table.get(name) else { return Vec::new() };
        let path = self.key(name);
        let Some(table) = item.as_table_like() else {
            self.report(
                name,
                &format!("{} where sections belong", item.type_name()),
                &format!("write `[{path}.NAME]` on a line of its own"),
            );
            return Vec::new();
        };
        let names: Vec<String> = table.iter().map(|(key, _)| key.to_owned()).collect();
        let mut all = Vec::with_capacity(names.len());
        for one in names {
            let Some(own) = table.get(&one).and_then(Item::as_table_like) else {
                let remedy = format!("write `[{path}.NAME]` on a line of its own");
                self.report(name, &format!("`{one}` is not a section"), &remedy);
                continue;
            };
            let mut section = Section {
                text: self.text,
                table: own,
                path: format!("{path}.{one}"),
                known: Vec::new(),
                role: self.role,
                errors: self.errors,
            };
            all.push(read(&one, &mut section));
            section.unknown();
        }
        all
    }

    fn table_of<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> Option<T> {
        self.know(name);
        let Some(table) = self.table.get(name).and_then(Item::as_table_like) else {
            let path = self.key(name);
            self.report(name, "not a section", &format!("write `[{path}]` on a line of its own"));
            return None;
        };
        let mut section = Section {
            text: self.text,
            table,
            path: self.key(name),
            known: Vec::new(),
            role: self.role,
            errors: self.errors,
        };
        let read = read(&mut section);
        section.unknown();
        Some(read)
    }

    /// Reads a required text.
    pub(super) fn string(&mut self, name: &'static str, remedy: &str) -> Option<String> {
        if self.table.get(name).is_none() {
            self.know(name);
            self.report(name, "missing", &format!("add {remedy}"));
            return None;
        }
        self.optional_string(name)
    }

    /// Reads an optional text.
    pub(super) fn optional_string(&mut self, name: &'static str) -> Option<String> {
        self.know(name);
        let item = self.table.get(name)?;
        let text = item.as_str().map(str::to_owned);
        self.hold(
            name,
            text.is_some(),
            &format!("{} where text belongs", item.type_name()),
            "put it between quotation marks",
        );
        text
    }

    /// Reads an optional list of texts; empty if it is missing.
    pub(super) fn strings(&mut self, name: &'static str) -> Vec<String> {
        self.know(name);
        let Some(item) = self.table.get(name) else { return Vec::new() };
        let list: Option<Vec<String>> = item.as_array().and_then(|array| {
            array.iter().map(|value| value.as_str().map(str::to_owned)).collect()
        });
        self.hold(
            name,
            list.is_some(),
            &format!("{} where a list of texts belongs", item.type_name()),
            "write [\"one\", \"two\"]",
        );
        list.unwrap_or_default()
    }

    /// Reads `true` or `false`.
    pub(super) fn boolean(&mut self, name: &'static str, default: bool) -> bool {
        self.know(name);
        let Some(item) = self.table.get(name) else { return default };
        let value = item.as_bool();
        self.hold(
            name,
            value.is_some(),
            &format!("{} where true or false belongs", item.type_name()),
            "write true or false, without quotation marks",
        );
        value.unwrap_or(default)
    }

    /// Reads an optional table of texts under names that the operator chose; empty if it is missing.
    pub(super) fn texts_by_name(&mut self, name: &'static str) -> BTreeMap<String, String> {
        self.know(name);
        let Some(item) = self.table.get(name) else { return BTreeMap::new() };
        let texts: Option<BTreeMap<String, String>> = item.as_table_like().and_then(|table| {
            let text =
                |(key, item): (&str, &Item)| Some((key.to_owned(), item.as_str()?.to_owned()));
            table.iter().map(text).collect()
        });
        self.hold(
            name,
            texts.is_some(),
            &format!("{} where a table of texts belongs", item.type_name()),
            &format!("write {name} = {{ \"one\" = \"two\" }}"),
        );
        texts.unwrap_or_default()
    }

    /// Reads a whole number within bounds.
    pub(super) fn integer(
        &mut self,
        name: &'static str,
        default: i64,
        (least, most): (i64, i64),
    ) -> i64 {
        self.know(name);
        let Some(item) = self.table.get(name) else { return default };
        match item.as_integer() {
            Some(number) if (least..=most).contains(&number) => number,
            Some(number) => {
                self.report(
                    name,
                    &format!("{number} is out of range"),
                    &format!("give {least} to {most}; the default is {default}"),
                );
                default
            }
            None => {
                self.report(
                    name,
                    &format!("{} where a whole number belongs", item.type_name()),
                    &format!("give {least} to {most}"),
                );
                default
            }
        }
    }

    /// Adds an error unless the condition holds; returns the condition.
    pub(super) fn hold(
        &mut self,
        name: &str,
        condition: bool,
        problem: &str,
        remedy: &str,
    ) -> bool {
        if !condition {
            self.report(name, problem, remedy);
        }
        condition
    }

    /// Adds an error of a key.
    pub(super) fn report(&mut self, name: &str, problem: &str, remedy: &str) {
        let at = self
            .table
            .get(name)
            .and_then(Item::span)
            .or_else(|| self.table.key(name)?.span())
            .map(|span| line(self.text, span.start));
        let file = at.map_or(FILE.to_owned(), |at| format!("{FILE}:{at}"));
        self.errors.push(ConfigError::new(&file, &self.key(name), problem, remedy));
    }

    /// Adds an error for each key that was not read.
    pub(super) fn unknown(&mut self) {
        let strangers: Vec<String> = self
            .table
            .iter()
            .map(|(key, _)| key.to_owned())
            .filter(|key| !self.known.contains(&key.as_str()))
            .collect();
        for stranger in strangers {
            let mut known = self.known.clone();
            known.sort_by_key(|known| (!known.starts_with(&stranger), distance(known, &stranger)));
            let remedy = match known.first() {
                Some(nearest)
                    if nearest.starts_with(&stranger) || distance(nearest, &stranger) <= 3 =>
                {
                    format!("did you mean `{nearest}`")
                }
                _ => format!("known here: `{}`", self.known.join("`, `")),
            };
            self.report(&stranger, "unknown key", &remedy);
        }
    }

    fn key(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

/// The Levenshtein distance of two words.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        let mut next = vec![left];
        for (above, candidate) in row.iter().skip(1).zip(other.chars()) {
            left = (diagonal + usize::from(letter != candidate)).min(above + 1).min(left + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
