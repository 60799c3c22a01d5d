//! The permitted dependencies: each heavy package has one home, and each binary has only the heavy
//! packages of its list. Read from cargo's own resolution, offline. Ignores features, and counts an
//! optional package if any feature could add it.

use super::root;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// A heavy package and the packages that may depend on it, also for tests. HTTP has two homes: the
/// edge serves it, and the courier is a client. TLS is also for commands that call an edge.
const HOMES: [(&str, &[&str]); 23] = [
    ("wasmtime", &["cofferdam-sandbox"]),
    ("wasmtime-wasi", &["cofferdam-sandbox"]),
    ("hyper", &["cofferdam-courier", "cofferdam-edge"]),
    ("hyper-util", &["cofferdam-courier", "cofferdam-edge"]),
    ("rustls", &["cofferdam", "cofferdam-courier", "cofferdam-edge", "cofferdam-tests"]),
    ("tokio-rustls", &["cofferdam", "cofferdam-courier", "cofferdam-edge"]),
    ("rustls-native-certs", &["cofferdam", "cofferdam-courier"]),
    ("lettre", &["cofferdam-courier"]),
    ("jsonwebtoken", &["cofferdam-identity"]),
    ("ring", &["cofferdam-identity"]),
    ("sqlx", &["cofferdam-recorder"]),
    ("kube", &["cofferdam-backend-kubernetes"]),
    ("k8s-openapi", &["cofferdam-backend-kubernetes"]),
    ("http", &["cofferdam-backend-kubernetes"]),
    ("saphyr-parser", &["cofferdam-backend-directory"]),
    ("opentelemetry", &["cofferdam-telemetry"]),
    ("opentelemetry_sdk", &["cofferdam-telemetry"]),
    ("opentelemetry-otlp", &["cofferdam-telemetry"]),
    ("opentelemetry-http", &["cofferdam-telemetry"]),
    ("rustix", &["cofferdam-process"]),
    ("libc", &["cofferdam-process"]),
    ("landlock", &["cofferdam-process"]),
    ("seccompiler", &["cofferdam-process"]),
];

/// Packages that give a process an ability: to run foreign code, serve or call the network, open a
/// store, change manifests.
const HEAVY: [&str; 22] = [
    "wasmtime",
    "cranelift-codegen",
    "hyper",
    "hyper-util",
    "tonic",
    "reqwest",
    "axum",
    "http", // speaks HTTP
    "rustls",
    "native-tls",
    "ring",   // speaks TLS
    "lettre", // sends mail
    "sqlx",
    "sqlx-sqlite",
    "libsqlite3-sys", // opens a store
    "kube",
    "k8s-openapi",
    "saphyr-parser", // changes infrastructure
    "opentelemetry",
    "opentelemetry_sdk", // exports telemetry
    "clap",
    "wit-component", // faces people; builds components
];

/// Each binary and backend with its permitted heavy packages. A package that is listed and absent
/// is an error too.
const CARRIES: [(&str, &[&str]); 7] = [
    (
        // gateway, recorder, supervisor and commands; no kube, no manifests: it cannot change
        // infrastructure.
        "cofferdam",
        &[
            "clap",
            "cranelift-codegen",
            "http",
            "hyper",
            "hyper-util",
            "libsqlite3-sys",
            "ring",
            "rustls",
            "sqlx",
            "sqlx-sqlite",
            "wasmtime",
            "wit-component",
        ],
    ),
    // the role that connects out; HTTP and mail as a client, and nothing else.
    ("cofferdam-courier", &["http", "hyper", "hyper-util", "lettre", "ring", "rustls"]),
    // viewer, runner and reaper; no Wasm engine, no store; HTTP only as a client of the one API
    // server.
    (
        "cofferdam-runner",
        &["http", "hyper", "hyper-util", "k8s-openapi", "kube", "ring", "rustls", "saphyr-parser"],
    ),
    // what every backend shares; knows neither files nor clusters.
    ("cofferdam-backend", &[]),
    // changes manifests; no HTTP, no TLS.
    ("cofferdam-backend-directory", &["saphyr-parser"]),
    // reaches the one API server; parses no manifests.
    (
        "cofferdam-backend-kubernetes",
        &["http", "hyper", "hyper-util", "k8s-openapi", "kube", "ring", "rustls"],
    ),
    // binary `cofferdam-guest`; no HTTP, no store, no manifests.
    ("cofferdam-sandbox", &["cranelift-codegen", "wasmtime"]),
];

/// Packages that all of them may have: spans and counters pass through the telemetry crate in every
/// role.
const MAY: [&str; 3] = ["opentelemetry", "opentelemetry_sdk", "http"];

/// Packages that the list of a binary must never have, in any version of this file.
const NEVER: [(&str, &[&str]); 6] = [
    ("cofferdam", &["kube", "saphyr-parser"]),
    (
        "cofferdam-courier",
        &[
            "wasmtime",
            "cranelift-codegen",
            "sqlx",
            "libsqlite3-sys",
            "kube",
            "saphyr-parser",
            "clap",
        ],
    ),
    (
        "cofferdam-runner",
        &["wasmtime", "wasmtime-wasi", "cranelift-codegen", "sqlx", "libsqlite3-sys", "axum"],
    ),
    ("cofferdam-backend-directory", &["hyper", "rustls", "native-tls", "kube", "wasmtime"]),
    ("cofferdam-backend-kubernetes", &["saphyr-parser", "wasmtime", "sqlx"]),
    (
        "cofferdam-sandbox",
        &[
            "hyper",
            "hyper-util",
            "sqlx",
            "libsqlite3-sys",
            "saphyr-parser",
            "kube",
            "rustls",
            "native-tls",
        ],
    ),
];

