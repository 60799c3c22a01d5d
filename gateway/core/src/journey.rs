//! The journey of a call, in order: discover → validate → plan → hash → decide on sight → look, or
//! preview → decide → enqueue or ask people → wait. Every ending is recorded before it is told;
//! what cannot be recorded is not done. Never acts itself: effects live behind [`Host`].

mod call_record;
mod follow;
mod fresh;
mod list;
mod output_fit;
pub mod ports;
mod read;
mod resume;
mod same;

use crate::stage::{askable, discover, judge, plan, question, seal, validate};
use crate::text;
pub use follow::{Wait, calls, cancel, job};
pub use fresh::fresh;
pub use list::list;
pub use resume::{Resumed, resume};

use crate::journey::ports::{Hear, Host, Judge, Planner, Recorder};
use crate::model::answer::{RefusalKind, Reply};
use crate::model::id::{CallId, PolicyDigest};
use crate::model::operation::Draft;
use crate::model::reason::Denial;
use crate::model::trust::Trust;
use crate::policy::digest::CALL_ENTRYPOINT;
use crate::protocol::gateway_recorder::{IdempotencyKey, Propose, Proposed};
use crate::stage::discover::RawCall;
use crate::stage::enqueue;
use crate::stage::judge::Verdict;
use crate::stage::preview::PreviewedPlan;
use crate::stage::question::Asking;
use crate::stage::seal::SealedPlan;
use crate::stage::validate::ValidCall;
use crate::tool::catalog::Catalog;
use ed25519_dalek::SigningKey;

use call_record::Scene;
use read::{looked, previewed};
use serde_json::json;

/// What the gateway knows: loaded at start, the same for every call.
pub struct World {
    /// The loaded tools.
    pub catalog: Catalog,
    /// Its own trust file.
    pub trust: Trust,
    /// The policy that is loaded.
    pub policy: PolicyDigest,
    /// Signs permits.
    pub key: SigningKey,
}

/// How far a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// All the way.
    Call,
    /// Shown and decided, recorded, never queued.
    Preview,
}

/// Runs one call to its reply. While a job is waited for, `hear` is told how it goes on.
pub async fn ask<H: Host>(host: &H, world: &World, raw: RawCall, mode: Mode, hear: &Hear) -> Reply {
    match stages(host, world, raw, mode, hear).await {
        Ok(reply) | Err(reply) => reply,
    }
}

/// The stages in order; whichever ends the call early has recorded it.
async fn stages<H: Host>(
    host: &H,
    world: &World,
    raw: RawCall,
    mode: Mode,
    hear: &Hear,
) -> Result<Reply, Reply> {
    let mut scene = Scene::new(host, world, raw.caller.clone());
    let (name, key) = (raw.tool.clone(), raw.key.clone());
    let wait = Wait { ms: raw.wait_ms, person_ms: raw.person_ms, hear };

    let resources = world.catalog.get(&name).map(|tool| tool.resource()).into_iter().collect();
    let visible = match list::visible(host, world, &raw.caller.principal, resources).await {
        Ok(visible) => visible,
        Err(fault) => {
            return Err(scene
                .unavailable(
                    "policy-list",
                    &fault.to_string(),
                    "policy cannot say which tools you may see",
                )
                .await);
        }
    };
    let Some(found) = discover::discover(raw, &world.catalog, &visible) else {
        return Err(scene.unknown_tool(&name).await);
    };
    scene.found(found.tool());
    let call = match validate::validate(found) {
        Ok(call) => call,
        Err(fault) => return Err(scene.bad_arguments(fault).await),
    };
    scene.valid(&call);
    let key = match (mode, key) {
        (Mode::Call, Some(key)) => match keyed(&scene, &call, key, wait).await? {
            Keyed::New(key) => Some(key),
            Keyed::Replay(reply) => return Ok(reply),
        },
        _ => None,
    };

    let sealed = planned(&mut scene, &call).await?;
    let changes = sealed.plan().changes();
    if changes && mode == Mode::Call {
        remembered(&scene, &sealed).await?;
    }
    let asking = asking(world, &call);
    on_sight(&mut scene, &asking, &sealed).await?;
    if !changes {
        return match mode {
            Mode::Call => looked(&scene, &call, &sealed).await,
            Mode::Preview => Ok(scene.previewed_look(&sealed).await),
        };
    }
    carried(&mut scene, &call, asking, sealed, (mode, key), wait).await
}

/// How often a call is decided again because the same one was carried out meanwhile.
const ROUNDS: usize = 3;

