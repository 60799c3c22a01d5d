//! The place of a field in a manifest: file and line. Pure, and for people alone.

use super::read::Node;
use cofferdam_core::model::path::Segment;
use cofferdam_core::model::preview::Origin;
use serde_json::Value;
use std::path::Path;

/// The line of a field in its file; none where the field is not written.
pub fn origin(file: &Path, root: &Node, path: &[Segment]) -> Option<Origin> {
    let line = path.iter().try_fold(root, child)?.line;
    Some(Origin::Line(format!("{}:{line}", file.display())))
}

fn child<'a>(node: &'a Node, segment: &Segment) -> Option<&'a Node> {
    match segment {
        Segment::Key(key) => node.get(key),
        Segment::Member { key, value } => {
            node.items().iter().find(|item| is_member(item, key, value))
        }
        Segment::AnyMember | Segment::AnyKey => None,
    }
}

fn is_member(item: &Node, key: &str, value: &str) -> bool {
    match child(item, &Segment::Key(key.to_owned())).map(Node::value) {
        Some(Value::String(text)) => text == value,
        Some(Value::Number(number)) => number.to_string() == value,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::read;
    use cofferdam_core::model::path::FieldPath;

    #[test]
    fn a_field_is_told_by_file_and_line() {
        let text = "kind: Deployment\nspec:\n  replicas: 3\n  containers:\n  - name: web\n    \
                    image: a\n    ports: [{containerPort: 80}]\n";
        let documents = read(text).unwrap();
        for (path, line) in [
            ("spec.replicas", Some(3)),
            ("spec.containers[name=web].image", Some(6)),
            ("spec.containers[name=web].ports[containerPort=80].containerPort", Some(7)),
            ("spec.containers[name=log].image", None),
            ("spec.paused", None),
        ] {
            let found = origin(
                Path::new("shop/web.yaml"),
                &documents[0].root,
                FieldPath::parse(path).unwrap().segments(),
            );
            assert_eq!(
                found,
                line.map(|line| Origin::Line(format!("shop/web.yaml:{line}"))),
                "{path}"
            );
        }
    }
}
