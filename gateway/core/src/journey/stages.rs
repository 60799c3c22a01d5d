//! The order of the stages, written once, for a new call and for an approved one: list, discover,
//! validate, plan, seal, precheck; then preview, question, judge. Never records how a call ends: it
//! returns an [`Ended`], and each sort of call has its own reply to that.

use super::call_record::CallRecord;
use super::list;
use super::read::{ReadError, read_preview};
use crate::journey::ports::{GuestError, Host, Judge, Planner};
use crate::model::operation::ToolRefusal;
use crate::model::reason::{Denial, Reason};
use crate::policy::approvals::Approvals;
use crate::policy::digest::CALL_ENTRYPOINT;
use crate::stage::discover::{FoundCall, RawCall};
use crate::stage::judge::Verdict;
use crate::stage::plan::PlanError;
use crate::stage::preview::{ForeignPreview, PreviewedPlan};
use crate::stage::question::Asking;
use crate::stage::seal::SealedPlan;
use crate::stage::validate::ValidCall;
use crate::stage::{discover, judge, preview, question, seal};
use crate::tool::load::LoadedTool;
use crate::tool::schema::ArgumentsError;
use jiff::Timestamp;
use std::future::Future;

/// The checks that one sort of call has between the stages.
pub(super) trait Checks<H: Host>: Send {
    /// How a check ends the call.
    type Ending: Send;

    /// Checks the tool that was found, before it is recorded.
    fn check_tool(&self, tool: &LoadedTool) -> Result<(), Self::Ending>;

    /// Validates the arguments: as they came, or as they were stored.
    fn validate(&self, found: FoundCall) -> Result<ValidCall, ArgumentsError>;

    /// Checks the valid call, before its tool plans.
    fn check_call(
        &mut self,
        record: &CallRecord<'_, H>,
        call: &ValidCall,
    ) -> impl Future<Output = Result<(), Self::Ending>> + Send;

    /// Checks the sealed plan, before policy reads it.
    fn check_plan(
        &self,
        record: &CallRecord<'_, H>,
        sealed: &SealedPlan,
    ) -> impl Future<Output = Result<(), Self::Ending>> + Send;

    /// Checks the preview, before policy reads it.
    fn check_preview(
        &mut self,
        record: &CallRecord<'_, H>,
        plan: PreviewedPlan,
        now: Timestamp,
    ) -> Result<PreviewedPlan, Self::Ending>;

    /// The approvals that the decision counts, once the preview was checked.
    fn approvals(&self) -> Option<&Approvals>;
}

/// How a call ends before its verdict. `E` is how a check of its own ends it.
pub(super) enum Ended<E> {
    /// Policy cannot say which tools the caller may see.
    NoList(GuestError),
    /// The caller sees no tool of this name.
    UnknownTool(String),
    /// The tool's schema does not take the arguments.
    BadArguments(ArgumentsError),
    /// The tool refused the arguments.
    Declined(ToolRefusal),
    /// The tool gave neither a draft nor a refusal.
    NoDraft(GuestError),
    /// The draft is not a plan that this tool may make.
    BadPlan(PlanError),
    /// Policy gave no decision.
    NoDecision(GuestError),
    /// Policy, or the host's own rules about it, deny the call.
    Denied(Denial),
    /// The viewer gave no preview.
    Unread(ReadError),
    /// The viewer gave the preview of another plan.
    ForeignPreview(ForeignPreview),
    /// A check of this sort of call ended it.
    Check(E),
}

/// A call whose plan passed the precheck.
pub(super) struct Planned {
    pub(super) call: ValidCall,
    pub(super) asking: Asking,
    pub(super) sealed: SealedPlan,
    /// The reasons of the precheck.
    pub(super) reasons: Vec<Reason>,
}

/// Runs the stages up to a sealed plan that policy lets pass. The infrastructure is not read.
pub(super) async fn to_plan<H: Host, C: Checks<H>>(
    record: &mut CallRecord<'_, H>,
    raw: RawCall,
    checks: &mut C,
) -> Result<Planned, Ended<C::Ending>> {
    let (host, world) = (record.host(), record.world());
    let (trust, name) = (&world.trust, raw.tool.clone());
    let resources = world.catalog.get(&name).map(|tool| tool.resource()).into_iter().collect();
    let visible = list::visible(host, world, &raw.caller.principal, resources, host.now()).await;
    let found = discover::discover(raw, &world.catalog, &visible.map_err(Ended::NoList)?)
        .ok_or(Ended::UnknownTool(name))?;
    checks.check_tool(found.tool()).map_err(Ended::Check)?;
    record.set_tool(found.tool());

    let call = checks.validate(found).map_err(Ended::BadArguments)?;
    record.set_arguments(&call);
    checks.check_call(record, &call).await.map_err(Ended::Check)?;

    let draft = host.planner().plan(call.tool().digest(), call.canonical()).await;
    let draft = draft.map_err(Ended::NoDraft)?.map_err(Ended::Declined)?;
    let (tool, arguments) = (call.tool().bound(), call.arguments());
    let sealed = seal::seal_within(draft, tool, trust, arguments, &trust.environment)
        .map_err(Ended::BadPlan)?;
    record.set_plan(&sealed);
    checks.check_plan(record, &sealed).await.map_err(Ended::Check)?;

    let asking = Asking {
        call: call.caller().call.clone(),
        subject: call.caller().principal.subject(),
        purpose: call.purpose().map(str::to_owned),
        arguments: call.arguments().clone(),
        environment: trust.environment.clone(),
        policy: world.policy,
    };
    let question =
        question::precheck_question(&asking, &sealed, host.now()).map_err(Ended::Denied)?;
    record.set_policy();
    let output = evaluate(host, &question).await?;
    let precheck = judge::precheck(&output, &sealed).map_err(Ended::Denied)?;
    Ok(Planned { call, asking, sealed, reasons: precheck.reasons })
}

/// Runs the stages from a sealed plan to the verdict over the plan and its preview.
pub(super) async fn to_verdict<H: Host, C: Checks<H>>(
    record: &mut CallRecord<'_, H>,
    asking: Asking,
    sealed: SealedPlan,
    checks: &mut C,
) -> Result<Verdict, Ended<C::Ending>> {
    let (host, world) = (record.host(), record.world());
    let read = read_preview(host, &sealed).await.map_err(Ended::Unread)?;
    let plan = preview::preview(sealed, read).map_err(Ended::ForeignPreview)?;
    record.set_preview(&plan);
    let now = host.now();
    let plan = checks.check_preview(record, plan, now).map_err(Ended::Check)?;

    let question = question::question(&asking, &plan, checks.approvals(), now);
    let output = evaluate(host, &question.map_err(Ended::Denied)?).await?;
    Ok(judge::judge(&output, plan, asking, &world.trust.floor, checks.approvals(), now))
}

async fn evaluate<H: Host, E>(host: &H, question: &str) -> Result<String, Ended<E>> {
    host.judge().evaluate(CALL_ENTRYPOINT, question).await.map_err(Ended::NoDecision)
}

/// The denial of a call for which policy gave no decision.
pub(super) fn undecided(error: &GuestError) -> Denial {
    Denial::of_policy(&format!("policy-{}", error.code), &error.detail)
}
