//! A component or policy file with its role, imports and definition. The file is untrusted: it is
//! compiled, and a tool runs, only in guest processes. Executors and Wasm commands never run here.

mod policy;

pub use policy::Policy;

use crate::serve::guest_process;
use anyhow::{Context as _, Result, anyhow, bail};
use cofferdam_core::journey::ports::GuestError;
use cofferdam_core::model::ceiling::{Ceiling, Definition, Example};
use cofferdam_core::model::id::ComponentDigest;
use cofferdam_core::model::json;
use cofferdam_core::model::operation::{Draft, Operation, Program, ToolRefusal};
use cofferdam_core::model::trust::{TrustedCommand, TrustedExecutor, TrustedTool};
use cofferdam_core::protocol::role_guest::{Compute, Computed, GuestKind};
use cofferdam_core::stage::plan::Accepted;
use cofferdam_core::tool::load::check_definition;
use cofferdam_core::tool::schema::{RootCombinator, Warning, lint};
use cofferdam_sandbox::{limit, load};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The guest processes that read untrusted files, one for each request.
#[derive(Debug, Clone)]
pub struct Bench(PathBuf);

/// A component that would load.
pub struct Plugin {
    /// The path of the file.
    pub path: PathBuf,
    /// The bytes of the component.
    pub bytes: Vec<u8>,
    /// The digest of the bytes.
    pub digest: ComponentDigest,
    /// The names of the imported interfaces.
    pub imports: Vec<String>,
    /// The names of exported functions that Cofferdam never calls.
    pub unused: Vec<String>,
    /// The role of the component.
    pub kind: Kind,
    lint: Result<Vec<Warning>, RootCombinator>,
    bench: Bench,
    artefact: Vec<u8>,
}

/// The role of a component.
pub enum Kind {
    /// A tool: makes plans.
    Tool(Box<Definition>),
    /// An executor, with the name of its file.
    Executor(String),
    /// A Wasm command, with the name of its file.
    Command(String),
}

/// The result of an example.
pub struct ExampleRun<'a> {
    /// The example that ran.
    pub example: &'a Example,
    /// The error, if the tool returned another draft than the example has.
    pub error: Option<String>,
}

impl Bench {
    /// Uses the guest binary beside this one.
    pub fn start() -> Result<Self> {
        guest_process::beside().map(Self)
    }

    /// Reads a component, refuses one that would not load, and reads the definition of a tool.
    pub fn read(&self, path: &Path) -> Result<Plugin> {
        wasm(path)
            .and_then(|bytes| self.open(path, bytes))
            .with_context(|| format!("`{}`", path.display()))
    }

    fn open(&self, path: &Path, bytes: Vec<u8>) -> Result<Plugin> {
        let asked =
            guest_process::ask(&self.0, &Compute::Examine, bytes.clone(), guest_process::COMPILE)?;
        let (kind, imports, unused, artefact) = match asked {
            (Computed::Examined { kind, imports, unused }, artefact) => {
                (kind, imports, unused, artefact)
            }
            (other, _) => return Err(unexpected(&other)),
        };
        let kind = match kind {
            GuestKind::Executor => Kind::Executor(stem(path)),
            GuestKind::Command => Kind::Command(stem(path)),
            GuestKind::Tool => {
                match guest_process::ask(
                    &self.0,
                    &Compute::Define,
                    artefact.clone(),
                    guest_process::COMPUTE,
                )?
                .0
                {
                    Computed::Defined { definition } => Kind::Tool(definition),
                    other => return Err(unexpected(&other)),
                }
            }
            GuestKind::Policy => bail!("it is a policy; a component is wanted"),
        };
        let lint =
            if let Kind::Tool(definition) = &kind { lint(definition) } else { Ok(Vec::new()) };
        // A refused combinator is a better error than an example outside of the schema.
        if let (Kind::Tool(definition), Ok(_)) = (&kind, &lint) {
            check_definition(definition)?;
        }
        let digest = ComponentDigest::of(&bytes);
        Ok(Plugin {
            path: path.to_owned(),
            bytes,
            digest,
            imports,
            unused,
            kind,
            lint,
            bench: self.clone(),
            artefact,
        })
    }
}

/// The remedy for a path that is no readable file.
const COMPONENT: &str = "give the .wasm file that `cofferdam build` wrote";