/// Cargo's metadata of the workspace for this machine, without the network.
fn metadata() -> Value {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let done = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--offline",
            "--filter-platform",
            &platform,
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(done.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Packages of the workspace, by name.
fn ours(metadata: &Value) -> BTreeMap<&str, &Value> {
    list(metadata, "packages")
        .iter()
        .filter(|package| package["source"].is_null())
        .map(|package| (text(package, "name"), package))
        .collect()
}

/// The names of all packages in one of our binaries, without those of tests, build scripts and
/// macros.
fn carried(metadata: &Value, name: &str) -> BTreeSet<String> {
    let nodes: BTreeMap<&str, &Value> =
        list(&metadata["resolve"], "nodes").iter().map(|node| (text(node, "id"), node)).collect();
    let names: BTreeMap<&str, &str> = list(metadata, "packages")
        .iter()
        .map(|package| (text(package, "id"), text(package, "name")))
        .collect();
    let is_macro = |package: &&Value| {
        list(package, "targets").iter().any(|target| target["kind"][0] == "proc-macro")
    };
    let macros: BTreeSet<&str> = list(metadata, "packages")
        .iter()
        .filter(is_macro)
        .map(|package| text(package, "id"))
        .collect();
    let (mut seen, mut next) = (BTreeSet::new(), vec![text(ours(metadata)[name], "id")]);
    while let Some(id) = next.pop() {
        if !macros.contains(id) && seen.insert(id) {
            let built_with =
                |edge: &&Value| list(edge, "dep_kinds").iter().any(|kind| kind["kind"].is_null());
            next.extend(
                list(nodes[id], "deps").iter().filter(built_with).map(|edge| text(edge, "pkg")),
            );
        }
    }
    seen.into_iter().map(|id| names[id].to_owned()).collect()
}

#[test]
fn each_heavy_dependency_has_its_homes() {
    let metadata = metadata();
    for (dependency, homes) in HOMES {
        let named_by: BTreeSet<_> = ours(&metadata)
            .into_iter()
            .filter(|(_, package)| {
                list(package, "dependencies").iter().any(|named| text(named, "name") == dependency)
            })
            .map(|(name, _)| name)
            .collect();
        let homes: BTreeSet<_> = homes.iter().copied().collect();
        assert_eq!(
            named_by, homes,
            "`{dependency}` is named by {named_by:?}; its homes are {homes:?} alone"
        );
    }
}

#[test]
fn each_binary_carries_only_what_its_list_says() {
    let metadata = metadata();
    for (name, list) in CARRIES {
        let carried = carried(&metadata, name);
        let heavy: BTreeSet<_> =
            HEAVY.into_iter().filter(|package| carried.contains(*package)).collect();
        let may: BTreeSet<_> = list.iter().copied().chain(MAY).collect();
        let more: Vec<_> = heavy.difference(&may).collect();
        assert!(
            more.is_empty(),
            "`{name}` carries {more:?}, which is not on its list; find who brings it with `cargo \
             tree -p {name} -i NAME`"
        );
        let stale: Vec<_> = list.iter().filter(|package| !heavy.contains(**package)).collect();
        assert!(stale.is_empty(), "`{name}` no longer carries {stale:?}; take it off its list");
    }
}

#[test]
fn no_binary_carries_what_its_role_must_not_have() {
    let metadata = metadata();
    for (name, never) in NEVER {
        let carried = carried(&metadata, name);
        let found: Vec<_> = never.iter().filter(|package| carried.contains(**package)).collect();
        assert!(found.is_empty(), "`{name}` carries {found:?}, which its role must never have");
    }
}

#[test]
fn the_core_names_no_runtime() {
    let metadata = metadata();
    let carried = carried(&metadata, "cofferdam-core");
    let found: Vec<_> = HEAVY
        .into_iter()
        .chain(["tokio", "tracing", "rustix"])
        .filter(|package| carried.contains(*package))
        .collect();
    assert!(found.is_empty(), "the core carries {found:?}");
}

#[test]
fn crates_take_their_versions_from_the_workspace() {
    // Clients of other protocol revisions are no members: each pins what it is a client of.
    let members = super::pages(&["gateway", "tests"], "Cargo.toml");
    for page in members
        .iter()
        .filter(|page| !page.path.starts_with("tests/clients/"))
        .chain(&super::pages(&["plugins/tools", "plugins/executors", "plugins/sdk"], "Cargo.toml"))
    {
        let mut inside = false;
        for (number, line) in super::lines(page) {
            if line.starts_with('[') {
                inside = line.contains("dependencies");
            } else if inside && line.contains('=') && !line.starts_with('#') {
                let taken = line.contains(".workspace = true") || line.contains("workspace = true");
                assert!(
                    taken,
                    "{}:{number}: `{line}`; versions and features stand in the workspace's \
                     Cargo.toml alone",
                    page.path
                );
            }
        }
    }
}
