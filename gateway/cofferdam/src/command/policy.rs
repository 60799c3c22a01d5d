//! `cofferdam policy`: tests and builds the sources of a policy, and evaluates a compiled policy as
//! the gateway does. Accepts nothing.

mod cases;
mod check;
mod compiled;
mod coverage;
mod opa;
mod replacements;
mod sources;
mod syntax;

use super::input_file;
use super::plugin::Bench;
use super::rehearse::{self, Needs, rehearse};
use super::report::{Report, Usage};
use crate::config::home::Home;
use crate::config::trust_file::TrustFile;
use anyhow::{Context as _, Result, anyhow};
use clap::{Args, Subcommand, ValueHint};
use cofferdam_core::journey::ports::GuestError;
use cofferdam_core::model::approver_groups::ApproverGroups;
use cofferdam_core::model::json as strict;
use cofferdam_core::model::role_limits::RoleLimits;
use cofferdam_core::model::trust::Environment;
use cofferdam_core::policy::digest::{CALL_ENTRYPOINT, LIST_ENTRYPOINT, policy_digest};
use cofferdam_core::policy::input::{Input, ListInput};
use cofferdam_core::policy::output::Output;
use cofferdam_core::stage::question;
use compiled::Compiled;
use coverage::{Coverage, LEAST};
use jiff::Timestamp;
pub use opa::opa;
use opa::{Opa, output_text};
use serde_json::{Value, json};
use sources::Sources;
use std::path::{Path, PathBuf};

/// Tests, builds and evaluates policies.
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Check a policy and run its tests, on OPA's interpreter and in the compiled module; the tests
    /// must cover 90 % of its lines
    #[command(after_help = "Example:\n  cofferdam policy test policies/example")]
    Test(Test),
    /// Test and compile a policy and measure it with the largest plans; `cofferdam accept --policy`
    /// takes the result
    #[command(
        after_help = "Example:\n  cofferdam policy build policies/example --out build/policy"
    )]
    Build(Build),
    /// Evaluate a compiled policy for one input, in the sandbox, with the limits of a real call
    #[command(after_help = "Examples:\n  cofferdam policy eval --input question.json\n  \
                            cofferdam policy eval --policy build/policy --list --input list.json")]
    Eval(Eval),
}

/// Checks the sources of a policy and runs its tests.
#[derive(Debug, Args)]
pub struct Test {
    /// The folder with the policy's .rego files and data.json
    #[arg(value_hint = ValueHint::DirPath)]
    folder: PathBuf,
    /// The folder with the library, `schema/` and `capabilities.json` [default: the parent folder
    /// of the policy]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    policies: Option<PathBuf>,
}

/// Tests and compiles a policy's sources.
#[derive(Debug, Args)]
pub struct Build {
    #[command(flatten)]
    sources: Test,
    /// The folder for policy.wasm, data.json and entrypoints
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    out: PathBuf,
}

/// Evaluates a policy for one input.
#[derive(Debug, Args)]
pub struct Eval {
    /// The policy input: a JSON document in the form of `policies/schema/input.json`; `-` reads
    /// standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    input: PathBuf,
    /// The folder with policy.wasm and data.json [default: the policy of this installation]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    policy: Option<PathBuf>,
    /// Evaluate the list of visible tools instead of the decision for a call
    #[arg(long)]
    list: bool,
}

impl Policy {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home) -> Result<Report> {
        match self {
            Self::Test(command) => Ok(command.tested()?.report("checked")),
            Self::Build(command) => command.run(home),
            Self::Eval(command) => command.run(home),
        }
    }
}

/// A refusal of a policy, with its code for tests and programs.
fn refusal(code: &str, detail: String) -> anyhow::Error {
    GuestError { code: code.to_owned(), detail }.into()
}

/// A policy whose tests pass in the interpreter and in the module.
struct Tested {
    sources: Sources,
    opa: Opa,
    bench: Bench,
    tests: String,
    both: usize,
    coverage: Coverage,
}

impl Test {
    /// Checks the sources, runs every test on the interpreter and in the module, and compares.
    fn tested(self) -> Result<Tested> {
        let sources = Sources::stage(&self.folder, self.policies)?;
        let opa = Opa::at(sources.root())?;
        let capabilities = check::check(&sources, &opa)?;
        let bench = Bench::start()?;
        let run = |options: &[&str]| {
            let fixed = ["test", "--timeout", "60s", "--ignore", "testdata"];
            opa.run(
                &fixed
                    .into_iter()
                    .chain(options.iter().copied())
                    .chain(["lib", &sources.name])
                    .collect::<Vec<_>>(),
                "",
            )
        };
        let output = run(&[])?;
        // A difference between the two often fails a test as well: report both.
        let both = cases::compare(&sources, &opa, &bench, &capabilities);
        if !output.status.success() {
            let differs = both.err().map_or(String::new(), |error| format!("\n{error:#}"));
            return Err(refusal(
                "test",
                format!(
                    "a test of the policy fails:\n{}{differs}",
                    sources.shown_lines(&output_text(&output))
                ),
            ));
        }
        let both = both?;
        let tests = output_text(&output).lines().last().unwrap_or_default().to_owned();
        let output = run(&["--coverage", "--format", "json"])?;
        let coverage = serde_json::from_slice::<Value>(&output.stdout)
            .ok()
            .and_then(|report| Coverage::of(&report, &sources.name))
            .with_context(|| format!("no coverage of the tests: {}", output_text(&output)))?;
        if coverage.share < LEAST {
            let detail = format!(
                "the tests reach {:.1} % of the policy's own lines, and at least {LEAST} % are \
                 required; add tests that reach these lines:\n{}",
                coverage.share,
                sources.shown_lines(&coverage.missing.join("\n"))
            );
            return Err(refusal("coverage", detail));
        }
        Ok(Tested { opa, bench, tests, both, coverage, sources })
    }
}

