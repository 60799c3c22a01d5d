//! JSON at the border: read strictly, written canonically (RFC 8785). All later stages receive only
//! the canonical bytes.

mod canonical;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Nesting beyond this is refused: RFC 8259 lets a receiver limit it, and no schema of ours needs a
/// tenth of it.
pub const DEPTH: usize = 64;

/// Whole numbers of 2^53 and more lose digits in a receiver that reads doubles (RFC 7493 §2.2), so
/// two readers would see different plans. 2^53 itself is out: `9007199254740993.0` is read as it,
/// and two texts would be one plan.
pub const LARGEST_INTEGER: u64 = (1 << 53) - 1;

/// Bytes that two readers would not read as the same JSON.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// The bytes are not JSON, have a key twice, are too deep, or have a number out of range; the
    /// text of serde_json has the place.
    #[error("{0}")]
    Strict(String),
    /// The JSON is valid and has another form.
    #[error("{0}")]
    Shape(String),
    /// The value has no canonical form.
    #[error("the value has no canonical form: {0}")]
    Canonical(String),
}

/// Reads one JSON text: no duplicate keys, at most [`DEPTH`] deep, no number beyond 2^53 - 1,
/// UTF-8, nothing after it.
pub fn strict(bytes: &[u8]) -> Result<Value, JsonError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| JsonError::Strict(format!("not UTF-8 at byte {}", error.valid_up_to())))?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict { depth: 0 }
        .deserialize(&mut reader)
        .map_err(|error| JsonError::Strict(error.to_string()))?;
    reader.end().map_err(|error| JsonError::Strict(error.to_string()))?;
    Ok(value)
}

/// Reads one JSON text strictly into a type.
pub fn strict_into<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    serde_json::from_value(strict(bytes)?).map_err(|error| JsonError::Shape(error.to_string()))
}

/// Canonical JSON text of a value (RFC 8785): same meaning, same bytes.
pub fn canonical<T: Serialize + ?Sized>(value: &T) -> Result<String, JsonError> {
    canonical::to_string(value).map_err(|error| JsonError::Canonical(error.to_string()))
}

struct Strict {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;
    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        if self.depth > DEPTH {
            return Err(D::Error::custom(format_args!("nested more than {DEPTH} deep")));
        }
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        if value > LARGEST_INTEGER {
            return Err(E::custom(format_args!(
                "the number {value} is beyond 2^53 - 1; send it as a string"
            )));
        }
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        if value.unsigned_abs() > LARGEST_INTEGER {
            return Err(E::custom(format_args!(
                "the number {value} is beyond 2^53 - 1; send it as a string"
            )));
        }
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        // 2^53 - 1 as a double is exact; the cast below is of a constant.
        #[expect(clippy::cast_precision_loss, reason = "2^53 - 1 is exact as a double")]
        let largest = LARGEST_INTEGER as f64;
        match Number::from_f64(value) {
            Some(number) if value.abs() <= largest => Ok(Value::Number(number)),
            _ => Err(E::custom(format_args!(
                "the number {value} is beyond 2^53 - 1; send it as a string"
            ))),
        }
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Strict { depth: self.depth + 1 })? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key `{key}` is there twice")));
            }
            let value = members.next_value_seed(Strict { depth: self.depth + 1 })?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &[u8], expect: Result<&str, &str>) {
        match (strict(input).and_then(|value| canonical(&value)), expect) {
            (Ok(text), Ok(want)) => assert_eq!(text, want),
            (Err(error), Err(want)) => assert!(error.to_string().contains(want), "{error}"),
            (got, want) => panic!("{got:?} instead of {want:?}"),
        }
    }

    #[test]
    fn same_meaning_same_bytes_and_no_doubt_about_meaning() {
        check(br#"{"b": 1.0, "a": [true, null, "x"]}"#, Ok(r#"{"a":[true,null,"x"],"b":1}"#));
        check(br#"{"a":1,"a":2}"#, Err("is there twice"));
        check(br#"{"a":{"b":1,"b":1}}"#, Err("is there twice"));
        check(b"9007199254740991", Ok("9007199254740991"));
        check(b"-9007199254740991.0", Ok("-9007199254740991"));
        for one_number in [
            "9007199254740992",
            "9007199254740992.0",
            "9007199254740993.0",
            "-9007199254740993.0",
            "-9007199254740992",
        ] {
            check(one_number.as_bytes(), Err("beyond 2^53 - 1"));
        }
        check(b"9007199254740993", Err("beyond 2^53"));
        check(b"123456789012345678901234567890", Err("beyond 2^53"));
        check(b"-9007199254740993", Err("beyond 2^53"));
        check(b"1e999", Err("out of range"));
        check(b"{} {}", Err("trailing"));
        check(b"\xff", Err("not UTF-8"));
        check(br#""\ud800""#, Err("escape"));
        check("[".repeat(66).as_bytes(), Err("nested more than 64"));
    }
}
