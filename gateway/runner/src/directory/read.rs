//! One manifest file, read so strictly that no two readers see different objects: anchors, aliases, tags, merge keys, keys twice and templates are
//! named with their line and never guessed at. Never changes a byte.
//!
//! Plain scalars follow the YAML 1.2 core schema. Where YAML 1.1, 1.2 and Kubernetes' own reader disagree (`yes`, `0644`, `1_000`, `1e3`, `12:30`)
//! the text is kept as it stands and marked [`Shape::Scalar::doubtful`]: only an operation that names it is refused.

mod plain;
#[cfg(test)]
mod tests;

pub use plain::plain;

use cofferdam_core::json::DEPTH;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};
use serde_json::{Map, Value};
use std::ops::Range;

/// A place that cannot be read in one way only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct Unclear {
    /// Line, from 1.
    pub line: usize,
    /// Why, with the remedy.
    pub reason: String,
}

impl Unclear {
    fn at(line: usize, reason: impl Into<String>) -> Self {
        Self { line, reason: reason.into() }
    }
}

/// One document with content.
#[derive(Debug, Clone)]
pub struct Document {
    /// What it says and where. Of an unclear document: as much as identifies it, and never to be relied on.
    pub root: Node,
    /// Why it must not be touched, if so.
    pub unclear: Option<Unclear>,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Node {
    /// Line, from 1.
    pub line: usize,
    /// Bytes in the file. Exact for scalars and flow collections; of a block collection it ends somewhere after its last member.
    pub span: Range<usize>,
    /// What it is.
    pub shape: Shape,
}

/// What a node is.
#[derive(Debug, Clone)]
pub enum Shape {
    /// A single value.
    Scalar {
        /// As JSON.
        value: Value,
        /// How it is written.
        style: ScalarStyle,
        /// Readers disagree about it.
        doubtful: bool,
    },
    /// A sequence.
    List {
        /// Its members.
        items: Vec<Node>,
        /// Written in brackets.
        flow: bool,
    },
    /// A mapping.
    Map {
        /// Its entries in order.
        entries: Vec<Entry>,
        /// Written in braces.
        flow: bool,
    },
}

/// One entry of a mapping.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// Where the key begins, in bytes.
    pub start: usize,
    /// Its value.
    pub node: Node,
}

impl Node {
    /// As JSON. A key that is there twice gives its first value; such a document is unclear anyway.
    pub fn value(&self) -> Value {
        match &self.shape {
            Shape::Scalar { value, .. } => value.clone(),
            Shape::List { items, .. } => Value::Array(items.iter().map(Self::value).collect()),
            Shape::Map { entries, .. } => {
                let mut map = Map::new();
                for Entry { key, node, .. } in entries {
                    map.entry(key.clone()).or_insert_with(|| node.value());
                }
                Value::Object(map)
            }
        }
    }

    /// Where its last scalar or bracket ends, in bytes: trailing comments and blank lines are not its own.
    pub fn end(&self) -> usize {
        let last = match &self.shape {
            Shape::List { items, flow: false } => items.last(),
            Shape::Map { entries, flow: false } => entries.last().map(|entry| &entry.node),
            Shape::Scalar { .. } | Shape::List { .. } | Shape::Map { .. } => None,
        };
        last.map_or(self.span.end, Self::end)
    }

    /// The first scalar in it, itself included, that readers disagree about.
    pub fn doubt(&self) -> Option<&Self> {
        match &self.shape {
            Shape::Scalar { doubtful, .. } => doubtful.then_some(self),
            Shape::List { items, .. } => items.iter().find_map(Self::doubt),
            Shape::Map { entries, .. } => entries.iter().find_map(|entry| entry.node.doubt()),
        }
    }
}

