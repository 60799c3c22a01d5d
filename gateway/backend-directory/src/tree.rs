//! The files of a tree: regular files below its root, never through a link; dot-paths are skipped.
//! A file that is too large, not text or not readable is named and not read. It does not affect a
//! call about other files.

use super::index::File;
use super::read::Unclear;
use cofferdam_core::model::job::Obstacle;
use cofferdam_process::rooted_fs::{Entry, Kind, Root, is_manifest};
use cofferdam_process::writable::{remedy, remedy_of_reading};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Bytes of one manifest: the largest generated ones have a few hundred KiB, and all of it is
/// parsed.
pub const FILE: u64 = 1024 * 1024;

/// Manifests of a tree: read at every look, so beyond this a tree is better served in parts.
pub const FILES: usize = 10_000;

/// Bytes of all manifests of a tree. A MiB takes about 20 MiB of memory in each role that reads the
/// tree; 10,000 manifests of usual size have 30 MiB.
pub const TREE: u64 = 64 * 1024 * 1024;

/// `EIO` of Linux: the disk does not give these bytes.
const EIO: i32 = 5;

/// The most folders within folders.
const DEPTH: usize = 32;

/// A tree that cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The tree cannot be read.
    #[error("cannot read `{path}` in the tree")]
    Read {
        /// Which path, beneath the root.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The tree has too many manifests.
    #[error("the tree has more than {FILES} manifests; serve a part of it")]
    Many,
}

impl From<TreeError> for Obstacle {
    fn from(error: TreeError) -> Self {
        match &error {
            TreeError::Read { source, .. } => {
                Self::new(format!("{error}: {source}"), remedy(source))
            }
            TreeError::Many => Self::new(error.to_string(), "serve a part of it"),
        }
    }
}

/// The text of a manifest.
#[derive(Debug)]
pub enum Text {
    /// The text as it was read.
    Read(String),
    /// A file that was read before, and did not change since.
    Kept(Arc<File>),
}

impl Text {
    /// Bytes of the text; none if it could not be read.
    fn size(&self) -> u64 {
        match self {
            Self::Read(text) => text.len() as u64,
            Self::Kept(file) => file.text.len() as u64,
        }
    }
}

/// One manifest file: its path beneath the root, and its text or why it has none.
#[derive(Debug)]
pub struct Manifest {
    /// The path below the root.
    pub path: PathBuf,
    /// The text of the file, or the reason why it is not read.
    pub text: Result<Text, Unclear>,
}

/// Gives folders and files of a tree as they are now.
pub trait Source {
    /// The entries of a folder, sorted by name.
    /// # Errors
    /// The folder cannot be read.
    fn entries(&mut self, folder: &Path) -> io::Result<Vec<Entry>>;

    /// The target of a link, as it is written.
    /// # Errors
    /// The path has no link.
    fn target(&mut self, link: &Path) -> io::Result<PathBuf>;

    /// The text of a manifest, or the reason why it is not read.
    /// # Errors
    /// The file cannot be read.
    fn text(&mut self, path: &Path) -> io::Result<Result<Text, Unclear>>;
}

/// Reads everything from the file system.
impl Source for &Root {
    fn entries(&mut self, folder: &Path) -> io::Result<Vec<Entry>> {
        Root::entries(self, folder)
    }

    fn target(&mut self, link: &Path) -> io::Result<PathBuf> {
        Root::target(self, link)
    }

    fn text(&mut self, path: &Path) -> io::Result<Result<Text, Unclear>> {
        Ok(text(self, path)?.map(Text::Read))
    }
}

/// The files below a root.
#[derive(Debug, Default)]
pub struct Tree {
    /// Every `.yaml`, `.yml` and `.json` file and every `Kustomization`, sorted by path; and
    /// folders that cannot be read.
    pub manifests: Vec<Manifest>,
    /// Links that lead out of the tree, or to another place of it through a link.
    pub links: Vec<PathBuf>,
    /// Whether a file is left out because of [`TREE`].
    pub is_beyond: bool,
}

