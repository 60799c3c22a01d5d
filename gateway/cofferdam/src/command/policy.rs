//! `cofferdam policy`: tests a policy's sources with `opa`, and asks a compiled one a question exactly as the gateway would. Accepts nothing.

use super::plugin::Bench;
use super::report::{Report, Usage};
use crate::home::Home;
use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, Subcommand, ValueHint};
use cofferdam_core::decide::{CALL_ENTRYPOINT, Input, LIST_ENTRYPOINT, ListInput, Output, policy_digest};
use cofferdam_core::json as strict;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Share of a policy's lines that its tests have to reach, in percent.
const COVERAGE: &str = "90";

/// Tests and asks policies.
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Check a policy against the schemas and run its tests; at least 90 % of it must be covered
    #[command(after_help = "Example:\n  cofferdam policy test policies/example")]
    Test(Test),
    /// Ask a compiled policy one question, in the sandbox and under the limits of a real one
    #[command(
        after_help = "Examples:\n  cofferdam policy eval --input question.json\n  cofferdam policy eval --policy build/policy --list --input list.json"
    )]
    Eval(Eval),
}

/// Tests a policy's sources.
#[derive(Debug, Args)]
pub struct Test {
    /// The folder with the policy's .rego files and data.json
    #[arg(value_hint = ValueHint::DirPath)]
    folder: PathBuf,
    /// The folder with the library, `schema/` and `capabilities.json` [default: above the policy's]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    policies: Option<PathBuf>,
}

/// Asks a policy.
#[derive(Debug, Args)]
pub struct Eval {
    /// The question: a JSON document as `policies/schema/input.json` describes it; `-` reads standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    input: PathBuf,
    /// The folder with policy.wasm and data.json [default: this installation's]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    policy: Option<PathBuf>,
    /// Ask which tools a caller may see, instead of deciding a call
    #[arg(long)]
    list: bool,
}

impl Policy {
    /// Runs it.
    pub fn run(self, home: &Home) -> Result<Report> {
        match self {
            Self::Test(command) => command.run(),
            Self::Eval(command) => command.run(home),
        }
    }
}

/// Where `opa` is: as OPA says, on the path, or where `scripts/setup` puts it.
pub fn opa() -> Option<PathBuf> {
    let named = std::env::var_os("OPA").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("opa"));
    let cache =
        std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let set_up = cache.into_iter().filter_map(|cache| {
        let mut found: Vec<PathBuf> = std::fs::read_dir(cache.join("cofferdam"))
            .ok()?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("opa-")))
            .map(|path| path.join("opa"))
            .collect();
        found.sort();
        found.pop()
    });
    named.into_iter().chain(on_path).chain(set_up).find(|path| path.is_file())
}

impl Test {
    fn run(self) -> Result<Report> {
        let opa = opa().context("`opa` is missing; `scripts/setup tools` builds it, or set OPA to where it is")?;
        if !self.folder.is_dir() {
            bail!("`{}` is no folder; name the one with the .rego files", self.folder.display());
        }
        let policies = self.policies.unwrap_or_else(|| self.folder.join(".."));
        let library = policies.join("lib");
        if !library.is_dir() {
            bail!("no library at `{}`; name its folder with `--policies DIR`", library.display());
        }
        let check = |what: &str, arguments: &[&str]| -> Result<String> {
            let output = Command::new(&opa).args(arguments).arg(&library).arg(&self.folder).output().context("cannot start `opa`")?;
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            if output.status.success() { Ok(said) } else { Err(anyhow!("{what}:\n{said}{}", String::from_utf8_lossy(&output.stderr))) }
        };
        let (schema, capabilities) = (policies.join("schema"), policies.join("capabilities.json"));
        let (schema, capabilities) = (schema.to_string_lossy(), capabilities.to_string_lossy());
        check(
            "the policy does not pass `opa check`",
            &["check", "--strict", "--schema", &schema, "--capabilities", &capabilities, "--ignore", "*_test.rego", "--ignore", "testdata"],
        )?;
        let said = check("a test of the policy fails", &["test", "--ignore", "testdata"])?;
        let coverage = check(
            &format!("the tests reach less than {COVERAGE} % of the policy"),
            &["test", "--coverage", "--threshold", COVERAGE, "--ignore", "testdata", "--format", "json"],
        )?;
        let reached = serde_json::from_str::<Value>(&coverage).ok().and_then(|coverage| coverage.get("coverage").and_then(Value::as_f64));
        let tests = said.lines().last().unwrap_or_default().to_owned();
        let reached_text = reached.map(|share| format!(", {share:.0} % reached")).unwrap_or_default();
        Ok(Report::new(format!("checked; {tests}{reached_text}"), json!({"tests": tests, "coverage": reached})))
    }
}

impl Eval {
    fn run(self, home: &Home) -> Result<Report> {
        let folder = self.policy.unwrap_or_else(|| home.policy());
        let read = |name: &str| std::fs::read(folder.join(name)).with_context(|| format!("no `{name}` in `{}`", folder.display()));
        let module = read("policy.wasm")?;
        let data = String::from_utf8(read("data.json")?).context("data.json is not UTF-8")?;
        let bytes = if self.input == Path::new("-") {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut bytes).context("cannot read standard input")?;
            bytes
        } else {
            std::fs::read(&self.input).with_context(|| format!("cannot read `{}`", self.input.display()))?
        };
        // The same types the gateway fills in: a question it could never ask is refused.
        let shape = |fault: strict::JsonFault| Usage(format!("`{}` is no question the gateway would ask: {fault}", self.input.display()));
        let (entrypoint, input) = if self.list {
            (LIST_ENTRYPOINT, strict::canonical(&strict::strict_into::<ListInput>(&bytes).map_err(shape)?)?)
        } else {
            (CALL_ENTRYPOINT, strict::canonical(&strict::strict_into::<Input>(&bytes).map_err(shape)?)?)
        };
        let policy = Bench::start()?.policy(&module, &data)?;
        let answer = policy.evaluate(entrypoint, &input).map_err(|fault| anyhow!("{fault}; the gateway takes that as a denial"))?;
        let value = strict::strict(answer.as_bytes())?;
        if !self.list {
            serde_json::from_value::<Output>(value.clone())
                .context("the policy answered something else than a decision; the gateway takes that as a denial")?;
        }
        let digest = policy_digest(&module, &data).context("data.json is not readable")?;
        Ok(Report::new(format!("{value:#}"), json!({"policy": digest, "entrypoint": entrypoint, "answer": value})))
    }
}
