//! The private copy of a job: the files that its operations name. Created before the executor
//! starts; removed after it, whatever the outcome, and checked to be gone. Effects happen in the
//! copy; `journal.rs` alone writes the tree.

mod folder;
mod object_text;
pub mod renew;
#[cfg(test)]
mod tests;

pub use folder::{name, remove, sweep};

use self::object_text::{edited, expected, find, values};
use super::edit;
use super::index::{Found, Index};
use super::objects::Position;
use super::preview::{fields, paths};
use super::read::Format;
use super::tree::FILE;
use cofferdam_backend::effect_error::EffectError;
use cofferdam_backend::host_values::Host;
use cofferdam_backend::refusal::Refusal;
use cofferdam_core::model::ceiling::EPHEMERAL;
use cofferdam_core::model::difference::Difference;
use cofferdam_core::model::id::{CallId, Fence, ObjectDigest};
use cofferdam_core::model::job::Obstacle;
use cofferdam_core::model::operation::{Operation, Target};
use cofferdam_core::model::path::FieldPath;
use cofferdam_core::model::preview::PreviewedOperation;
use cofferdam_core::stage::drift;
use cofferdam_core::stage::drift::Compared;
use cofferdam_process::rooted_fs::Root;
use cofferdam_process::writable::obstacle;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The private copy of a job.
#[derive(Debug)]
pub struct PrivateCopy {
    folder: PathBuf,
    files: BTreeMap<PathBuf, Copied>,
    /// The objects, and how their own files name them: an overlay may give the namespace.
    written: Vec<(Target, Target)>,
    /// The way back from each done operation, by index.
    undo: BTreeMap<u32, Undo>,
    /// Operations that were done.
    done: Vec<Done>,
    /// Operations over the state in the copy, where that is another one than the admission's; by
    /// index.
    renewed: BTreeMap<u32, PreviewedOperation>,
    /// Policy obliges to stop over any change of an object.
    unchanged: bool,
    /// Changes by others in the objects since the admission.
    meanwhile: Vec<Difference>,
}

/// An operation that was done: enough to do it again over another state of its file.
#[derive(Debug)]
struct Done {
    path: PathBuf,
    operation: Operation,
    /// As it was approved, over the state that was seen last.
    approved: PreviewedOperation,
    host: Host,
}

/// A file as it was when it was copied.
#[derive(Debug)]
struct Copied {
    /// The path in the private copy.
    at: PathBuf,
    /// Digest of its bytes in the tree.
    before: ObjectDigest,
    /// An operation removed it; a copy that is gone otherwise is an error.
    gone: bool,
}

/// The way back to the state before an operation.
#[derive(Debug)]
enum Undo {
    /// Values as they were.
    Values(Vec<(FieldPath, Option<Value>)>),
    /// The file as it was, unless another operation changed it since.
    File { path: PathBuf, before: String, after: Option<String> },
}

/// A file that the job changed: what the journal writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedFile {
    /// The path below the root.
    pub path: PathBuf,
    /// Digest of the tree's file when it was copied.
    pub before: ObjectDigest,
    /// New content; none removes the file.
    pub content: Option<String>,
}

