//! Does a replacement set a field again? Its `fieldPaths` are such as
//! `spec.template.spec.containers.[name=web].image`.

use super::select::{Match, matches_selector};
use super::{Edit, Subject};
use crate::kustomize::layer::Layer;
use cofferdam_core::model::path::Segment;
use cofferdam_core::model::preview::{Remark, RemarkKind};

/// The effect of a layer's replacements on the edited field.
pub fn remarks(layer: &Layer, subject: &Subject<'_>, edit: &Edit<'_>) -> Vec<Remark> {
    let mut found = Vec::new();
    for replacement in &layer.replacements {
        let selected = matches_selector(&replacement.value.select, subject);
        let reached = replacement
            .value
            .fields
            .iter()
            .map(|field| reaches(field, edit.path.segments()))
            .max()
            .unwrap_or(Match::No);
        let kind = match selected.min(reached) {
            Match::No => continue,
            Match::Maybe => RemarkKind::Unseen,
            Match::Yes => RemarkKind::Overridden,
        };
        found.push(
            Remark::new(kind, edit.path.to_string())
                .by("replacements", layer.place(replacement.line)),
        );
    }
    found
}

/// Compares the path of a replacement with a field: at, above or below it.
fn reaches(written: &str, path: &[Segment]) -> Match {
    let mut found = Match::Yes;
    for (part, segment) in parts(written).iter().zip(path) {
        match segment {
            Segment::Key(key)
                if key == part
                    || part.strip_prefix('[').and_then(|part| part.strip_suffix(']'))
                        == Some(key) => {}
            Segment::Key(_) => return Match::No,
            Segment::Member { .. } if part == "*" => {}
            Segment::Member { key, value } => {
                let wanted = part
                    .strip_prefix('[')
                    .and_then(|part| part.strip_suffix(']'))
                    .and_then(|part| part.split_once('='));
                match wanted {
                    Some((name, wanted)) if name == key => {
                        if wanted != value {
                            return Match::No;
                        }
                    }
                    // By number, or by another key.
                    _ => found = Match::Maybe,
                }
            }
            Segment::AnyMember | Segment::AnyKey => found = Match::Maybe,
        }
    }
    found
}

/// The parts of a path; a dot within brackets, or after a backslash, is of its part.
fn parts(written: &str) -> Vec<String> {
    let (mut parts, mut part, mut inside, mut escaped) = (Vec::new(), String::new(), false, false);
    for character in written.chars() {
        match character {
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            '.' if !inside && !escaped => parts.push(std::mem::take(&mut part)),
            _ => {
                inside = (inside || character == '[') && character != ']';
                part.push(character);
            }
        }
        escaped = false;
    }
    parts.push(part);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_core::model::path::FieldPath;

    #[test]
    fn a_replacement_reaches_what_it_names() {
        let check = |written: &str, path: &str, expect| {
            assert_eq!(
                reaches(written, FieldPath::parse(path).unwrap().segments()),
                expect,
                "{written} {path}"
            );
        };
        let image = "spec.template.spec.containers[name=web].image";
        check("spec.replicas", "spec.replicas", Match::Yes);
        check("spec.paused", "spec.replicas", Match::No);
        check("spec", "spec.replicas", Match::Yes);
        check("spec.template.spec.containers.[name=web].image", image, Match::Yes);
        check("spec.template.spec.containers.[name=web].args", image, Match::No);
        check("spec.template.spec.containers.[name=other].image", image, Match::No);
        check("spec.template.spec.containers.*.image", image, Match::Yes);
        check("spec.template.spec.containers.0.image", image, Match::Maybe);
        check("data.a\\.b", "data[\"a.b\"]", Match::Yes);
        check("metadata.annotations.[a.b/c]", "metadata.annotations[\"a.b/c\"]", Match::Yes);
    }
}
