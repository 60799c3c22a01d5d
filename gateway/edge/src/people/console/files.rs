//! The places of files on their way: few, and one for each person. A slow reader keeps its own place
//! alone. Knows nothing of the content.

use crate::deny::Deny;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The most files at once: each reads the list as fast as its reader takes it.
const FILES: usize = 4;

/// The places. All clones share them.
#[derive(Debug, Clone, Default)]
pub struct Files(Arc<Mutex<BTreeSet<String>>>);

/// A place, until it is dropped.
#[derive(Debug)]
pub struct FilePlace {
    files: Files,
    person: String,
}

impl Files {
    /// Takes a place for a person.
    pub fn take(&self, person: &str) -> Result<FilePlace, Deny> {
        let busy = |why: &str| Deny::Queue { why: why.to_owned(), seconds: 10 };
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.contains(person) {
            return Err(busy("a file is being sent to you already; try again after it"));
        }
        if taken.len() >= FILES {
            return Err(busy(
                "other people get files now, as many as are sent at once; try again later",
            ));
        }
        taken.insert(person.to_owned());
        Ok(FilePlace { files: self.clone(), person: person.to_owned() })
    }
}

impl Drop for FilePlace {
    fn drop(&mut self) {
        let mut taken = self.files.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.remove(&self.person);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_has_one_file_at_once_and_all_have_few() {
        let files = Files::default();
        let first = files.take("p0").unwrap();
        assert!(matches!(files.take("p0"), Err(Deny::Queue { .. })));
        let rest: Vec<_> = (1..FILES).map(|number| files.take(&format!("p{number}"))).collect();
        assert!(rest.iter().all(Result::is_ok));
        assert!(matches!(files.take("another"), Err(Deny::Queue { .. })));
        drop(first);
        assert!(files.take("another").is_ok());
    }
}