impl Tree {
    /// Reads the files of a tree.
    /// # Errors
    /// The tree cannot be read, or has too many manifests.
    pub fn read(source: &mut impl Source) -> Result<Self, TreeError> {
        let mut reader = Reader { source, left: TREE, tree: Self::default(), links: Vec::new() };
        reader.walk(Path::new(""), 0)?;
        let Reader { mut tree, links, .. } = reader;
        let all: Vec<_> = links.iter().map(|(path, _)| path.as_path()).collect();
        tree.links = links
            .iter()
            .filter(|(_, target)| leads_out(target.as_deref(), &all))
            .map(|(path, _)| path.clone())
            .collect();
        Ok(tree)
    }

    /// Bytes of all texts that were read.
    pub fn size(&self) -> u64 {
        let texts = self.manifests.iter().filter_map(|manifest| manifest.text.as_ref().ok());
        texts.map(Text::size).sum()
    }
}

/// Returns whether the tree reads the target of a link at no other place.
fn leads_out(target: Option<&Path>, links: &[&Path]) -> bool {
    let is_hidden = |path: &Path| {
        path.components().any(|part| part.as_os_str().to_string_lossy().starts_with('.'))
    };
    target
        .is_none_or(|target| is_hidden(target) || links.iter().any(|link| target.starts_with(link)))
}

struct Reader<'a, S> {
    source: &'a mut S,
    /// Bytes that may still be read.
    left: u64,
    tree: Tree,
    /// Links with what they point to beneath the root, if so.
    links: Vec<(PathBuf, Option<PathBuf>)>,
}

impl<S: Source> Reader<'_, S> {
    fn name(&mut self, path: PathBuf, reason: impl Into<String>) {
        self.tree.manifests.push(Manifest { path, text: Err(Unclear::at(1, reason)) });
    }

    fn walk(&mut self, folder: &Path, depth: usize) -> Result<(), TreeError> {
        if depth > DEPTH {
            self.name(
                folder.to_owned(),
                format!("is more than {DEPTH} folders deep; serve a part of the tree"),
            );
            return Ok(());
        }
        let entries = match self.source.entries(folder) {
            Ok(entries) => entries,
            // A folder below the root is skipped, as a file is, so that calls about other objects
            // succeed.
            Err(error) if depth > 0 && is_local(&error) => {
                self.name(folder.to_owned(), unreadable(&error));
                return Ok(());
            }
            Err(source) => return Err(TreeError::Read { path: folder.to_owned(), source }),
        };
        for entry in entries {
            let Some(name) = entry.name.to_str() else {
                if entry.kind == Kind::Directory || is_manifest(&entry.name.to_string_lossy()) {
                    self.name(
                        folder.join(entry.name.to_string_lossy().as_ref()),
                        "has a name that is not UTF-8; give it another name",
                    );
                }
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            let path = folder.join(name);
            match entry.kind {
                Kind::Directory => self.walk(&path, depth + 1)?,
                Kind::File if is_manifest(name) => self.manifest(path)?,
                Kind::Link => {
                    let target =
                        self.source.target(&path).ok().and_then(|target| beneath(folder, &target));
                    self.links.push((path, target));
                }
                Kind::File | Kind::Other => {}
            }
        }
        Ok(())
    }

    fn manifest(&mut self, path: PathBuf) -> Result<(), TreeError> {
        if self.tree.manifests.len() >= FILES {
            return Err(TreeError::Many);
        }
        match self.source.text(&path) {
            Ok(Ok(text)) if text.size() > self.left => {
                self.left = 0;
                self.tree.is_beyond = true;
                self.name(
                    path,
                    format!(
                        "is beyond the {} MiB of manifests that are read; serve a part of the tree",
                        TREE >> 20
                    ),
                );
            }
            Ok(text) => {
                self.left -= text.as_ref().map_or(0, Text::size);
                self.tree.manifests.push(Manifest { path, text });
            }
            // A file that was removed or replaced since it was listed counts as absent.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if is_local(&error) => self.name(path, unreadable(&error)),
            Err(source) => return Err(TreeError::Read { path, source }),
        }
        Ok(())
    }
}

