//! Lists the files of a published ledger and reads their entries. Reports missing and truncated
//! files; compares nothing.

use super::{Check, Layer, Unreadable};
use crate::ledger::note::{Checkpoint, LARGEST};
use crate::ledger::tile::{Kind, Place, unbundle};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

/// Reads a file, up to the size of a full bundle.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Unreadable> {
    /// The most bytes of a file: a bundle of 256 longest entries.
    const FILE: u64 = 256 * (2 + 65_535) + LARGEST;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| Unreadable(path.to_owned(), error))?;
    file.take(FILE).read_to_end(&mut bytes).map_err(|error| Unreadable(path.to_owned(), error))?;
    Ok(bytes)
}

impl Check<'_> {
    /// Lists every file in `tile`, by its place.
    pub(super) fn list(
        &mut self,
        relative: &Path,
        files: &mut BTreeMap<Place, String>,
    ) -> Result<(), Unreadable> {
        let folder = self.folder.join(relative);
        let listing = match std::fs::read_dir(&folder) {
            Ok(listing) => listing,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Unreadable(folder, error)),
        };
        for file in listing {
            let file = file.map_err(|error| Unreadable(folder.clone(), error))?;
            let path = relative.join(file.file_name());
            let kind = match file.file_type() {
                Ok(kind) => kind,
                // The partial file was replaced by a full one.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Unreadable(folder.clone(), error)),
            };
            let text = path.to_string_lossy().into_owned();
            if kind.is_dir() {
                self.list(&path, files)?;
            } else if let Some(place) = Place::parse(&text).filter(|_| kind.is_file()) {
                files.insert(place, text);
            } else {
                self.report(Layer::Whole, None, &text, "the file is no part of a ledger");
            }
        }
        Ok(())
    }

    /// Reads the first existing file of two places. Both are tried twice: a growing ledger first
    /// writes the full file and then removes the partial one.
    pub(super) fn there(
        &self,
        places: &[Place; 2],
    ) -> Result<Option<(String, Vec<u8>)>, Unreadable> {
        for place in places.iter().chain(places) {
            let path = place.path();
            match read(&self.folder.join(&path)) {
                Ok(bytes) => return Ok(Some((path, bytes))),
                Err(Unreadable(_, error)) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Reads all signed entries from their bundles. An unreadable entry is empty, and is reported.
    pub(super) fn entries(&mut self, checkpoint: &Checkpoint) -> Result<Vec<Vec<u8>>, Unreadable> {
        let mut entries = Vec::new();
        let mut index = 0;
        while index * 256 < checkpoint.size {
            let first = index * 256;
            let width = (checkpoint.size - first).min(256);
            let places = [
                Place { kind: Kind::Entries, index, width },
                Place { kind: Kind::Entries, index, width: 256 },
            ];
            let (file, bytes) = match self.there(&places)? {
                Some((file, bytes)) => (Some(file), bytes),
                None => {
                    self.report(
                        Layer::Tile(0),
                        Some(first),
                        &places.map(|place| place.path()).join("` or `"),
                        "the bundle is missing",
                    );
                    (None, Vec::new())
                }
            };
            let (found, whole) = unbundle(&bytes);
            let many = found.len() as u64;
            if let Some(file) = &file
                && (many < width || !whole)
            {
                self.report(
                    Layer::Tile(0),
                    Some(first + many.min(width)),
                    file,
                    "the bundle is cut off or its lengths were changed",
                );
            }
            entries.extend(
                found
                    .into_iter()
                    .map(<[u8]>::to_vec)
                    .chain(std::iter::repeat(Vec::new()))
                    .take(usize::try_from(width).unwrap_or(0)),
            );
            index += 1;
        }
        Ok(entries)
    }
}
