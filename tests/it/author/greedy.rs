//! A tool that reads too much: its reads are refused by name, and other calls still get results.

use super::bare;
use super::own::{built, good};
use crate::installation::{TestInstallation, binaries, repository, text};
use serde_json::json;
use std::fs;

/// Bytes of the ConfigMap, fewer than one read may return.
const LARGE: usize = 200 * 1024;

/// Reads one ConfigMap `times` times.
const SOURCE: &str = r##"
use cofferdam_sdk::tool::{CONFIG_MAP, Definition, Draft, Refusal};
use serde::Deserialize;

cofferdam_sdk::tool!(define, plan);

#[derive(Deserialize)]
struct Arguments {
    times: u32,
}

fn define() -> Definition {
    Definition::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        .title("Read much")
        .description("Reads one ConfigMap many times.")
        .input(include_str!("../input.schema.json"))
        .output(r#"{"type": "object"}"#)
        .may(CONFIG_MAP.may_read(["data"]))
        .example(
            "Twice",
            r#"{"times": 1}"#,
            r#"{
                "summary": "Read it",
                "executor": null,
                "operations": [{
                    "action": "read",
                    "target": {"group": "", "version": "v1", "kind": "ConfigMap", "namespace": "storefront", "name": "large"},
                    "fields": ["data"], "after": [], "reversible": false
                }]
            }"#,
        )
}

fn plan(Arguments { times }: Arguments) -> Result<Draft, Refusal> {
    let look = Draft::look("Read it".to_owned());
    Ok((0..times).fold(look, |look, _| look.step(CONFIG_MAP.read("storefront".to_owned(), "large".to_owned(), &["data"]))))
}
"##;

const INPUT: &str = r#"{
    "type": "object",
    "properties": {"times": {"type": "integer", "minimum": 1, "maximum": 64, "description": "How often."}},
    "required": ["times"],
    "additionalProperties": false
}"#;

#[test]
fn a_plan_that_reads_more_than_an_answer_holds_is_refused_by_name_and_the_next_call_works() {
    let mut installation = TestInstallation::bare("example");
    let value = "x".repeat(LARGE);
    let manifest = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: large\n  namespace: \
         storefront\ndata:\n  value: {value}\n"
    );
    fs::write(installation.tree().join("storefront/large.yaml"), manifest).unwrap();
    let place = tempfile::tempdir().unwrap();
    good(&bare(
        place.path(),
        &["new", "read_much", "--sdk", text(&repository().join("plugins/sdk"))],
    ));
    let (folder, wasm) = (place.path().join("read_much"), place.path().join("read_much.wasm"));
    fs::write(folder.join("src/lib.rs"), SOURCE).unwrap();
    fs::write(folder.join("input.schema.json"), INPUT).unwrap();
    let shared = repository().join("plugins/target");
    let cofferdam = binaries().join("cofferdam");
    good(&built(
        &folder,
        &shared,
        text(&cofferdam),
        &["--home", "no-home", "build", ".", "--out", text(&wasm)],
    ));
    installation.run(&["accept", text(&wasm)]);
    installation.serve(&[]);
    let token = installation.agent("release", "operator");
    for round in 0..3 {
        let refused = installation.call(&token, "read_much", &json!({"times": 64}));
        let told = refused.body.to_string();
        assert!(
            refused.status == 422 && told.contains("unsupported"),
            "{round}: {refused:?}\n{}",
            installation.log()
        );
        assert!(told.contains("results together are larger than"), "{round}: {told}");
        let next = installation.call(&token, "config_show", &json!({"namespace": "storefront"}));
        assert!(
            next.status == 200 && next.body.to_string().contains("large"),
            "{round}: {next:?}\n{}",
            installation.log()
        );
    }
    assert!(!installation.log().contains("restarting"), "{}", installation.log());
}