/// A plan that changes something, to the job that carries it out: its own, or the one that the same
/// call led to before.
async fn carried<H: Host>(
    scene: &mut Scene<'_, H>,
    call: &ValidCall,
    asking: Asking,
    mut sealed: SealedPlan,
    (mode, key): (Mode, Option<IdempotencyKey>),
    wait: Wait<'_>,
) -> Result<Reply, Reply> {
    for _ in 0..ROUNDS {
        let seen = match (mode, &key) {
            // A call with a key joins by its key alone.
            (Mode::Preview, _) | (Mode::Call, Some(_)) => None,
            (Mode::Call, None) => same::same(scene, &sealed, wait).await?,
        };
        let verdict = decided(scene, asking.clone(), sealed).await?;
        if mode == Mode::Preview {
            return Ok(scene.previewed(verdict).await);
        }
        let (propose, plan) = proposed(scene, call, verdict, (key.clone(), seen)).await?;
        // From here on the call runs by itself: a lost client no longer cancels it.
        let joined = match scene.host().recorder().propose(propose).await {
            Ok(Proposed::Recorded(_)) => scene.call().clone(),
            Ok(Proposed::Joined { call }) if key.is_some() => call,
            Ok(Proposed::Joined { .. }) => {
                sealed = plan.into_sealed();
                continue;
            }
            Ok(_) | Err(_) => return Err(unconfirmed()),
        };
        return Ok(
            follow::outcome(scene.host(), scene.world(), scene.principal(), &joined, wait).await
        );
    }
    Err(scene
        .unavailable(
            "same-call",
            "the same call was carried out each time",
            "the same call is being carried out",
        )
        .await)
}

/// Policy over the plan and what it would change.
async fn decided<H: Host>(
    scene: &mut Scene<'_, H>,
    asking: Asking,
    sealed: SealedPlan,
) -> Result<Verdict, Reply> {
    let plan = previewed(scene, sealed).await?;
    let now = scene.host().now();
    let question = match question::question(&asking, &plan, None, now) {
        Ok(question) => question,
        Err(denial) => return Err(scene.deny(denial).await),
    };
    let output = evaluate(scene, &question).await?;
    let verdict = judge::judge(&output, plan, asking, &scene.world().trust.floor, None, now);
    Ok(askable::askable(verdict, &scene.world().trust))
}

/// What the recorder is asked to store.
async fn proposed<H: Host>(
    scene: &Scene<'_, H>,
    call: &ValidCall,
    verdict: Verdict,
    (key, seen): (Option<IdempotencyKey>, Option<CallId>),
) -> Result<(Propose, PreviewedPlan), Reply> {
    let base = scene.entry();
    let queued = match verdict {
        Verdict::Denied(_, denial) => return Err(scene.deny(denial).await),
        Verdict::Approved(approved) => enqueue::enqueue(approved, call, &scene.world().key, base)
            .map(|queued| queued.into_propose(key, seen)),
        Verdict::Needed(needed) => enqueue::ask_people(needed, call, scene.host().random(), base)
            .map(|asked| asked.into_propose(key, seen)),
    };
    match queued {
        Ok(queued) => Ok(queued),
        Err(fault) => Err(scene
            .unavailable("permit", &fault.to_string(), "the permit cannot be written")
            .await),
    }
}

fn asking(world: &World, call: &ValidCall) -> Asking {
    Asking {
        call: call.caller().call.clone(),
        subject: call.caller().principal.subject(),
        purpose: call.purpose().map(str::to_owned),
        arguments: call.arguments().clone(),
        environment: world.trust.environment.clone(),
        policy: world.policy,
    }
}

/// Nothing was executed, and nothing could be recorded.
fn unrecorded() -> Reply {
    Reply::Unavailable {
        reason: "the call could not be recorded, so it was not carried out; try again later"
            .to_owned(),
    }
}

/// A store that failed while it wrote may have the job all the same, and carry it out.
fn unconfirmed() -> Reply {
    let reason = "it is not known whether the call was recorded; nothing was executed yet. The \
                  same call again joins it where it was";
    Reply::Unavailable { reason: reason.to_owned() }
}

/// What an idempotency key led to.
enum Keyed {
    /// It is free.
    New(IdempotencyKey),
    /// It stands for an earlier call.
    Replay(Reply),
}

