//! One manifest file, read so strictly that no two readers see different objects. Each document is
//! read by itself: an error is reported with its line and affects no other document. Never changes
//! a byte.
//!
//! | file | what |
//! |---|---|
//! | `read/node.rs` | values and where they are |
//! | `read/build.rs` | nodes from the events of the YAML parser |
//! | `read/json.rs` | nodes from JSON |
//! | `read/plain.rs` | what a scalar without quotes means |
//!
//! A tag, a repeated key and a key that is not a string make the smallest object around them
//! unclear. An anchor, an alias and a merge key affect the fields that use them. Plain scalars
//! follow the YAML 1.2 core schema; if YAML 1.1, 1.2 and Kubernetes' own reader disagree (`yes`,
//! `0644`, `1_000`, `1e3`, `12:30`), the text is kept and marked as doubtful.

mod build;
mod indicators;
mod json;
mod node;
mod plain;
#[cfg(test)]
mod tests;

pub(super) use indicators::dash;
pub use node::{Entry, Node, Shape};
pub use plain::plain;

use saphyr_parser::Parser;
use std::ops::Range;
use std::path::Path;

/// Values in one file. A MiB of ordinary manifests has about 70,000; one value takes about 100
/// bytes of memory, and this many 20 MiB.
pub const NODES: usize = 200_000;

/// Documents in one file. The largest bundles have some hundreds.
pub const DOCUMENTS: usize = 10_000;

/// A byte order mark: accepted at the head of a file, and kept.
pub const MARK: char = '\u{feff}';

/// A place that cannot be read in one way only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct Unclear {
    /// The line in the file, from 1.
    pub line: usize,
    /// Why, with the remedy.
    pub reason: String,
}

impl Unclear {
    /// An unclear place at a line.
    pub fn at(line: usize, reason: impl Into<String>) -> Self {
        Self { line, reason: reason.into() }
    }
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// YAML, with any number of documents.
    #[default]
    Yaml,
    /// JSON: one value, or several one after the other.
    Json,
}

impl Format {
    /// By the file's name.
    pub fn of(path: &Path) -> Self {
        let json = path.extension().is_some_and(|extension| extension == "json");
        if json { Self::Json } else { Self::Yaml }
    }

    /// Reads a file's documents that have content. The error is about the whole file.
    pub fn read(self, text: &str) -> Result<Vec<Document>, Unclear> {
        match self {
            Self::Yaml => read(text),
            Self::Json => json::read(text),
        }
    }
}

/// One document with content.
#[derive(Debug, Clone)]
pub struct Document {
    /// The values with their places; `null` for a document that is not valid YAML.
    pub root: Node,
    /// The first reason why a part of it must not be relied on.
    pub unclear: Option<Unclear>,
    /// Bytes in the file: from its separator to the next one.
    pub range: Range<usize>,
    /// Every reason, with its byte.
    flaws: Vec<(usize, Unclear)>,
    /// Nothing in it could be read.
    broken: bool,
}

impl Document {
    fn new(root: Node, range: Range<usize>, flaws: Vec<(usize, Unclear)>) -> Self {
        let unclear = flaws.first().map(|(_, unclear)| unclear.clone());
        Self { root, unclear, range, flaws, broken: false }
    }

    fn broken(range: Range<usize>, unclear: Unclear) -> Self {
        let root = Node::nothing(unclear.line, range.clone());
        Self { root, unclear: Some(unclear), range, flaws: Vec::new(), broken: true }
    }

    /// Returns whether no part of the document could be read, so that its objects are not known.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Why the document as a whole must not be relied on: it is unclear, or a part of it comes from
    /// another place.
    pub fn doubt(&self) -> Option<Unclear> {
        self.unclear.clone().or_else(|| self.root.shared())
    }

    /// Why an object in this document must not be relied on, if so.
    pub fn unclear_in(&self, object: &Node) -> Option<&Unclear> {
        if self.broken || object.span.start == self.root.span.start {
            return self.unclear.as_ref();
        }
        let within = object.span.start..object.end();
        self.flaws.iter().find(|(at, _)| within.contains(at)).map(|(_, unclear)| unclear)
    }
}

/// Reads a YAML file's documents that have content. The error is about the whole file.
pub fn read(text: &str) -> Result<Vec<Document>, Unclear> {
    let head = if text.starts_with(MARK) { MARK.len_utf8() } else { 0 };
    let mut documents = Vec::new();
    let (mut start, mut first, mut nodes) = (head, 1, NODES);
    let (mut at, mut line) = (head, 1);
    for content in text.get(head..).unwrap_or_default().split_inclusive('\n') {
        if content.starts_with('%') {
            return Err(Unclear::at(line, "a YAML directive; remove it"));
        }
        if content.starts_with(MARK) {
            return Err(Unclear::at(line, "a byte order mark within the file; remove it"));
        }
        if is_separator(content) {
            chunk(text, start..at, first, &mut nodes, &mut documents)?;
            (start, first) = (at, line);
        }
        at += content.len();
        line += 1;
    }
    chunk(text, start..text.len(), first, &mut nodes, &mut documents)?;
    Ok(documents)
}

/// Returns whether a line separates documents. Such a line separates wherever it is (YAML 1.2.2,
/// 9.1.2).
pub fn is_separator(line: &str) -> bool {
    line.strip_prefix("---")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Reads the text between two separators: one document, or more if `...` ends one.
fn chunk(
    text: &str,
    range: Range<usize>,
    line: usize,
    nodes: &mut usize,
    documents: &mut Vec<Document>,
) -> Result<(), Unclear> {
    let slice = text.get(range.clone()).unwrap_or_default();
    let mut builder = build::Builder::new(text, range.clone(), line);
    let mut parser = Parser::new_from_str(slice);
    let ended = loop {
        match parser.next_event() {
            None => break None,
            Some(Ok((event, span))) => {
                *nodes = nodes
                    .checked_sub(1)
                    .ok_or_else(|| Unclear::at(line, too_many(NODES, "values")))?;
                if let Err(unclear) = builder.take(event, span) {
                    break Some(unclear);
                }
            }
            Some(Err(error)) => {
                let line = error.marker().line() + line - 1;
                break Some(Unclear::at(line, invalid(error.info(), slice)));
            }
        }
    };
    documents.extend(builder.documents);
    documents.extend(ended.map(|unclear| Document::broken(range, unclear)));
    if documents.len() > DOCUMENTS {
        Err(Unclear::at(line, too_many(DOCUMENTS, "documents")))
    } else {
        Ok(())
    }
}

fn too_many(most: usize, what: &str) -> String {
    format!("the file has more than {most} {what}; split it")
}

/// A template is no valid YAML because of its braces; elsewhere braces are data.
fn invalid(info: &str, text: &str) -> String {
    if text.contains("{{") { TEMPLATE.to_owned() } else { format!("not valid YAML: {info}") }
}

/// The reason for a document with braces of a template.
pub const TEMPLATE: &str = "a template; only plain manifests can be changed";