/// Reads the bytes of a Wasm file, up to the limit.
///
/// # Errors
/// The file cannot be read, is not a plain file, or is larger than [`limit::WASM`].
pub fn wasm(path: &Path) -> Result<Vec<u8>> {
    let unread = |error| anyhow!("cannot read it: {error}; {COMPONENT}");
    let told = std::fs::metadata(path).map_err(unread)?;
    if !told.is_file() {
        bail!("it is not a file; {COMPONENT}");
    }
    let mut bytes = Vec::new();
    let most = u64::try_from(limit::WASM).unwrap_or(u64::MAX);
    File::open(path)
        .and_then(|file| file.take(most.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(unread)?;
    if bytes.len() > limit::WASM {
        let size = usize::try_from(told.len()).unwrap_or(usize::MAX).max(bytes.len());
        return Err(
            GuestError { code: "too-large".to_owned(), detail: load::too_large(size) }.into()
        );
    }
    Ok(bytes)
}

/// The panic message of Rust's clock on a machine without one. Every module that can reach the
/// clock has this text.
const CLOCK: &[u8] = b"time not implemented on this platform";

/// The warning for authors about the clock.
pub const NO_CLOCK: &str = "it uses `std::time`, which does not exist in a tool: it stops the \
                            call; leave it out, and where a value is the time write `{\"$host\": \
                            \"started_at\"}`, which the runner fills in";

/// Returns whether Wasm was linked with Rust's clock.
pub fn has_clock(wasm: &[u8]) -> bool {
    wasm.windows(CLOCK.len()).any(|window| window == CLOCK)
}

fn unexpected(computed: &Computed) -> anyhow::Error {
    anyhow!("the guest process returned an unexpected response: {computed:?}")
}

/// The name of a file without its extension: the name of an executor or a command.
fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

impl Plugin {
    /// Its name.
    pub fn name(&self) -> &str {
        match &self.kind {
            Kind::Tool(definition) => &definition.name,
            Kind::Executor(name) | Kind::Command(name) => name,
        }
    }

    /// The entry of the trust file, with this ceiling.
    pub fn trusted(&self, definition: &Definition, ceiling: Ceiling) -> TrustedTool {
        TrustedTool {
            name: definition.name.clone(),
            version: definition.version.clone(),
            digest: self.digest,
            ceiling,
        }
    }

    /// Warnings about schemas that some MCP hosts refuse.
    ///
    /// # Errors
    /// `schema`, if every MCP host would refuse the schema.
    pub fn warnings(&self) -> Result<Vec<Warning>> {
        match &self.lint {
            Ok(warnings) => Ok(warnings.clone()),
            Err(error) => {
                let error = GuestError { code: "schema".to_owned(), detail: error.to_string() };
                Err(anyhow::Error::new(error).context(format!("`{}`", self.path.display())))
            }
        }
    }

    /// Runs a tool with canonical arguments in a new guest process; returns its draft.
    pub fn plan(&self, arguments: &str) -> Result<Result<Draft, ToolRefusal>, GuestError> {
        let plan = Compute::Plan { arguments: arguments.to_owned() };
        let asked =
            guest_process::ask(&self.bench.0, &plan, self.artefact.clone(), guest_process::COMPUTE);
        match asked.map_err(|error| self.explained(error))?.0 {
            Computed::Planned { draft } => Ok(Ok(draft)),
            Computed::Declined { refusal } => Ok(Err(refusal)),
            other => Err(GuestError {
                code: "output".to_owned(),
                detail: unexpected(&other).to_string(),
            }),
        }
    }

    /// Explains the trap of a tool that used Rust's clock.
    fn explained(&self, error: GuestError) -> GuestError {
        if error.code != "trap" || !has_clock(&self.bytes) {
            return error;
        }
        let detail = format!("{}; {NO_CLOCK}", error.detail);
        GuestError { detail, ..error }
    }

    /// Runs the examples of a tool. Each must return its expected draft, within the ceiling.
    pub fn examples(&self, executors: &[TrustedExecutor]) -> Vec<ExampleRun<'_>> {
        let Kind::Tool(definition) = &self.kind else { return Vec::new() };
        let trusted = self.trusted(definition, definition.ceiling.clone());
        let run = |example| {
            run(example, self, &trusted, executors).err().map(|error| format!("{error:#}"))
        };
        definition
            .examples
            .iter()
            .map(|example| ExampleRun { example, error: run(example) })
            .collect()
    }
}

fn run(
    example: &Example,
    tool: &Plugin,
    trusted: &TrustedTool,
    executors: &[TrustedExecutor],
) -> Result<()> {
    let arguments = json::canonical(&example.arguments)?;
    let draft = match tool.plan(&arguments)? {
        Ok(draft) => draft,
        Err(refusal) => {
            return Err(anyhow!("the tool refuses its own example: {}", refusal.reason));
        }
    };
    let promised: Draft =
        serde_json::from_value(example.draft.clone()).context("its draft is not readable")?;
    if draft != promised {
        return Err(anyhow!("it gives another draft: {}", json::canonical(&draft)?));
    }
    within(draft, trusted, executors)
}

/// Checks a draft against a ceiling, as the gateway does.
///
/// # Errors
/// The operation outside the ceiling, and the missing line of the ceiling.
pub fn within(draft: Draft, trusted: &TrustedTool, executors: &[TrustedExecutor]) -> Result<()> {
    // An executor that is not accepted yet is not an error of the draft.
    let mut known = executors.to_vec();
    for name in trusted
        .ceiling
        .executors
        .iter()
        .filter(|name| !executors.iter().any(|known| known.name == **name))
    {
        known.push(TrustedExecutor { name: name.clone(), digest: ComponentDigest::of(b"") });
    }
    // The arguments name the command: the caller gives the digest of an accepted one.
    let commands: Vec<TrustedCommand> =
        draft.operations.iter().filter_map(|step| named(&step.operation)).collect();
    let accepted = Accepted { executors: &known, commands: &commands };
    let _never_sealed = cofferdam_core::stage::plan::plan(draft, trusted, accepted)?;
    Ok(())
}

fn named(operation: &Operation) -> Option<TrustedCommand> {
    match operation {
        Operation::Task { name, program: Program::Command(digest), .. } => Some(TrustedCommand {
            name: name.clone(),
            digest: ComponentDigest::parse(digest).ok()?,
        }),
        _ => None,
    }
}
