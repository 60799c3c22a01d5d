//! Checks of values that are written: whole objects, and changes of fields. Never lets identity,
//! ownership or status be written.

use super::{Found, namespace_of};
use crate::model::ceiling::EPHEMERAL;
use crate::model::kind;
use crate::model::limit;
use crate::model::operation::{Change, Place, Target};
use crate::model::path::{FieldPath, Segment};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The member of a value that the runner replaces.
const HOST: &str = "$host";
/// The values it knows.
const HOST_VALUES: [&str; 2] = ["call_id", "started_at"];
/// The members of `metadata` that a plan may write. The others are identity, ownership, or the API
/// server's own.
const METADATA: [&str; 2] = ["annotations", "labels"];

/// Addresses outside the cluster that a Service draws to itself, from every node: other people's
/// traffic.
const FOREIGN: &str = "externalIPs";

/// Parses the changes of a patch.
pub(super) fn patch(changes: &[Change]) -> Result<Vec<FieldPath>, String> {
    if changes.is_empty() || changes.len() > limit::CHANGES {
        return Err(format!("it has {} changes instead of 1 to {}", changes.len(), limit::CHANGES));
    }
    let mut paths: Vec<FieldPath> = Vec::with_capacity(changes.len());
    for change in changes {
        let path = FieldPath::parse(&change.path).map_err(|error| error.to_string())?;
        if !path.is_exact() {
            return Err(format!("the path `{path}` names more than one field"));
        }
        writable(&path)?;
        let into_spec = matches!(path.segments(), [Segment::Key(first)] if first == "spec");
        let draws =
            into_spec && change.value.as_ref().is_some_and(|value| value.get(FOREIGN).is_some());
        if draws
            || matches!(path.segments(), [Segment::Key(first), Segment::Key(second),
            ..] if first == "spec" && second == FOREIGN)
        {
            return Err(foreign());
        }
        if let Some(other) = paths.iter().find(|other| other.overlaps(&path)) {
            return Err(format!("the paths `{other}` and `{path}` overlap"));
        }
        if let Some(value) = &change.value {
            written(value, &path)?;
        }
        paths.push(path);
    }
    Ok(paths)
}

fn foreign() -> String {
    format!("the field `spec.{FOREIGN}` draws traffic of others to a Service, which no plan does")
}

/// True if a field may be written at all.
fn writable(path: &FieldPath) -> Result<(), String> {
    let refuse = || {
        Err(format!("the field `{path}` is identity, ownership or status, which no plan writes"))
    };
    match path.segments() {
        [Segment::Key(first), ..]
            if first == "status" || first == "apiVersion" || first == "kind" =>
        {
            refuse()
        }
        [Segment::Key(first), rest @ ..] if first == "metadata" => match rest {
            [Segment::Key(second), Segment::Key(_)] if METADATA.contains(&second.as_str()) => {
                Ok(())
            }
            _ => refuse(),
        },
        [.., Segment::Member { key, .. }, Segment::Key(last)] if key == last => {
            Err(format!("the path `{path}` would change the merge key it finds the member by"))
        }
        [Segment::Key(_), ..] => Ok(()),
        _ => refuse(),
    }
}

/// True if a value may be written: no nulls, which mean different things to different APIs, and
/// only the host's values that there are.
fn written(value: &Value, path: &FieldPath) -> Result<(), String> {
    match value {
        Value::Null => Err(format!(
            "the value of `{path}` holds a null; leave the field out, or remove it with a change \
             of its own"
        )),
        Value::Array(items) => items.iter().try_for_each(|item| written(item, path)),
        Value::Object(members) => match members.get(HOST) {
            Some(name)
                if members.len() != 1
                    || !name.as_str().is_some_and(|name| HOST_VALUES.contains(&name)) =>
            {
                Err(format!(
                    "the value of `{path}` names a host value other than `call_id` or `started_at`"
                ))
            }
            Some(_) => Ok(()),
            None => members.values().try_for_each(|member| written(member, path)),
        },
        _ => Ok(()),
    }
}

