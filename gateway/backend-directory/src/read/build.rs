//! Nodes from the events of the YAML parser, with their places in bytes. Never decides what a flaw
//! means for an object.

use super::indicators::{dash, indicator};
use super::node::{Entry, Node, Shape};
use super::plain::plain;
use super::{Document, TEMPLATE, Unclear};
use cofferdam_core::model::json::DEPTH;
use saphyr_parser::{Event, Marker, ScalarStyle, Span};
use serde_json::Value;
use std::collections::HashSet;
use std::ops::Range;

/// A collection that is still open.
struct Open {
    line: usize,
    start: usize,
    flow: bool,
    anchored: bool,
    members: Members,
}

enum Members {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<Key>, merges: bool },
}

/// A key that waits for its value.
struct Key {
    name: String,
    start: usize,
}

/// Makes documents of a part of a file.
pub(super) struct Builder<'a> {
    text: &'a str,
    /// The part's bytes in the file.
    range: Range<usize>,
    /// The part's first line.
    line: usize,
    /// Byte offset of each character of the part; empty for ASCII. The parser counts characters.
    offsets: Vec<usize>,
    stack: Vec<Open>,
    flaws: Vec<(usize, Unclear)>,
    /// The finished documents.
    pub documents: Vec<Document>,
}

impl<'a> Builder<'a> {
    pub fn new(text: &'a str, range: Range<usize>, line: usize) -> Self {
        let part = text.get(range.clone()).unwrap_or_default();
        let offsets = if part.is_ascii() {
            Vec::new()
        } else {
            part.char_indices().map(|(at, _)| at).collect()
        };
        Self {
            text,
            range,
            line,
            offsets,
            stack: Vec::new(),
            flaws: Vec::new(),
            documents: Vec::new(),
        }
    }

    fn byte(&self, marker: &Marker) -> usize {
        let within = if self.offsets.is_empty() {
            Some(marker.index())
        } else {
            self.offsets.get(marker.index()).copied()
        };
        within.map_or(self.range.end, |within| (self.range.start + within).min(self.range.end))
    }

