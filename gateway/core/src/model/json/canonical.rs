//! The canonical form of JSON (RFC 8785), written in one pass into one buffer: members are put in
//! order where an object ends, and an object whose members come in order is not touched again. The
//! forms of numbers that JavaScript writes otherwise come from the library; a test compares every
//! text with the library's.

use super::LARGEST_INTEGER;
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::io::{self, Write};
use std::rc::Rc;

/// The first size of the buffer: most texts are of a few hundred bytes.
const FIRST: usize = 512;

/// Writes the canonical text of a value.
pub(super) fn to_string<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<String> {
    let text = Text(Rc::new(RefCell::new(Vec::with_capacity(FIRST))));
    let ordered = Ordered {
        text: text.clone(),
        members: Vec::new(),
        objects: Vec::new(),
        sorted: Vec::new(),
    };
    value.serialize(&mut Serializer::with_formatter(text.clone(), ordered))?;
    String::from_utf8(text.0.take()).map_err(serde::ser::Error::custom)
}

/// The text so far. The serializer writes to its end, and the formatter reorders it.
#[derive(Clone)]
struct Text(Rc<RefCell<Vec<u8>>>);

impl Text {
    fn len(&self) -> usize {
        self.0.borrow().len()
    }

    fn add(&self, bytes: &[u8]) {
        self.0.borrow_mut().extend_from_slice(bytes);
    }
}

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.add(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Puts the members of each object in order.
struct Ordered {
    text: Text,
    /// The members of all objects that are not complete, the innermost last.
    members: Vec<Member>,
    objects: Vec<Object>,
    /// The text of an object in order; kept for the next one.
    sorted: Vec<u8>,
}

/// The place of a member in the text.
#[derive(Clone, Copy)]
struct Member {
    start: usize,
    /// The end of its key, with the quote.
    key: usize,
    end: usize,
}

struct Object {
    /// The place after its brace.
    start: usize,
    /// The number of members before its own.
    before: usize,
}

impl Member {
    /// The key as it is written, without quotes.
    fn key<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        text.get(self.start.saturating_add(1)..self.key.saturating_sub(1)).unwrap_or_default()
    }
}

/// The order of two keys: by the UTF-16 units of what they mean.
fn order(one: &[u8], other: &[u8]) -> Ordering {
    let plain = |key: &[u8]| key.iter().all(|byte| byte.is_ascii() && *byte != b'\\');
    if plain(one) && plain(other) {
        return one.cmp(other);
    }
    units(one).cmp(&units(other))
}

fn units(key: &[u8]) -> Vec<u16> {
    let quoted = [b"\"", key, b"\""].concat();
    // The serializer wrote it, so it is a string.
    let meant: String = serde_json::from_slice(&quoted).unwrap_or_default();
    meant.encode_utf16().collect()
}

impl Ordered {
    /// Writes the own members of the innermost object in order. Of two equal keys the first stays.
    fn sort(&mut self, object: &Object) {
        let Some(own) = self.members.get_mut(object.before..) else { return };
        let mut text = self.text.0.borrow_mut();
        let in_order = |pair: &[Member]| match pair {
            [one, other] => order(one.key(&text), other.key(&text)).is_lt(),
            _ => true,
        };
        if own.windows(2).all(in_order) {
            return;
        }
        own.sort_by(|one, other| order(one.key(&text), other.key(&text)));
        self.sorted.clear();
        let mut last: Option<&[u8]> = None;
        for member in own.iter() {
            let key = member.key(&text);
            if last.is_some_and(|last| order(last, key).is_eq()) {
                continue;
            }
            if last.is_some() {
                self.sorted.push(b',');
            }
            self.sorted.extend_from_slice(text.get(member.start..member.end).unwrap_or_default());
            last = Some(key);
        }
        text.truncate(object.start);
        text.extend_from_slice(&self.sorted);
    }

    /// Writes a number as JavaScript does.
    fn number(&self, value: f64) -> io::Result<()> {
        let number = serde_json_canonicalizer::to_string(&value).map_err(io::Error::other)?;
        self.text.add(number.as_bytes());
        Ok(())
    }
}

impl Formatter for Ordered {
    fn write_i64<W: ?Sized + Write>(&mut self, writer: &mut W, value: i64) -> io::Result<()> {
        if value.unsigned_abs() <= LARGEST_INTEGER {
            return write!(writer, "{value}");
        }
        self.write_number_str(writer, &value.to_string())
    }

    fn write_u64<W: ?Sized + Write>(&mut self, writer: &mut W, value: u64) -> io::Result<()> {
        if value <= LARGEST_INTEGER {
            return write!(writer, "{value}");
        }
        self.write_number_str(writer, &value.to_string())
    }

