//! Indicators of YAML in the text around a node: the dash of a list member, the header of a block
//! scalar. Pure.

/// Where the dash of a block sequence's member is, in the text before the member. Anchors, tags and
/// comments may be between the two.
pub(crate) fn dash(before: &str) -> Option<usize> {
    let mut before = before;
    loop {
        before = before.trim_end();
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.get(start..)?;
        let comment = if line.trim_start().starts_with('#') { Some(0) } else { line.find(" #") };
        let word =
            before.rfind([' ', '\n']).map_or(before, |at| before.get(at + 1..).unwrap_or_default());
        if let Some(comment) = comment {
            before = before.get(..start + comment)?;
        } else if word.starts_with(['&', '!']) {
            before = before.get(..before.len() - word.len())?;
        } else {
            return before.ends_with('-').then(|| before.len() - 1);
        }
    }
}

/// The position of a block scalar's header, if it is the last word of a line. A comment may follow
/// it.
pub(super) fn indicator(line: &str) -> Option<usize> {
    let comments = line.rmatch_indices(" #").map(|(at, _)| at);
    std::iter::once(line.len()).chain(comments).find_map(|end| {
        let word = line.get(..end)?.trim_end();
        let digits = |character: char| matches!(character, '+' | '-') || character.is_ascii_digit();
        let at = word.trim_end_matches(digits).len().checked_sub(1)?;
        matches!(word.as_bytes().get(at), Some(b'|' | b'>')).then_some(at)
    })
}
