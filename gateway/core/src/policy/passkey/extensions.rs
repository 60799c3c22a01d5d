//! Skips the extensions of a new passkey. A browser asks an authenticator for extensions of its own
//! (Chromium asks a security key for `credProtect`), and the answer is one map of CBOR after the
//! key. Never reads a value of it: no extension changes the meaning of a key.

/// Most bytes of the map: twice those of all extensions that browsers ask for by themselves.
const BYTES: usize = 1_024;

/// Deepest nesting of the map: one more than the deepest of a registered extension.
const DEPTH: usize = 4;

/// The major type of a map.
const MAP: u8 = 5;

/// The bytes after one bounded map of definite length. `None` if there is no such map.
pub(super) fn after_extensions(bytes: &[u8]) -> Option<&[u8]> {
    let is_map = bytes.first().is_some_and(|first| first >> 5 == MAP);
    if bytes.len() > BYTES || !is_map {
        return None;
    }
    after_item(bytes, DEPTH)
}

/// The bytes after one item of CBOR (RFC 8949, section 3). Authenticators write definite lengths
/// and no tags (CTAP 2, section 6).
fn after_item(bytes: &[u8], depth: usize) -> Option<&[u8]> {
    let (first, rest) = bytes.split_first()?;
    let (value, rest) = argument(first & 0x1f, rest)?;
    match first >> 5 {
        0 | 1 | 7 => Some(rest),
        2 | 3 => rest.get(usize::try_from(value).ok()?..),
        4 => after_items(value, rest, depth),
        MAP => after_items(value.checked_mul(2)?, rest, depth),
        _ => None,
    }
}

fn after_items(count: u64, bytes: &[u8], depth: usize) -> Option<&[u8]> {
    let depth = depth.checked_sub(1)?;
    // Each item has a byte or more, so that a large count ends soon.
    (0..count).try_fold(bytes, |rest, _| after_item(rest, depth))
}

/// The value or length of an item, and the bytes after it.
fn argument(short: u8, rest: &[u8]) -> Option<(u64, &[u8])> {
    match short {
        0..=23 => Some((u64::from(short), rest)),
        24 => rest.split_first().map(|(byte, rest)| (u64::from(*byte), rest)),
        25 => rest
            .split_first_chunk()
            .map(|(bytes, rest)| (u64::from(u16::from_be_bytes(*bytes)), rest)),
        26 => rest
            .split_first_chunk()
            .map(|(bytes, rest)| (u64::from(u32::from_be_bytes(*bytes)), rest)),
        27 => rest.split_first_chunk().map(|(bytes, rest)| (u64::from_be_bytes(*bytes), rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bounded_map_is_skipped_and_nothing_else() {
        // {"credProtect": 3}, as Chromium asks for it.
        let protect = [&[0xa1, 0x6b][..], b"credProtect", &[3]].concat();
        let long = [&[0xa1, 0x61, b'a', 0x59, 0x04, 0x00][..], &[0; 1_024]].concat();
        for (bytes, expect) in [
            (protect.clone(), Some(0)),
            ([&protect[..], &[0]].concat(), Some(1)),
            (vec![0xa0], Some(0)),
            // {"a": [1, h'02', true, -1, 256, {}]}
            (
                vec![0xa1, 0x61, b'a', 0x86, 0x01, 0x41, 0x02, 0xf5, 0x20, 0x19, 0x01, 0x00, 0xa0],
                Some(0),
            ),
            (protect[..protect.len() - 1].to_vec(), None),
            (Vec::new(), None),
            (vec![0x01], None),
            (vec![0x80], None),
            // Of indefinite length, with a tag, deeper than any extension, and lengths that lie.
            (vec![0xbf, 0xff], None),
            (vec![0xa1, 0x01, 0xc0, 0x60], None),
            (vec![0xa1, 0x01, 0x81, 0x81, 0x81, 0x81, 0x01], None),
            (vec![0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], None),
            (vec![0xba, 0x7f, 0xff, 0xff, 0xff, 0x01], None),
            (vec![0xa1, 0x01, 0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], None),
            (long, None),
        ] {
            assert_eq!(after_extensions(&bytes).map(<[u8]>::len), expect, "{bytes:?}");
        }
    }
}
