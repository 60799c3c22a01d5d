//! The objects of a file: a document, or a member of a `List` (also of a typed one, as
//! `DeploymentList`). Reads names alone; never decides whether an object is reliable.

use super::read::{Document, Node};
use cofferdam_core::model::operation::Target;
use std::fmt;

/// Where an object is in its file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// Index among the file's documents.
    pub document: usize,
    /// The index of a list member, for each list on the way. Empty for a whole document.
    pub items: Vec<usize>,
}

/// Group, kind, namespace (empty where none is written) and name: two versions of one API are one
/// object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// API group, empty for the core group.
    pub group: String,
    /// The kind of the object.
    pub kind: String,
    /// The namespace of the object.
    pub namespace: String,
    /// The name of the object.
    pub name: String,
}

/// An object by its name and version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// API version without the group.
    pub version: String,
    /// The name, if it is clear.
    pub name: Name,
}

impl Identity {
    /// Returns whether an operation on this target means the object.
    pub fn matches_target(&self, target: &Target) -> bool {
        self.version == target.version && self.name == Name::of(target)
    }
}

impl Name {
    /// The identity of a target.
    pub fn of(target: &Target) -> Self {
        let [group, kind, namespace, name] =
            [&target.group, &target.kind, &target.namespace, &target.name].map(Clone::clone);
        Self { group, kind, namespace, name }
    }

    /// The first of all names of a kind in a namespace, which no object has.
    pub fn first(group: &str, kind: &str, namespace: &str) -> Self {
        let [group, kind, namespace] = [group, kind, namespace].map(str::to_owned);
        Self { group, kind, namespace, name: String::new() }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.kind, self.name)
    }
}

/// Every object of a file that names itself.
pub fn objects(documents: &[Document]) -> Vec<(Position, Identity)> {
    let mut found = Vec::new();
    for (document, root) in documents.iter().enumerate().map(|(at, document)| (at, &document.root))
    {
        collect(root, None, &mut Position { document, items: Vec::new() }, &mut found);
    }
    found
}

/// API version and kind that a typed list gives to members which do not say their own.
#[derive(Clone, Copy)]
struct Given<'a> {
    api: &'a str,
    kind: &'a str,
}

fn collect(
    node: &Node,
    given: Option<Given<'_>>,
    at: &mut Position,
    found: &mut Vec<(Position, Identity)>,
) {
    if let Some(given) = list(node) {
        let items = node.get("items").map(Node::items).unwrap_or_default();
        for (index, item) in items.iter().enumerate() {
            at.items.push(index);
            collect(item, given, at, found);
            at.items.pop();
        }
    } else if let Some(identity) = identity(node, given) {
        found.push((at.clone(), identity));
    }
}

/// Returns `Some` if a value is a list of objects, with the kind that a typed list gives to its
/// members.
fn list(node: &Node) -> Option<Option<Given<'_>>> {
    let kind = node.get("kind")?.text()?.strip_suffix("List")?;
    let is_object = node.get("metadata").is_some_and(|metadata| metadata.get("name").is_some());
    let api = node.get("apiVersion")?.text()?;
    let is_list = matches!(node.get("items")?.shape, super::read::Shape::List { .. }) && !is_object;
    is_list.then_some((!kind.is_empty()).then_some(Given { api, kind }))
}

fn identity(node: &Node, given: Option<Given<'_>>) -> Option<Identity> {
    let own = |key: &str| node.get(key).and_then(Node::text);
    let api = own("apiVersion").or(given.map(|given| given.api))?;
    let kind = own("kind").or(given.map(|given| given.kind))?.to_owned();
    let (group, version) = api.rsplit_once('/').unwrap_or(("", api));
    let metadata = node.get("metadata")?;
    let name = metadata.get("name")?.text()?.to_owned();
    let namespace = metadata.get("namespace").and_then(Node::text).unwrap_or_default().to_owned();
    Some(Identity {
        version: version.to_owned(),
        name: Name { group: group.to_owned(), kind, namespace, name },
    })
}

impl Position {
    /// The object at this position.
    pub fn object<'a>(&self, documents: &'a [Document]) -> Option<&'a Node> {
        let root = &documents.get(self.document)?.root;
        self.items.iter().try_fold(root, |node, index| node.get("items")?.items().get(*index))
    }
}
