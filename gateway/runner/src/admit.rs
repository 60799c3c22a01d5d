//! Admission: before the first effect a runner derives everything again, with its own trust file,
//! tool, policy, clock and read of the infrastructure. The rule is in `core/src/stage/readmit.rs`;
//! this file has the inputs.

use crate::guest_process::{Guests, Start};
use cofferdam_backend::{Backend, BackendError, PreviewError};
use cofferdam_core::journey::ports::GuestError;
use cofferdam_core::model::id::ComponentDigest;
use cofferdam_core::model::job::StoredJob;
use cofferdam_core::model::trust::{Trust, TrustedCommand};
use cofferdam_core::policy::digest::{CALL_ENTRYPOINT, policy_digest};
use cofferdam_core::protocol::role_guest::{Compute, Computed, GuestKind};
use cofferdam_core::stage::readmit;
use cofferdam_core::stage::readmit::{Inadmissible, LeasedPlan};
use jiff::Timestamp;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Bytes of a component: the largest that is compiled at all.
const COMPONENT: u64 = 32 * 1024 * 1024;

/// The runner's own copies of what computes.
#[derive(Debug, Clone)]
pub struct Components {
    /// Folder of tools, a `NAME.wasm` each.
    pub tools: PathBuf,
    /// Folder of executors, a `NAME.wasm` each.
    pub executors: PathBuf,
    /// Folder of commands of tasks, a `NAME.wasm` each.
    pub commands: PathBuf,
    /// The module of the policy.
    pub policy_module: PathBuf,
    /// The policy's data document.
    pub policy_data: PathBuf,
}

fn inadmissible(code: &'static str, detail: impl ToString) -> Inadmissible {
    Inadmissible { code, detail: detail.to_string() }
}

/// A path beneath `from` as one beneath `to`; another path stays as it is.
pub fn moved(path: &Path, from: &Path, to: &Path) -> PathBuf {
    path.strip_prefix(from).map_or_else(|_| path.to_owned(), |rest| to.join(rest))
}

impl Components {
    /// The same copies in another folder: paths beneath `from` become paths beneath `to`.
    pub fn moved(&self, from: &Path, to: &Path) -> Self {
        Self {
            tools: moved(&self.tools, from, to),
            executors: moved(&self.executors, from, to),
            commands: moved(&self.commands, from, to),
            policy_module: moved(&self.policy_module, from, to),
            policy_data: moved(&self.policy_data, from, to),
        }
    }

    fn component(
        folder: &Path,
        name: &str,
        digest: ComponentDigest,
        code: &'static str,
    ) -> Result<Vec<u8>, Inadmissible> {
        let path = folder.join(format!("{name}.wasm"));
        let wasm = file(&path).map_err(|error| {
            inadmissible(code, format!("cannot read `{}`: {error}", path.display()))
        })?;
        if ComponentDigest::of(&wasm) == digest {
            Ok(wasm)
        } else {
            Err(inadmissible(
                code,
                format!("`{}` is another component than the trust file accepts", path.display()),
            ))
        }
    }

    /// The executor that a plan names, as the trust file accepts it.
    pub fn executor(&self, plan: &LeasedPlan) -> Result<Vec<u8>, Inadmissible> {
        let executor = plan
            .sealed()
            .plan()
            .executor()
            .ok_or_else(|| inadmissible("executor-unknown", "the plan names no executor"))?;
        Self::component(&self.executors, &executor.name, executor.digest, "executor-unknown")
    }

    /// The command that a task names by digest, as the trust file accepts it.
    pub fn command(
        &self,
        digest: ComponentDigest,
        trusted: &[TrustedCommand],
    ) -> Result<Vec<u8>, Inadmissible> {
        let known = trusted.iter().find(|command| command.digest == digest);
        let known = known.ok_or_else(|| {
            inadmissible("command-unknown", format!("the trust file accepts no command {digest}"))
        })?;
        Self::component(&self.commands, &known.name, digest, "command-differs")
    }

    /// The policy that the trust file accepts: its module and its data.
    fn policy(&self, trust: &Trust) -> Result<(Vec<u8>, String), Inadmissible> {
        let read = |path: &Path| {
            file(path).map_err(|error| {
                inadmissible("policy-differs", format!("cannot read `{}`: {error}", path.display()))
            })
        };
        let module = read(&self.policy_module)?;
        let data = String::from_utf8(read(&self.policy_data)?)
            .map_err(|error| inadmissible("policy-differs", error))?;
        match policy_digest(&module, &data) {
            Ok(digest) if digest == trust.policy => Ok((module, data)),
            Ok(_) => Err(inadmissible(
                "policy-differs",
                "this runner's copy of the policy is another one than its trust file accepts",
            )),
            Err(error) => Err(inadmissible("policy-differs", error)),
        }
    }
}

fn file(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > COMPONENT {
        Err(io::ErrorKind::FileTooLarge.into())
    } else {
        fs::read(path)
    }
}

/// Why a job is not admitted.
#[derive(Debug, thiserror::Error)]
pub enum Unadmitted {
    /// It may not run.
    #[error(transparent)]
    Inadmissible(#[from] Inadmissible),
    /// The infrastructure cannot be asked: another runner may admit it later.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Admits a job, or says why not.
pub async fn admit<S: Start>(
    job: StoredJob,
    trust: &Trust,
    components: &Components,
    guests: &Guests<S>,
    backend: &impl Backend,
    now: impl Fn() -> Timestamp,
) -> Result<LeasedPlan, Unadmitted> {
    let opened = readmit::open(job, trust, now())?;
    let tool = opened.tool();
    let tool_name = tool.name.clone();
    let wasm = Components::component(&components.tools, &tool.name, tool.digest, "tool-differs")?;
    let failed = |error: GuestError| {
        inadmissible("plan-refused", format!("the tool gives no plan here: {error}"))
    };
    let draft = match guests
        .ask(GuestKind::Tool, &wasm, &Compute::Plan { arguments: opened.arguments().to_owned() })
        .await
        .map_err(failed)?
    {
        Computed::Planned { draft } => draft,
        Computed::Declined { refusal } => {
            return Err(inadmissible(
                "plan-differs",
                format!("the tool makes no plan of these arguments here: {:?}", refusal.reason),
            )
            .into());
        }
        _ => {
            return Err(inadmissible(
                "plan-refused",
                "the tool's sandbox sent an unexpected response",
            )
            .into());
        }
    };
    let derived = opened.derive(draft)?;
    let seen = match backend.preview(&tool_name, derived.sealed().operations()).await {
        Ok(seen) => seen,
        Err(PreviewError::Refused(refusal)) => {
            return Err(inadmissible("world-differs", refusal.reason).into());
        }
        Err(PreviewError::Backend(error)) => return Err(error.into()),
    };
    let question = derived.question(seen, now())?;
    let (module, data) = components.policy(trust)?;
    let decide = Compute::Decide {
        entrypoint: CALL_ENTRYPOINT.to_owned(),
        data,
        input: question.input().to_owned(),
    };
    let failed = |error: GuestError| {
        inadmissible("policy-denies", format!("the policy gives no decision here: {error}"))
    };
    match guests.ask(GuestKind::Policy, &module, &decide).await.map_err(failed)? {
        Computed::Decided { output } => Ok(question.admit(&output)?),
        _ => Err(inadmissible("policy-denies", "the policy's sandbox sent an unexpected response")
            .into()),
    }
}
