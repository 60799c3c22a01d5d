//! The configuration's faults as a table, and the template against the reader.

use super::*;
use expect_test::{Expect, expect};

/// Checks a text with a real tree and home; paths of this run are written as TREE and HOME.
fn check(text: &str, expect: Expect) {
    let folder = tempfile::tempdir().unwrap();
    let root = std::fs::canonicalize(folder.path()).unwrap();
    let (tree, home) = (root.join("tree"), Home::at(root.join("home")));
    std::fs::create_dir(&tree).unwrap();
    home.make_folders().unwrap();
    let mut faults = Vec::new();
    let config = file::check(&text.replace("TREE", tree.to_str().unwrap()), &home, &mut faults);
    let told = if faults.is_empty() { format!("{:#?}", config.unwrap()) } else { ConfigFaults(faults).to_string() };
    expect.assert_eq(&told.replace(tree.to_str().unwrap(), "TREE").replace(home.root().to_str().unwrap(), "HOME"));
}

#[test]
fn the_shortest_configuration_has_these_defaults() {
    check(
        "[environment]\nname = \"lab\"\n[directory]\ntree = \"TREE\"",
        expect![[r#"
            Config {
                environment: "lab",
                tree: "TREE",
                edge: Edge {
                    listen: 127.0.0.1:8620,
                    origins: [],
                    hosts: [],
                    wait: 45s,
                },
                runner: Runner {
                    seats: 2,
                    lease: 15s,
                },
                telemetry: Telemetry {
                    otlp: None,
                    format: Text,
                    level: "info",
                },
            }"#]],
    );
}

#[test]
fn every_fault_is_told_at_once_with_key_and_remedy() {
    check(
        r#"
[environment]
name = "Über uns"
[directory]
tree = "manifests"
[edge]
listen = "localhost"
wait_secnds = 3
wait_seconds = 90
origins = ["console.example.com"]
[runner]
seats = "two"
colour = 1
[telemetry]
otlp = "grpc://x"
log_format = "xml"
[edges]
"#,
        expect![[r#"
            11 faults in the configuration:
              cofferdam.toml:3: environment.name: `Über uns` is no name for an environment; use 1 to 40 of a-z, 0-9 and -
              cofferdam.toml:5: directory.tree: `manifests` is a relative path; write the whole path, beginning with /
              cofferdam.toml:7: edge.listen: `localhost` is no address with a port; write it as "127.0.0.1:8620"
              cofferdam.toml:10: edge.origins: `console.example.com` is no origin; write scheme, host and port alone: "https://console.example.com"
              cofferdam.toml:9: edge.wait_seconds: 90 is out of range; give 1 to 55; the default is 45
              cofferdam.toml:8: edge.wait_secnds: unknown key; did you mean `wait_seconds`
              cofferdam.toml:12: runner.seats: string where a whole number belongs; give 1 to 16
              cofferdam.toml:13: runner.colour: unknown key; known here: `seats`, `lease_seconds`
              cofferdam.toml:15: telemetry.otlp: `grpc://x` is no collector this build can reach; write "http://127.0.0.1:4318", a collector beside it
              cofferdam.toml:16: telemetry.log_format: `xml` is no format; write "text" or "json"
              cofferdam.toml:17: edges: unknown key; did you mean `edge`"#]],
    );
    check(
        "",
        expect![[r#"
        2 faults in the configuration:
          cofferdam.toml: environment: the section is missing; add `[environment]`; `cofferdam init` writes an example
          cofferdam.toml: directory: the section is missing; add `[directory]`; `cofferdam init` writes an example"#]],
    );
    check("environment = 3\ndirectory = [", expect!["cofferdam.toml:2: not TOML: unclosed array, expected `]`; mend this line"]);
    check(
        "environment = 3\n[directory]\ntree = \"TREE/none\"",
        expect![[r#"
        2 faults in the configuration:
          cofferdam.toml:1: environment: not a section; write `[environment]` on a line of its own
          cofferdam.toml:3: directory.tree: `TREE/none` is not a folder; name the folder that holds the manifests"#]],
    );
    check(
        "[environment]\nname = \"lab\"\n[directory]\ntree = \"TREE/../home/store\"",
        expect![
            "cofferdam.toml:4: directory.tree: the tree overlaps with store: a change could reach what decides about changes; keep the home outside the tree (`--home DIR`), without links between them"
        ],
    );
    check(
        "[environment]\nname = \"lab\"\n[directory]\ntree = \"TREE/..\"",
        expect![
            "cofferdam.toml:4: directory.tree: the tree overlaps with configuration, agents, trust file, keys, plugins, policy, store, ledger, runs, journal, artefacts: a change could reach what decides about changes; keep the home outside the tree (`--home DIR`), without links between them"
        ],
    );
}

#[test]
fn the_template_is_what_the_reader_reads() {
    let folder = tempfile::tempdir().unwrap();
    let root = std::fs::canonicalize(folder.path()).unwrap();
    let tree = root.join("a \"tree\"");
    std::fs::create_dir(&tree).unwrap();
    let mut faults = Vec::new();
    let home = Home::at(root.join("home"));
    let written = file::check(&template("lab", &Infrastructure::Directory { tree: tree.clone() }), &home, &mut faults);
    let plain = toml_edit::Value::from(tree.to_str().unwrap());
    let shortest = file::check(&format!("[environment]\nname = \"lab\"\n[directory]\ntree = {plain}"), &home, &mut faults);
    assert_eq!(faults, []);
    assert_eq!(written, shortest);
}

#[test]
fn agents_are_found_by_their_token_alone() {
    let digest = cofferdam_core::id::TokenDigest::of(b"cfd_secret");
    let text = format!("[[agent]]\nname = \"bot\"\nroles = [\"viewer\"]\nfor = \"alice\"\ntoken = \"{digest}\"\n");
    let agents = Agents::parse(&text).unwrap();
    assert_eq!(agents.find("cfd_secret").map(|agent| agent.principal().name), Some("bot".to_owned()));
    assert_eq!(agents.find(&digest.to_string()), None);
    assert_eq!(agents.find("cfd_secre"), None);
    assert!(Agents::parse(&format!("{text}{text}")).unwrap_err().to_string().contains("stands twice"));
    assert!(Agents::parse("agent = 3").is_err());
    assert!(Agents::parse("[[agent]]\nname = \"bot\"\nroles = []\nadmin = true").is_err());
}