/// Reads a file's documents that have content. The error is about the whole file.
pub fn read(text: &str) -> Result<Vec<Document>, Unclear> {
    for (number, line) in text.lines().enumerate() {
        let reason = if line.contains("{{") {
            "a template; only plain manifests can be changed"
        } else if line.starts_with('%') {
            "a YAML directive; remove it"
        } else if line.starts_with('\u{feff}') {
            "a byte order mark; remove it"
        } else {
            continue;
        };
        return Err(Unclear::at(number + 1, reason));
    }
    let mut builder = Builder::new(text);
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|fault| Unclear::at(fault.marker().line(), format!("not valid YAML: {}", fault.info())))?;
        builder.take(event, span)?;
    }
    Ok(builder.documents)
}

/// A collection that is still open.
struct Open {
    line: usize,
    start: usize,
    flow: bool,
    members: Members,
}

enum Members {
    List(Vec<Node>),
    Map(Vec<Entry>, Option<(String, usize)>),
}

struct Builder<'a> {
    text: &'a str,
    /// Byte offset of each character; empty for plain ASCII. The parser counts characters.
    offsets: Vec<usize>,
    stack: Vec<Open>,
    unclear: Option<Unclear>,
    documents: Vec<Document>,
}

impl<'a> Builder<'a> {
    fn new(text: &'a str) -> Self {
        let offsets = if text.is_ascii() { Vec::new() } else { text.char_indices().map(|(at, _)| at).collect() };
        Self { text, offsets, stack: Vec::new(), unclear: None, documents: Vec::new() }
    }

