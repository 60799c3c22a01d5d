//! The value that a path leads to in an object: read, changed, removed. Never reads the text of a
//! path.

use super::{FieldPath, NoMember, PathError, Segment};
use serde_json::{Map, Value};

impl FieldPath {
    /// The value there; `None` when absent. `[*]` gives an array of what each member has there,
    /// `null` where a member lacks it.
    pub fn get(&self, object: &Value) -> Result<Option<Value>, PathError> {
        self.read(&self.0, object)
    }

    fn read(&self, rest: &[Segment], value: &Value) -> Result<Option<Value>, PathError> {
        let Some((segment, rest)) = rest.split_first() else {
            return Ok(Some(value.clone()));
        };
        match segment {
            Segment::Key(key) => value.get(key).map_or(Ok(None), |next| self.read(rest, next)),
            Segment::Member { key, value: wanted } => match value.as_array() {
                None => Ok(None),
                Some(members) => match self
                    .position(members, segment, key, wanted)?
                    .and_then(|at| members.get(at))
                {
                    Some(member) => self.read(rest, member),
                    None => Ok(None),
                },
            },
            Segment::AnyMember => match value.as_array() {
                None => Ok(None),
                Some(members) => {
                    let each: Result<Vec<_>, _> = members
                        .iter()
                        .map(|member| self.read(rest, member).map(Option::unwrap_or_default))
                        .collect();
                    each.map(|values| Some(Value::Array(values)))
                }
            },
            Segment::AnyKey => Err(PathError::Wildcard(self.to_string())),
        }
    }

    /// Sets the value at the path, or removes it if `value` is `None`. Missing maps on the way are
    /// made. A missing list member is an error, except that a path that ends in a member appends
    /// that member. A removal of an absent value changes nothing.
    pub fn set(&self, object: &mut Value, value: Option<Value>) -> Result<(), PathError> {
        if !self.is_exact() {
            return Err(PathError::Wildcard(self.to_string()));
        }
        if let [.., Segment::Member { key, .. }, Segment::Key(last)] = self.0.as_slice()
            && key == last
        {
            return Err(PathError::MergeKey(self.to_string()));
        }
        self.place(&self.0, object, value)
    }

    fn place(
        &self,
        rest: &[Segment],
        at: &mut Value,
        value: Option<Value>,
    ) -> Result<(), PathError> {
        let Some((segment, rest)) = rest.split_first() else {
            return Ok(());
        };
        match segment {
            Segment::Key(key) => {
                if at.is_null() {
                    if value.is_none() {
                        return Ok(());
                    }
                    *at = Value::Object(Map::new());
                }
                let map = at.as_object_mut().ok_or_else(|| self.misfit(segment, "in a map"))?;
                match (rest.is_empty(), value) {
                    (true, Some(value)) => {
                        map.insert(key.clone(), value);
                        Ok(())
                    }
                    (true, None) => {
                        map.remove(key);
                        Ok(())
                    }
                    (false, None) => {
                        map.get_mut(key).map_or(Ok(()), |next| self.place(rest, next, None))
                    }
                    (false, value) => {
                        self.place(rest, map.entry(key.clone()).or_insert(Value::Null), value)
                    }
                }
            }
            Segment::Member { key, value: wanted } => {
                if at.is_null() {
                    match (&value, rest.is_empty()) {
                        (None, _) => return Ok(()),
                        (Some(_), true) => *at = Value::Array(Vec::new()),
                        (Some(_), false) => return Err(self.no_member(segment, &[])),
                    }
                }
                let members = at.as_array_mut().ok_or_else(|| self.misfit(segment, "in a list"))?;
                let found = self.position(members, segment, key, wanted)?;
                match (rest.is_empty(), found, value) {
                    (true, found, Some(value)) => {
                        if !is_member(&value, key, wanted) {
                            return Err(PathError::MergeKey(self.to_string()));
                        }
                        match found.and_then(|index| members.get_mut(index)) {
                            Some(member) => *member = value,
                            None => members.push(value),
                        }
                        Ok(())
                    }
                    (true, Some(index), None) => {
                        members.remove(index);
                        Ok(())
                    }
                    (_, None, None) => Ok(()),
                    (false, None, Some(_)) => Err(self.no_member(segment, members)),
                    (false, Some(index), value) => members
                        .get_mut(index)
                        .map_or(Ok(()), |member| self.place(rest, member, value)),
                }
            }
            Segment::AnyMember | Segment::AnyKey => Err(PathError::Wildcard(self.to_string())),
        }
    }

    /// The index of the one member with this name.
    fn position(
        &self,
        members: &[Value],
        segment: &Segment,
        key: &str,
        wanted: &str,
    ) -> Result<Option<usize>, PathError> {
        let mut found = members
            .iter()
            .enumerate()
            .filter(|(_, member)| is_member(member, key, wanted))
            .map(|(at, _)| at);
        let first = found.next();
        match found.next() {
            None => Ok(first),
            Some(_) => {
                Err(PathError::Ambiguous { path: self.to_string(), segment: segment.to_string() })
            }
        }
    }

    fn misfit(&self, segment: &Segment, wanted: &'static str) -> PathError {
        PathError::Misfit { path: self.to_string(), segment: segment.to_string(), wanted }
    }

    fn no_member(&self, segment: &Segment, members: &[Value]) -> PathError {
        let (merge, wanted) = match segment {
            Segment::Member { key, value } => (key.as_str(), value.clone()),
            Segment::Key(_) | Segment::AnyMember | Segment::AnyKey => ("", segment.to_string()),
        };
        let before = self.0.iter().take_while(|other| *other != segment);
        let list = before
            .filter_map(
                |segment| if let Segment::Key(key) = segment { Some(key.clone()) } else { None },
            )
            .last();
        let text = |member: &Value| match member.get(merge) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let there = members.iter().filter_map(text).collect();
        PathError::NoMember(Box::new(NoMember {
            path: self.to_string(),
            segment: segment.to_string(),
            list: list.unwrap_or_default(),
            wanted,
            there,
        }))
    }
}

/// Merge keys are strings, or numbers such as a container's port.
fn is_member(member: &Value, key: &str, wanted: &str) -> bool {
    match member.get(key) {
        Some(Value::String(text)) => text == wanted,
        Some(Value::Number(number)) => number.to_string() == wanted,
        _ => false,
    }
}
