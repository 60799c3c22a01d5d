//! The paths of tiles and the framing of bundles (C2SP tlog-tiles). Never interprets an entry.

use super::tree::Hash;

/// The most bytes of an entry: two bytes before it have its length.
pub const LONGEST_ENTRY: usize = 65_535;

/// The kind of a tile file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A bundle of entries.
    Entries,
    /// The hashes of this level.
    Hashes(u32),
}

/// The place of one tile file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The kind of the file.
    pub kind: Kind,
    /// The index within its level.
    pub index: u64,
    /// The width: 1 to 255 for a partial tile, 256 for a full one.
    pub width: u64,
}

impl Place {
    /// The path in the folder of the ledger: `tile/0/x001/x234/067.p/5`.
    pub fn path(&self) -> String {
        let level = match self.kind {
            Kind::Entries => "entries".to_owned(),
            Kind::Hashes(level) => level.to_string(),
        };
        let mut number = format!("{:03}", self.index % 1000);
        let mut rest = self.index / 1000;
        while rest > 0 {
            number = format!("x{:03}/{number}", rest % 1000);
            rest /= 1000;
        }
        let partial = if self.width < 256 { format!(".p/{}", self.width) } else { String::new() };
        format!("tile/{level}/{number}{partial}")
    }

    /// Parses a path; `None` if it is not exactly in the form of [`Place::path`].
    pub fn parse(path: &str) -> Option<Self> {
        let (kind, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let kind = if kind == "entries" {
            Kind::Entries
        } else {
            Kind::Hashes(kind.parse().ok().filter(|level| *level < 64)?)
        };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => {
                (number, width.parse().ok().filter(|width| (1..256).contains(width))?)
            }
            None => (rest, 256),
        };
        let index = number.split('/').try_fold(0u64, |sum, part| {
            let digits = part.strip_prefix('x').unwrap_or(part);
            sum.checked_mul(1000)?.checked_add(digits.parse().ok()?)
        })?;
        let place = Self { kind, index, width };
        (place.path() == path).then_some(place)
    }

    /// The index of the first entry of the tile; at most `u64::MAX`.
    pub fn first_entry(&self) -> u64 {
        let level = match self.kind {
            Kind::Entries => 0,
            Kind::Hashes(level) => level,
        };
        self.index
            .checked_mul(256)
            .and_then(|start| start.checked_mul(span(level)))
            .unwrap_or(u64::MAX)
    }
}

/// The number of entries of one hash of this level.
pub fn span(level: u32) -> u64 {
    1u64.checked_shl(8 * level).unwrap_or(u64::MAX)
}

/// The bytes of a hash tile.
pub fn hash_tile(hashes: &[Hash]) -> Vec<u8> {
    hashes.concat()
}

/// The bytes of an entry bundle; `None` if an entry is too long.
pub fn bundle<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.extend_from_slice(&u16::try_from(entry.len()).ok()?.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Some(bytes)
}

/// The entries of a bundle, and whether the bytes end with the last one.
pub fn unbundle(mut bytes: &[u8]) -> (Vec<&[u8]>, bool) {
    let mut entries = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let Some((entry, rest)) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
        else {
            break;
        };
        entries.push(entry);
        bytes = rest;
    }
    (entries, bytes.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expect: Option<Place>) {
        assert_eq!(Place::parse(path), expect, "{path}");
        if let Some(place) = expect {
            assert_eq!(place.path(), path);
        }
    }

    #[test]
    fn paths_are_those_of_the_specification() {
        check(
            "tile/0/x001/x234/067",
            Some(Place { kind: Kind::Hashes(0), index: 1_234_067, width: 256 }),
        );
        check("tile/entries/000.p/7", Some(Place { kind: Kind::Entries, index: 0, width: 7 }));
        check("tile/1/255.p/255", Some(Place { kind: Kind::Hashes(1), index: 255, width: 255 }));
        check("tile/01/000", None);
        check("tile/0/1", None);
        check("tile/0/000.p/0", None);
        check("tile/0/000.p/256", None);
        check("tile/0/x000/001", None);
        assert_eq!(Place { kind: Kind::Hashes(1), index: 2, width: 256 }.first_entry(), 131_072);
    }

    #[test]
    fn bundles_read_back_and_say_when_they_are_cut() {
        let bytes = bundle([b"one".as_slice(), b"", b"three"]).unwrap();
        assert_eq!(unbundle(&bytes), (vec![b"one".as_slice(), b"", b"three"], true));
        assert_eq!(unbundle(&bytes[..bytes.len() - 1]), (vec![b"one".as_slice(), b""], false));
        assert_eq!(bundle([[0u8; LONGEST_ENTRY + 1].as_slice()]), None);
    }
}