async fn keyed<H: Host>(
    scene: &Scene<'_, H>,
    call: &ValidCall,
    key: String,
    wait: Wait<'_>,
) -> Result<Keyed, Reply> {
    let principal = call.caller().principal.name.clone();
    let used =
        match scene.host().recorder().propose(Propose::Key { principal, key: key.clone() }).await {
            Ok(Proposed::Key { used }) => used,
            _ => return Err(unrecorded()),
        };
    let tool = call.tool().name();
    match used {
        None => {
            Ok(Keyed::New(IdempotencyKey { key, tool: tool.to_owned(), arguments: call.digest() }))
        }
        Some(used) if used.tool == tool && used.arguments == call.digest() => Ok(Keyed::Replay(
            follow::replay(scene.host(), scene.world(), &call.caller().principal, &used.call, wait)
                .await,
        )),
        Some(used) => {
            let why =
                format!("the idempotency key was used for other arguments, in call {}", used.call);
            let words = (
                why.as_str(),
                "The same arguments with this key, or other arguments with another.",
                "Use a new key for a new request.",
            );
            Err(scene
                .refuse(RefusalKind::Conflict, "REFUSED", "refused", "idempotency-key", words)
                .await)
        }
    }
}

/// The tool's draft, checked and sealed.
async fn planned<H: Host>(scene: &mut Scene<'_, H>, call: &ValidCall) -> Result<SealedPlan, Reply> {
    let draft = drafted(scene, call).await?;
    let trust = &scene.world().trust;
    let sealed = plan::plan(draft, call.tool().trusted(), trust)
        .and_then(|plan| seal::hash(plan, call.arguments(), &trust.environment));
    match sealed {
        Ok(sealed) => {
            scene.sealed(&sealed);
            Ok(sealed)
        }
        Err(fault) => {
            let why = fault.to_string();
            let words = (
                why.as_str(),
                fault.allowed(),
                "Tell your user: the tool's author or an operator has to look at it.",
            );
            Err(scene
                .refuse(RefusalKind::Declined, "REFUSED", "refused", fault.code(), words)
                .await)
        }
    }
}

async fn drafted<H: Host>(scene: &Scene<'_, H>, call: &ValidCall) -> Result<Draft, Reply> {
    match scene.host().planner().plan(call.tool().digest(), call.canonical()).await {
        Ok(Ok(draft)) => Ok(draft),
        Ok(Err(refusal)) => {
            let (why, remedy) = (
                crate::model::escape::line(&refusal.reason),
                crate::model::escape::line(&refusal.remedy),
            );
            let words = (why.as_str(), remedy.as_str(), "Ask again with other arguments.");
            Err(scene
                .refuse(RefusalKind::Declined, "DECLINED", "refused", call.tool().name(), words)
                .await)
        }
        Err(fault) => {
            let rule = format!("tool-{}", fault.code);
            let words = (
                "the tool gave no plan",
                "Nothing of this tool until it is repaired.",
                "Tell your user: an operator sees more with `cofferdam show`.",
            );
            Err(scene
                .with("fault", &json!(fault.to_string()))
                .refuse(RefusalKind::Declined, "FAILED", "failed", &rule, words)
                .await)
        }
    }
}

/// Whether a person denied the same plan of the same agent, and the time for which that counts is
/// not over.
async fn remembered<H: Host>(scene: &Scene<'_, H>, sealed: &SealedPlan) -> Result<(), Reply> {
    let principal = scene.principal().name.clone();
    match scene
        .host()
        .recorder()
        .propose(Propose::Rejection { principal, plan: sealed.digest() })
        .await
    {
        Ok(Proposed::Rejection { rejected: None }) => Ok(()),
        Ok(Proposed::Rejection { rejected: Some(rejected) }) => {
            let why = text::rejected(&rejected);
            let words = (
                why.as_str(),
                "What the approvers agree to.",
                "Do not ask for the same again; tell your user what the approver said.",
            );
            Err(scene.refuse(RefusalKind::Denied, "REJECTED", "denied", "an approver", words).await)
        }
        _ => Err(unrecorded()),
    }
}

/// Policy over the plan alone.
async fn on_sight<H: Host>(
    scene: &mut Scene<'_, H>,
    asking: &Asking,
    sealed: &SealedPlan,
) -> Result<(), Reply> {
    let question = match question::on_sight_question(asking, sealed, scene.host().now()) {
        Ok(question) => question,
        Err(denial) => return Err(scene.deny(denial).await),
    };
    scene.asked();
    let output = evaluate(scene, &question).await?;
    match judge::judge_on_sight(&output, sealed) {
        Ok(sight) => {
            scene.reasons(&sight.reasons);
            Ok(())
        }
        Err(denial) => Err(scene.deny(denial).await),
    }
}

/// One evaluation; a policy that gives nothing denies.
async fn evaluate<H: Host>(scene: &Scene<'_, H>, question: &str) -> Result<String, Reply> {
    match scene.host().judge().evaluate(CALL_ENTRYPOINT, question).await {
        Ok(output) => Ok(output),
        Err(fault) => Err(scene
            .deny(Denial::of_policy(&format!("policy-{}", fault.code), &fault.detail))
            .await),
    }
}

#[cfg(test)]
mod tests;
