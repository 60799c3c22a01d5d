//! The text with which this executor stops. The undone operations come first and the cause last,
//! because the cause may be long and is the part that is cut.

use cofferdam_sdk::executor::Failure;

/// The largest number of characters of a note, as in `executor.wit`.
pub(crate) const MOST: usize = 200;

/// The largest number of operations that a note names one by one.
const NAMED: usize = 12;

/// The text for a failure.
pub(crate) fn failure(failure: Failure) -> &'static str {
    match failure {
        Failure::OutOfOrder => "an operation that it depends on is not done",
        Failure::Conflict => "the object is no longer in the approved state",
        Failure::Refused => "the infrastructure refused it",
        Failure::Stopped => "the job was stopped",
    }
}

/// The whole text: `undone: 1, 0; it failed: …`.
pub(crate) fn stop(why: &str, undone: &[u32], kept: &[u32]) -> String {
    let part = |word: &str, indexes: &[u32]| match indexes {
        [] => String::new(),
        few if few.len() <= NAMED => {
            format!("{word}: {}; ", few.iter().map(u32::to_string).collect::<Vec<_>>().join(", "))
        }
        many => format!("{word}: {} operations; ", many.len()),
    };
    let fate = format!("{}{}", part("undone", undone), part("not undone", kept));
    let left = MOST.saturating_sub(fate.chars().count());
    format!("{fate}{}", cut(why, left))
}

/// Cuts a text to at most `most` characters, the last of which is then `…`.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.into();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}