    /// Takes the parser's next event. The error ends the part.
    pub fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Unclear> {
        let line = span.start.line() + self.line - 1;
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart(_) => self.flaws.clear(),
            Event::Alias(_) => {
                let span = self.range(span);
                let value = Value::from(self.text.get(span.clone()).unwrap_or_default().trim_end());
                let shape = Shape::Scalar { value, style: ScalarStyle::Plain, doubtful: true };
                self.place(Node { borrows: true, ..Node::new(line, span, shape) });
            }
            Event::Scalar(value, style, anchor, tag) => {
                self.tagged(line, &span, tag.is_some());
                let empty = style == ScalarStyle::Plain && value.is_empty();
                let (value, doubtful) = if style == ScalarStyle::Plain {
                    plain(&value)
                } else {
                    (Value::String(value.into_owned()), false)
                };
                let span = self.written(span, style, anchor != 0 || tag.is_some());
                let span = if empty { span.start..span.start } else { span };
                let shape = Shape::Scalar { value, style, doubtful };
                self.place(Node { anchored: anchor != 0, ..Node::new(line, span, shape) });
            }
            Event::SequenceStart(anchor, tag) => {
                self.tagged(line, &span, tag.is_some());
                self.open(line, span, (anchor != 0, tag.is_some()), Members::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                self.tagged(line, &span, tag.is_some());
                self.open(
                    line,
                    span,
                    (anchor != 0, tag.is_some()),
                    Members::Map { entries: Vec::new(), key: None, merges: false },
                )?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
        }
        Ok(())
    }

    fn range(&self, span: Span) -> Range<usize> {
        self.byte(&span.start)..self.byte(&span.end)
    }

    /// The bytes of a scalar. The parser's end of a quoted scalar may be after the comment that
    /// follows.
    fn written(&self, span: Span, style: ScalarStyle, properties: bool) -> Range<usize> {
        let mut range = self.range(span);
        if properties {
            range.start = self.content(range.start).min(range.end);
        }
        let quote = match style {
            ScalarStyle::SingleQuoted => '\'',
            ScalarStyle::DoubleQuoted => '"',
            ScalarStyle::Literal | ScalarStyle::Folded => {
                return self.block(range, (!properties).then(|| span.start.col()));
            }
            // For an empty scalar the parser points at the colon.
            ScalarStyle::Plain
                if range.is_empty() && self.text.as_bytes().get(range.start) == Some(&b':') =>
            {
                return range.start + 1..range.end + 1;
            }
            // A scalar of several lines may include the white space after it.
            ScalarStyle::Plain => {
                let written = self.text.get(range.clone()).unwrap_or_default().trim_end().len();
                return range.start..range.start + written;
            }
        };
        let mut rest =
            self.text.get(range.start + 1..).unwrap_or_default().char_indices().peekable();
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

    /// A block scalar's bytes, from its indicator to the end of its last line, without its line
    /// break. The parser says where its first line of content begins, and in which column.
    fn block(&self, range: Range<usize>, column: Option<usize>) -> Range<usize> {
        let Some(header) = self.header(range.start) else { return range };
        let rest = self.text.get(header..self.range.end).unwrap_or_default();
        let first = rest.find('\n').map_or(rest.len(), |end| end + 1);
        let (head, body) =
            (rest.get(..first).unwrap_or_default(), rest.get(first..).unwrap_or_default());
        let spaces = |line: &str| line.len() - line.trim_start_matches(' ').len();
        let keeps = head.bytes().skip(1).take(2).any(|byte| byte == b'+');
        let column = column
            .or_else(|| body.lines().find(|line| !line.trim().is_empty()).map(spaces))
            .unwrap_or_default();
        let (mut at, mut end) = (header + first, header + head.trim_end().len());
        for line in body.split_inclusive('\n') {
            let blank = line.trim().is_empty();
            // Without content the parser points at the next token.
            if !blank && (spaces(line) < column || at >= range.end) {
                break;
            }
            if !blank || keeps || spaces(line) > column {
                end = at + line.trim_end_matches(['\n', '\r']).len();
            }
            at += line.len();
        }
        header..end
    }

    /// Where a value begins behind its anchor and tag.
    fn content(&self, from: usize) -> usize {
        let mut at = from;
        loop {
            let rest = self.text.get(at..self.range.end).unwrap_or_default();
            let passed = match rest.chars().next() {
                Some('&' | '!') => rest.find([' ', '\t', '\r', '\n']).unwrap_or(rest.len()),
                Some('#') => rest.find('\n').unwrap_or(rest.len()),
                Some(' ' | '\t' | '\r' | '\n') => 1,
                _ => return at,
            };
            at += passed;
        }
    }

    /// Where the `|` or `>` of a block scalar is.
    fn header(&self, content: usize) -> Option<usize> {
        let is_indicator = |at: usize| matches!(self.text.as_bytes().get(at), Some(b'|' | b'>'));
        // Without any content the parser points at the indicator itself.
        if is_indicator(content) {
            let rest = self.text.get(content + 1..)?;
            let word = rest.split(['\n', '\r', ' ', '\t']).next()?;
            let before = self.text.get(self.range.start..content)?;
            let line =
                before.rfind('\n').map_or(before, |at| before.get(at + 1..).unwrap_or_default());
            let is_content = line.bytes().all(|byte| byte == b' ');
            if !is_content
                && word.len() <= 2
                && word.bytes().all(|byte| matches!(byte, b'+' | b'-' | b'1'..=b'9'))
            {
                return Some(content);
            }
        }
        let mut before = self.text.get(self.range.start..content)?;
        loop {
            before = before.trim_end();
            let start = before.rfind('\n').map_or(0, |at| at + 1);
            let line = before.get(start..)?;
            if !line.trim_start().starts_with('#') {
                return indicator(line).map(|at| self.range.start + start + at);
            }
            before = before.get(..start)?;
        }
    }

    fn complain(&mut self, at: usize, line: usize, reason: impl Into<String>) {
        self.flaws.push((at, Unclear::at(line, reason)));
    }

    fn tagged(&mut self, line: usize, span: &Span, tag: bool) {
        if tag {
            self.complain(self.byte(&span.start), line, "a tag; remove it");
        }
    }

    fn open(
        &mut self,
        line: usize,
        span: Span,
        (anchored, tagged): (bool, bool),
        members: Members,
    ) -> Result<(), Unclear> {
        if self.stack.len() >= DEPTH {
            return Err(Unclear::at(line, format!("nested more than {DEPTH} deep")));
        }
        let range = self.range(span);
        let start = if anchored || tagged { self.content(range.start) } else { range.start };
        // A bracket is a token. A block begins with no token, also if its first key is in brackets.
        let flow =
            range.end > start && matches!(self.text.as_bytes().get(start), Some(b'{' | b'['));
        // The parser gives the start of a block sequence's first member; the sequence begins at its
        // dash.
        let start = match &members {
            Members::List(_) if !flow && !anchored && !tagged => {
                dash(self.text.get(self.range.start..start).unwrap_or_default())
                    .map_or(start, |dash| self.range.start + dash)
            }
            _ => start,
        };
        self.stack.push(Open { line, start, flow, anchored, members });
        Ok(())
    }

    fn close(&mut self, span: Span) {
        let Some(open) = self.stack.pop() else { return };
        let (shape, borrows) = match open.members {
            Members::List(items) => (Shape::List { items, flow: open.flow }, false),
            Members::Map { entries, merges, .. } => {
                if let Some(twice) = repeated(&entries) {
                    self.complain(
                        twice.start,
                        twice.node.line,
                        format!("the key `{}` is there twice; remove one", twice.key),
                    );
                }
                (Shape::Map { entries, flow: open.flow }, merges)
            }
        };
        let mut node = Node::new(open.line, open.start..self.byte(&span.end), shape);
        (node.anchored, node.borrows) = (open.anchored, borrows);
        if open.flow {
            node.span.end = self.closing(&node);
        }
        self.place(node);
    }

    /// Behind a flow collection's closing bracket: the parser's end may lie behind the comment that
    /// follows it.
    fn closing(&self, node: &Node) -> usize {
        let last = match &node.shape {
            Shape::List { items, .. } => items.last().map(|item| item.span.end),
            Shape::Map { entries, .. } => {
                entries.last().map(|entry| entry.node.span.end.max(entry.start))
            }
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

    /// Puts a finished node where it belongs: a document's root, a list's member, a mapping's key
    /// or value.
    fn place(&mut self, node: Node) {
        let (line, at) = (node.line, node.span.start);
        let complaint = match self.stack.last_mut().map(|open| &mut open.members) {
            None => {
                let empty = matches!(node.shape, Shape::Scalar { value: Value::Null, .. });
                let mut flaws = std::mem::take(&mut self.flaws);
                flaws.sort_by_key(|(at, _)| *at);
                if !empty || !flaws.is_empty() {
                    self.documents.push(Document::new(node, self.range.clone(), flaws));
                }
                None
            }
            Some(Members::List(items)) => {
                items.push(node);
                None
            }
            Some(Members::Map { entries, key, merges }) => match key.take() {
                Some(Key { name, start }) => {
                    entries.push(Entry { key: name, start, node });
                    None
                }
                None => {
                    let braces = at
                        .checked_sub(1)
                        .is_some_and(|before| self.text.as_bytes().get(before) == Some(&b'{'));
                    let (name, complaint) = named(&node, braces);
                    *merges |= name == "<<"
                        && matches!(node.shape, Shape::Scalar { style: ScalarStyle::Plain, .. });
                    *key = Some(Key { name, start: at });
                    complaint
                }
            },
        };
        if let Some(reason) = complaint {
            self.complain(at, line, reason);
        }
    }
}

/// The name of a key, and its error. `braces` is true if a brace is right before it.
fn named(node: &Node, braces: bool) -> (String, Option<&'static str>) {
    match &node.shape {
        Shape::Scalar { value: Value::String(name), doubtful: false, .. } if node.anchored => {
            (name.clone(), Some("an anchor on a key; write the value out where it is used"))
        }
        Shape::Scalar { value: Value::String(name), doubtful: false, .. } => (name.clone(), None),
        // The YAML value of `{{ .Values.a }}`: a map that is a key of another map.
        Shape::Map { flow: true, .. } if braces => (String::new(), Some(TEMPLATE)),
        _ => (String::new(), Some("a key that is not a string; put it in quotes")),
    }
}

/// The first entry whose key another has before it.
pub(super) fn repeated(entries: &[Entry]) -> Option<&Entry> {
    let mut seen = HashSet::with_capacity(entries.len());
    entries.iter().find(|entry| !seen.insert(entry.key.as_str()))
}
