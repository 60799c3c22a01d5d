//! The kind, namespace and name that the lines of an unreadable document may mean. A guess for
//! people alone; no object is found by it.

/// The object to look for.
pub(super) struct Wanted<'a> {
    pub kind: &'a str,
    pub namespace: &'a str,
    /// The name of the object; `None` for any name.
    pub name: Option<&'a str>,
}

/// Returns whether a document may have such an object, by its lines. Without a name, a document
/// whose lines show no kind or namespace may have it too.
pub(super) fn may_hold(text: &str, wanted: &Wanted<'_>) -> bool {
    let said = Said::of(text);
    let kind = said.kinds.iter().any(|kind| {
        kind.strip_suffix("List").is_some_and(|one| one.is_empty() || one == wanted.kind)
    }) || said.kinds.contains(&wanted.kind);
    let filled_in = |value: &&str| value.contains(['{', '$']);
    let namespace = said.namespaces.contains(&wanted.namespace)
        || said.namespaces.iter().any(filled_in)
        || said.namespaces.is_empty();
    match wanted.name {
        Some(name) => kind && namespace && said.names.contains(&name),
        None => {
            (kind
                || said.kinds.is_empty() && text.contains("{{")
                || said.kinds.iter().any(filled_in))
                && namespace
        }
    }
}

/// Returns whether a document may have a second copy of an object of this name. A document whose
/// name comes from another program, or is not visible, may be a copy. If lines do not separate
/// values, as in JSON on one line, the words alone decide.
pub(super) fn may_hold_copy(text: &str, wanted: &Wanted<'_>) -> bool {
    let said = Said::of(text);
    let is_open = said.names.is_empty() || said.names.iter().any(|name| name.contains(['{', '$']));
    let any = Wanted { name: None, ..*wanted };
    let is_run_on = [&said.kinds, &said.names, &said.namespaces]
        .into_iter()
        .flatten()
        .any(|value| value.contains(['"', ',', ':']));
    if is_run_on {
        return text.contains(wanted.kind) && wanted.name.is_none_or(|name| text.contains(name));
    }
    (is_open && may_hold(text, &any)) || may_hold(text, wanted)
}

/// Values of the keys that name an object.
#[derive(Default)]
struct Said<'a> {
    kinds: Vec<&'a str>,
    namespaces: Vec<&'a str>,
    names: Vec<&'a str>,
}

impl<'a> Said<'a> {
    fn of(text: &'a str) -> Self {
        let mut said = Self::default();
        // The column of the `metadata` around the line, and of its first key.
        let mut metadata: Option<(usize, Option<usize>)> = None;
        for line in text.lines() {
            let words = line.trim_start_matches(['-', ' ', '\t', '{']);
            let column = line.len() - words.len();
            if words.is_empty() || words.starts_with('#') {
                continue;
            }
            if metadata.is_some_and(|(outer, _)| column <= outer) {
                metadata = None;
            }
            let Some((key, value)) = entry(words) else { continue };
            let within = metadata.map(|(outer, inner)| (outer, Some(inner.unwrap_or(column))));
            metadata = within;
            let is_own = within.is_some_and(|(_, inner)| inner == Some(column));
            match key {
                "kind" => said.kinds.push(value),
                "metadata" if value.is_empty() => metadata = Some((column, None)),
                "metadata" => said.inline(value),
                "name" if is_own => said.names.push(value),
                "namespace" if is_own => said.namespaces.push(value),
                _ => {}
            }
        }
        said
    }

    /// `{name: web, namespace: shop}`.
    fn inline(&mut self, braces: &'a str) {
        for (key, value) in braces.split(['{', '}', ',']).filter_map(entry) {
            match key {
                "name" => self.names.push(value),
                "namespace" => self.namespaces.push(value),
                _ => {}
            }
        }
    }
}

/// A key and its value of one line, without quotes, braces of JSON and a comment.
fn entry(words: &str) -> Option<(&str, &str)> {
    let (key, value) = words.trim().split_once(':')?;
    let value = value.split(" #").next().unwrap_or_default().trim();
    let value = if value.starts_with("{{") { value } else { value.trim_end_matches(',') };
    let value = if value == "{" { "" } else { value };
    Some((key.trim().trim_matches(['"', '\'']), value.trim_matches(['"', '\''])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_that_cannot_be_read_is_known_by_its_own_name_alone() {
        let text = "kind: Deployment\nmetadata:\n  name: api\n  labels:\n    name: web\nspec:\n  \
                    containers:\n  - name: web\n    x: {{ .Values.x }}\n";
        let holds = |kind, namespace, name| may_hold(text, &Wanted { kind, namespace, name });
        assert!(holds("Deployment", "shop", Some("api")));
        assert!(!holds("Deployment", "shop", Some("web")));
        assert!(!holds("ConfigMap", "shop", Some("api")));
        assert!(holds("Deployment", "shop", None) && !holds("ConfigMap", "shop", None));
        for (text, holds) in [
            ("kind: A\nmetadata: {name: web, namespace: shop}\nx: [\n", true),
            ("kind: A\nmetadata: {name: web, namespace: other}\nx: [\n", false),
            ("kind: A\nmetadata:\n  name: web # c\n  namespace: {{ .Values.n }}\n", true),
            ("kind: A\nmetadata:\n  name: web\n  namespace: ${NS}\nx: [\n", true),
            ("{\n  \"kind\": \"A\",\n  \"metadata\": {\n    \"name\": \"web\",\n", true),
            ("kind: List\nitems:\n- kind: A\n  metadata:\n    name: web\n  x: [\n", true),
            ("{{ include \"shop.web\" . }}\n", false),
        ] {
            assert_eq!(
                may_hold(text, &Wanted { kind: "A", namespace: "shop", name: Some("web") }),
                holds,
                "{text}"
            );
        }
        for (text, holds) in [
            ("kind: A\nmetadata: {name: web, namespace: shop}\nx: [\n", true),
            ("kind: A\nmetadata: {name: api, namespace: shop}\nx: [\n", false),
            ("kind: B\nmetadata: {name: web, namespace: shop}\nx: [\n", false),
            ("kind: A\nmetadata:\n  name: {{ .Release.Name }}-web\n", true),
            ("kind: A\nmetadata: [\n", true),
            (
                "{\"kind\":\"A\",\"metadata\":{\"name\":\"web\",\"namespace\":\"shop\"},\"x\":[",
                true,
            ),
            (
                "{\"kind\":\"A\",\"metadata\":{\"name\":\"api\",\"namespace\":\"shop\"},\"x\":[",
                false,
            ),
            ("{kind: A, metadata: {name: web, namespace: shop}, x: [\n", true),
            ("{{ include \"shop.web\" . }}\n", true),
        ] {
            assert_eq!(
                may_hold_copy(text, &Wanted { kind: "A", namespace: "shop", name: Some("web") }),
                holds,
                "{text}"
            );
        }
        assert!(may_hold(
            "{{ include \"shop.web\" . }}\n",
            &Wanted { kind: "A", namespace: "shop", name: None }
        ));
    }
}