impl Tested {
    fn report(&self, done: &str) -> Report {
        let (tests, both, share) = (&self.tests, self.both, self.coverage.share);
        let text = format!(
            "{done}; {tests}, {share:.0} % of the policy's own lines reached; {both} tests answer \
             the same in the compiled module"
        );
        Report::new(text, json!({"tests": tests, "coverage": share, "compared": both}))
    }
}

impl Build {
    fn run(self, home: &Home) -> Result<Report> {
        let tested = self.sources.tested()?;
        let compiled = Compiled::build(&tested.sources, &tested.opa)?;
        tested.bench.policy(&compiled.module, &compiled.data)?;
        let digest =
            policy_digest(&compiled.module, &compiled.data).context("data.json is not readable")?;
        RoleLimits::read(&compiled.data)?;
        ApproverGroups::read(&compiled.data)?;
        // The ceilings of this installation; without an installation, the widest possible tool.
        let trust =
            if home.trust().exists() { Some(TrustFile::open(home)?.trust()?) } else { None };
        let (environment, tools) = match trust {
            Some(trust) if !trust.tools.is_empty() => (trust.environment, trust.tools),
            _ => (
                Environment { name: "none".to_owned(), id: String::new() },
                vec![rehearse::widest()],
            ),
        };
        let context = question::context(&environment, digest, None, None, Timestamp::now());
        let (needs, most) = (
            rehearse(&tested.bench, (&compiled.module, &compiled.data), &tools, &context)?,
            Needs::most(),
        );
        compiled.write(&self.out)?;
        let (used, accepted) =
            (needs.instructions / rehearse::MILLION, most.instructions / rehearse::MILLION);
        let budget = format!(
            "{used} of {accepted} million instructions, {} of {} MiB",
            needs.memory >> 20,
            most.memory >> 20
        );
        Ok(tested.report(&format!(
            "built {digest} in {}; over the largest plans {budget}",
            self.out.display()
        )))
    }
}

/// The remedy for a file that is no policy input.
const FORM: &str = "give a JSON document in the form of `policies/schema/input.json`";

impl Eval {
    fn run(self, home: &Home) -> Result<Report> {
        let folder = self.policy.unwrap_or_else(|| home.policy());
        let read = |name: &str| {
            std::fs::read(folder.join(name))
                .with_context(|| format!("no `{name}` in `{}`", folder.display()))
        };
        let module = read("policy.wasm")?;
        let data = String::from_utf8(read("data.json")?).context("data.json is not UTF-8")?;
        let bytes = if self.input == Path::new("-") {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut bytes)
                .context("cannot read standard input")?;
            bytes
        } else {
            input_file::bytes(&self.input, FORM)?
        };
        // Parsed with the types of the gateway: an input that the gateway cannot make is refused.
        let shape = |error: strict::JsonError| {
            Usage(format!("`{}` is no policy input: {error}; {FORM}", self.input.display()))
        };
        let (entrypoint, input) = if self.list {
            (
                LIST_ENTRYPOINT,
                strict::canonical(&strict::strict_into::<ListInput>(&bytes).map_err(shape)?)?,
            )
        } else {
            (
                CALL_ENTRYPOINT,
                strict::canonical(&strict::strict_into::<Input>(&bytes).map_err(shape)?)?,
            )
        };
        let policy = Bench::start()?.policy(&module, &data)?;
        let answer = policy
            .evaluate(entrypoint, &input)
            .map_err(|error| anyhow!("{error}; the gateway takes that as a denial"))?;
        let value = strict::strict(answer.as_bytes())?;
        if !self.list {
            serde_json::from_value::<Output>(value.clone()).context(
                "the policy answered something else than a decision; the gateway takes that as a \
                 denial",
            )?;
        }
        let digest = policy_digest(&module, &data).context("data.json is not readable")?;
        Ok(Report::new(
            format!("{value:#}"),
            json!({"policy": digest, "entrypoint": entrypoint, "answer": value}),
        ))
    }
}