    fn write_i128<W: ?Sized + Write>(&mut self, writer: &mut W, value: i128) -> io::Result<()> {
        self.write_number_str(writer, &value.to_string())
    }

    fn write_u128<W: ?Sized + Write>(&mut self, writer: &mut W, value: u128) -> io::Result<()> {
        self.write_number_str(writer, &value.to_string())
    }

    fn write_f32<W: ?Sized + Write>(&mut self, _: &mut W, value: f32) -> io::Result<()> {
        self.number(f64::from(value))
    }

    fn write_f64<W: ?Sized + Write>(&mut self, _: &mut W, value: f64) -> io::Result<()> {
        self.number(value)
    }

    fn write_number_str<W: ?Sized + Write>(&mut self, _: &mut W, value: &str) -> io::Result<()> {
        self.number(value.parse().map_err(io::Error::other)?)
    }

    fn write_raw_fragment<W: ?Sized + Write>(&mut self, _: &mut W, _: &str) -> io::Result<()> {
        Err(io::Error::other("text that is JSON already has no canonical form"))
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b"{")?;
        self.objects.push(Object { start: self.text.len(), before: self.members.len() });
        Ok(())
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        self.members.push(Member { start: self.text.len(), key: 0, end: 0 });
        Ok(())
    }

    fn end_object_key<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        let end = self.text.len();
        if let Some(member) = self.members.last_mut() {
            member.key = end;
        }
        Ok(())
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        let end = self.text.len();
        if let Some(member) = self.members.last_mut() {
            member.end = end;
        }
        Ok(())
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if let Some(object) = self.objects.pop() {
            self.sort(&object);
            self.members.truncate(object.before);
        }
        writer.write_all(b"}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    fn same<T: Serialize>(value: &T) {
        let library = serde_json_canonicalizer::to_string(value).unwrap();
        assert_eq!(to_string(value).unwrap(), library);
    }

    #[derive(Serialize)]
    enum Variant {
        Unit,
        New(u8),
        Tuple(u8, &'static str),
        Struct { z: i64, a: Option<bool> },
    }

    #[derive(Serialize)]
    struct Typed {
        z: Vec<Variant>,
        #[serde(rename = "\u{1f600}")]
        smile: char,
        #[serde(rename = "\u{e000}")]
        private: f32,
        #[serde(rename = "a\"b")]
        quote: u128,
        numbers: BTreeMap<u64, ()>,
        #[serde(flatten)]
        rest: BTreeMap<&'static str, u8>,
        a: (i128, u64, i64, f64),
    }

    #[test]
    fn a_typed_value_is_written_as_the_library_writes_it() {
        same(&Typed {
            z: vec![
                Variant::Unit,
                Variant::New(1),
                Variant::Tuple(2, "x"),
                Variant::Struct { z: i64::MIN, a: None },
            ],
            smile: '\u{1f600}',
            private: 1.5,
            quote: u128::MAX,
            numbers: BTreeMap::from([(9, ()), (10, ())]),
            // The key of a field that stands before it.
            rest: BTreeMap::from([("z", 1), ("b", 2), ("", 3)]),
            a: (i128::MIN, u64::MAX, (1 << 53) + 1, 1e21),
        });
    }

    #[test]
    fn numbers_and_characters_are_written_as_the_library_writes_them() {
        for number in [0.0, -0.0, 1e20, 1e21, -1e21, 1e-6, 1e-7, 5e-324, f64::MAX, 0.1, 5.0] {
            same(&json!(number));
        }
        for number in [0, 1, 10, (1 << 53) - 1, 1 << 53, (1 << 53) + 1, u64::MAX] {
            same(&json!(number));
        }
        for number in [-1, -(1 << 53), 1 - (1 << 53), -1 - (1 << 53), i64::MIN] {
            same(&json!(number));
        }
        let all: Vec<String> = (0..0x300)
            .chain(0xd7f0..0xe010)
            .chain(0xfff0..0x1_0010)
            .filter_map(char::from_u32)
            .map(String::from)
            .collect();
        same(&all);
        // Every character as a key: the order of UTF-16 and that of UTF-8 differ.
        let object: serde_json::Map<String, Value> =
            all.iter().map(|key| (format!("a{key}"), json!({key: {}, "": [], "a": key}))).collect();
        same(&object);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|members| members.into_iter().collect::<Value>()),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_value_is_written_as_the_library_writes_it(value in value()) {
            same(&value);
        }
    }
}
