//! The remedies for errors of the file system at paths of the recorder. Changes nothing.

use std::io::{Error, ErrorKind};

/// The remedy, as the end of a sentence that names path and cause.
pub(crate) fn remedy(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::PermissionDenied => "give the user who runs Cofferdam the right to write there",
        ErrorKind::ReadOnlyFilesystem => "mount its file system writable",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space on its disk",
        ErrorKind::IsADirectory => "move away the folder that lies in its place",
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            "move away the file that lies in place of a folder"
        }
        ErrorKind::NotFound => "make it again, or restore it from a backup",
        _ => "check that path and its disk",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_its_remedy() {
        let table = [
            (1, "the right to write"),
            (13, "the right to write"),
            (30, "writable"),
            (28, "free some space"),
            (122, "free some space"),
            (21, "move away the folder"),
            (20, "move away the file"),
            (17, "move away the file"),
            (2, "restore it from a backup"),
            (5, "check that path and its disk"),
        ];
        for (errno, words) in table {
            assert!(remedy(&Error::from_raw_os_error(errno)).contains(words), "{errno}");
        }
    }
}
