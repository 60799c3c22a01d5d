//! The tokens that commands replaced or removed: digests, one a line, in a file beside
//! `agents.toml`. Never has a token. Only grows: an old line does no harm.

use crate::config::home::{ended_tokens, write_private};
use anyhow::{Context as _, Result};
use cofferdam_core::model::id::TokenDigest;
use std::path::Path;

/// Reads the digests beside this agents file. A missing file has none; a line that is no digest is
/// left out.
///
/// # Errors
/// The file cannot be read.
pub fn read(agents: &Path) -> Result<Vec<TokenDigest>> {
    let path = ended_tokens(agents);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            let words = "make it a file that its owner can read, or remove it";
            return Err(error).with_context(|| format!("`{}`: {words}", path.display()));
        }
    };
    let digest = |line: &str| TokenDigest::try_from(line.trim().to_owned()).ok();
    Ok(text.lines().filter_map(digest).collect())
}

/// Adds a digest to the file beside this agents file.
///
/// # Errors
/// The file cannot be read or written.
pub fn add(agents: &Path, token: TokenDigest) -> Result<()> {
    let mut all = read(agents)?;
    if all.contains(&token) {
        return Ok(());
    }
    all.push(token);
    let text: String = all.iter().map(|digest| format!("{digest}\n")).collect();
    write_private(&ended_tokens(agents), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_added_once_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let agents = folder.path().join("agents.toml");
        assert_eq!(read(&agents).unwrap(), []);
        let [one, two] = [TokenDigest::of(b"one"), TokenDigest::of(b"two")];
        for token in [one, two, one] {
            add(&agents, token).unwrap();
        }
        assert_eq!(read(&agents).unwrap(), [one, two]);
        std::fs::write(ended_tokens(&agents), format!("# ours\n\n{two}\nsha256:12\n")).unwrap();
        assert_eq!(read(&agents).unwrap(), [two]);
    }
}
