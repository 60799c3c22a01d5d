//! The words this executor ends with. What happened to the work comes before why, for the reason
//! may be long and is the part that is cut.

use cofferdam_sdk::executor::Failure;

/// Characters of a note or a report, as `executor.wit` says.
pub(crate) const MOST: usize = 200;

/// Operations that a note names one by one.
const NAMED: usize = 12;

/// Why an operation did not happen.
pub(crate) fn failure(failure: Failure) -> &'static str {
    match failure {
        Failure::OutOfOrder => "an operation it comes after is not done",
        Failure::Conflict => "the object is no longer what was approved",
        Failure::Refused => "the infrastructure refused it",
        Failure::Stopped => "the job was stopped",
    }
}

/// The whole end: `undone: 1, 0; it failed: …`.
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

/// At most so many characters.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.into();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}
