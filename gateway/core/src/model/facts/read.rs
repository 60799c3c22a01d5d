//! Checks of read operations. Never lets a whole object out: fields are named one by one.

use super::Found;
use crate::model::kind;
use crate::model::operation::Target;
use crate::model::path::FieldPath;
use std::collections::BTreeSet;

/// The number of fields in one read, at most.
const FIELDS: usize = 64;
/// Objects of one list, as `tool.wit` says.
const LIST: std::ops::RangeInclusive<u32> = 1..=500;
/// Lines of one log, as `tool.wit` says.
const LINES: std::ops::RangeInclusive<u32> = 1..=1_000;

/// Parses the field paths of a read.
pub(super) fn fields(texts: &[String]) -> Result<Vec<FieldPath>, String> {
    if texts.is_empty() || texts.len() > FIELDS {
        return Err(format!("it names {} fields instead of 1 to {FIELDS}", texts.len()));
    }
    let paths: Result<Vec<_>, _> = texts
        .iter()
        .map(|text| FieldPath::parse(text).map_err(|error| error.to_string()))
        .collect();
    let paths = paths?;
    if let Some(any) = paths.iter().find(|path| path.has_any_key()) {
        return Err(format!("the field `{any}` names every key of a map; name the keys"));
    }
    let once: BTreeSet<_> = paths.iter().collect();
    if once.len() != paths.len() {
        return Err("it names a field twice".to_owned());
    }
    if let Some(hidden) = paths.iter().find(|path| path.starts_with(&["metadata", "managedFields"]))
    {
        return Err(format!("the field `{hidden}` is the API server's own"));
    }
    Ok(paths)
}

pub(super) fn list(
    api: (&str, &str, &str),
    namespace: &str,
    texts: &[String],
    limit: u32,
) -> Result<Found, String> {
    let (group, version, kind_name) = api;
    let error = |error: kind::KindError| error.to_string();
    let known = kind::find(group, version, kind_name).map_err(error)?;
    kind::check_namespace(namespace).map_err(error)?;
    if !LIST.contains(&limit) {
        return Err(format!("its limit of {limit} is not within 1 to 500"));
    }
    let owned = |text: &str| text.to_owned();
    let target = Target {
        group: owned(known.group),
        version: owned(known.version),
        kind: owned(known.kind),
        namespace: owned(namespace),
        name: String::new(),
    };
    Ok(Found { target, paths: fields(texts)? })
}

pub(super) fn logs(found: Found, container: Option<&str>, lines: u32) -> Result<Found, String> {
    if found.target.kind != "Pod" {
        return Err("logs are a Pod's".to_owned());
    }
    if let Some(name) = container {
        kind::check_name(name).map_err(|error| error.to_string())?;
    }
    if LINES.contains(&lines) {
        Ok(found)
    } else {
        Err(format!("its {lines} lines are not within 1 to 1000"))
    }
}
