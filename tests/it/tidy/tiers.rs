//! The tests that need a control plane, a node, a browser, a database server or clients of others:
//! each names its need, and cargo reports it as ignored without that. Never a test that passes
//! because it did nothing.

use super::{Breach, Page, check, finds, lines, pages};
use std::collections::BTreeSet;
use std::process::Command;

/// A test beneath `kubernetes/` that asks no API server.
const WITHOUT: [&str; 1] = ["base64_is_as_its_standard_has_it"];

/// Tests elsewhere that ask one.
const ELSEWHERE: [&str; 2] = [
    "cluster::a_namespace_gets_its_account_and_goes",
    "contract::a_cluster_keeps_the_same_contract_as_a_directory",
];

/// Tests that start clients whose installation takes minutes: by their module, or by their name.
const OF_CLIENTS: [&str; 2] =
    ["clients::full::", "connect::gemini_cli_connects_with_the_file_that_was_written"];

fn says_what_it_needs(page: &Page) -> Vec<Breach> {
    let all: Vec<_> = lines(page).collect();
    let silent = all.windows(2).filter_map(|pair| match pair {
        [(number, "#[test]"), (_, next)] if !next.starts_with("#[cfg_attr(without_") => {
            Some((*number, *next))
        }
        _ => None,
    });
    silent
        .filter(|(_, next)| !WITHOUT.iter().any(|name| next.contains(name)))
        .map(|(number, _)| {
            (number, "say `#[cfg_attr(without_cluster, ignore = …)]`, or `without_node`".to_owned())
        })
        .collect()
}

#[test]
fn every_test_of_a_cluster_says_that_it_needs_one() {
    check(&pages(&["tests/it/kubernetes"], ".rs"), says_what_it_needs);
    finds(
        says_what_it_needs,
        "a.rs",
        "#[test]\nfn a() {}\n#[test]\n#[cfg_attr(without_node, ignore = \"\")]\nfn b() {}\n",
        1,
    );
}

#[test]
fn what_cannot_run_here_is_ignored_and_nothing_else() {
    let list = |more: &[&str]| -> BTreeSet<String> {
        let done = Command::new(std::env::current_exe().unwrap())
            .args(["--list", "--format", "terse"])
            .args(more)
            .output();
        let told = String::from_utf8(done.unwrap().stdout).unwrap();
        told.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
    };
    let (all, ignored) = (list(&[]), list(&["--ignored"]));
    assert!(
        all.len() > ignored.len() && ELSEWHERE.iter().all(|name| all.contains(*name)),
        "{all:?}"
    );
    let of_node = |name: &str| name.contains("::node::");
    let of_cluster = |name: &str| {
        name.starts_with("kubernetes::") && !WITHOUT.iter().any(|own| name.ends_with(own))
            || ELSEWHERE.contains(&name)
    };
    let of_faults = |name: &str| {
        name.starts_with("fault_matrix::") && !name.starts_with("fault_matrix::table::")
    };
    let here = |name: &&String| {
        !(cfg!(without_node) && of_node(name)
            || cfg!(without_cluster) && of_cluster(name)
            || cfg!(without_browser) && name.split("::").any(|part| part == "browser")
            || cfg!(without_faults) && of_faults(name)
            || cfg!(without_postgres) && name.split("::").any(|part| part == "postgres")
            || cfg!(without_clients) && OF_CLIENTS.iter().any(|own| name.starts_with(own)))
    };
    let expected: BTreeSet<String> = all.iter().filter(|name| !here(name)).cloned().collect();
    assert_eq!(ignored, expected);
}
