//! A tool with an interpreter: a component of jco with JavaScript in QuickJS, which has three
//! memories, twenty core instances, and adapters between two components. It runs under the limits
//! of every other tool.

use super::counted;
use super::encode::folder;
use crate::error::{Code, SandboxError};
use crate::examine::examine;
use crate::tool::Tool;
use cofferdam_core::model::operation::{Draft, ToolRefusal};
use cofferdam_core::protocol::role_guest::GuestKind;
use std::time::{Duration, Instant};

fn arguments(value: &str) -> String {
    format!(r#"{{"name":"web","namespace":"team-a","value":"{value}"}}"#)
}

#[test]
fn a_tool_in_javascript_plans_and_refuses_under_the_usual_limits() {
    let wasm = std::fs::read(folder().join("quickjs/tool.wasm")).unwrap();
    let began = Instant::now();
    let examined = examine(&wasm).unwrap();
    assert_eq!(
        (examined.kind, examined.imports.len(), examined.unused.as_slice()),
        (GuestKind::Tool, 0, ["init".to_owned()].as_slice())
    );
    eprintln!(
        "compiled in {:?}: {} bytes of machine code",
        began.elapsed(),
        examined.artefact.bytes().len()
    );

    let (engine, _ticker) = counted(GuestKind::Tool);
    let began = Instant::now();
    let tool = Tool::load(&engine, &examined.artefact).unwrap();
    eprintln!("loaded in {:?}", began.elapsed());
    let began = Instant::now();
    let definition = tool.define().unwrap();
    eprintln!("defined in {:?}", began.elapsed());
    assert_eq!(definition.name, "greet_js");
    let promised: Draft = serde_json::from_value(definition.examples[0].draft.clone()).unwrap();
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..20 {
        let began = Instant::now();
        assert_eq!(tool.plan(&arguments("storefront")).unwrap().unwrap(), promised);
        times.push(began.elapsed());
    }
    times.sort();
    eprintln!("planned in {:?} to {:?}", times[0], times[19]);

    let refusal =
        ToolRefusal { reason: "it is no greeting".into(), remedy: "Write another word.".into() };
    assert_eq!(tool.plan(&arguments("nothing")), Ok(Err(refusal)));
    let error = |value| tool.plan(&arguments(value)).map(drop).unwrap_err();
    assert_eq!(error("loop").code, Code::Time);
    // QuickJS throws without memory or stack, and the component traps on a value that is not a
    // refusal.
    for value in ["hoard", "dig", "clock"] {
        let SandboxError { code, detail } = error(value);
        eprintln!("{value}: {code}: {detail}");
        assert!(
            matches!(code, Code::Trap | Code::Memory | Code::Stack | Code::Time),
            "{value}: {code}: {detail}"
        );
    }
    // A sandbox that ended badly has no effect on the next.
    assert_eq!(tool.plan(&arguments("storefront")).unwrap().unwrap(), promised);
}
