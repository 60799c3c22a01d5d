//! Software of others: every workspace has rules for its dependencies, and pip installs only files
//! with a listed hash. Reads files only; it asks no registry.

use super::{Breach, Page, check, finds, lines, page, pages};

/// The workspaces of Rust, and the rules for their dependencies.
const RULES: [&str; 2] = ["deny.toml", "plugins/deny.toml"];

/// Clients of others, for tests alone: a lock file pins each, and nothing of them is shipped.
const CLIENTS: &str = "tests/clients/";

#[test]
fn every_workspace_has_rules_for_its_dependencies() {
    let workspaces = pages(&["."], "Cargo.toml")
        .into_iter()
        .filter(|page| page.text.contains("\n[workspace]\n"));
    let rules = workspaces.map(|page| page.path.replace("Cargo.toml", "deny.toml"));
    let expected: Vec<String> = rules.filter(|path| !path.starts_with(CLIENTS)).collect();
    assert_eq!(expected, RULES, "each workspace of Rust has a `deny.toml` beside its `Cargo.toml`");
    for path in RULES {
        let rules = page(path).text;
        for rule in [
            "[advisories]",
            "[licenses]",
            "multiple-versions = \"deny\"",
            "unknown-registry = \"deny\"",
            "unknown-git = \"deny\"",
        ] {
            assert!(rules.contains(rule), "{path} lost its rule `{rule}`");
        }
    }
    assert!(
        page("scripts/check").text.contains("for workspace in . plugins; do"),
        "scripts/check holds both workspaces against them"
    );
}

#[test]
fn pip_takes_only_files_whose_hash_is_listed() {
    check(&pages(&["scripts", "tests/clients", ".ci"], ""), unverified);
    finds(unverified, "scripts/a", "\"$venv/bin/pip\" install --quiet mcp==1", 1);
    finds(unverified, "scripts/a", "\"$venv/bin/pip\" install --require-hashes -r \"$list\"", 0);
    finds(unverified, "scripts/a", "python3 -m pip install mcp", 1);
    finds(unverified, "scripts/a.md", "pip install uv", 0);
}

/// Each call of `pip install` in a script that does not ask for hashes.
fn unverified(page: &Page) -> Vec<Breach> {
    if page.path.ends_with(".md") {
        return vec![];
    }
    let calls = |line: &str| {
        line.replace('"', "").contains("pip install") && !line.contains("--require-hashes")
    };
    let found = lines(page).filter(|(_, line)| calls(line));
    found
        .map(|(number, _)| {
            (number, "give pip a list with hashes and `--require-hashes`".to_owned())
        })
        .collect()
}

#[test]
fn public_ci_calls_our_scripts_and_pins_each_action() {
    let workflow = page(".github/workflows/ci.yml");
    assert!(workflow.text.contains("run: .ci/run"), "the workflow runs what CI runs everywhere");
    check(&[workflow], unpinned);
    finds(unpinned, "a.yml", "- uses: a/b@v4", 1);
    finds(unpinned, "a.yml", &format!("- uses: a/b@{} # v4.2.2", "0a".repeat(20)), 0);
}

/// Each action that is not named by the whole hash of a commit: a tag can be moved.
fn unpinned(page: &Page) -> Vec<Breach> {
    let pinned = |action: &str| {
        let version = action.split_once('@').map_or("", |(_, version)| version);
        let hash = version.split(' ').next().unwrap_or_default();
        hash.len() == 40 && hash.chars().all(|sign| sign.is_ascii_hexdigit())
    };
    let uses =
        lines(page).filter_map(|(number, line)| Some((number, line.split_once("uses: ")?.1)));
    uses.filter(|(_, action)| !pinned(action))
        .map(|(number, action)| (number, format!("name the commit of the action `{action}`")))
        .collect()
}

#[test]
fn only_dependencies_are_optimized_in_a_first_build() {
    let manifests = pages(&["gateway", "tests", "fuzz"], "Cargo.toml");
    let own = manifests.iter().filter(|page| !page.path.starts_with(CLIENTS)).filter_map(|page| {
        let name = page.text.lines().find_map(|line| line.strip_prefix("name = "))?;
        Some(format!("{} = {{ opt-level = 0 }}", name.trim_matches('"')))
    });
    let workspace = page("Cargo.toml").text;
    let missing: Vec<_> =
        own.filter(|line| !workspace.lines().any(|there| there == line)).collect();
    assert!(missing.is_empty(), "add to [profile.dev.package] of Cargo.toml: {missing:#?}");
    assert!(workspace.contains("[profile.dev.build-override]\nopt-level = 0\n"), "macros are not");
}
