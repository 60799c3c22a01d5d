//! Builds the module and the data document of a policy with `opa build`. Never accepts them.

use super::opa::{Opa, output_text};
use super::refusal;
use super::sources::Sources;
use anyhow::{Context as _, Result};
use cofferdam_core::model::served::rules_heading;
use cofferdam_core::policy::digest::{CALL_ENTRYPOINT, LIST_ENTRYPOINT, policy_digest};
use std::path::Path;
use std::process::Command;

/// A compiled policy with its data.
#[derive(Debug)]
pub struct Compiled {
    /// The WebAssembly module.
    pub module: Vec<u8>,
    /// The data document, as JSON text.
    pub data: String,
    /// The sources of the policy without their tests, for people to read.
    pub rules: String,
}

impl Compiled {
    /// Builds a policy from checked sources, without their tests.
    ///
    /// # Errors
    /// `check`: the error of `opa build`.
    pub fn build(sources: &Sources, opa: &Opa) -> Result<Self> {
        let bundle = sources.root().join("bundle.tar.gz");
        let (place, capabilities) =
            (bundle.to_string_lossy(), sources.policies.join("capabilities.json"));
        let capabilities = capabilities.to_string_lossy();
        // Without --prune-unused each rule that an entry point needs would become one itself.
        let mut arguments = vec![
            "build",
            "-t",
            "wasm",
            "--prune-unused",
            "--ignore",
            "*_test.rego",
            "--ignore",
            "testdata",
        ];
        arguments.extend([
            "-e",
            CALL_ENTRYPOINT,
            "-e",
            LIST_ENTRYPOINT,
            "--capabilities",
            &capabilities,
            "-o",
            &place,
        ]);
        arguments.extend(["lib", &sources.name]);
        let output = opa.run(&arguments, "")?;
        if !output.status.success() {
            return Err(refusal("check", sources.shown_lines(&output_text(&output))));
        }
        let data =
            String::from_utf8(member(&bundle, "data.json")?).context("data.json is not UTF-8")?;
        let module = member(&bundle, "policy.wasm")?;
        let rules = rules(sources, &module, &data)?;
        Ok(Self { module, data, rules })
    }

    /// Writes the files for `accept` and `init`: all of them or none.
    pub fn write(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make `{}`", folder.display()))?;
        let entrypoints = format!("{CALL_ENTRYPOINT}\n{LIST_ENTRYPOINT}\n");
        let files = [
            ("policy.wasm", self.module.as_slice()),
            ("data.json", self.data.as_bytes()),
            ("rules.rego", self.rules.as_bytes()),
            ("entrypoints", entrypoints.as_bytes()),
        ];
        let fresh = |name: &str| folder.join(format!(".{name}.new"));
        for (name, bytes) in files {
            std::fs::write(fresh(name), bytes)
                .with_context(|| format!("cannot write in `{}`", folder.display()))?;
        }
        for (name, _) in files {
            std::fs::rename(fresh(name), folder.join(name))
                .with_context(|| format!("cannot write in `{}`", folder.display()))?;
        }
        Ok(())
    }
}

/// The sources in one text. Its first line names the policy that was built from them.
fn rules(sources: &Sources, module: &[u8], data: &str) -> Result<String> {
    let digest = policy_digest(module, data).context("data.json is not readable")?;
    let mut text = rules_heading(&digest);
    for path in sources.rego()?.iter().filter(|path| !path.ends_with("_test.rego")) {
        let source = std::fs::read_to_string(sources.root().join(path))
            .with_context(|| format!("cannot read `{path}`"))?;
        text.push_str(&format!("\n# {path}\n{}\n", source.trim_end()));
    }
    Ok(text)
}

/// One file of a bundle: its names are absolute.
pub fn member(bundle: &Path, name: &str) -> Result<Vec<u8>> {
    let output = Command::new("tar")
        .arg("-xzOf")
        .arg(bundle)
        .arg(format!("/{name}"))
        .output()
        .context("cannot start `tar`")?;
    if output.status.success() && !output.stdout.is_empty() {
        return Ok(output.stdout);
    }
    Err(refusal(
        "check",
        format!(
            "the bundle of `opa` has no `{name}`: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ),
    ))
}
