//! The order of the core's folders: each may name those before it and no other, so that no circle
//! comes back. Reads paths in the sources; knows nothing of crates.

use super::{Breach, Page, check, finds, lines, pages};

/// A folder of `gateway/core/src`, and the folders it may name.
const LAYERS: [(&str, &[&str]); 7] = [
    ("model", &[]),
    ("text", &["model"]),
    ("protocol", &["model"]),
    ("tool", &["model"]),
    ("policy", &["model", "tool"]),
    ("stage", &["model", "tool", "policy", "protocol", "text"]),
    ("journey", &["model", "tool", "policy", "stage", "protocol", "text"]),
];

const CORE: &str = "gateway/core/src/";

/// The folder of a file, and what it may name; none for the crate's root and for tests.
fn layer(path: &str) -> Option<(&'static str, &'static [&'static str])> {
    let inner = path.strip_prefix(CORE).filter(|inner| !inner.ends_with("tests.rs"))?;
    let folder = inner.split('/').next()?.trim_end_matches(".rs");
    LAYERS.into_iter().find(|(name, _)| *name == folder)
}

/// Folders that a line names.
fn named(line: &str) -> impl Iterator<Item = &'static str> {
    let code = line.split("//").next().unwrap_or_default();
    LAYERS.into_iter().map(|(name, _)| name).filter(move |name| {
        code.contains(&format!("crate::{name}::"))
            || code.contains(&format!("crate::{name};"))
            || code.contains(&format!("crate::{name}}}"))
    })
}

fn names_only_what_comes_before(page: &Page) -> Vec<Breach> {
    let Some((own, before)) = layer(&page.path) else { return Vec::new() };
    let code = lines(page).take_while(|(_, line)| !line.starts_with("#[cfg(test)]"));
    let beyond = code.flat_map(|(number, line)| named(line).map(move |name| (number, name)));
    beyond
        .filter(|(_, name)| *name != own && !before.contains(name))
        .map(|(number, name)| {
            (number, format!("`{own}` names `{name}`; it may name {before:?} alone"))
        })
        .collect()
}

#[test]
fn each_folder_of_the_core_names_only_those_before_it() {
    let rule = names_only_what_comes_before;
    finds(
        rule,
        "gateway/core/src/model/job.rs",
        "use crate::stage::judge::Verdict;\nuse crate::text;\n",
        2,
    );
    finds(
        rule,
        "gateway/core/src/policy/input.rs",
        "use crate::model::id::CallId;\nlet a = crate::stage::plan::plan;\n",
        1,
    );
    finds(rule, "gateway/core/src/stage.rs", "use crate::journey::ask;\n", 1);
    finds(rule, "gateway/core/src/text/call.rs", "use crate::model::job::JobView;\n", 0);
    let sources = pages(&["gateway/core/src"], ".rs");
    for (name, _) in LAYERS {
        let own = format!("{CORE}{name}");
        assert!(
            sources.iter().any(|page| page.path.starts_with(&own)),
            "no folder `{name}`: the rule would hold for nothing"
        );
    }
    check(&sources, rule);
}
