//! Nodes from JSON, as strictly as the rest of Cofferdam reads it: no comment, no repeated key, no
//! number beyond 2^53. Several values in one file are several documents.

use super::build::repeated;
use super::node::{Entry, Node, Shape};
use super::{DOCUMENTS, Document, MARK, NODES, Unclear, too_many};
use cofferdam_core::model::json::{DEPTH, LARGEST_INTEGER};
use saphyr_parser::ScalarStyle;
use serde_json::{Number, Value};

/// Reads a file's values.
pub(super) fn read(text: &str) -> Result<Vec<Document>, Unclear> {
    let at = if text.starts_with(MARK) { MARK.len_utf8() } else { 0 };
    let mut reader = Reader { text, at, line: 1, nodes: NODES, flaws: Vec::new() };
    let mut documents = Vec::new();
    loop {
        reader.space();
        let start = reader.at;
        if start == text.len() {
            return Ok(documents);
        }
        match reader.value(0) {
            Ok(root) => documents.push(Document::new(
                root,
                start..reader.at,
                std::mem::take(&mut reader.flaws),
            )),
            Err(End::File(unclear)) => return Err(unclear),
            // The end of an invalid value is not known.
            Err(End::Document(unclear)) => {
                documents.push(Document::broken(start..text.len(), unclear));
                return Ok(documents);
            }
        }
        if documents.len() > DOCUMENTS {
            return Err(Unclear::at(reader.line, too_many(DOCUMENTS, "documents")));
        }
    }
}

/// Why reading ends early.
enum End {
    Document(Unclear),
    File(Unclear),
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    nodes: usize,
    flaws: Vec<(usize, Unclear)>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(byte @ (b' ' | b'\t' | b'\r' | b'\n')) = self.peek() {
            self.line += usize::from(byte == b'\n');
            self.at += 1;
        }
    }

    fn invalid(&self, wanted: &str) -> End {
        End::Document(Unclear::at(self.line, format!("not valid JSON: {wanted} is expected")))
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn value(&mut self, depth: usize) -> Result<Node, End> {
        self.nodes = self
            .nodes
            .checked_sub(1)
            .ok_or_else(|| End::File(Unclear::at(self.line, too_many(NODES, "values"))))?;
        if depth >= DEPTH {
            return Err(End::Document(Unclear::at(
                self.line,
                format!("nested more than {DEPTH} deep"),
            )));
        }
        let (line, start) = (self.line, self.at);
        let shape = match self.peek() {
            Some(b'{') => self.map(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => {
                let value = Value::String(self.string()?);
                Shape::Scalar { value, style: ScalarStyle::DoubleQuoted, doubtful: false }
            }
            _ => self.word()?,
        };
        Ok(Node::new(line, start..self.at, shape))
    }

    fn map(&mut self, depth: usize) -> Result<Shape, End> {
        self.at += 1;
        let mut entries = Vec::new();
        self.space();
        if !self.take(b'}') {
            loop {
                self.space();
                let start = self.at;
                let key = self.string()?;
                self.space();
                if !self.take(b':') {
                    return Err(self.invalid("`:`"));
                }
                self.space();
                entries.push(Entry { key, start, node: self.value(depth + 1)? });
                self.space();
                if self.take(b'}') {
                    break;
                }
                if !self.take(b',') {
                    return Err(self.invalid("`,` or `}`"));
                }
            }
        }
        if let Some(Entry { key, start, node }) = repeated(&entries) {
            self.flaws.push((
                *start,
                Unclear::at(node.line, format!("the key `{key}` is there twice; remove one")),
            ));
        }
        Ok(Shape::Map { entries, flow: true })
    }

    fn list(&mut self, depth: usize) -> Result<Shape, End> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if !self.take(b']') {
            loop {
                self.space();
                items.push(self.value(depth + 1)?);
                self.space();
                if self.take(b']') {
                    break;
                }
                if !self.take(b',') {
                    return Err(self.invalid("`,` or `]`"));
                }
            }
        }
        Ok(Shape::List { items, flow: true })
    }

    fn string(&mut self) -> Result<String, End> {
        let start = self.at;
        if !self.take(b'"') {
            return Err(self.invalid("a string in double quotes"));
        }
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(0x20..) => self.at += 1,
                Some(_) | None => return Err(self.invalid("`\"` at the end of the string")),
            }
        }
        self.at += 1;
        let written = self.text.get(start..self.at).unwrap_or_default();
        serde_json::from_str(written).map_err(|_| self.invalid("a string whose escapes are valid"))
    }

    /// A number, a boolean or null.
    fn word(&mut self) -> Result<Shape, End> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = rest.find(|character: char| {
            !character.is_ascii_alphanumeric() && !matches!(character, '+' | '-' | '.')
        });
        let word = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        let value: Value = serde_json::from_str(word).map_err(|_| self.invalid("a value"))?;
        let doubtful = value.as_number().is_some_and(|number| !is_exact(number));
        self.at += word.len();
        let value = if doubtful { Value::from(word) } else { value };
        Ok(Shape::Scalar { value, style: ScalarStyle::Plain, doubtful })
    }
}

/// Returns whether every reader can represent this number exactly.
fn is_exact(number: &Number) -> bool {
    let unsigned = number.as_i64().map(i64::unsigned_abs).or_else(|| number.as_u64());
    unsigned.map_or_else(
        || number.as_f64().is_some_and(f64::is_finite),
        |unsigned| unsigned <= LARGEST_INTEGER,
    )
}