/// The target of a link in a folder, below the root; `None` if it is outside.
fn beneath(folder: &Path, target: &Path) -> Option<PathBuf> {
    let mut path = folder.to_owned();
    for part in target.components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir if path.pop() => {}
            _ => return None,
        }
    }
    Some(path)
}

/// Returns whether an error is about one file or folder alone: its rights, or its disk.
fn is_local(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied || error.raw_os_error() == Some(EIO)
}

fn unreadable(error: &io::Error) -> String {
    format!("cannot be read: {error}; {}", remedy_of_reading(error))
}

/// Reads the text of one manifest.
pub fn text(root: &Root, path: &Path) -> io::Result<Result<String, Unclear>> {
    match root.read(path, FILE) {
        Ok(bytes) => Ok(decoded(bytes)),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Ok(Err(Unclear::at(
            1,
            format!("is larger than {} MiB, and is not read; split it", FILE >> 20),
        ))),
        Err(error) => Err(error),
    }
}

/// Text of a file's bytes. Encodings other than UTF-8 are named.
fn decoded(bytes: Vec<u8>) -> Result<String, Unclear> {
    let remedy = "save it as UTF-8";
    if bytes.starts_with(&[0xff, 0xfe])
        || bytes.starts_with(&[0xfe, 0xff])
        || bytes.iter().take(4).any(|byte| *byte == 0)
    {
        return Err(Unclear::at(1, format!("is UTF-16 or UTF-32, and is not read; {remedy}")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes().iter().take(valid).filter(|byte| **byte == b'\n').count();
        Unclear::at(
            line,
            format!("is not UTF-8 (it may be Latin-1 or Windows-1252), and is not read; {remedy}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_that_cannot_be_read_has_the_cause_and_the_remedy_of_its_own_error() {
        let table =
            [(13, "the right to read it"), (1, "the right to read it"), (EIO, "look at the disk")];
        for (errno, words) in table {
            let error = io::Error::from_raw_os_error(errno);
            assert!(is_local(&error), "{errno}");
            let reason = unreadable(&error);
            let cause = format!("cannot be read: {error}; ");
            assert!(reason.starts_with(&cause) && reason.contains(words), "{errno}: {reason}");
        }
    }

    #[test]
    fn another_encoding_is_named_with_the_remedy() {
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        for (bytes, line, words) in [
            ([vec![0xff, 0xfe], utf16("a: 1\n")].concat(), 1, "is UTF-16"),
            (utf16("a: 1\n"), 1, "is UTF-16"),
            (b"a: 1\nb: caf\xe9\n".to_vec(), 2, "Latin-1"),
        ] {
            let unclear = decoded(bytes).unwrap_err();
            assert!(
                unclear.line == line
                    && unclear.reason.contains(words)
                    && unclear.reason.contains("save it as UTF-8"),
                "{unclear}"
            );
        }
        assert_eq!(decoded("\u{feff}a: ä\n".into()).unwrap(), "\u{feff}a: ä\n");
    }

    #[test]
    fn a_link_is_named_unless_what_it_points_to_is_read_at_its_own_place() {
        let place = tempfile::tempdir().unwrap();
        let tree = place.path().join("tree");
        std::fs::create_dir_all(tree.join("base")).unwrap();
        std::fs::create_dir_all(tree.join("prod/.git")).unwrap();
        std::fs::create_dir_all(place.path().join("outside")).unwrap();
        let link =
            |target: &str, at: &str| std::os::unix::fs::symlink(target, tree.join(at)).unwrap();
        link("../base", "prod/apps");
        link("../../outside", "prod/shared");
        link("/etc", "prod/etc");
        link("shared/deep", "prod/deeper");
        link(".git", "prod/git");
        let found = Tree::read(&mut &Root::open(&tree).unwrap()).unwrap();
        let links: Vec<_> = found.links.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(links, ["prod/deeper", "prod/etc", "prod/git", "prod/shared"]);
    }
}
