//! The place of an error in the sources of a policy. OPA keeps the path of the file as the builder
//! wrote it, and the folder may no longer exist. Never reads a file.

/// Shortens the path of the abort text `PATH:ROW:COL: WHY` to its last two parts if the path is
/// absolute or begins above the working folder. Returns any other text as it is.
pub(super) fn shortened(text: &str) -> &str {
    let Some(end) = text.find(".rego:") else { return text };
    let path = text.get(..end).unwrap_or_default();
    if !path.starts_with('/') && !path.starts_with("..") {
        return text;
    }
    let cut = path.rmatch_indices('/').nth(1).map_or(0, |(at, _)| at.saturating_add(1));
    text.get(cut..).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn a_place_names_the_policys_own_file() {
        for (said, expect) in [
            (
                "/tmp/tmp.xK3/single/extra.rego:7:1: complete rule conflict",
                "single/extra.rego:7:1: complete rule conflict",
            ),
            ("../../tmp/w/team/a.rego:1:2: x: /y", "team/a.rego:1:2: x: /y"),
            ("/a.rego:1:2: x", "/a.rego:1:2: x"),
            ("single/extra.rego:7:1: x", "single/extra.rego:7:1: x"),
            ("opa_malloc: failed", "opa_malloc: failed"),
            ("/etc/x: not a rule", "/etc/x: not a rule"),
            ("", ""),
        ] {
            assert_eq!(shortened(said), expect);
        }
    }
}
