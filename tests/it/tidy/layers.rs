//! The order of the core's folders: each may name only the earlier ones, so that there is no
//! circle. Also the files of the runner that may name a backend. Reads paths in the sources.

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

/// The folder of a file, and the folders that it may name. `None` for the crate's root and for
/// tests.
fn layer(path: &str) -> Option<(&'static str, &'static [&'static str])> {
    let inner = path.strip_prefix(CORE).filter(|inner| !inner.ends_with("tests.rs"))?;
    let folder = inner.split('/').next()?.trim_end_matches(".rs");
    LAYERS.into_iter().find(|(name, _)| *name == folder)
}

/// The folders that a line names.
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

/// A backend, and the files of the runner that may name it: `infrastructure.rs` picks one; the
/// others have a use for this backend alone.
const BACKENDS: [(&str, &[&str]); 2] = [
    ("cofferdam_backend_directory", &["infrastructure.rs", "cli.rs"]),
    (
        "cofferdam_backend_kubernetes",
        &["infrastructure.rs", "cluster.rs", "cli.rs", "roles/reaper.rs"],
    ),
];

const RUNNER: &str = "gateway/runner/src/";

fn names_no_backend(page: &Page) -> Vec<Breach> {
    let Some(file) = page.path.strip_prefix(RUNNER) else { return Vec::new() };
    if file.ends_with("tests.rs") {
        return Vec::new();
    }
    let named = lines(page).flat_map(|(number, line)| {
        let code = line.split("//").next().unwrap_or_default();
        let named = BACKENDS.iter().filter(move |(backend, _)| code.contains(backend));
        named.map(move |(backend, files)| (number, *backend, *files))
    });
    named
        .filter(|(_, _, files)| !files.contains(&file))
        .map(|(number, backend, files)| {
            (number, format!("names `{backend}`; only {files:?} may, others use the trait"))
        })
        .collect()
}

#[test]
fn only_the_file_that_picks_a_backend_names_it() {
    let rule = names_no_backend;
    let names = "use cofferdam_backend_kubernetes::Kubernetes;\n";
    finds(rule, "gateway/runner/src/job.rs", names, 1);
    finds(rule, "gateway/runner/src/infrastructure.rs", names, 0);
    finds(rule, "gateway/runner/src/job.rs", "use cofferdam_backend::Backend;\n", 0);
    let sources = pages(&["gateway/runner/src"], ".rs");
    for (backend, files) in BACKENDS {
        for file in files {
            let path = format!("{RUNNER}{file}");
            let found = sources.iter().find(|page| page.path == path);
            assert!(
                found.is_some_and(|page| page.text.contains(backend)),
                "`{path}` does not name `{backend}`; take it off the list"
            );
        }
    }
    check(&sources, rule);
}
