//! `cofferdam.toml` as written: read key by key, so that a misspelt key, a wrong type and an impossible value are all reported together, each
//! with its line.

use super::fault::ConfigFault;
use super::paths;
use super::{Config, Edge, LogFormat, Runner, Telemetry};
use crate::home::Home;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml_edit::{Document, Item, TableLike};

/// The file's name in faults.
const FILE: &str = "cofferdam.toml";
/// Clients give up at 60 seconds: a held call has to answer before.
const LONGEST_WAIT: i64 = 55;
/// More runners than this on one machine only wait for the same disk.
const MOST_SEATS: i64 = 16;
/// Below it a busy machine loses leases; above it a lost runner is noticed too late.
const LEASE_SECONDS: (i64, i64) = (3, 300);
/// Characters of an environment's name: it stands in every title and denial.
const ENVIRONMENT_NAME: usize = 40;

/// Reads the text. Adds to the faults; gives nothing when a needed value could not be had.
pub fn check(text: &str, home: &Home, faults: &mut Vec<ConfigFault>) -> Option<Config> {
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(fault) => {
            let line = fault.span().map(|span| line(text, span.start));
            let file = line.map_or(FILE.to_owned(), |line| format!("{FILE}:{line}"));
            faults.push(ConfigFault::new(&file, "", format!("not TOML: {}", fault.message()), "mend this line"));
            return None;
        }
    };
    let mut root = Section { text, table: document.as_table(), path: String::new(), known: Vec::new(), faults };
    let environment = root.section("environment", |section| {
        let name = section.string("name", "the name that people know this infrastructure by: name = \"staging\"")?;
        let valid = (1..=ENVIRONMENT_NAME).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        section.hold("name", valid, &format!("`{name}` is no name for an environment"), "use 1 to 40 of a-z, 0-9 and -").then_some(name)
    });
    let tree = root.section("directory", |section| {
        let tree = section.string("tree", "the folder of manifests: tree = \"/home/me/manifests\"")?;
        check_tree(section, Path::new(&tree), home)
    });
    let edge = root.optional("edge", check_edge);
    let runner = root.optional("runner", |section| {
        let seats = section.integer("seats", 2, (1, MOST_SEATS));
        let lease = section.integer("lease_seconds", 15, LEASE_SECONDS);
        Some(Runner { seats: u8::try_from(seats).unwrap_or(1), lease: seconds(lease) })
    });
    let telemetry = root.optional("telemetry", check_telemetry);
    root.unknown();
    Some(Config { environment: environment??, tree: tree??, edge: edge?, runner: runner?, telemetry: telemetry? })
}

fn check_tree(section: &mut Section<'_>, tree: &Path, home: &Home) -> Option<PathBuf> {
    let shown = tree.display();
    if !section.hold("tree", tree.is_absolute(), &format!("`{shown}` is a relative path"), "write the whole path, beginning with /") {
        return None;
    }
    let real = std::fs::canonicalize(tree).ok().filter(|real| real.is_dir());
    let Some(real) = real else {
        section.fault("tree", &format!("`{shown}` is not a folder"), "name the folder that holds the manifests");
        return None;
    };
    let reached = paths::overlaps(&real, home);
    if !reached.is_empty() {
        section.fault(
            "tree",
            &format!("the tree overlaps with {}: a change could reach what decides about changes", reached.join(", ")),
            "keep the home outside the tree (`--home DIR`), without links between them",
        );
    }
    for (one, other) in paths::tangled(home) {
        section.fault("tree", &format!("{one} and {other} lie in one place"), "remove the link between them in the home folder");
    }
    Some(real)
}

fn check_edge(section: &mut Section<'_>) -> Option<Edge> {
    let listen = section.optional_string("listen").unwrap_or_else(|| "127.0.0.1:8620".to_owned());
    let address: Option<SocketAddr> = listen.parse().ok();
    section.hold("listen", address.is_some(), &format!("`{listen}` is no address with a port"), "write it as \"127.0.0.1:8620\"");
    let origins = section.strings("origins");
    for origin in &origins {
        let scheme = origin.split_once("://").filter(|(scheme, rest)| ["http", "https"].contains(scheme) && !rest.is_empty());
        let bare = scheme.is_some_and(|(_, rest)| !rest.contains(['/', '?', '#']));
        section.hold(
            "origins",
            bare,
            &format!("`{origin}` is no origin"),
            "write scheme, host and port alone: \"https://console.example.com\"",
        );
    }
    let hosts = section.strings("hosts");
    for host in &hosts {
        let bare = !host.is_empty() && !host.contains(['/', ' ', '@']);
        section.hold("hosts", bare, &format!("`{host}` is no host"), "write host and port alone: \"cofferdam.example.com:443\"");
    }
    let wait = section.integer("wait_seconds", 45, (1, LONGEST_WAIT));
    Some(Edge { listen: address?, origins, hosts, wait: seconds(wait) })
}