/// Checks a whole object and derives its target.
pub(super) fn apply(place: &Place, object: &Value) -> Result<Found, String> {
    let members = object.as_object().ok_or("its object is not a JSON object")?;
    let text = |key: &str| {
        members.get(key).and_then(Value::as_str).ok_or(format!("its object has no `{key}`"))
    };
    let (api, kind_name) = (text("apiVersion")?, text("kind")?);
    let (group, version) = api.split_once('/').unwrap_or(("", api));
    let known = kind::find(group, version, kind_name).map_err(|error| error.to_string())?;
    let namespace = namespace_of(place);
    if namespace != EPHEMERAL {
        kind::check_namespace(namespace).map_err(|error| error.to_string())?;
    } else if matches!(place, Place::Namespace(_)) {
        return Err("its namespace is empty".to_owned());
    }
    if members.contains_key("status") || members.contains_key("items") {
        return Err("its object has a status or is a list, which no plan writes".to_owned());
    }
    if members.get("spec").is_some_and(|spec| spec.get(FOREIGN).is_some()) {
        return Err(foreign());
    }
    let metadata =
        members.get("metadata").and_then(Value::as_object).ok_or("its object has no `metadata`")?;
    let name = check_metadata(metadata, namespace)?;
    let owned = |text: &str| text.to_owned();
    let target = Target {
        group: owned(known.group),
        version: owned(known.version),
        kind: owned(known.kind),
        namespace: owned(namespace),
        name,
    };
    let mut leaves = Vec::new();
    for (key, value) in members
        .iter()
        .filter(|(key, _)| !matches!(key.as_str(), "apiVersion" | "kind" | "metadata"))
    {
        collect(&[Segment::Key(key.clone())], value, &mut leaves)?;
    }
    for key in METADATA {
        if let Some(value) = metadata.get(key) {
            collect(
                &[Segment::Key("metadata".to_owned()), Segment::Key(key.to_owned())],
                value,
                &mut leaves,
            )?;
        }
    }
    // INVARIANT: each path leads to the value that it was made of, so that what is judged is what
    // is written.
    if let Some((path, _)) = leaves.iter().find(|(path, value)| {
        !path.is_exact() || path.get(object).ok().flatten().as_ref() != Some(*value)
    }) {
        return Err(format!("the path `{path}` leads to another value of its object"));
    }
    Ok(Found { target, paths: leaves.into_iter().map(|(path, _)| path).collect() })
}

fn check_metadata(metadata: &Map<String, Value>, namespace: &str) -> Result<String, String> {
    if let Some(odd) = metadata
        .keys()
        .find(|key| !matches!(key.as_str(), "name" | "namespace" | "annotations" | "labels"))
    {
        return Err(format!(
            "its object has `metadata.{}`, which no plan writes",
            crate::model::escape::line(odd)
        ));
    }
    if metadata.get("namespace").is_some_and(|given| given.as_str() != Some(namespace)) {
        return Err("its object names another namespace than the operation".to_owned());
    }
    let name =
        metadata.get("name").and_then(Value::as_str).ok_or("its object has no `metadata.name`")?;
    kind::check_name(name).map_err(|error| error.to_string())?;
    Ok(name.to_owned())
}

/// The paths of an object's values. Members of a list are named by `name` where each has its own;
/// any other list is one value.
fn collect<'a>(
    at: &[Segment],
    value: &'a Value,
    leaves: &mut Vec<(FieldPath, &'a Value)>,
) -> Result<(), String> {
    let beneath = |segment: Segment| [at, &[segment]].concat();
    match value {
        Value::Object(members) if !members.is_empty() && !members.contains_key(HOST) => {
            members.iter().try_for_each(|(key, member)| {
                collect(&beneath(Segment::Key(key.clone())), member, leaves)
            })
        }
        Value::Array(items) => match names(items) {
            Some(names) => items.iter().zip(names).try_for_each(|(item, name)| {
                let member = Segment::Member { key: "name".to_owned(), value: name.to_owned() };
                collect(&beneath(member), item, leaves)
            }),
            None => leaf(at, value, leaves),
        },
        _ => leaf(at, value, leaves),
    }
}

fn leaf<'a>(
    at: &[Segment],
    value: &'a Value,
    leaves: &mut Vec<(FieldPath, &'a Value)>,
) -> Result<(), String> {
    let path = FieldPath::of(at.to_vec()).map_err(|error| error.to_string())?;
    written(value, &path)?;
    leaves.push((path, value));
    Ok(())
}

/// The names of a list's members, where a path can find each by its name. A volume that is mounted
/// twice has one name twice.
fn names(items: &[Value]) -> Option<Vec<&str>> {
    let names: Vec<_> =
        items.iter().map(|item| item.get("name").and_then(Value::as_str)).collect::<Option<_>>()?;
    let once = names.iter().collect::<BTreeSet<_>>().len() == names.len();
    (once && !names.is_empty()).then_some(names)
}

/// The values of an object, as changes: policy judges the written values, in whichever form the
/// tool gives them.
pub(super) fn leaves(object: &Value, paths: &[FieldPath]) -> Vec<Change> {
    // `apply` made these paths of this object, and saw that each finds its value.
    paths
        .iter()
        .map(|path| Change { path: path.to_string(), value: path.get(object).ok().flatten() })
        .collect()
}
