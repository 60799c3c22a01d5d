//! Reads a file that a user names on the command line. An error says the path, the cause and the
//! remedy. Never reads a file of the home.

use anyhow::{Result, anyhow};
use std::io::Read as _;
use std::path::Path;

/// Reads the bytes of a file. `remedy` says which file the user has to name.
///
/// # Errors
/// The file cannot be read.
pub fn bytes(path: &Path, remedy: &str) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| unreadable(path, &error, remedy))
}

/// Reads the bytes of a regular file that comes from others: no device, no pipe, and at most `most`
/// bytes. `remedy` says which file the user has to name.
///
/// # Errors
/// The file cannot be read, is not a regular file, or is too large.
pub fn regular(path: &Path, most: u64, remedy: &str) -> Result<Vec<u8>> {
    let failed = |error: &std::io::Error| unreadable(path, error, remedy);
    // Before the open: the open of a pipe waits for its writer.
    if !std::fs::metadata(path).map_err(|error| failed(&error))?.is_file() {
        return Err(anyhow!("`{}` is not a regular file; {remedy}", path.display()));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| failed(&error))?;
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    if bytes.len() as u64 > most {
        return Err(anyhow!("`{}` has more than {most} bytes; {remedy}", path.display()));
    }
    Ok(bytes)
}

/// Reads the text of a file. `remedy` says which file the user has to name.
///
/// # Errors
/// The file cannot be read, or is not UTF-8.
pub fn text(path: &Path, remedy: &str) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| unreadable(path, &error, remedy))
}

fn unreadable(path: &Path, error: &std::io::Error, remedy: &str) -> anyhow::Error {
    anyhow!("cannot read `{}`: {error}; {remedy}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreadable_file_is_named_with_cause_and_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let binary = folder.path().join("binary");
        std::fs::write(&binary, b"\xff\xfe").unwrap();
        let missing = folder.path().join("missing");
        for (path, cause) in [
            (missing.as_path(), "No such file"),
            (folder.path(), "Is a directory"),
            (&binary, "UTF-8"),
        ] {
            let told = text(path, "give the token file").unwrap_err().to_string();
            assert!(told.starts_with(&format!("cannot read `{}`: ", path.display())), "{told}");
            assert!(told.contains(cause) && told.ends_with("; give the token file"), "{told}");
        }
        assert!(bytes(&binary, "give another").is_ok());
        assert_eq!(regular(&binary, 2, "give another").unwrap(), b"\xff\xfe");
        for (path, most, cause) in [
            (binary.as_path(), 1, "has more than 1 bytes; give another"),
            (folder.path(), 9, "is not a regular file; give another"),
            (Path::new("/dev/zero"), 9, "is not a regular file; give another"),
        ] {
            let told = regular(path, most, "give another").unwrap_err().to_string();
            assert!(told.ends_with(cause), "{told}");
        }
        assert!(bytes(&missing, "give another").unwrap_err().to_string().ends_with("give another"));
    }
}
