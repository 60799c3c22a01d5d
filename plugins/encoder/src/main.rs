//! `cofferdam-encoder CORE.wasm COMPONENT.wasm` makes a component of a built guest. It refuses a
//! guest that imports more than its world has.
//!
//! `cofferdam build` does the same with the same file; this small program exists so that
//! `scripts/build-guests` needs no gateway.

#[path = "../../../gateway/cofferdam/src/command/component.rs"]
mod component;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [module, component] = arguments.as_slice() else {
        eprintln!("usage: cofferdam-encoder CORE.wasm COMPONENT.wasm");
        return ExitCode::from(64);
    };
    match convert(Path::new(module), Path::new(component)) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(fault) => {
            eprintln!("{module}: {fault}");
            ExitCode::FAILURE
        }
    }
}

/// Writes the component if the host would load it. Returns the line to print.
fn convert(module: &Path, component: &Path) -> Result<String, Box<dyn std::error::Error>> {
    let core = std::fs::read(module)?;
    let bytes = component::encode(&core)?;
    let role = component::surface(&bytes)?.role()?;
    let imports = component::imports(&bytes)?.len();
    std::fs::write(component, &bytes)?;
    let name = component.file_name().unwrap_or_default().to_string_lossy();
    let role = match role {
        component::Role::Tool => "tool",
        component::Role::Executor => "executor",
        component::Role::Command => "command",
    };
    Ok(format!(
        "{role:<9} {name:<28} {imports} imports  core {:>6} B  component {:>6} B",
        core.len(),
        bytes.len()
    ))
}
