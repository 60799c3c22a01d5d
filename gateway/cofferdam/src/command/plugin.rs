//! A component or policy file as commands see it: what it is for, what it asks for, what it says it is. Tools are run in the sandbox, as always;
//! executors and a task's commands are never run here.

use crate::encode::{self, COMMAND, EXECUTOR, Role};
use anyhow::{Context as _, Result, anyhow};
use cofferdam_core::ceiling::{Ceiling, Definition, Example};
use cofferdam_core::decide::{CALL_ENTRYPOINT, LIST_ENTRYPOINT};
use cofferdam_core::discover::check_definition;
use cofferdam_core::exchange::compute::GuestKind;
use cofferdam_core::id::ComponentDigest;
use cofferdam_core::json;
use cofferdam_core::operation::{Draft, Operation, Program};
use cofferdam_core::plan::Accepted;
use cofferdam_core::trust::{TrustedCommand, TrustedExecutor, TrustedTool};
use cofferdam_sandbox::engine::{Ticker, engine};
use cofferdam_sandbox::load::compile;
use cofferdam_sandbox::plan::Tool;
use cofferdam_sandbox::policy::Policy;
use std::path::{Path, PathBuf};

/// Counts guest time for everything that is loaded here.
pub struct Bench(Ticker);

/// A component that would be loaded.
pub struct Plugin {
    /// Where it was read.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Their digest.
    pub digest: ComponentDigest,
    /// The names of what it imports.
    pub imports: Vec<String>,
    /// What it is for.
    pub kind: Kind,
}

/// What a component is for.
pub enum Kind {
    /// Makes plans.
    Tool(Box<(Definition, Tool)>),
    /// Carries them out; its name is its file's.
    Executor(String),
    /// Is what a task runs; its name is its file's.
    Command(String),
}

/// What became of an example.
pub struct ExampleRun<'a> {
    /// The example.
    pub example: &'a Example,
    /// The fault, if it did not give the draft it says.
    pub fault: Option<String>,
}

impl Bench {
    /// Starts counting.
    pub fn start() -> Result<Self> {
        Ticker::start().map(Self).map_err(|fault| anyhow!("{fault}"))
    }

    /// Reads a component, refuses one that would not be loaded, and asks a tool what it is.
    pub fn read(&self, path: &Path) -> Result<Plugin> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        self.open(path, bytes).with_context(|| format!("`{}`", path.display()))
    }

    fn open(&self, path: &Path, bytes: Vec<u8>) -> Result<Plugin> {
        let surface = encode::surface(&bytes);
        let exports = |name: &str| surface.as_ref().is_ok_and(|surface| surface.exports.iter().any(|export| export.starts_with(name)));
        let kind = match () {
            () if exports(EXECUTOR) => GuestKind::Executor,
            () if exports(COMMAND) => GuestKind::Command,
            () => GuestKind::Tool,
        };
        // Compiling holds it against its world first: that names an import which no reader of WIT could make sense of.
        let (artefact, _) = compile(kind, &bytes).map_err(|fault| anyhow!("{fault}"))?;
        let surface = surface?;
        let digest = ComponentDigest::of(&bytes);
        let kind = match surface.role()? {
            Role::Executor => Kind::Executor(stem(path)),
            Role::Command => Kind::Command(stem(path)),
            Role::Tool => {
                let engine = engine(GuestKind::Tool).map_err(|fault| anyhow!("{fault}"))?;
                self.0.add(&engine);
                let tool = Tool::load(&engine, &artefact).map_err(|fault| anyhow!("{fault}"))?;
                let definition = tool.define().map_err(|fault| anyhow!("{fault}"))?;
                check_definition(&definition)?;
                Kind::Tool(Box::new((definition, tool)))
            }
        };
        Ok(Plugin { path: path.to_owned(), bytes, digest, imports: surface.imports, kind })
    }

    /// Loads a policy as the gateway does.
    pub fn policy(&self, module: &[u8], data: &str) -> Result<Policy> {
        let (artefact, _) = compile(GuestKind::Policy, module).map_err(|fault| anyhow!("{fault}"))?;
        let engine = engine(GuestKind::Policy).map_err(|fault| anyhow!("{fault}"))?;
        self.0.add(&engine);
        let policy = Policy::load(&engine, &artefact, data).map_err(|fault| anyhow!("{fault}"))?;
        for needed in [CALL_ENTRYPOINT, LIST_ENTRYPOINT] {
            if !policy.entrypoints().any(|known| known == needed) {
                return Err(anyhow!("the policy has no entry point `{needed}`; build it with `scripts/build-policy`, which names both"));
            }
        }
        Ok(policy)
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

impl Plugin {
    /// Its name: a tool's own, an executor's or a command's file's.
    pub fn name(&self) -> &str {
        match &self.kind {
            Kind::Tool(tool) => &tool.0.name,
            Kind::Executor(name) | Kind::Command(name) => name,
        }
    }

    /// The trust file's entry for a tool, under this ceiling.
    pub fn trusted(&self, definition: &Definition, ceiling: Ceiling) -> TrustedTool {
        TrustedTool { name: definition.name.clone(), version: definition.version.clone(), digest: self.digest, ceiling }
    }

    /// Runs a tool's examples: each must give the draft it says, and one that its ceiling permits.
    pub fn examples(&self, executors: &[TrustedExecutor]) -> Vec<ExampleRun<'_>> {
        let Kind::Tool(tool) = &self.kind else { return Vec::new() };
        let (definition, tool) = tool.as_ref();
        let trusted = self.trusted(definition, definition.ceiling.clone());
        definition
            .examples
            .iter()
            .map(|example| ExampleRun { example, fault: run(example, tool, &trusted, executors).err().map(|fault| format!("{fault:#}")) })
            .collect()
    }
}

fn run(example: &Example, tool: &Tool, trusted: &TrustedTool, executors: &[TrustedExecutor]) -> Result<()> {
    let arguments = json::canonical(&example.arguments)?;
    let draft = match tool.plan(&arguments).map_err(|fault| anyhow!("{fault}"))? {
        Ok(draft) => draft,
        Err(refusal) => return Err(anyhow!("the tool refuses its own example: {}", refusal.reason)),
    };
    let promised: Draft = serde_json::from_value(example.draft.clone()).context("its draft is none")?;
    if draft != promised {
        return Err(anyhow!("it gives another draft: {}", json::canonical(&draft)?));
    }
    // An executor that was not accepted yet is no fault of the example.
    let mut known = executors.to_vec();
    for name in trusted.ceiling.executors.iter().filter(|name| !executors.iter().any(|known| known.name == **name)) {
        known.push(TrustedExecutor { name: name.clone(), digest: ComponentDigest::of(b"") });
    }
    // A command comes with the arguments: whoever calls names one that was accepted.
    let commands: Vec<TrustedCommand> = draft.operations.iter().filter_map(|step| named(&step.operation)).collect();
    let accepted = Accepted { executors: &known, commands: &commands };
    let _sealed_by_nobody = cofferdam_core::plan::plan(draft, trusted, accepted)?;
    Ok(())
}

fn named(operation: &Operation) -> Option<TrustedCommand> {
    match operation {
        Operation::Task { name, program: Program::Command(digest), .. } => {
            Some(TrustedCommand { name: name.clone(), digest: ComponentDigest::parse(digest).ok()? })
        }
        _ => None,
    }
}