fn check_telemetry(section: &mut Section<'_>) -> Option<Telemetry> {
    let otlp = section.optional_string("otlp").filter(|url| !url.is_empty());
    if let Some(url) = &otlp {
        let http = url.strip_prefix("http://").is_some_and(|rest| !rest.is_empty());
        section.hold(
            "otlp",
            http,
            &format!("`{url}` is no collector this build can reach"),
            "write \"http://127.0.0.1:4318\", a collector beside it",
        );
    }
    let format = section.optional_string("log_format").unwrap_or_else(|| "text".to_owned());
    let known = match format.as_str() {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    };
    section.hold("log_format", known.is_some(), &format!("`{format}` is no format"), "write \"text\" or \"json\"");
    let level = section.optional_string("log_level").unwrap_or_else(|| "info".to_owned());
    Some(Telemetry { otlp, format: known?, level })
}

fn seconds(count: i64) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or(1))
}

/// The line, from 1, of a byte.
fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// One table being read: which keys were asked for, and what was wrong with them.
struct Section<'a> {
    text: &'a str,
    table: &'a dyn TableLike,
    path: String,
    known: Vec<&'static str>,
    faults: &'a mut Vec<ConfigFault>,
}

impl Section<'_> {
    /// A table that has to be there.
    fn section<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Section<'_>) -> T) -> Option<T> {
        if self.table.get(name).is_none() {
            self.known.push(name);
            self.fault(name, "the section is missing", &format!("add `[{name}]`; `cofferdam init` writes an example"));
            return None;
        }
        self.table_of(name, read)
    }

    /// A table whose keys all have defaults.
    fn optional<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Section<'_>) -> Option<T>) -> Option<T> {
        if self.table.get(name).is_some() {
            return self.table_of(name, read).flatten();
        }
        self.known.push(name);
        let empty = toml_edit::Table::new();
        let mut section = Section { text: self.text, table: &empty, path: name.to_owned(), known: Vec::new(), faults: self.faults };
        read(&mut section)
    }

    fn table_of<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Section<'_>) -> T) -> Option<T> {
        self.known.push(name);
        let Some(table) = self.table.get(name).and_then(Item::as_table_like) else {
            self.fault(name, "not a section", &format!("write `[{name}]` on a line of its own"));
            return None;
        };
        let mut section = Section { text: self.text, table, path: self.key(name), known: Vec::new(), faults: self.faults };
        let read = read(&mut section);
        section.unknown();
        Some(read)
    }

    fn string(&mut self, name: &'static str, remedy: &str) -> Option<String> {
        if self.table.get(name).is_none() {
            self.known.push(name);
            self.fault(name, "missing", &format!("add {remedy}"));
            return None;
        }
        self.optional_string(name)
    }

    fn optional_string(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        let item = self.table.get(name)?;
        let text = item.as_str().map(str::to_owned);
        self.hold(name, text.is_some(), &format!("{} where text belongs", item.type_name()), "put it between quotation marks");
        text
    }

    fn strings(&mut self, name: &'static str) -> Vec<String> {
        self.known.push(name);
        let Some(item) = self.table.get(name) else { return Vec::new() };
        let list: Option<Vec<String>> =
            item.as_array().and_then(|array| array.iter().map(|value| value.as_str().map(str::to_owned)).collect());
        self.hold(name, list.is_some(), &format!("{} where a list of texts belongs", item.type_name()), "write [\"one\", \"two\"]");
        list.unwrap_or_default()
    }

    fn integer(&mut self, name: &'static str, default: i64, (least, most): (i64, i64)) -> i64 {
        self.known.push(name);
        let Some(item) = self.table.get(name) else { return default };
        match item.as_integer() {
            Some(number) if (least..=most).contains(&number) => number,
            Some(number) => {
                self.fault(name, &format!("{number} is out of range"), &format!("give {least} to {most}; the default is {default}"));
                default
            }
            None => {
                self.fault(name, &format!("{} where a whole number belongs", item.type_name()), &format!("give {least} to {most}"));
                default
            }
        }
    }

    /// Notes a fault unless the condition holds; gives the condition.
    fn hold(&mut self, name: &str, condition: bool, problem: &str, remedy: &str) -> bool {
        if !condition {
            self.fault(name, problem, remedy);
        }
        condition
    }

    fn fault(&mut self, name: &str, problem: &str, remedy: &str) {
        let at = self.table.get(name).and_then(Item::span).or_else(|| self.table.key(name)?.span()).map(|span| line(self.text, span.start));
        let file = at.map_or(FILE.to_owned(), |at| format!("{FILE}:{at}"));
        self.faults.push(ConfigFault::new(&file, &self.key(name), problem, remedy));
    }

    /// Every key that nobody asked for.
    fn unknown(&mut self) {
        let strangers: Vec<String> =
            self.table.iter().map(|(key, _)| key.to_owned()).filter(|key| !self.known.contains(&key.as_str())).collect();
        for stranger in strangers {
            let mut known = self.known.clone();
            known.sort_by_key(|known| (!known.starts_with(&stranger), distance(known, &stranger)));
            let remedy = match known.first() {
                Some(nearest) if nearest.starts_with(&stranger) || distance(nearest, &stranger) <= 3 => format!("did you mean `{nearest}`"),
                _ => format!("known here: `{}`", self.known.join("`, `")),
            };
            self.fault(&stranger, "unknown key", &remedy);
        }
    }

    fn key(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

/// How many letters two words differ by (Levenshtein).
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
