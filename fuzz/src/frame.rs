//! Messages between roles: the blocking and the waiting reader agree, and what is read is written as
//! the same bytes.

use crate::{Broken, Checked, hold};
use cofferdam_process::frame::{read, read_async, write};
use tokio::runtime::Builder;

/// Reads the bytes as messages, one after the other.
///
/// # Errors
/// Names the promise that was broken.
pub fn check(bytes: &[u8]) -> Checked {
    let runtime =
        Builder::new_current_thread().build().map_err(|fault| Broken(fault.to_string()))?;
    let (mut rest, mut awaited) = (bytes, bytes);
    loop {
        let before = rest;
        let (one, other) = (read(&mut rest), runtime.block_on(read_async(&mut awaited)));
        match (one, other) {
            (Ok(Some(one)), Ok(Some(other))) => {
                hold(one == other, || format!("two readers read {one:?} and {other:?}"))?;
                hold(one.check().is_ok(), || {
                    "a message that no socket carries was read".to_owned()
                })?;
                let mut written = Vec::new();
                write(&mut written, &one)
                    .map_err(|fault| Broken(format!("what was read cannot be written: {fault}")))?;
                let taken = before.get(..before.len() - rest.len()).unwrap_or_default();
                hold(written == taken, || format!("{taken:?} is written as {written:?}"))?;
            }
            (Ok(None), Ok(None)) => {
                return hold(before.is_empty(), || format!("an end before {before:?}"));
            }
            (Err(_), Err(_)) => return Ok(()),
            (one, other) => {
                return Err(Broken(format!("one reader says {one:?}, the other {other:?}")));
            }
        }
    }
}
