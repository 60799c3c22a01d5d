//! The namespace and the name of an object in a build. An object that is built as several is never
//! changed, since one edit would change all of them.

use super::graph::{Graph, Way, Ways};
use super::layer::{Layer, Located, Use};
use cofferdam_core::model::kind::is_cluster_scoped;
use cofferdam_core::model::preview::{Remark, RemarkKind};
use std::collections::BTreeMap;
use std::path::Path;

/// Builds of one object that a refusal names.
const TOLD: usize = 8;

/// An object as its file says it.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    /// The path of the file below the root.
    pub path: &'a Path,
    /// The kind of the object.
    pub kind: &'a str,
    /// Empty where it names none.
    pub namespace: &'a str,
    /// The name in the file.
    pub name: &'a str,
}

/// The identity of an object in a build.
#[derive(Debug, Clone, PartialEq)]
pub enum Built {
    /// As in its file.
    AsWritten,
    /// One object with another identity.
    As {
        /// The namespace in the build.
        namespace: String,
        /// The name in the build.
        name: String,
        /// The sources of namespace and name.
        given: Vec<Remark>,
    },
    /// Several objects, or an uncertain identity.
    Several {
        /// Namespace and name of each.
        objects: Vec<(String, String)>,
        /// The sources of the identities, as text for people.
        told: String,
    },
    /// No object: a patch, or a value.
    Not {
        /// `a patch`, `a value`.
        what: &'static str,
        /// The key that names it.
        key: &'static str,
        /// The place of the layer that names it.
        place: String,
    },
}

/// One build of an object.
struct Build {
    namespace: String,
    name: String,
    /// The source of the namespace: key and place.
    by_namespace: Option<(&'static str, String)>,
    by_name: Option<(&'static str, String)>,
    /// The layer that nothing includes.
    top: String,
}

/// The identity of an object in a build, by the ways of its file.
pub fn built(graph: &Graph, ways: &Ways, written: &Written<'_>) -> Built {
    if let Some((link, used)) = graph.other_use(written.path) {
        let what = if used == Use::Patch { "a patch" } else { "a value" };
        return Built::Not { what, key: graph.key(link), place: graph.place(link) };
    }
    if ways.known.is_empty() || is_cluster_scoped(written.kind) {
        return Built::AsWritten;
    }
    let builds: Vec<Build> = ways.known.iter().map(|way| build(graph, way, written)).collect();
    let mut objects: BTreeMap<(String, String), Vec<&Build>> = BTreeMap::new();
    for build in &builds {
        objects.entry((build.namespace.clone(), build.name.clone())).or_default().push(build);
    }
    let mut names = objects.keys();
    match (names.next(), names.next(), ways.more) {
        (Some((namespace, name)), None, false)
            if namespace == written.namespace && name == written.name =>
        {
            Built::AsWritten
        }
        (Some((namespace, name)), None, false) => Built::As {
            namespace: namespace.clone(),
            name: name.clone(),
            given: given(&builds, written),
        },
        _ => Built::Several {
            told: told(&objects, ways.more),
            objects: objects.into_keys().collect(),
        },
    }
}

fn build(graph: &Graph, way: &Way, written: &Written<'_>) -> Build {
    let top = way.last().map(|link| graph.place(*link)).unwrap_or_default();
    let (namespace, name) = (written.namespace.to_owned(), written.name.to_owned());
    let mut build = Build { namespace, name, by_namespace: None, by_name: None, top };
    for layer in graph.applied(way) {
        build.apply(layer);
    }
    build
}

impl Build {
    fn apply(&mut self, layer: &Layer) {
        let fallback = layer.fallback.as_ref().filter(|_| self.namespace.is_empty());
        if let Some(Located { value: (key, namespace), line }) =
            layer.namespace.as_ref().or(fallback)
            && *namespace != self.namespace
        {
            namespace.clone_into(&mut self.namespace);
            self.by_namespace = Some((key, layer.place(*line)));
        }
        if let Some(Located { value, line }) = &layer.prefix {
            self.name.insert_str(0, value);
            self.by_name = Some(("namePrefix", layer.place(*line)));
        }
        if let Some(Located { value, line }) = &layer.suffix {
            self.name.push_str(value);
            self.by_name = Some(("nameSuffix", layer.place(*line)));
        }
    }

    /// For people: who gives what.
    fn told(&self) -> String {
        let namespace = match (&self.by_namespace, self.namespace.as_str()) {
            (Some((key, place)), namespace) => {
                format!("`{key}` in {place} gives namespace {namespace}")
            }
            (None, "") => format!("{} gives it no namespace", self.top),
            (None, namespace) => format!("{} builds it in namespace {namespace}", self.top),
        };
        match &self.by_name {
            Some((key, place)) => format!("{namespace}, `{key}` in {place} the name {}", self.name),
            None => namespace,
        }
    }
}

/// The sources of namespace and name, each once.
fn given(builds: &[Build], written: &Written<'_>) -> Vec<Remark> {
    let mut given = Vec::new();
    for build in builds {
        if let Some((key, place)) =
            build.by_namespace.as_ref().filter(|_| build.namespace != written.namespace)
        {
            given.push(
                Remark::new(RemarkKind::Given, "namespace")
                    .by(*key, place)
                    .with(build.namespace.clone().into()),
            );
        }
        if let Some((key, place)) = build.by_name.as_ref().filter(|_| build.name != written.name) {
            given.push(
                Remark::new(RemarkKind::Given, "name")
                    .by(*key, place)
                    .with(build.name.clone().into()),
            );
        }
    }
    given
}

fn told(objects: &BTreeMap<(String, String), Vec<&Build>>, more: bool) -> String {
    let mut lines: Vec<String> = objects.values().flatten().map(|build| build.told()).collect();
    lines.sort();
    lines.dedup();
    let left = lines.len().saturating_sub(TOLD);
    lines.truncate(TOLD);
    if left > 0 || more {
        lines.push(if more {
            "there are more than can be told".to_owned()
        } else {
            format!("and {left} more")
        });
    }
    lines.join("; ")
}
