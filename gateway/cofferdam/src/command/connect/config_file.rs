//! A client's configuration on the disk: read whole, replaced whole, with a copy of the old text
//! beside it. Follows a symbolic link to the real file. Never interprets the text.

use anyhow::{Context as _, Result, bail};
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The mode of a new file.
const PRIVATE_FILE: u32 = 0o600;
/// The most copies of old texts.
const COPIES: u32 = 100;

/// A configuration that was read.
#[derive(Debug)]
pub struct ConfigFile {
    /// The real file.
    path: PathBuf,
    /// The text, or `None` if there is no file.
    text: Option<String>,
}

impl ConfigFile {
    /// Reads a file that need not exist.
    ///
    /// # Errors
    /// The file cannot be read, or is not UTF-8.
    pub fn read(path: &Path) -> Result<Self> {
        let real = match fs::canonicalize(path) {
            Ok(real) => real,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if path.is_symlink() {
                    bail!("`{}` is a symbolic link to nothing; remove it", path.display());
                }
                return Ok(Self { path: path.to_owned(), text: None });
            }
            Err(error) => return Err(unreadable(path, error)),
        };
        let text = fs::read_to_string(&real).map_err(|error| unreadable(path, error))?;
        Ok(Self { path: real, text: Some(text) })
    }

    /// The text, empty if there is no file.
    pub fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// Replaces the text at once. Returns the copy of the old text, if there was a file.
    ///
    /// # Errors
    /// The file or the copy cannot be written; the file is as before.
    pub fn replace(&self, text: &str) -> Result<Option<PathBuf>> {
        let folder = self.path.parent().context("the path has no folder")?;
        let unwritable =
            || format!("cannot write `{}`; name another with `--file FILE`", self.path.display());
        fs::create_dir_all(folder).with_context(unwritable)?;
        let mode = match self.text {
            Some(_) => fs::metadata(&self.path).with_context(unwritable)?.permissions().mode(),
            None => PRIVATE_FILE,
        };
        let copy = self.text.as_deref().map(|old| self.keep(old, mode)).transpose()?;
        let mut fresh = tempfile::NamedTempFile::new_in(folder).with_context(unwritable)?;
        fresh
            .write_all(text.as_bytes())
            .and_then(|()| fresh.as_file().set_permissions(fs::Permissions::from_mode(mode)))
            .and_then(|()| fresh.as_file().sync_all())
            .with_context(unwritable)?;
        fresh.persist(&self.path).map_err(|error| error.error).with_context(unwritable)?;
        Ok(copy)
    }

    /// Writes the old text to a new file beside this one.
    fn keep(&self, old: &str, mode: u32) -> Result<PathBuf> {
        let name = self.path.file_name().context("the path has no name")?.to_string_lossy();
        for number in 0..COPIES {
            let end = if number == 0 { String::new() } else { format!(".{number}") };
            let copy = self.path.with_file_name(format!("{name}.bak{end}"));
            match fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&copy) {
                Ok(mut file) => {
                    file.write_all(old.as_bytes())
                        .and_then(|()| file.sync_all())
                        .with_context(|| format!("cannot write `{}`", copy.display()))?;
                    return Ok(copy);
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("cannot write `{}`", copy.display()));
                }
            }
        }
        bail!("there are {COPIES} copies `{name}.bak*` beside the file; remove the old ones")
    }
}

fn unreadable(path: &Path, error: std::io::Error) -> anyhow::Error {
    anyhow::Error::new(error).context(format!(
        "cannot read `{}`; correct the file, or name another with `--file FILE`",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_with_a_copy_of_each_old_text() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real/x.json"), folder.path().join("x.json"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(ConfigFile::read(&real).unwrap().replace("one").unwrap(), None);
        assert_eq!(mode(&real), PRIVATE_FILE);
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        for (text, copy) in [("two", "x.json.bak"), ("three", "x.json.bak.1")] {
            let kept = ConfigFile::read(&link).unwrap().replace(text).unwrap().unwrap();
            assert_eq!(kept, fs::canonicalize(&real).unwrap().with_file_name(copy));
            assert_eq!((mode(&kept), mode(&real)), (0o640, 0o640));
        }
        assert!(link.is_symlink());
        let read = |name: &str| fs::read_to_string(real.with_file_name(name)).unwrap();
        assert_eq!(
            [read("x.json.bak"), read("x.json.bak.1"), read("x.json")],
            ["one", "two", "three"]
        );
        assert_eq!(fs::read_dir(real.parent().unwrap()).unwrap().count(), 3);
    }
}
