//! A component or policy file as commands see it: what it is for, what it asks for, what it says it
//! is. All of it is a stranger's: it is compiled, and a tool is run, in guest processes alone;
//! executors and a task's commands are never run.

use crate::serve::guest_process;
use anyhow::{Context as _, Result, anyhow, bail};
use cofferdam_core::journey::ports::GuestError;
use cofferdam_core::model::ceiling::{Ceiling, Definition, Example};
use cofferdam_core::model::id::ComponentDigest;
use cofferdam_core::model::json;
use cofferdam_core::model::operation::{Draft, Operation, Program, ToolRefusal};
use cofferdam_core::model::trust::{TrustedCommand, TrustedExecutor, TrustedTool};
use cofferdam_core::policy::digest::{CALL_ENTRYPOINT, LIST_ENTRYPOINT};
use cofferdam_core::protocol::role_guest::{Compute, Computed, GuestKind, Trial, Tried};
use cofferdam_core::stage::plan::Accepted;
use cofferdam_core::tool::load::check_definition;
use cofferdam_core::tool::schema::{RootCombinator, Warning, lint};
use cofferdam_sandbox::{limit, load};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Where strangers' files are looked at: guest processes, one for each question.
#[derive(Debug, Clone)]
pub struct Bench(PathBuf);

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
    /// The names of what it exports and is never called.
    pub unused: Vec<String>,
    /// What it is for.
    pub kind: Kind,
    lint: Result<Vec<Warning>, RootCombinator>,
    bench: Bench,
    artefact: Vec<u8>,
}

/// What a component is for.
pub enum Kind {
    /// Makes plans.
    Tool(Box<Definition>),
    /// Carries them out; its name is its file's.
    Executor(String),
    /// Is what a task runs; its name is its file's.
    Command(String),
}

/// A policy that would be loaded, with its data document.
pub struct Policy {
    bench: Bench,
    artefact: Vec<u8>,
    data: String,
}

/// What became of an example.
pub struct ExampleRun<'a> {
    /// The example.
    pub example: &'a Example,
    /// The fault, if it did not give the draft it says.
    pub error: Option<String>,
}

impl Bench {
    /// Guests are made of the binary beside this one.
    pub fn start() -> Result<Self> {
        guest_process::beside().map(Self)
    }

    /// Reads a component, refuses one that would not be loaded, and asks a tool what it is.
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
        // A combinator that is refused says more than an example that it does not permit.
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

    /// Loads a policy as the gateway does.
    pub fn policy(&self, module: &[u8], data: &str) -> Result<Policy> {
        let policy = self.compiled(&Compute::Compile { kind: GuestKind::Policy }, module, data)?;
        let artefact = policy.artefact.clone();
        let judge = Compute::Judge { data: data.to_owned() };
        let known = match guest_process::ask(
            &self.0,
            &judge,
            artefact.clone(),
            guest_process::COMPUTE,
        )?
        .0
        {
            Computed::Judging { entrypoints } => entrypoints,
            other => return Err(unexpected(&other)),
        };
        for needed in [CALL_ENTRYPOINT, LIST_ENTRYPOINT] {
            if !known.iter().any(|known| known == needed) {
                bail!(
                    "the policy has no entry point `{needed}`; build it with \
                     `scripts/build-policy`, which names both"
                );
            }
        }
        Ok(policy)
    }

    /// Loads a policy's module for trials, with or without its tests: for [`Policy::attempt`]
    /// alone.
    pub fn trial(&self, module: &[u8], data: &str) -> Result<Policy> {
        self.compiled(&Compute::CompileTrial, module, data)
    }

    /// `too-large` for data beyond [`DATA`]; the guest's own fault for a module that is none.
    fn compiled(&self, compile: &Compute, module: &[u8], data: &str) -> Result<Policy> {
        if data.len() > DATA {
            let (kib, most) = (data.len() >> 10, DATA >> 10);
            let detail = format!(
                "data.json has {kib} KiB, at most {most} KiB are loaded: each decision reads all \
                 of it; keep there only what the rules need"
            );
            return Err(GuestError { code: "too-large".to_owned(), detail }.into());
        }
        let (_, artefact) =
            guest_process::ask(&self.0, compile, module.to_vec(), guest_process::COMPILE)?;
        Ok(Policy { bench: self.clone(), artefact, data: data.to_owned() })
    }
}

/// Bytes of a data document: each decision reads all of it, and parsed it needs some eight times as
/// much.
const DATA: usize = 2 << 20;

/// Bytes of questions that one guest process is asked, before they are written as JSON.
const TRIALS: usize = 1 << 20;

