//! The effect of a layer's `images` on an image.

use super::{Edit, Subject};
use crate::kustomize::layer::{Image, Layer};
use cofferdam_core::model::path::{FieldPath, Segment};
use cofferdam_core::model::preview::{Remark, RemarkKind};
use serde_json::Value;

/// A reference's name, tag and digest: `host:5000/web:1.0@sha256:…`.
pub fn reference(text: &str) -> (&str, Option<&str>, Option<&str>) {
    let (rest, digest) =
        text.split_once('@').map_or((text, None), |(rest, digest)| (rest, Some(digest)));
    // A colon before the last slash is of a port.
    match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag), digest),
        _ => (rest, None, digest),
    }
}

/// Returns whether a field is the image of a container, or contains one.
fn is_image(path: &FieldPath) -> bool {
    let containers =
        |key: &str| matches!(key, "containers" | "initContainers" | "ephemeralContainers");
    let mut segments = path.segments().iter().rev();
    match (segments.next(), segments.next(), segments.next()) {
        (Some(Segment::Key(last)), Some(Segment::Member { .. }), Some(Segment::Key(list))) => {
            last == "image" && containers(list)
        }
        _ => false,
    }
}

/// The effect of the layer on the image that an edit sets.
pub fn remarks(layer: &Layer, subject: &Subject<'_>, edit: &Edit<'_>) -> Vec<Remark> {
    if !is_image(edit.path) {
        return Vec::new();
    }
    let image = |object: &Value| {
        edit.path.get(object).ok().flatten().and_then(|value| value.as_str().map(str::to_owned))
    };
    let (Some(before), Some(after)) = (image(edit.before), image(edit.after)) else {
        return Vec::new();
    };
    let (mut before, mut after) = (subject.image_of(&before), subject.image_of(&after));
    let mut found = Vec::new();
    for entry in &layer.images {
        let changed = changed(&entry.value, &after);
        before = self::changed(&entry.value, &before).unwrap_or(before);
        let Some(changed) = changed else { continue };
        // If the result is the same without the edit, the edit has no effect.
        let kind = if changed == before { RemarkKind::Overridden } else { RemarkKind::Altered };
        found.push(
            Remark::new(kind, edit.path.to_string())
                .by("images", layer.place(entry.line))
                .with(changed.clone().into()),
        );
        after = changed;
    }
    found
}

/// An image as an entry changes it; none where the entry is of other images.
pub fn changed(image: &Image, text: &str) -> Option<String> {
    let (name, tag, digest) = reference(text);
    if name != image.name {
        return None;
    }
    let name = image.new_name.as_deref().unwrap_or(name);
    let (tag, digest) = match (&image.new_tag, &image.digest) {
        (None, None) => (tag.map(str::to_owned), digest.map(str::to_owned)),
        (tag, digest) => (tag.clone(), digest.clone()),
    };
    let tag = match (&image.suffix, tag) {
        (Some(suffix), Some(tag)) => Some(format!("{tag}{suffix}")),
        (_, tag) => tag,
    };
    let tag = tag.map(|tag| format!(":{tag}")).unwrap_or_default();
    let digest = digest.map(|digest| format!("@{digest}")).unwrap_or_default();
    Some(format!("{name}{tag}{digest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_read_in_its_parts() {
        let check = |text, expect| assert_eq!(reference(text), expect, "{text}");
        check("nginx", ("nginx", None, None));
        check("nginx:1.27", ("nginx", Some("1.27"), None));
        check("host:5000/a/web", ("host:5000/a/web", None, None));
        check("host:5000/a/web:1.0@sha256:ab", ("host:5000/a/web", Some("1.0"), Some("sha256:ab")));
        check("web@sha256:ab", ("web", None, Some("sha256:ab")));
    }

    #[test]
    fn an_entry_changes_what_it_names() {
        let entry = |new_name: Option<&str>,
                     new_tag: Option<&str>,
                     digest: Option<&str>,
                     suffix: Option<&str>| {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            Image {
                name: "a/web".to_owned(),
                new_name: owned(new_name),
                new_tag: owned(new_tag),
                digest: owned(digest),
                suffix: owned(suffix),
            }
        };
        let check = |image: Image, text, expect: Option<&str>| {
            assert_eq!(changed(&image, text).as_deref(), expect, "{text}")
        };
        check(entry(None, Some("9"), None, None), "a/web:1", Some("a/web:9"));
        check(entry(None, Some("9"), None, None), "a/web@sha256:x", Some("a/web:9"));
        check(entry(None, None, Some("sha256:y"), None), "a/web:1", Some("a/web@sha256:y"));
        check(entry(Some("b/web"), None, None, None), "a/web:1", Some("b/web:1"));
        check(entry(None, None, None, Some("-alpine")), "a/web:1", Some("a/web:1-alpine"));
        check(entry(None, Some("9"), None, None), "a/web-admin:1", None);
    }
}
