//! The lines of a reply, and the limit of the whole text. Never cuts a line in the middle.

use crate::model::limit;

/// The order in which parts are left out when the text would be too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// A value that the agent named or can read.
    Value,
    /// The name of an operation besides its number.
    Name,
    /// Parts that are nowhere else: results of tasks, and the names to find them again.
    Needed,
}

/// A line, and the text in its place when it is left out.
pub(super) struct Line {
    pub weight: Weight,
    pub text: String,
    pub instead: Option<String>,
}

impl Line {
    pub fn needed(text: String) -> Self {
        Self { weight: Weight::Needed, text, instead: None }
    }

    pub fn value(text: String) -> Self {
        Self { weight: Weight::Value, text, instead: None }
    }
}

/// A text within the limit. Lines that do not fit are left out whole, the least needed first, and
/// never cut in the middle.
pub(super) fn whole(lines: &[Line]) -> String {
    const LEFT_OUT: &str = "The rest is too long; `cofferdam show` has it.";
    let heaviest = |weight| {
        let kept = lines.iter().filter_map(|line| {
            if line.weight >= weight { Some(line.text.as_str()) } else { line.instead.as_deref() }
        });
        kept.chain((weight > Weight::Value).then_some(LEFT_OUT)).collect::<Vec<_>>().join("\n")
    };
    let texts = [Weight::Value, Weight::Name, Weight::Needed].into_iter().map(heaviest);
    texts.into_iter().find(|text| text.len() <= limit::TEXT).unwrap_or_else(|| {
        // A runner that keeps to its limits does not come here.
        lines
            .iter()
            .map(|line| line.text.as_str())
            .take(1)
            .chain([LEFT_OUT])
            .collect::<Vec<_>>()
            .join("\n")
    })
}