    fn byte(&self, marker: &Marker) -> usize {
        if self.text.is_ascii() {
            marker.index().min(self.text.len())
        } else {
            self.offsets.get(marker.index()).copied().unwrap_or(self.text.len())
        }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Unclear> {
        let line = span.start.line();
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart(_) => self.unclear = None,
            Event::Alias(_) => {
                self.complain(line, "an alias; write the value out");
                self.place(Node {
                    line,
                    span: self.range(span),
                    shape: Shape::Scalar { value: Value::Null, style: ScalarStyle::Plain, doubtful: true },
                });
            }
            Event::Scalar(value, style, anchor, tag) => {
                self.properties(line, anchor, tag.is_some());
                let (value, doubtful) =
                    if style == ScalarStyle::Plain { plain(&value) } else { (Value::String(value.into_owned()), false) };
                let span = self.written(span, style);
                self.place(Node { line, span, shape: Shape::Scalar { value, style, doubtful } });
            }
            Event::SequenceStart(anchor, tag) => {
                self.properties(line, anchor, tag.is_some());
                self.open(span, Members::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                self.properties(line, anchor, tag.is_some());
                self.open(span, Members::Map(Vec::new(), None))?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
        }
        Ok(())
    }

    fn range(&self, span: Span) -> Range<usize> {
        self.byte(&span.start)..self.byte(&span.end)
    }

    /// A scalar's bytes. The parser's end of a quoted scalar may lie behind the comment that follows it.
    fn written(&self, span: Span, style: ScalarStyle) -> Range<usize> {
        let range = self.range(span);
        let quote = match style {
            ScalarStyle::SingleQuoted => '\'',
            ScalarStyle::DoubleQuoted => '"',
            // Where nothing is written, the parser points at the colon.
            ScalarStyle::Plain if range.is_empty() && self.text.as_bytes().get(range.start) == Some(&b':') => {
                return range.start + 1..range.end + 1;
            }
            ScalarStyle::Plain | ScalarStyle::Literal | ScalarStyle::Folded => return range,
        };
        let mut rest = self.text.get(range.start + 1..).unwrap_or_default().char_indices().peekable();
        while let Some((at, character)) = rest.next() {
            let doubled = character == '\'' && rest.peek().is_some_and(|(_, next)| *next == '\'');
            if (character == '\\' && quote == '"') || (quote == '\'' && doubled) {
                rest.next();
            } else if character == quote {
                return range.start..range.start + at + 2;
            }
        }
        range
    }

    /// The first reason stands.
    fn complain(&mut self, line: usize, reason: &str) {
        self.unclear.get_or_insert_with(|| Unclear::at(line, reason));
    }

    fn properties(&mut self, line: usize, anchor: usize, tag: bool) {
        if anchor != 0 {
            self.complain(line, "an anchor; write the value out where it is used");
        }
        if tag {
            self.complain(line, "a tag; remove it");
        }
    }

    fn open(&mut self, span: Span, members: Members) -> Result<(), Unclear> {
        if self.stack.len() >= DEPTH {
            return Err(Unclear::at(span.start.line(), format!("nested more than {DEPTH} deep")));
        }
        let start = self.byte(&span.start);
        // A bracket is a token of one character; a block begins with a token of none, or where its first member does.
        let flow = span.len() == 1 && matches!(self.text.as_bytes().get(start), Some(b'{' | b'['));
        // The parser says where the first member of a block sequence begins; the sequence begins at its dash.
        let start = match (&members, self.text.get(..start).map(str::trim_end)) {
            (Members::List(_), Some(before)) if !flow && before.ends_with('-') => before.len() - 1,
            _ => start,
        };
        self.stack.push(Open { line: span.start.line(), start, flow, members });
        Ok(())
    }

    fn close(&mut self, span: Span) {
        let Some(open) = self.stack.pop() else { return };
        let shape = match open.members {
            Members::List(items) => Shape::List { items, flow: open.flow },
            Members::Map(entries, _) => Shape::Map { entries, flow: open.flow },
        };
        let mut node = Node { line: open.line, span: open.start..self.byte(&span.end), shape };
        if open.flow {
            node.span.end = self.closing(&node);
        }
        self.place(node);
    }

    /// Behind a flow collection's closing bracket: the parser's end may lie behind the comment that follows it.
    fn closing(&self, node: &Node) -> usize {
        let last = match &node.shape {
            Shape::List { items, .. } => items.last().map(|item| item.span.end),
            Shape::Map { entries, .. } => entries.last().map(|entry| entry.node.span.end.max(entry.start)),
            Shape::Scalar { .. } => None,
        };
        let from = last.unwrap_or(node.span.start + 1);
        let mut comment = false;
        for (at, character) in self.text.get(from..).unwrap_or_default().char_indices() {
            match character {
                '\n' => comment = false,
                '#' => comment = true,
                ']' | '}' if !comment => return from + at + 1,
                _ => {}
            }
        }
        node.span.end
    }

    /// Puts a finished node where it belongs: a document's root, a list's member, a mapping's key or value.
    fn place(&mut self, node: Node) {
        let line = node.line;
        let complaint = match self.stack.last_mut().map(|open| &mut open.members) {
            None => {
                let empty = matches!(node.shape, Shape::Scalar { value: Value::Null, .. });
                let unclear = self.unclear.take();
                if !empty || unclear.is_some() {
                    self.documents.push(Document { root: node, unclear });
                }
                None
            }
            Some(Members::List(items)) => {
                items.push(node);
                None
            }
            Some(Members::Map(entries, key)) => match (key.take(), node.shape) {
                (Some((key, start)), shape) => {
                    entries.push(Entry { key, start, node: Node { line, span: node.span, shape } });
                    None
                }
                (None, Shape::Scalar { value: Value::String(name), style, doubtful: false }) => {
                    let complaint = if style == ScalarStyle::Plain && name == "<<" {
                        Some("a merge key; write the keys out".to_owned())
                    } else if entries.iter().any(|entry| entry.key == name) {
                        Some(format!("the key `{name}` is there twice; remove one"))
                    } else {
                        None
                    };
                    *key = Some((name, node.span.start));
                    complaint
                }
                (None, _) => {
                    *key = Some((String::new(), node.span.start));
                    Some("a key that is not a string; put it in quotes".to_owned())
                }
            },
        };
        if let Some(reason) = complaint {
            self.complain(line, &reason);
        }
    }
}
