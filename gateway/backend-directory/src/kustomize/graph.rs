//! The layers that include a file, up to the layers that no other includes. Bounded: a file with
//! more ways than [`WAYS`] is reported and never changed.

mod link;

pub use link::beneath;

use super::layer::{Layer, LayerKind, Use};
use super::parse::{FILES, is_kustomization};
use crate::index::File;
use crate::read::{Document, Unclear};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Ways from one file to the layers that nothing includes: beyond this a person reads no list of
/// them, and diamonds of folders double them at each level.
pub const WAYS: usize = 64;

/// Files as they were read, by path.
pub type Files = BTreeMap<PathBuf, Arc<File>>;

/// Where a layer names something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// The index of the layer.
    pub layer: usize,
    /// Its reference; none where Flux or Argo CD take all files of a folder.
    pub reference: usize,
}

/// From a file up: each layer with the reference through which it includes what is below.
pub type Way = Vec<Link>;

/// All ways of a file.
#[derive(Debug, Clone, Default)]
pub struct Ways {
    /// The known ways, at most [`WAYS`].
    pub known: Vec<Way>,
    /// True if there are more ways than are known.
    pub more: bool,
}

/// The layers that build the files of a tree.
#[derive(Debug, Default)]
pub struct Graph {
    layers: Vec<Layer>,
    /// The layers that name a file.
    named: BTreeMap<PathBuf, Vec<Link>>,
    /// The layers that include a layer.
    above: Vec<Vec<Link>>,
    /// The components that a layer names.
    components: Vec<Vec<usize>>,
    /// The kustomization of a folder.
    folders: BTreeMap<PathBuf, usize>,
    /// References to what is not in the tree.
    unseen: Vec<Link>,
    /// Kustomization files that cannot be read.
    unreadable: BTreeMap<PathBuf, Unclear>,
}

impl Graph {
    /// Reads the layers from these files.
    pub fn of(files: &Files) -> Self {
        link::graph(files)
    }

    /// Returns whether the tree has no layer.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty() && self.unreadable.is_empty()
    }

    /// The layer with this index.
    pub fn layer(&self, at: usize) -> Option<&Layer> {
        self.layers.get(at)
    }

    /// Where a link is, for people: `overlays/prod/kustomization.yaml:5`.
    pub fn place(&self, link: Link) -> String {
        let Some(layer) = self.layer(link.layer) else { return String::new() };
        layer.place(
            layer.references.get(link.reference).map_or(layer.line, |reference| reference.line),
        )
    }

    /// The layers that name a file, and the use of each.
    pub fn naming(&self, file: &Path) -> impl Iterator<Item = (Link, Use)> {
        self.named.get(file).into_iter().flatten().map(|link| (*link, self.used(*link)))
    }

    fn used(&self, link: Link) -> Use {
        let reference =
            self.layer(link.layer).and_then(|layer| layer.references.get(link.reference));
        reference.map_or(Use::Resource, |reference| reference.used)
    }

    /// The key under which a link names something.
    pub fn key(&self, link: Link) -> &'static str {
        let reference =
            self.layer(link.layer).and_then(|layer| layer.references.get(link.reference));
        reference.map_or("path", |reference| reference.key)
    }

    /// The use of a file by a layer, if it is not for its objects.
    pub fn other_use(&self, file: &Path) -> Option<(Link, Use)> {
        let mut naming = self.naming(file).peekable();
        let first = naming.peek().copied()?;
        naming.all(|(_, used)| matches!(used, Use::Patch | Use::Data)).then_some(first)
    }

    /// The ways of a file.
    pub fn ways(&self, file: &Path) -> Ways {
        let mut ways = Ways::default();
        for (link, used) in self.naming(file) {
            if used == Use::Resource {
                self.climb(&mut vec![link], &mut ways);
            }
        }
        ways
    }

    fn climb(&self, way: &mut Way, ways: &mut Ways) {
        let Some(last) = way.last().copied() else { return };
        let above = self.above.get(last.layer).map(Vec::as_slice).unwrap_or_default();
        // A layer that includes itself through others includes nothing more that way.
        let next: Vec<Link> = above
            .iter()
            .filter(|link| !way.iter().any(|known| known.layer == link.layer))
            .copied()
            .collect();
        if next.is_empty() {
            if ways.known.len() < WAYS {
                ways.known.push(way.clone());
            } else {
                ways.more = true;
            }
            return;
        }
        for link in next {
            if ways.more {
                return;
            }
            way.push(link);
            self.climb(way, ways);
            way.pop();
        }
    }

    /// The layers of a way in the order in which they change an object: the components of a layer
    /// before the layer itself, each once.
    pub fn applied(&self, way: &Way) -> Vec<&Layer> {
        let (mut order, mut seen) = (Vec::new(), BTreeSet::new());
        for link in way {
            self.apply(link.layer, &mut order, &mut seen);
        }
        order.iter().filter_map(|at| self.layer(*at)).collect()
    }

    fn apply(&self, layer: usize, order: &mut Vec<usize>, seen: &mut BTreeSet<usize>) {
        if !seen.insert(layer) {
            return;
        }
        for component in self.components.get(layer).into_iter().flatten() {
            self.apply(*component, order, seen);
        }
        order.push(layer);
    }

    /// The kustomization of a file's own folder, if it does not name the file and nothing else
    /// does.
    pub fn passed_over(&self, file: &Path) -> Option<&Layer> {
        if self.named.contains_key(file) || is_kustomization(file) {
            return None;
        }
        self.layer(*self.folders.get(file.parent()?)?)
    }

    /// The kustomization file of a file's own folder, if it cannot be read.
    pub fn unreadable_beside(&self, file: &Path) -> Option<(PathBuf, &Unclear)> {
        let folder = file.parent()?;
        FILES
            .iter()
            .map(|name| folder.join(name))
            .find_map(|path| self.unreadable.get(&path).map(|unclear| (path, unclear)))
    }

    /// The names in a layer that the tree does not have: key, text as written, line.
    pub fn unseen_of(
        &self,
        layer: &Layer,
    ) -> impl Iterator<Item = (Use, &'static str, &str, usize)> {
        let same = |at: usize| self.layer(at).is_some_and(|other| std::ptr::eq(other, layer));
        let links = self.unseen.iter().filter(move |link| same(link.layer));
        links.filter_map(|link| {
            let reference = self.layer(link.layer)?.references.get(link.reference)?;
            Some((reference.used, reference.key, reference.text.as_str(), reference.line))
        })
    }

    /// Everything that is named and is not in the tree: place and reason, for people.
    pub fn unseen(&self) -> Vec<(String, String)> {
        let told = |link: &Link| {
            let reference = self.layer(link.layer)?.references.get(link.reference)?;
            let reason = format!(
                "`{}` names `{}`, which is not in this tree; objects from there are not seen",
                reference.key, reference.text
            );
            Some((self.place(*link), reason))
        };
        self.unseen.iter().filter_map(told).collect()
    }

    /// Every layer of the tree.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter()
    }

    /// The file that a layer names, if it is in the tree.
    pub fn file<'a>(
        &self,
        files: &'a Files,
        layer: &Layer,
        text: &str,
    ) -> Option<(&'a Path, &'a [Document])> {
        let path = beneath(&layer.folder, text)?;
        let (path, file) = files.get_key_value(&path)?;
        Some((path.as_path(), file.documents.as_deref().ok()?))
    }

    /// Returns whether a controller of a cluster starts from this layer.
    pub fn is_controller(layer: &Layer) -> bool {
        matches!(layer.kind, LayerKind::Flux | LayerKind::Argo { .. })
    }
}