impl Policy {
    /// Runs trials, each in a fresh instance; one outcome for each, in order.
    ///
    /// # Errors
    /// The guest's own fault where the policy cannot even be loaded.
    pub fn attempt(&self, trials: &[Trial]) -> Result<Vec<Tried>> {
        let mut tried = Vec::new();
        let mut rest = trials;
        while !rest.is_empty() {
            let mut bytes = 0_usize;
            let fitting = rest.iter().take_while(|trial| {
                bytes = bytes.saturating_add(trial.input.as_ref().map_or(0, String::len));
                bytes <= TRIALS
            });
            let (now, later) = rest.split_at(fitting.count().max(1).min(rest.len()));
            let ask = Compute::Try { data: self.data.clone(), trials: now.to_vec() };
            let (answer, body) = guest_process::ask(
                &self.bench.0,
                &ask,
                self.artefact.clone(),
                guest_process::COMPILE,
            )?;
            if answer != Computed::Tried {
                return Err(unexpected(&answer));
            }
            let some: Vec<Tried> = serde_json::from_slice(&body)
                .context("the guest process's answer is not readable")?;
            if some.len() != now.len() {
                bail!("the guest process answered {} of {} questions", some.len(), now.len());
            }
            tried.extend(some);
            rest = later;
        }
        Ok(tried)
    }

    /// One answer, as JSON text.
    pub fn evaluate(&self, entrypoint: &str, input: &str) -> Result<String, GuestError> {
        let (entrypoint, data) = (entrypoint.to_owned(), self.data.clone());
        let decide = Compute::Decide { entrypoint, data, input: input.to_owned() };
        match guest_process::ask(
            &self.bench.0,
            &decide,
            self.artefact.clone(),
            guest_process::COMPUTE,
        )?
        .0
        {
            Computed::Decided { output } => Ok(output),
            other => Err(GuestError {
                code: "output".to_owned(),
                detail: unexpected(&other).to_string(),
            }),
        }
    }
}

/// The bytes of a Wasm file that is not too large to be loaded. Reads no more than that of it.
///
/// # Errors
/// The file cannot be read, is no plain file, or is larger than [`limit::WASM`].
pub fn wasm(path: &Path) -> Result<Vec<u8>> {
    let told = std::fs::metadata(path).context("cannot read it")?;
    if !told.is_file() {
        bail!("it is not a file");
    }
    let mut bytes = Vec::new();
    let most = u64::try_from(limit::WASM).unwrap_or(u64::MAX);
    File::open(path)
        .and_then(|file| file.take(most.saturating_add(1)).read_to_end(&mut bytes))
        .context("cannot read it")?;
    if bytes.len() > limit::WASM {
        let size = usize::try_from(told.len()).unwrap_or(usize::MAX).max(bytes.len());
        return Err(
            GuestError { code: "too-large".to_owned(), detail: load::too_large(size) }.into()
        );
    }
    Ok(bytes)
}

/// What Rust's own clock panics with where there is none; the text is in every module that could
/// come to it.
const CLOCK: &[u8] = b"time not implemented on this platform";

/// What an author has to know of it.
pub const NO_CLOCK: &str = "it uses `std::time`, which does not exist in a tool: it stops the \
                            call; leave it out, and where a value is the time write `{\"$host\": \
                            \"started_at\"}`, which the runner fills in";

/// Returns whether Wasm was linked with Rust's clock.
pub fn has_clock(wasm: &[u8]) -> bool {
    wasm.windows(CLOCK.len()).any(|window| window == CLOCK)
}

fn unexpected(computed: &Computed) -> anyhow::Error {
    anyhow!("the guest process answered something else: {computed:?}")
}

/// A component without a name of its own is called as its file.
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

    /// As a trust file names it, with this ceiling.
    pub fn trusted(&self, definition: &Definition, ceiling: Ceiling) -> TrustedTool {
        TrustedTool {
            name: definition.name.clone(),
            version: definition.version.clone(),
            digest: self.digest,
            ceiling,
        }
    }

    /// What some hosts of models refuse in a tool's schemas.
    ///
    /// # Errors
    /// `schema`, where all of them would refuse it.
    pub fn warnings(&self) -> Result<Vec<Warning>> {
        match &self.lint {
            Ok(warnings) => Ok(warnings.clone()),
            Err(error) => {
                let error = GuestError { code: "schema".to_owned(), detail: error.to_string() };
                Err(anyhow::Error::new(error).context(format!("`{}`", self.path.display())))
            }
        }
    }

    /// What a tool makes of canonical arguments, in a fresh guest process.
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

    /// A trap of a tool that was linked with Rust's clock: there is none to read.
    fn explained(&self, error: GuestError) -> GuestError {
        if error.code != "trap" || !has_clock(&self.bytes) {
            return error;
        }
        let detail = format!("{}; {NO_CLOCK}", error.detail);
        GuestError { detail, ..error }
    }

    /// Runs a tool's examples: each must give the draft it says, and one that its ceiling permits.
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

/// Holds a draft against a ceiling, as the gateway would.
///
/// # Errors
/// The operation that is beyond it, and the line that is missing.
pub fn within(draft: Draft, trusted: &TrustedTool, executors: &[TrustedExecutor]) -> Result<()> {
    // An executor that was not accepted yet is no fault of the draft.
    let mut known = executors.to_vec();
    for name in trusted
        .ceiling
        .executors
        .iter()
        .filter(|name| !executors.iter().any(|known| known.name == **name))
    {
        known.push(TrustedExecutor { name: name.clone(), digest: ComponentDigest::of(b"") });
    }
    // A command comes with the arguments: its digest is given by the one who calls, who names one
    // that was accepted.
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
