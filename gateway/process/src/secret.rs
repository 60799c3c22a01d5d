//! A key in a file: 64 hexadecimal digits, readable by its owner alone. Never writes a key, and
//! never prints its content.

use cofferdam_core::model::id::unhex;
use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

/// The last words of each error: its remedy.
pub const REMEDY: &str = "; restore it from a backup";

/// Reads a key.
/// # Errors
/// The file cannot be read, others can read it, or its content is not a key. The text names file
/// and cause, and ends with [`REMEDY`].
pub fn read(path: &Path) -> Result<[u8; 32]> {
    let text = fs::read_to_string(path).map_err(|error| {
        Error::new(
            error.kind(),
            format!("cannot read the key `{}`: {error}{REMEDY}", path.display()),
        )
    })?;
    unhex(text.trim()).and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
        let problem = format!("the key `{}` is not 64 hexadecimal digits{REMEDY}", path.display());
        Error::new(ErrorKind::InvalidData, problem)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_32_bytes_and_what_is_none_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        assert!(read(&path).unwrap_err().to_string().contains("restore it from a backup"));
        for (text, expect) in [
            ("07".repeat(32), true),
            ("07".repeat(32) + "\n", true),
            ("07".repeat(31), false),
            ("zz".repeat(32), false),
        ] {
            fs::write(&path, &text).unwrap();
            match read(&path) {
                Ok(key) => assert!(expect && key == [7; 32]),
                Err(error) => assert!(!expect && !error.to_string().contains(&text), "{error}"),
            }
        }
    }
}