impl From<edit::EditError> for EffectError {
    fn from(error: edit::EditError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl PrivateCopy {
    /// Creates the folder, and copies every file that has one of these objects.
    pub fn make(
        runs: &Path,
        call: &CallId,
        fence: Fence,
        index: &Index,
        targets: &[&Target],
    ) -> Result<Self, EffectError> {
        let folder = runs.join(name(call, fence));
        // The same lease never creates it twice. If it exists, something is wrong.
        DirBuilder::new().mode(0o700).create(&folder).map_err(unmade(&folder))?;
        let (mut files, mut written) = (BTreeMap::new(), Vec::new());
        for target in targets {
            let found = index.find(target).map_err(Refusal::from)?;
            written.push(((*target).clone(), found.written(target)));
            let Found { path, file, .. } = found;
            let at = folder.join(path);
            if let Some(parent) = at.parent() {
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(parent)
                    .map_err(unmade(parent))?;
            }
            fs::write(&at, &file.text).map_err(unmade(&at))?;
            files.insert(
                path.to_owned(),
                Copied { at, before: ObjectDigest::of(file.text.as_bytes()), gone: false },
            );
        }
        let (undo, renewed) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self {
            folder,
            files,
            written,
            undo,
            done: Vec::new(),
            renewed,
            unchanged: false,
            meanwhile: Vec::new(),
        })
    }

    /// With the operations whose objects were changed between the admission and the copy, over
    /// their state in the copy; and with what policy obliges to.
    #[must_use]
    pub fn over(self, renewed: Vec<PreviewedOperation>, unchanged: bool) -> Self {
        Self {
            renewed: renewed.into_iter().map(|now| (now.index, now)).collect(),
            unchanged,
            ..self
        }
    }

    /// The folder of the private copy.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Checks that an operation can still happen: its object is as approved.
    pub fn check(&mut self, approved: &PreviewedOperation) -> Result<(), EffectError> {
        // An object of a task is new, so it cannot have changed.
        if approved.target.namespace == EPHEMERAL {
            return Ok(());
        }
        self.held(approved).map(drop)
    }

    /// Changes by others in the objects since the admission.
    pub fn meanwhile(&self) -> &[Difference] {
        &self.meanwhile
    }

    /// Carries out one operation in the copy and compares the result with the approved one. Returns
    /// the observed state after it.
    pub fn perform(
        &mut self,
        operation: &Operation,
        approved: &PreviewedOperation,
        host: &Host,
    ) -> Result<BTreeMap<String, Value>, EffectError> {
        let (place, approved) = self.held(approved)?;
        let (after, observed) = edited(
            &place.path,
            &place.text,
            operation,
            &approved,
            (self.written(&approved.target), host),
        )?;
        let undo = match operation {
            Operation::Patch { changes, .. } => {
                Undo::Values(values(&place.object, &paths(changes)?)?)
            }
            _ => Undo::File {
                path: place.path.clone(),
                before: place.text.clone(),
                after: after.clone(),
            },
        };
        self.write(&place.path, after.as_deref())?;
        self.undo.insert(approved.index, undo);
        self.done.push(Done {
            path: place.path,
            operation: operation.clone(),
            approved,
            host: host.clone(),
        });
        Ok(observed)
    }

    /// Brings the state before an operation back. Returns the observed state.
    pub fn undo(
        &mut self,
        approved: &PreviewedOperation,
    ) -> Result<BTreeMap<String, Value>, EffectError> {
        let conflict = || EffectError::Conflict(approved.target.clone());
        let Some(undo) = self.undo.remove(&approved.index) else { return Err(conflict()) };
        match undo {
            Undo::Values(before) => {
                let place = self.place(&approved.target).ok_or_else(conflict)?;
                let text =
                    edit::patch(Format::of(&place.path), &place.text, &place.position, &before)?;
                let (_, object) = find(&place.path, &text, self.written(&approved.target))
                    .ok_or_else(conflict)?;
                let observed = fields(&object, &before)?;
                self.write(&place.path, Some(&text))?;
                if observed == approved.before { Ok(observed) } else { Err(conflict()) }
            }
            Undo::File { path, before, after } => {
                let held = |copied: &Copied| fs::read_to_string(&copied.at).ok() == after;
                if !self.files.get(&path).is_some_and(held) {
                    return Err(conflict());
                }
                self.write(&path, Some(&before))?;
                Ok(approved.before.clone())
            }
        }
    }

    /// Every file whose copy differs from what was copied.
    pub fn changed(&self) -> Result<Vec<ChangedFile>, Obstacle> {
        let mut changed = Vec::new();
        for (path, Copied { at, before, gone }) in &self.files {
            let unread = |error: io::Error| obstacle(at, "cannot be read", &error);
            let content = if *gone { None } else { Some(fs::read_to_string(at).map_err(unread)?) };
            if content.as_ref().is_none_or(|text| ObjectDigest::of(text.as_bytes()) != *before) {
                changed.push(ChangedFile { path: path.clone(), before: *before, content });
            }
        }
        Ok(changed)
    }

    /// Every file that holds an object of the job.
    pub fn touches(&self) -> BTreeSet<PathBuf> {
        self.files.keys().cloned().collect()
    }

    /// The first file of the tree that this job does not write and in which one of its objects has
    /// changed. A job whose change has no effect still depends on the present state.
    pub fn moved(&self, root: &Root, written: &[ChangedFile]) -> Option<PathBuf> {
        let kept =
            self.done.iter().filter(|done| written.iter().all(|file| file.path != done.path));
        kept.filter(|Done { path, approved, .. }| {
            let text = root.read(path, FILE).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let found = text.and_then(|text| find(path, &text, self.written(&approved.target)));
            found.and_then(|(_, object)| expected(path, approved, &object).ok()) != Some(true)
        })
        .map(|done| done.path.clone())
        .next()
    }

    fn write(&mut self, path: &Path, text: Option<&str>) -> Result<(), EffectError> {
        let copied =
            self.files.get_mut(path).ok_or_else(|| unmade(path)(io::ErrorKind::NotFound.into()))?;
        copied.gone = text.is_none();
        let written = match text {
            Some(text) => fs::write(&copied.at, text),
            None => fs::remove_file(&copied.at),
        };
        written.map_err(unmade(&copied.at))
    }

    /// The object in the copy, with the operation as approved over its state. Keeps changes by
    /// others for the outcome.
    fn held(
        &mut self,
        approved: &PreviewedOperation,
    ) -> Result<(Place, PreviewedOperation), EffectError> {
        let conflict = || EffectError::Conflict(approved.target.clone());
        let place = self.place(&approved.target).ok_or_else(conflict)?;
        if expected(&place.path, approved, &place.object)? {
            return Ok((place, approved.clone()));
        }
        let now = self.renewed.get(&approved.index).cloned().ok_or_else(conflict)?;
        if !expected(&place.path, &now, &place.object)? {
            return Err(conflict());
        }
        let Compared { inside, outside } = drift::compare(approved, &now);
        EffectError::unless_held(inside, &outside, self.unchanged)?;
        drift::add(&mut self.meanwhile, outside);
        Ok((place, now))
    }

    /// An object as its own file names it.
    fn written<'a>(&'a self, target: &'a Target) -> &'a Target {
        self.written
            .iter()
            .find(|(built, _)| built == target)
            .map_or(target, |(_, written)| written)
    }

    fn place(&self, target: &Target) -> Option<Place> {
        let target = self.written(target);
        self.files.iter().find_map(|(path, copied)| {
            let text = fs::read_to_string(&copied.at).ok()?;
            let (position, object) = find(path, &text, target)?;
            Some(Place { path: path.clone(), text, position, object })
        })
    }
}

/// An object as it is in the copy.
struct Place {
    path: PathBuf,
    text: String,
    position: Position,
    object: Value,
}

/// The private copy cannot be written here.
fn unmade(path: &Path) -> impl Fn(io::Error) -> EffectError {
    move |error| EffectError::Unwritable(obstacle(path, "cannot be written", &error))
}
